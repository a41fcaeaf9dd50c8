package main

import (
	"maps"
	"net"
	"slices"

	"assay/milter"
)

// withActivated returns the listeners of the configuration and those that the service manager has opened without being named
// there: whoever has enabled a socket unit wants mail to come through it.
func withActivated(configured []milter.ListenAddress, activated map[string][]net.Listener) []milter.ListenAddress {
	all := slices.Clone(configured)
	for _, name := range slices.Sorted(maps.Keys(activated)) {
		if a := (milter.ListenAddress{Network: "fd", Address: name}); !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}
