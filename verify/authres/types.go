// Package authres reads and writes the Authentication-Results header field. The writer takes typed values and is the
// only place where such a field is built; nothing a message contains can add a result to it. The parser reads other
// people's fields, also the broken ones that are common, and fails closed: what it cannot read claims nothing.
//
// RFC 8601, and the IANA registry "Email Authentication Parameters" for methods and properties.
package authres

// A Result is a result keyword of RFC 8601 Section 2.7. The zero value means "not evaluated" and is never written.
type Result string

// The result keywords of RFC 8601 Section 2.7.
const (
	None      Result = "none"
	Pass      Result = "pass"
	Fail      Result = "fail"
	SoftFail  Result = "softfail"
	Neutral   Result = "neutral"
	Policy    Result = "policy"
	TempError Result = "temperror"
	PermError Result = "permerror"
)

// A Header is the content of one Authentication-Results field.
type Header struct {
	ID      string   // authserv-id: a dotted host name
	Clauses []Clause // no clause at all is written as "none"
	Defects []string // departures from RFC 8601 that Parse read all the same; Format does not look at them
}

// A Clause is the result of one method (RFC 8601 Section 2.2, resinfo).
type Clause struct {
	Method     string // "spf", "dkim", ...; a registered method or one beginning with "x-"
	Result     Result
	Comment    string // for people, written in parentheses behind the result; "" for none
	Reason     string // reason="..." (RFC 8601 Section 2.2); "" for none
	Properties []Property
}

// A Property is one propspec, such as header.d=example.com.
type Property struct {
	Type  string // ptype: "smtp", "header", "body", "policy" or "dns"
	Name  string // property
	Value string // unquoted; the writer quotes it where the grammar asks for it
}
