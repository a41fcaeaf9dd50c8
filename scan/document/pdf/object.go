package pdf

// The objects of ISO 32000-1 Section 7.3 are Go values of type any: nil (null, and whatever makes no sense), bool, int64,
// real, name, text, ref, array and dict. They share memory with the file where they can.
type (
	real  struct{} // nothing that this package looks at is one, so that its value does not matter
	name  string   // decoded: ISO 32000-1 Section 7.3.5
	text  []byte   // a string, decoded; still encrypted if the file is
	array []any
	dict  []entry // in the order of the file; a key may be there more than once
	ref   struct{ num, gen int }
)

// An entry is a key of a dictionary and its value.
type entry struct {
	key   name
	value any
}

// A keyword is an unquoted word that is no object. It never leaves the parser.
type keyword string

// get returns the last value of a key. Viewers differ in which they take of several; what acts is looked for in all.
func (d dict) get(key name) any {
	for i := len(d) - 1; i >= 0; i-- {
		if d[i].key == key {
			return d[i].value
		}
	}
	return nil
}

// has reports whether there is a key with a value other than null.
func (d dict) has(key name) bool { return d.get(key) != nil }

// An object is one indirect object of the file, or one of an object stream.
type object struct {
	num, gen int
	at       int // offset of its value in the file, or of that of the object stream it is in
	value    any
	stream   bool
	from     int     // offset of the octets of the stream
	packed   []byte  // the octets of the stream, as they are in the file
	within   *object // the object stream it is in
	opened   bool    // it is an object stream, and its objects were read
	attached bool    // it is an attached file, which may be encrypted in another way
	clear    bool    // its strings are not encrypted: those of object streams and of the encryption dictionary
}

// dict returns the dictionary of an object, nil if it is something else.
func (o *object) dict() dict {
	d, _ := o.value.(dict)
	return d
}
