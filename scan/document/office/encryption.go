package office

import (
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// encryption looks at the elements that say what is encrypted: of META-INF/manifest.xml in OpenDocument, and of META-INF/encryption.xml
// in EPUB (EPUB 3.3 OCF Section 4.2.6.3.2).
func (i *inspector) encryption(e element) {
	switch {
	case i.part.name == "meta-inf/manifest.xml":
		i.manifest(e)
	case strings.HasPrefix(i.part.name, "meta-inf/"):
		i.rights(e)
	}
}

// manifest takes note of the parts that are encrypted.
func (i *inspector) manifest(e element) {
	switch string(e.name) {
	case "file-entry":
		i.name = partName(e.attr("full-path"))
	case "encryption-data":
		if i.doc.crypt == nil {
			i.doc.crypt = map[string]*encryption{}
		}
		i.doc.crypt[i.name] = &encryption{checksum: binaryAttr(e, "checksum")}
		i.doc.lock("OpenDocument", false)
	default:
		if c := i.doc.crypt[i.name]; c != nil {
			c.set(e)
			i.doc.method = c.method()
		}
	}
}

// rights takes note of what is encrypted by the rules of a shop. Fonts may be obfuscated, which everybody can undo.
func (i *inspector) rights(e element) {
	switch string(e.name) {
	case "EncryptionMethod":
		i.kind = e.attr("Algorithm")
		if !isObfuscation(i.kind) {
			i.doc.shut = true
			i.doc.lock("DRM, "+clip(i.kind[strings.LastIndexAny(i.kind, "#/")+1:]), false)
		}
	case "CipherReference":
		name := partName(e.attr("URI"))
		if isObfuscation(i.kind) && isFontName(name) {
			if i.doc.obfuscated == nil {
				i.doc.obfuscated = map[string]bool{}
			}
			i.doc.obfuscated[name] = true
		}
		if !isObfuscation(i.kind) {
			if i.doc.locked == nil {
				i.doc.locked = map[string]string{}
			}
			i.doc.locked[name] = i.doc.method
		}
	}
}

// isObfuscation reports whether an algorithm is one that only hides fonts.
func isObfuscation(algorithm string) bool {
	return strings.Contains(algorithm, "www.idpf.org/2008/embedding") || strings.Contains(algorithm, "ns.adobe.com/pdf/enc#RC")
}

// sealed yields a part that is encrypted, if it is, or opens it.
func (d *document) sealed(p part) bool {
	method, isLocked := d.locked[p.name]
	c := d.crypt[p.name]
	switch {
	case isLocked:
	case c != nil:
		method = c.method()
		if plain, ok := d.unlock(c, p.content); ok {
			d.unsealed(p, plain)
			return true
		}
	case p.name == "encrypted-package":
		d.lock("OpenDocument", false)
		method = d.method
	default:
		return false
	}
	d.shut = true
	d.yield(container.Member{
		Name: p.shown, Size: int64(len(p.content)), State: scan.Encrypted, Class: scan.ClassDocument, Method: method,
	})
	return true
}

// unsealed goes on with a part that has been decrypted. A package that is encrypted as a whole is a document of its own (ODF 1.4 Part 2
// Section 3.4).
func (d *document) unsealed(p part, plain []byte) {
	d.opened = true
	if p.name == "encrypted-package" {
		d.made(container.Member{Content: plain, Plain: true})
		return
	}
	p.content = plain
	d.look(p)
}
