package pdf

// dull reports whether nothing in a value can act, be attached or be looked up by this package: the structure of tagged
// documents, widths of characters, outlines of fonts, links to other pages. It is most of a large document.
func dull(v any) bool {
	switch v := v.(type) {
	case dict:
		return dullDict(v)
	case array:
		return len(v) > 64 && dullArray(v)
	}
	return false
}

// dullArray reports whether an array has nothing but dull values.
func dullArray(a array) bool {
	for _, v := range a {
		switch v := v.(type) {
		case dict:
			if !dullDict(v) {
				return false
			}
		case array:
			if !dullArray(v) {
				return false
			}
		case text:
			return false
		}
	}
	return true
}

// dullDict reports whether a dictionary has nothing but dull keys.
func dullDict(d dict) bool {
	for _, e := range d {
		switch e.key {
		case "P", "K", "Pg", "ID", "MCID", "Obj", "Lang", "Alt", "ActualText", "ScopeDict", // structure: ISO 32000-1 Section 14.7
			"BaseFont", "FirstChar", "LastChar", "Widths", "FontDescriptor", "ToUnicode", "DescendantFonts", "CIDToGIDMap", "DW",
			"CIDSystemInfo", "FontName", "Flags", "FontBBox", "ItalicAngle", "Ascent", "Descent", "CapHeight", "StemV", "XHeight",
			"FontFile", "FontFile2", "FontFile3", "Parent", "Rect", "Border", "Dest", "Prev", "First", "Last", "Count", "Title":
		case "A":
			if !turns(e.value) {
				return false
			}
		case "C", "D", "H": // the colour, destination and look of a link; a trigger, whose value is an action, may be called so too
			switch e.value.(type) {
			case dict, ref:
				return false
			}
		case "Subtype":
			if e.value != name("Link") {
				return false
			}
		case "Type", "S":
			if n, ok := e.value.(name); !ok || active(n) {
				return false
			}
		default:
			return false
		}
		switch v := e.value.(type) {
		case dict:
			if !dullDict(v) {
				return false
			}
		case array:
			if !dullArray(v) {
				return false
			}
		}
	}
	return len(d) > 0
}

// turns reports whether a value is an action that goes to a page: ISO 32000-1 Section 12.6.4.2. Whether there is more to it, dullDict
// finds out.
func turns(v any) bool {
	d, ok := v.(dict)
	for _, e := range d {
		ok = ok && (e.key != "S" || e.value == name("GoTo"))
	}
	return ok && d.has("S")
}
