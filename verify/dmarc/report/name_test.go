package report

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

var day = Day(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))

func TestFilename(t *testing.T) {
	for _, c := range []struct {
		receiver, domain, id string
		period               Period
		want                 string
	}{
		// The example of RFC 9990 Section 2.5.2.
		{"mail.receiver.example", "example.com", "", Period{time.Unix(1013662812, 0), time.Unix(1013749131, 0)},
			"mail.receiver.example!example.com!1013662812!1013749130.xml.gz"},
		{"mx.example", "example.com", "20261121abc", day, "mx.example!example.com!1795219200!1795305599!20261121abc.xml.gz"},
		{"MX.Example.", "Example.COM", "A1", day, "mx.example!example.com!1795219200!1795305599!A1.xml.gz"},
		{"mx.müller.example", "日本.example", "", day, "mx.xn--mller-kva.example!xn--wgv71a.example!1795219200!1795305599.xml.gz"},
		{"mx.example", "bank", "", day, "mx.example!bank!1795219200!1795305599.xml.gz"},
		{"", "example.com", "", day, ""},
		{"mx.example", "", "", day, ""},
		{"mx.example", "../../etc/passwd", "", day, ""},
		{"mx.example", "a!b", "", day, ""},
		{"mx.example\r\nX: y", "example.com", "", day, ""},
		{"mx.example", "example.com", "a-b", day, ""},
		{"mx.example", "example.com", "a!b", day, ""},
		{"mx.example", "example.com", "a@b", day, ""},
		{"mx.example", "example.com", strings.Repeat("a", 65), day, ""},
		{"mx.example", "example.com", "", Period{}, ""},
		{"mx.example", "example.com", "", Period{day.End, day.Begin}, ""},
	} {
		got, err := Filename(c.receiver, c.domain, c.period, c.id)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q %q %q: %q, %v, want %q", c.receiver, c.domain, c.id, got, err, c.want)
		}
	}
}

func TestSubject(t *testing.T) {
	for _, c := range []struct{ domain, receiver, id, want string }{
		// The example of RFC 9990 Section 2.5.2, unfolded.
		{"example.com", "mail.receiver.example", "sample-ridtxt@example.com",
			"Report Domain: example.com Submitter: mail.receiver.example Report-ID: <sample-ridtxt@example.com>"},
		{"EXAMPLE.com", "müller.example", "1",
			"Report Domain: example.com Submitter: xn--mller-kva.example Report-ID: <1>"},
		{"example.com", "mx.example", "", ""},
		{"example.com", "mx.example", "a b", ""},
		{"example.com", "mx.example", "a@b@c", ""},
		{"example.com", "mx.example", "a@", ""},
		{"example.com", "mx.example", ".a", ""},
		{"example.com", "mx.example", "a>\r\nBcc: x", ""},
		{"example.com\r\n", "mx.example", "1", ""},
		{"example.com", "mx example", "1", ""},
	} {
		got, err := Subject(c.domain, c.receiver, c.id)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q %q %q: %q, %v, want %q", c.domain, c.receiver, c.id, got, err, c.want)
		}
	}
}

// TestNewID shows that an identifier fits into the file name, the Subject and the document, that it stays the same, and
// that it is another one for another receiver, domain, period or node.
func TestNewID(t *testing.T) {
	grammar := regexp.MustCompile(`^20261121[0-9a-f]{24}$`)
	seen := map[string]string{}
	hour := Period{day.Begin, day.Begin.Add(time.Hour)}
	for _, receiver := range []string{"mx.example", "mx.example.com", "xn--mller-kva.example", "evil\x00mx"} {
		for _, domain := range []string{"example.com", "com", "a.example.com", "mx"} {
			for _, p := range []Period{day, hour} {
				for _, node := range []string{"", "a", "b", "a\x00"} {
					id := NewID(receiver, domain, p, node)
					key := fmt.Sprintf("%q %q %v %q", receiver, domain, p, node)
					if !grammar.MatchString(id) || !isUnique(id) || !isReportID(id) {
						t.Errorf("%s: %q", key, id)
					}
					if other := seen[id]; other != "" {
						t.Errorf("%s and %s have the same", key, other)
					}
					seen[id] = key
				}
			}
		}
	}
	if a, b := NewID("MX.example.", "Müller.example", day, ""), NewID("mx.example", "xn--mller-kva.example", day, ""); a != b {
		t.Errorf("%s, %s", a, b)
	}
	if got := NewID("mx.example", "example.com", day, "node1"); got != "20261121532f8fcd67f273ea89901687" {
		t.Errorf("%s: reports that are sent again have another file name now", got)
	}
}
