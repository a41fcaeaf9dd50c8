// Command release makes what the packages and the container image consist of beside the program itself:
//
//	release copyright PROGRAM      prints the machine-readable copyright file of Debian: the licence of every module in PROGRAM
//	release image OUT ARCH=PROGRAM...  writes an OCI image layout as a tar file, the same octets for the same programs
//
// It reads the module cache and the network only through the go command.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run runs one command line.
func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "copyright":
		text, err := copyright(args[1])
		if err != nil {
			return err
		}
		_, err = os.Stdout.WriteString(text)
		return err
	case len(args) >= 3 && args[0] == "image":
		return writeImage(args[1], args[2:])
	}
	return fmt.Errorf("usage: release copyright PROGRAM | release image OUT ARCH=PROGRAM")
}

// writeImage writes the image of programs, each as ARCH=PATH, to a file.
func writeImage(out string, programs []string) error {
	opt := imageOptions{Version: os.Getenv("VERSION"), Revision: os.Getenv("REVISION"), Programs: map[string][]byte{}}
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	opt.Time = time.Unix(seconds, 0).UTC()
	for _, p := range programs {
		arch, path, _ := strings.Cut(p, "=")
		if opt.Programs[arch], err = os.ReadFile(path); err != nil {
			return err
		}
	}
	layout, err := image(opt)
	if err != nil {
		return err
	}
	return os.WriteFile(out, layout, 0o644)
}
