package pdf

// dull reports whether nothing in a value can act, be attached or be looked up by this package: the structure of tagged
// documents, widths of characters, outlines of fonts. It is most of a large document.
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
