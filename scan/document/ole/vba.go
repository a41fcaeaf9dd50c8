package ole

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// project looks for a VBA project ([MS-OVBA] 2.2.1): a storage "VBA" with the streams of the project in it. One without any
// code is a project too, and a project may be damaged so that only Office reads it.
func (r *reading) project(s *entry) error {
	upper := strings.ToUpper(s.name)
	dir := s.child("dir")
	switch {
	case upper == "VBA" && (dir != nil || s.child("_VBA_PROJECT") != nil):
	case s.child("_VBA_PROJECT") != nil, upper == "_VBA_PROJECT" && len(s.children) > 0: // the latter in Excel 5 and 95
	case (upper == "_VBA_PROJECT_CUR" || upper == "MACROS") && len(s.children) > 0 && s.child("VBA") == nil:
	default:
		return nil
	}
	modules, autos, err := r.modules(s, dir)
	if err != nil {
		return err
	}
	detail := "VBA project"
	if len(modules) > 0 {
		detail += " with " + clip(strings.Join(modules, ", "), maxText)
	}
	if len(autos) > 0 {
		detail += ", starts by itself: " + strings.Join(autos, ", ")
	}
	r.sign(scan.Macros, detail)
	return nil
}

// maxSources bounds how much source is decompressed for what is told about projects; that there are macros is known anyway.
const maxSources = 8 << 20

// A module is one module of a project: its name, its stream, and where in it the source begins.
type module struct {
	name, stream string
	offset       uint32
}

// modules returns the names of modules that have code, and what in them starts by itself.
func (r *reading) modules(s, dir *entry) (names, autos []string, err error) {
	packed, err := r.c.stream(dir)
	if err != nil {
		return nil, nil, err
	}
	list, err := decompressVBA(packed, r.f.Budget)
	if err != nil {
		return nil, nil, limitOf(err)
	}
	for _, m := range parseModules(list) {
		if r.sources > maxSources {
			break
		}
		stream, err := r.c.stream(s.child(m.stream))
		if err != nil {
			return nil, nil, err
		}
		if uint64(m.offset) >= uint64(len(stream)) {
			continue
		}
		source, err := decompressVBA(stream[m.offset:], r.f.Budget)
		if limitOf(err) != nil {
			return nil, nil, err
		}
		r.sources += len(source)
		if hasCode(source) {
			names = append(names, visible(m.name))
			autos = appendAutos(autos, source)
		}
	}
	return names, autos, nil
}

// parseModules reads the modules that the stream "dir" names ([MS-OVBA] 2.3.4.2).
func parseModules(b []byte) []module {
	const most = 200
	var out []module
	for len(b) >= 6 && len(out) < most {
		id, size := binary.LittleEndian.Uint16(b), uint64(binary.LittleEndian.Uint32(b[2:]))
		if id == 0x0009 {
			size = 6 // 2.3.4.2.1.11: the size says 4, which is wrong
		}
		if 6+size > uint64(len(b)) {
			break
		}
		body := b[6 : 6+size]
		b = b[6+size:]
		switch {
		case id == 0x0019: // MODULENAME
			out = append(out, module{name: string(body), stream: string(body)})
		case len(out) == 0:
		case id == 0x0032: // the name of the stream, in UTF-16
			out[len(out)-1].stream = fromUTF16(body)
		case id == 0x0047: // the name of the module, in UTF-16
			out[len(out)-1].name = fromUTF16(body)
		case id == 0x0031 && size == 4: // MODULEOFFSET
			out[len(out)-1].offset = binary.LittleEndian.Uint32(body)
		}
	}
	return out
}

// hasCode reports whether the source of a module is more than attributes.
func hasCode(source []byte) bool {
	for line := range bytes.Lines(source) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && !bytes.HasPrefix(bytes.ToLower(line), []byte("attribute ")) {
			return true
		}
	}
	return false
}

// autoNames are procedures that Office calls by itself. The table is never written.
var autoNames = [...]string{
	"AutoOpen", "AutoExec", "AutoClose", "AutoExit", "AutoNew", "Document_Open", "Document_Close", "Document_New",
	"Document_BeforeClose", "DocumentOpen", "DocumentBeforeClose", "Auto_Open", "Auto_Close", "Workbook_Open", "Workbook_Activate",
	"Workbook_BeforeClose", "Workbook_Close", "Worksheet_Activate", "Worksheet_Change", "Application_Startup",
}

// appendAutos appends the names of procedures in a source that start by themselves.
func appendAutos(autos []string, source []byte) []string {
	rest := bytes.ToLower(source)
	for {
		_, after, ok := bytes.Cut(rest, []byte("sub "))
		if !ok {
			return autos
		}
		rest = after
		word, _, ok := bytes.Cut(after[:min(len(after), 100)], []byte("("))
		if !ok {
			continue
		}
		name := strings.TrimSpace(string(word))
		for i := range autoNames {
			if strings.EqualFold(name, autoNames[i]) {
				autos = appendOnce(autos, autoNames[i])
			}
		}
	}
}

// appendOnce appends a text that is not there yet.
func appendOnce(list []string, s string) []string {
	for _, l := range list {
		if l == s {
			return list
		}
	}
	return append(list, s)
}

// errVBA says that a container is not compressed as [MS-OVBA] has it.
var errVBA = errors.New("broken compression of a VBA project")

// decompressVBA decompresses a container ([MS-OVBA] 2.4.1.3). What was read before an error is returned with it.
func decompressVBA(in []byte, budget *container.Budget) ([]byte, error) {
	const signature, chunk = 1, 4096
	if len(in) == 0 || in[0] != signature {
		return nil, errVBA
	}
	var out []byte
	for in = in[1:]; len(in) >= 2; {
		if err := budget.Spend(chunk); err != nil {
			return out, err
		}
		header := binary.LittleEndian.Uint16(in)
		size := int(header&0x0fff) + 3
		body := in[2:min(len(in), size)]
		in = in[min(len(in), size):]
		if header&0x7000 != 0x3000 { // 2.4.1.1.5
			return out, errVBA
		}
		if header&0x8000 == 0 {
			out = append(out, body[:min(len(body), chunk)]...)
			continue
		}
		var err error
		if out, err = decompressChunk(out, body); err != nil {
			return out, err
		}
	}
	return out, nil
}

// decompressChunk decompresses one chunk of at most 4096 octets ([MS-OVBA] 2.4.1.3.2 to 2.4.1.3.5, 2.4.1.3.19).
func decompressChunk(out, in []byte) ([]byte, error) {
	const chunk = 4096
	start := len(out)
	for len(in) > 0 {
		flags := in[0]
		in = in[1:]
		for bit := 0; bit < 8 && len(in) > 0; bit++ {
			if flags>>bit&1 == 0 && len(out)-start < chunk {
				out, in = append(out, in[0]), in[1:]
				continue
			}
			if flags>>bit&1 == 0 || len(in) < 2 {
				return out, errVBA
			}
			token := binary.LittleEndian.Uint16(in)
			in = in[2:]
			done := len(out) - start
			width := 4
			for 1<<width < done {
				width++
			}
			back, count := int(token>>(16-width))+1, int(token&(1<<(16-width)-1))+3
			if back > done || done+count > chunk {
				return out, errVBA
			}
			for range count {
				out = append(out, out[len(out)-back])
			}
		}
	}
	return out, nil
}
