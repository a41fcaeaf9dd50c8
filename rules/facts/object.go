package facts

import (
	"slices"
	"strings"

	"assay/scan"
)

// anyDepth asks objects for attachments and all that they contain.
const anyDepth = -1

// attachments are the objects that the message itself carries.
func (f *Facts) attachments() []Object { return f.objects(0) }

// objects are the files of the report, at most MaxObjects.
func (f *Facts) objects(depth int) []Object {
	report := f.in.Report.Objects
	out := []Object{}
	for i := range report {
		if len(out) == MaxObjects {
			break
		}
		if depth == anyDepth || report[i].Depth == depth {
			out = append(out, object(&report[i]))
		}
	}
	f.fillInside(out)
	return out
}

// fillInside lists for each object the names of those below it. Every object is looked at once, and looks up the paths
// above its own, of which there are as many as it is deep.
func (f *Facts) fillInside(out []Object) {
	byPath := make(map[string]int, len(out))
	for i := range out {
		byPath[out[i].Path] = i
	}
	for i := range f.in.Report.Objects {
		o := &f.in.Report.Objects[i]
		if o.Depth == 0 {
			continue
		}
		name := bounded(o.Name)
		for path, levels := o.Path, 0; levels < maxLevels; levels++ {
			slash := strings.LastIndexByte(path, '/')
			if slash < 0 {
				break
			}
			path = path[:slash]
			if at, ok := byPath[bounded(path)]; ok && len(out[at].Inside) < MaxInside {
				out[at].Inside = append(out[at].Inside, name)
			}
		}
	}
}

// maxLevels bounds the paths above one object. Names may hold slashes, so there can be more of them than levels.
const maxLevels = 64

// object copies an Object of the report.
func object(o *scan.Object) Object {
	has := func(t scan.Trait) bool { return slices.Contains(o.Traits, t) }
	out := Object{
		Name: bounded(o.Name), Names: boundedList(o.Names, MaxList), Ext: bounded(o.Extension), Type: bounded(o.Declared),
		Sniffed: bounded(o.Type), Size: int(o.Size), Depth: o.Depth, Section: bounded(o.Section), Path: bounded(o.Path),
		State: state(o.State), Encrypted: o.State == scan.Encrypted, Opened: opened(o.Traits), Method: bounded(o.Method),
		Active:     slices.ContainsFunc(o.Traits, scan.Trait.Active),
		Executable: has(scan.Executable), HTML: has(scan.HTMLDocument), DoubleExt: has(scan.DoubleExtension),
		RTLO: has(scan.RightToLeft), TypeMismatch: has(scan.TypeMismatch), Traits: boundedList(o.Traits, MaxList),
		Inside: []string{}, SHA256: bounded(o.SHA256), Inline: o.Inline,
	}
	if out.Encrypted {
		out.Encryption = bounded(o.Class)
	}
	out.HasMacros = slices.ContainsFunc(out.Traits, func(t string) bool { return strings.Contains(t, "macro") })
	out.Exts = extensions(out.Ext, out.Names)
	return out
}

// opened is the word for how an encrypted file was opened all the same.
func opened(traits []scan.Trait) string {
	for _, t := range traits {
		if how, ok := strings.CutPrefix(string(t), "opened-"); ok {
			return how
		}
	}
	return ""
}

// virus is what the virus scanners say.
func (f *Facts) virus() Virus {
	v := f.in.Report.Virus
	return Virus{State: string(v.State), Names: boundedList(v.Names, MaxList), Error: bounded(v.Error)}
}

// state is the word for a state; what nobody looked at is uninspectable.
func state(s scan.State) string {
	if s == "" {
		s = scan.Uninspectable
	}
	return string(s)
}

// extensions are the extensions of all names, first that of the name people see.
func extensions(first string, names []string) []string {
	out := []string{}
	if first != "" {
		out = append(out, first)
	}
	for _, name := range names {
		if ext := extension(name); ext != "" && !slices.Contains(out, ext) {
			out = append(out, ext)
		}
	}
	return out
}

// extension is what follows the last dot of a name, in lower case.
func extension(name string) string {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(name[dot+1:]))
}
