package cms

import (
	"fmt"
	"strings"
)

// describe says in words what a SignedData is.
func (sd *SignedData) describe() string {
	if len(sd.Signers) == 0 {
		return count(len(sd.Certificates), "certificate") + ", no signer"
	}
	var names []string
	for i := range sd.Signers {
		names = append(names, sd.Signers[i].name(nil))
	}
	form := "opaque"
	if sd.Detached {
		form = "detached"
	}
	return form + ", " + count(len(names), "signer") + " (" + strings.Join(names, ", ") + ")"
}

func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
