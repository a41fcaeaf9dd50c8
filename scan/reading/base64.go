package reading

import (
	"bytes"
	"io"

	"assay/verify/message"
)

// decodeBase64 decodes what is there of base64, passing over everything else.
func decodeBase64(text []byte) []byte { return decode(text, "base64") }

func decode(text []byte, encoding string) []byte {
	out, err := io.ReadAll(message.Decode(bytes.NewReader(text), encoding))
	if err != nil {
		panic(err) // memory cannot fail to be read
	}
	return out
}

// maxRestarts bounds the pieces that base64 is cut into at its paddings.
const maxRestarts = 20

// restarts returns the readings of base64 that has data behind its padding, beside the one that goes on there: what ends
// at the padding, what begins behind it, and what passes over it as over any other octet.
func restarts(text []byte) [][]byte {
	pad := bytes.IndexByte(text, '=')
	if pad < 0 || !bytes.ContainsFunc(text[pad:], isBase64Digit) {
		return nil
	}
	all := [][]byte{decodeBase64(bytes.ReplaceAll(text, []byte("="), nil))}
	for range maxRestarts {
		n := bytes.IndexByte(text, '=')
		if n < 0 {
			n = len(text)
		}
		if piece := decodeBase64(text[:n]); len(piece) > 0 {
			all = append(all, piece)
		}
		text = bytes.TrimLeft(text[n:], "= \t\r\n")
		if len(text) == 0 {
			break
		}
	}
	return all
}

func isBase64Digit(r rune) bool {
	return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '+' || r == '/'
}

// isBase64Line reports whether a line is digits of base64 with or without padding behind them.
func isBase64Line(line []byte) bool {
	line = bytes.TrimRight(line, " \t")
	digits := bytes.TrimRight(line, "=")
	if len(digits) == 0 || len(line)-len(digits) > 2 {
		return false
	}
	for _, c := range digits {
		if !isBase64Digit(rune(c)) {
			return false
		}
	}
	return true
}

// looksLikeBase64 reports whether a decoder of base64 finds more than a chance of words in text.
func looksLikeBase64(text []byte) bool {
	digits, other := 0, 0
	for _, c := range text {
		switch {
		case isBase64Digit(rune(c)) || c == '=':
			digits++
		case c != '\r' && c != '\n':
			other++
		}
	}
	return digits >= 4 && digits > 9*other
}

// looksLikeQP reports whether text has an escape of quoted-printable.
func looksLikeQP(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '=')
		if i < 0 || i+2 >= len(text) {
			return false
		}
		if isHex(text[i+1]) && isHex(text[i+2]) {
			return true
		}
		text = text[i+1:]
	}
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f' }
