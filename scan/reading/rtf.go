package reading

import "encoding/binary"

// The compression of RTF in mail (MS-OXRTFCP): a window that both sides fill with the same text to begin with.
const (
	rtfHeader       = 16
	rtfCompressed   = 0x75465a4c // "LZFu"
	rtfUncompressed = 0x414c454d // "MELA"
	rtfWindow       = 4096
	rtfPrefix       = "{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor " +
		"MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)

// unpackRTF decompresses RTF, up to limit octets. What is damaged ends where it is.
func unpackRTF(data []byte, limit int64) []byte {
	if len(data) < rtfHeader {
		return nil
	}
	kind := binary.LittleEndian.Uint32(data[8:])
	data = data[rtfHeader:]
	switch kind {
	case rtfUncompressed:
		return data
	case rtfCompressed:
		return decompress(data, limit)
	}
	return nil
}

// decompress undoes LZFu.
func decompress(data []byte, limit int64) []byte {
	var window [rtfWindow]byte
	at := copy(window[:], rtfPrefix)
	var out []byte
	put := func(b byte) {
		window[at] = b
		at = (at + 1) % rtfWindow
		out = append(out, b)
	}
	for len(data) > 0 {
		control := data[0]
		data = data[1:]
		for bit := range 8 {
			if int64(len(out)) >= limit {
				return out
			}
			if control>>bit&1 == 0 {
				if len(data) == 0 {
					return out
				}
				put(data[0])
				data = data[1:]
				continue
			}
			if len(data) < 2 {
				return out
			}
			token := binary.BigEndian.Uint16(data)
			data = data[2:]
			from, length := int(token>>4), int(token&15)+2
			if from == at { // the end
				return out
			}
			for range length {
				put(window[from])
				from = (from + 1) % rtfWindow
			}
		}
	}
	return out
}
