package ole

import (
	"testing"

	"assay/scan"
)

func TestHangul(t *testing.T) {
	for flags, c := range map[byte]struct {
		state  scan.State
		method string
	}{
		0x01: {scan.Uninspectable, "a document of Hangul, whose parts are not read"},
		0x03: {scan.Encrypted, "Hangul password"},
		0x11: {scan.Encrypted, "rights management"},
	} {
		head := append(pad([]byte("HWP Document File"), 36, 0), flags, 0, 0, 0)
		v, _ := look(t, build(stream("FileHeader", head), folder("BodyText", stream("Section0", []byte("x")))))
		want(t, v, c.state, c.method, "")
		if v.Type != "application/x-hwp" {
			t.Errorf("type %q", v.Type)
		}
	}
}
