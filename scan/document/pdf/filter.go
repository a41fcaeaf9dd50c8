package pdf

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
)

// mostFilters is how many filters a stream may have; honest ones have at most two or three.
const mostFilters = 8

// Errors of filters.
var (
	errFilters = errors.New("too many filters")
	errParams  = errors.New("parameters of a filter make no sense")
	errCode    = errors.New("a filter meets a code that makes no sense")
)

// unpack decrypts and decodes the octets of a stream: ISO 32000-1 Section 7.4. What could be decoded before an error is
// returned with it. A nil crypt leaves the octets as they are.
func (f *file) unpack(o *object, c *crypt) ([]byte, error) {
	d := o.dict()
	filters, params := f.filters(d)
	if len(filters) > mostFilters {
		return nil, errFilters
	}
	if err := f.meter.spend(len(o.packed)); err != nil {
		f.stop(err)
		return nil, err
	}
	if twice(d, "Filter") {
		f.ambiguous(fmt.Sprintf("object %d has two filters", o.num))
	}
	content, err := f.decrypt(o, c, filters, params)
	for i, filter := range filters {
		if err != nil && len(content) == 0 {
			return nil, err
		}
		var more error
		if content, more = f.decode(filter, content, params[i], int64(len(o.packed))); more != nil {
			err = more
		}
	}
	if over := f.budget.Over(); over != nil {
		f.stop(over)
	}
	return content, err
}

// filters returns the filters of a stream, and their parameters, as many.
func (f *file) filters(d dict) ([]name, []dict) {
	all := f.list(either(d, "Filter", "F"))
	params := f.list(either(d, "DecodeParms", "DP"))
	names, dicts := make([]name, 0, len(all)), make([]dict, 0, len(all))
	for i, v := range all {
		n, ok := f.resolve(v).(name)
		if !ok {
			continue // F may be the name of another file
		}
		var p dict
		if i < len(params) {
			p, _ = f.resolve(params[i]).(dict)
		}
		names, dicts = append(names, n), append(dicts, p)
	}
	return names, dicts
}

// twice reports whether a dictionary has a key more than once.
func twice(d dict, key name) bool {
	n := 0
	for _, e := range d {
		if e.key == key {
			n++
		}
	}
	return n > 1
}

// either returns the value of the first key that is there.
func either(d dict, keys ...name) any {
	for _, key := range keys {
		if v := d.get(key); v != nil {
			return v
		}
	}
	return nil
}

// list returns the elements of an array, or the one value that stands for an array of one.
func (f *file) list(v any) array {
	switch v := f.resolve(v).(type) {
	case nil:
		return nil
	case array:
		return v
	default:
		return array{v}
	}
}

// decode undoes one filter.
func (f *file) decode(filter name, in []byte, params dict, packed int64) ([]byte, error) {
	var out []byte
	var err error
	switch filter {
	case "FlateDecode", "Fl":
		out, err = f.budget.ReadAll(f.inflater(in), packed)
	case "LZWDecode", "LZW":
		early, ok := f.resolve(params.get("EarlyChange")).(int64)
		out, err = f.budget.ReadAll(newLZW(in, !ok || early != 0), packed)
	case "RunLengthDecode", "RL":
		return f.budget.ReadAll(&runLength{in: in}, packed)
	case "ASCIIHexDecode", "AHx":
		digits, _, _ := bytes.Cut(in, []byte(">"))
		return unhex(digits), f.budget.Spend(int64(len(digits) / 2))
	case "ASCII85Decode", "A85":
		out, err = ascii85(in)
		return out, errors.Join(err, f.budget.Spend(int64(len(out))))
	case "Crypt":
		return in, nil
	default:
		return nil, fmt.Errorf("unknown filter %s", short(string(filter)))
	}
	out, wrong := f.unpredict(out, params)
	return out, errors.Join(err, wrong)
}

// inflater returns what reads zlib octets, until it is called again. Their checksum does not count, as viewers ignore it.
func (f *file) inflater(in []byte) io.Reader {
	for len(in) > 0 && (in[0] == '\r' || in[0] == '\n') { // a line end too many behind the word stream
		in = in[1:]
	}
	if len(in) >= 2 && in[0]&0x0f == 8 { // RFC 1950 Section 2.2
		in = in[2:]
	}
	if again, ok := f.inflate.(flate.Resetter); ok && again.Reset(bytes.NewReader(in), nil) == nil {
		return f.inflate
	}
	f.inflate = flate.NewReader(bytes.NewReader(in))
	return f.inflate
}

// ascii85 decodes ASCII base-85: ISO 32000-1 Section 7.4.3.
func ascii85(in []byte) ([]byte, error) {
	in = bytes.TrimPrefix(bytes.TrimLeft(in, " \r\n\t"), []byte("<~"))
	out := make([]byte, 0, len(in)/5*4+4)
	var group [5]byte
	n := 0
	for _, c := range in {
		switch {
		case isSpace(c):
			continue
		case c == '~':
			return ascii85End(out, group, n), nil
		case c == 'z' && n == 0:
			out = append(out, 0, 0, 0, 0)
			continue
		case c < '!' || c > 'u':
			return ascii85End(out, group, n), errCode
		}
		group[n] = c - '!'
		if n++; n == 5 {
			out, n = append85(out, group, 4), 0
		}
	}
	return ascii85End(out, group, n), nil
}

// ascii85End decodes the last group, which may have fewer digits.
func ascii85End(out []byte, group [5]byte, n int) []byte {
	if n < 2 {
		return out
	}
	for i := n; i < 5; i++ {
		group[i] = 84
	}
	return append85(out, group, n-1)
}

// append85 appends the first octets of a group.
func append85(out []byte, group [5]byte, octets int) []byte {
	var v uint32
	for _, d := range group {
		v = v*85 + uint32(d)
	}
	b := [4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
	return append(out, b[:octets]...)
}

// A runLength reads run-length encoding: ISO 32000-1 Section 7.4.5.
type runLength struct {
	in      []byte
	pending []byte
	run     [128]byte
}

// Read implements io.Reader.
func (r *runLength) Read(p []byte) (int, error) {
	if len(r.pending) == 0 {
		if len(r.in) < 2 || r.in[0] == 128 {
			return 0, io.EOF
		}
		switch n := int(r.in[0]); {
		case n < 128:
			end := min(len(r.in), n+2)
			r.pending, r.in = r.in[1:end], r.in[end:]
		default:
			r.pending = r.run[:257-n]
			for i := range r.pending {
				r.pending[i] = r.in[1]
			}
			r.in = r.in[2:]
		}
	}
	n := copy(p, r.pending)
	r.pending = r.pending[n:]
	return n, nil
}

// unpredict undoes a predictor: ISO 32000-1 Section 7.4.4.4.
func (f *file) unpredict(in []byte, params dict) ([]byte, error) {
	predictor := f.number(params, "Predictor", 1)
	if predictor < 2 {
		return in, nil
	}
	colors, bits, columns := f.number(params, "Colors", 1), f.number(params, "BitsPerComponent", 8), f.number(params, "Columns", 1)
	if colors < 1 || colors > 64 || bits < 1 || bits > 16 || columns < 1 || columns > 1<<24 {
		return nil, errParams
	}
	pixel, row := max(1, int(colors*bits/8)), int((colors*bits*columns+7)/8)
	if predictor == 2 {
		if bits != 8 {
			return nil, errParams // only pictures have other ones
		}
		for i := range in {
			if i%row >= pixel {
				in[i] += in[i-pixel]
			}
		}
		return in, nil
	}
	return png(in, pixel, row), nil
}

// number returns an integer of a dictionary, or what counts if there is none.
func (f *file) number(d dict, key name, without int64) int64 {
	if n, ok := f.resolve(d.get(key)).(int64); ok {
		return n
	}
	return without
}

// png undoes the filters of PNG, whose rows start with the number of one: PNG Section 9.
func png(in []byte, pixel, row int) []byte {
	out := make([]byte, 0, len(in))
	above := make([]byte, min(row, len(in)))
	for len(in) > 1 {
		kind, line := in[0], in[1:min(len(in), row+1)]
		in = in[1+len(line):]
		for i := range line {
			var left, corner byte
			if i >= pixel {
				left, corner = line[i-pixel], above[i-pixel]
			}
			switch kind {
			case 1:
				line[i] += left
			case 2:
				line[i] += above[i]
			case 3:
				line[i] += byte((int(left) + int(above[i])) / 2)
			case 4:
				line[i] += paeth(left, above[i], corner)
			}
		}
		out = append(out, line...)
		copy(above, line)
	}
	return out
}

// paeth chooses the neighbour that is the closest to left + above - corner: PNG Section 9.4.
func paeth(left, above, corner byte) byte {
	p := int(left) + int(above) - int(corner)
	a, b, c := distance(p, left), distance(p, above), distance(p, corner)
	switch {
	case a <= b && a <= c:
		return left
	case b <= c:
		return above
	}
	return corner
}

// distance is how far a value is from an octet.
func distance(p int, octet byte) int { return max(p-int(octet), int(octet)-p) }
