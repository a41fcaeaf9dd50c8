// Package zone answers DNS questions from a master file (RFC 1035 Section 5) instead of the DNS: for tests, and to
// explain a message as it would have been judged with other records. A Zone is the whole DNS: a name it does not hold
// does not exist.
//
// Beside records, a line may say how questions fail. In the place of a record's type and data stands SERVFAIL, REFUSED
// or TIMEOUT, and before it, if only questions for one type fail, that type:
//
//	$ORIGIN example.
//	@          TXT    "v=spf1 mx -all"
//	broken            SERVFAIL          ; every question for broken.example
//	slow       TXT    TIMEOUT           ; questions for the TXT records of slow.example
//	*.gone     IN MX  REFUSED           ; the MX records of every name below gone.example
//
// Records of a name are answered even where another line says that every question for the name fails, so that such a line
// means "all other types". Names below a name that fails are names of their own: a wildcard line makes them fail. The words may be in lower case too, except behind PTR, where timeout is a name. A TXT record
// whose text is one of the words has it in quotes.
//
// Wildcards are those of RFC 4592. CNAME records are followed within the zone. A name that exists only because one below
// it does (an empty non-terminal) has no records, but exists. $INCLUDE is refused. Records without a TTL, when neither
// $TTL nor an earlier line says one, have DefaultTTL. Without an SOA record the root has one that lets negative answers be
// remembered for NegativeTTL. There are no zone cuts: NS records are records like any other.
package zone

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	mdns "github.com/miekg/dns"

	"assay/verify/dns"
)

// TTLs in seconds, where the file says none.
const (
	DefaultTTL  = 3600
	NegativeTTL = 300
)

// maxChain bounds the CNAME records in one response. It is longer than any chain a resolver follows.
const maxChain = 16

// A Fault is how a question fails.
type Fault uint8

// The faults. The zero value is none.
const (
	NoFault  Fault = iota
	ServFail       // response code 2
	Refused        // response code 5
	Timeout        // no response at all
)

// String returns the word that a zone file uses.
func (f Fault) String() string {
	switch f {
	case ServFail:
		return "SERVFAIL"
	case Refused:
		return "REFUSED"
	case Timeout:
		return "TIMEOUT"
	}
	return ""
}

// A Zone is a dns.Resolver that answers from a master file. It is immutable and safe for concurrent use.
type Zone struct {
	*dns.Stub
	nodes map[string]*node // by name in wire format and lower case
	soa   *mdns.SOA        // of the root, for names in no zone with an SOA record of its own
}

// A node is one name. It has neither records nor faults when it is an empty non-terminal.
type node struct {
	records map[uint16][]mdns.RR
	faults  map[uint16]Fault // by type; under 0 for all types without records
}

// newZone returns an empty zone.
func newZone() *Zone {
	z := &Zone{nodes: map[string]*node{"\x00": {}}}
	z.soa = &mdns.SOA{
		Hdr: mdns.RR_Header{Name: ".", Rrtype: mdns.TypeSOA, Class: mdns.ClassINET, Ttl: NegativeTTL},
		Ns:  ".", Mbox: ".", Serial: 1, Refresh: NegativeTTL, Retry: NegativeTTL, Expire: NegativeTTL, Minttl: NegativeTTL,
	}
	z.Stub = dns.NewStub(z, false)
	return z
}

// Exchange implements dns.Transport. A question that times out fails at once: nobody has to wait for what is known.
func (z *Zone) Exchange(ctx context.Context, name string, qtype uint16) (*mdns.Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m, fault := z.Respond(name, qtype)
	if fault == Timeout {
		return nil, errors.New("no answer in time")
	}
	return m, nil
}

// Respond returns the response to a question, without id, flags and question. Name is escaped as in a master file.
// When the fault is Timeout there is no response; the other faults are in its response code too.
func (z *Zone) Respond(name string, qtype uint16) (*mdns.Msg, Fault) {
	m := new(mdns.Msg)
	m.Response = true
	for range maxChain {
		key, err := wireKey(name)
		if err != nil {
			m.Rcode = mdns.RcodeFormatError
			return m, NoFault
		}
		n := z.find(key)
		if n == nil {
			m.Rcode, m.Ns = mdns.RcodeNameError, z.authority(key)
			return m, NoFault
		}
		if records := n.records[qtype]; len(records) > 0 {
			m.Answer = append(m.Answer, owned(records, name)...)
			return m, NoFault
		}
		if fault := n.fault(qtype); fault != NoFault {
			return failed(fault)
		}
		aliases := n.records[mdns.TypeCNAME]
		if len(aliases) == 0 {
			m.Ns = z.authority(key)
			return m, NoFault
		}
		m.Answer = append(m.Answer, owned(aliases[:1], name)...)
		name = aliases[0].(*mdns.CNAME).Target
	}
	return m, NoFault
}

// failed returns the response for a fault.
func failed(f Fault) (*mdns.Msg, Fault) {
	m := new(mdns.Msg)
	m.Response = true
	switch f {
	case Timeout:
		return nil, Timeout
	case Refused:
		m.Rcode = mdns.RcodeRefused
	default:
		m.Rcode = mdns.RcodeServerFailure
	}
	return m, f
}

// fault returns how questions for a type fail.
func (n *node) fault(qtype uint16) Fault {
	if f, ok := n.faults[qtype]; ok {
		return f
	}
	return n.faults[0]
}

// find returns the node of a name, which may be a wildcard's: RFC 4592 Section 3.3.1. It returns nil if the name does not
// exist.
func (z *Zone) find(key string) *node {
	if n, ok := z.nodes[key]; ok {
		return n
	}
	for encloser := parent(key); ; encloser = parent(encloser) {
		if _, ok := z.nodes[encloser]; ok {
			return z.nodes["\x01*"+encloser]
		}
	}
}

// parent returns the name above; the root's parent is the root.
func parent(key string) string {
	if key[0] == 0 {
		return key
	}
	return key[key[0]+1:]
}

// authority returns the SOA record of the zone that a name is in, for the authority section of a negative answer.
func (z *Zone) authority(key string) []mdns.RR {
	for ; ; key = parent(key) {
		if n, ok := z.nodes[key]; ok {
			if soa := n.records[mdns.TypeSOA]; len(soa) > 0 {
				return soa[:1]
			}
		}
		if key[0] == 0 {
			return []mdns.RR{z.soa}
		}
	}
}

// owned returns copies of records whose owner is the name that was asked for: a wildcard's records have that name.
func owned(records []mdns.RR, name string) []mdns.RR {
	out := make([]mdns.RR, len(records))
	for i, rr := range records {
		out[i] = mdns.Copy(rr)
		out[i].Header().Name = name
	}
	return out
}

// add puts a record or, for faultType, a fault into the zone, and all names above it.
func (z *Zone) add(rr mdns.RR) error {
	h := rr.Header()
	key, err := wireKey(h.Name)
	if err != nil {
		return fmt.Errorf("bad owner name %q", h.Name)
	}
	n := z.node(key)
	if h.Rrtype == faultType {
		f, qtype, err := readFault(rr)
		if err != nil {
			return err
		}
		if n.faults == nil {
			n.faults = make(map[uint16]Fault)
		}
		n.faults[qtype] = f
		return nil
	}
	if n.records == nil {
		n.records = make(map[uint16][]mdns.RR)
	}
	for _, other := range n.records[h.Rrtype] {
		// RFC 2181 Section 5: the same record twice is once. Only short lists are looked through.
		if len(n.records[h.Rrtype]) <= maxDuplicateScan && mdns.IsDuplicate(rr, other) {
			return nil
		}
	}
	n.records[h.Rrtype] = append(n.records[h.Rrtype], rr)
	return nil
}

// maxDuplicateScan keeps adding records from being quadratic.
const maxDuplicateScan = 64

// node returns the node of a name, which it makes if there is none.
func (z *Zone) node(key string) *node {
	n, ok := z.nodes[key]
	if !ok {
		n = &node{}
		z.nodes[key] = n
		for up := parent(key); z.nodes[up] == nil; up = parent(up) {
			z.nodes[up] = &node{}
		}
	}
	return n
}

// Records returns all records in the order of their names, for tests and listings.
func (z *Zone) Records() []mdns.RR {
	var out []mdns.RR
	for _, key := range slices.Sorted(maps.Keys(z.nodes)) {
		n := z.nodes[key]
		for _, t := range slices.Sorted(maps.Keys(n.records)) {
			out = append(out, n.records[t]...)
		}
	}
	return out
}

// wireKey returns a name in wire format, which has one spelling only, in lower case. The length octets, at most 63, are
// not letters.
func wireKey(name string) (string, error) {
	buf := make([]byte, 256)
	n, err := mdns.PackDomainName(name, buf, 0, nil, false)
	if err != nil {
		return "", err
	}
	if n == 0 {
		return "", errors.New("no name") // "" is not the root
	}
	for i, b := range buf[:n] {
		if 'A' <= b && b <= 'Z' {
			buf[i] = b + 'a' - 'A'
		}
	}
	return string(buf[:n]), nil
}
