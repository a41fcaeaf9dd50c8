package attach

import (
	"slices"
	"strings"

	"assay/scan"
)

// Identify describes a file that was found inside of another one: its names as a client would show them, its type by
// content and the traits that follow. Name is as the container has it; declared is "" if the container names no type; head
// is the beginning of the content, of which Window octets are looked at.
func Identify(fileName, declared string, head []byte) scan.Object {
	var names []name
	if fileName != "" {
		names = appendNames(nil, fileName, true)
	}
	return identify(names, declared, head[:min(len(head), Window)])
}

// identify fills in what follows from names, claimed type and content.
func identify(names []name, declared string, head []byte) scan.Object {
	o := scan.Object{Declared: strings.ToLower(declared), Type: Sniff(head)}
	for _, n := range names {
		if !slices.Contains(o.Names, n.text) {
			o.Names = append(o.Names, n.text)
		}
		o.Traits = append(o.Traits, n.traits...)
	}
	if len(o.Names) > 0 {
		o.Name = o.Names[0]
		o.Extension = extension(o.Name)
	}
	if namesDiffer(names) {
		o.Traits = append(o.Traits, scan.NamesDiffer)
	}
	extensions := extensionsOf(o.Names)
	for _, n := range o.Names {
		if hasDoubleExtension(n) {
			o.Traits = append(o.Traits, scan.DoubleExtension)
		}
	}
	o.Traits = append(o.Traits, typeTraits(o.Type)...)
	for _, ext := range extensions {
		o.Traits = append(o.Traits, extensionTraits(ext)...)
	}
	o.Traits = append(o.Traits, declaredTraits(o.Declared)...)
	if len(head) > 0 && mismatch(o.Type, o.Declared, extensions) {
		o.Traits = append(o.Traits, scan.TypeMismatch)
	}
	slices.Sort(o.Traits)
	o.Traits = slices.Compact(o.Traits)
	return o
}

// extensionsOf returns the different extensions of names.
func extensionsOf(names []string) []string {
	var out []string
	for _, n := range names {
		if ext := extension(n); ext != "" && !slices.Contains(out, ext) {
			out = append(out, ext)
		}
	}
	return out
}

// extension is what follows the last dot of a clean name, in lower case.
func extension(name string) string {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(name[dot+1:]))
}

// hasDoubleExtension reports whether a name shows the extension of a document before one that a system acts upon:
// "invoice.pdf.exe", where the last one is often not shown.
func hasDoubleExtension(name string) bool {
	last := extension(name)
	if !isExecutableExtension(last) && !isHTMLExtension(last) && !isDiskImageExtension(last) {
		return false
	}
	before := strings.TrimRight(name[:strings.LastIndexByte(name, '.')], " _.")
	return isDocumentExtension(extension(before))
}

// namesDiffer reports whether mail programs would take a file for different ones: the extensions differ, or two names that
// are none the fallback of the other.
func namesDiffer(names []name) bool {
	for i := 1; i < len(names); i++ {
		if extension(names[i].text) != extension(names[0].text) {
			return true
		}
		if names[0].main && names[i].main && !strings.EqualFold(names[i].text, names[0].text) {
			return true
		}
	}
	return false
}

// typeTraits are the traits of a type by content.
func typeTraits(mediaType string) []scan.Trait {
	switch classOf(mediaType) {
	case classProgram:
		return []scan.Trait{scan.Executable}
	case classTextProgram:
		return []scan.Trait{scan.Executable}
	case classJava:
		return []scan.Trait{scan.Archive, scan.Executable}
	case classHTML, classMHTML, classSVG:
		return []scan.Trait{scan.HTMLDocument}
	case classZIP, classArchive:
		return []scan.Trait{scan.Archive}
	case classDisk:
		return []scan.Trait{scan.DiskImage}
	}
	return nil
}

// extensionTraits are the traits of an extension: what a system does with a file when it is opened follows from it.
func extensionTraits(ext string) []scan.Trait {
	switch {
	case isExecutableExtension(ext):
		return []scan.Trait{scan.Executable}
	case isHTMLExtension(ext):
		return []scan.Trait{scan.HTMLDocument}
	case isDiskImageExtension(ext):
		return []scan.Trait{scan.DiskImage}
	case isArchiveExtension(ext):
		return []scan.Trait{scan.Archive}
	}
	return nil
}

// declaredTraits are the traits of a claimed media type: some programs choose by it what opens a file.
func declaredTraits(mediaType string) []scan.Trait {
	switch mediaType {
	case "application/hta", "application/x-msdownload", "application/x-msdos-program", "application/javascript",
		"text/javascript", "application/x-javascript", "application/x-sh", "application/x-bat", "application/java-archive",
		"application/x-java-jnlp-file", "application/x-ms-shortcut", "application/x-msi", "application/vnd.microsoft.portable-executable":
		return []scan.Trait{scan.Executable}
	case "application/xhtml+xml", "image/svg+xml", "text/html", "multipart/related", "application/x-mimearchive":
		return []scan.Trait{scan.HTMLDocument}
	}
	return nil
}
