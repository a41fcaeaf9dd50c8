package sheet

import (
	"bytes"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// readSYLK reads the records of SYLK: one per line, with fields behind semicolons.
func (t *table) readSYLK(text []byte) error {
	for line := range bytes.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if err := t.budget.Check(); err != nil {
			return err
		}
		t.record(unescape(string(bytes.TrimLeft(line, " \t\x00"))))
	}
	return nil
}

// unescape undoes the escapes of SYLK: two semicolons are one, and an escape with two characters is an octet in halves.
func unescape(line string) string {
	if strings.IndexByte(line, 0x1b) < 0 {
		return line
	}
	var out strings.Builder
	for i := 0; i < len(line); i++ {
		if line[i] != 0x1b || i+2 >= len(line) || line[i+2] < 0x30 || line[i+2] > 0x3f {
			out.WriteByte(line[i])
			continue
		}
		out.WriteByte(line[i+1]&15<<4 | line[i+2]&15)
		i += 2
	}
	return out.String()
}

// record looks at one record: C and F are cells, NN names, O options, NE links to other files.
func (t *table) record(line string) {
	line = strings.ReplaceAll(line, ";;", "\x01")
	kind, rest, _ := strings.Cut(line, ";")
	kind = strings.ToUpper(strings.TrimSpace(kind))
	for field := range strings.SplitSeq(rest, ";") {
		if field == "" {
			continue
		}
		value := strings.ReplaceAll(field[1:], "\x01", ";")
		switch name := field[0]; {
		case kind == "O" && (name == 'E' || name == 'e'):
			t.sign(container.Sign{Trait: scan.XLMMacros, Detail: "SYLK: a macro sheet"})
		case kind == "NN" && (name == 'N' || name == 'n') && isAuto(value):
			t.sign(container.Sign{Trait: scan.XLMMacros, Detail: "SYLK: a macro that runs by itself"})
		case kind == "NN" && (name == 'E' || name == 'e'), kind == "C" && (name == 'E' || name == 'e' || name == 'M' || name == 'm'):
			t.add(ReadFormula(value))
		case kind == "C" && (name == 'K' || name == 'k') && isStart([]byte(strings.TrimLeft(value, `" `))):
			t.add(ReadFormula(strings.Trim(value, `" `)))
		case kind == "NE":
			t.link(value)
		}
	}
}

// isAuto reports whether a name is one that Excel runs as a macro when it opens, shows, hides or closes the file.
func isAuto(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	for _, auto := range []string{"auto_open", "auto_close", "auto_activate", "auto_deactivate", "auto_öffnen", "auto_ouvrir"} {
		if strings.Contains(name, auto) {
			return true
		}
	}
	return false
}

// link looks at the file that a link to another one names.
func (t *table) link(file string) {
	if strings.Contains(file, "://") || strings.HasPrefix(file, `\\`) {
		t.sign(container.Sign{Trait: scan.RemoteObject, Detail: "SYLK: a link to another file"})
		t.links = append(t.links, container.Link{URL: file, Source: scan.FromRemote})
	}
}
