package reading

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"assay/verify/message"
)

// eicar is the file that every virus scanner reports. It stands here encoded, lest one reports this file.
func eicar() string {
	text, err := base64.StdEncoding.DecodeString("WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo=")
	if err != nil {
		panic(err)
	}
	return string(text)
}

// plainMail is a mail with an attachment in the encoding ENC. Every case below replaces pieces of it. OTHER is another
// encoding, BODY the encoded attachment.
const plainMail = "MIME-Version: 1.0\r\nSubject: test\r\nContent-Type: multipart/mixed; boundary=foo\r\n\r\n" +
	"--foo\r\nContent-Type: text/plain\r\n\r\nHello.\r\n--foo\r\n" +
	"Content-Type: application/octet-stream; name=a.com\r\n" +
	"Content-Disposition: attachment; filename=a.com\r\n" +
	"Content-Transfer-Encoding: ENC\r\n\r\nBODY--foo--\r\n"

// Pieces of plainMail that cases replace.
const (
	topType  = "Content-Type: multipart/mixed; boundary=foo\r\n"
	partType = "Content-Type: application/octet-stream; name=a.com\r\n"
	dispLine = "Content-Disposition: attachment; filename=a.com\r\n"
	encLine  = "Content-Transfer-Encoding: ENC\r\n"
	encEnd   = encLine + "\r\n"
	boundary = "boundary=foo"
	delims   = "--foo"
)

// A variant is plainMail with pieces replaced, each in turn.
type variant struct {
	name    string
	replace []string // old, new, ...
	expect  verdict
}

// A verdict says what is expected of a variant.
type verdict int

const (
	flagged   verdict = iota // a defect that readers understand differently, and a reading has the attachment
	plain                    // every reader sees the attachment alike
	unseen                   // a defect, or not; no reader that is known sees the attachment
	onlyInB64                // as flagged, but only a base64 attachment can be recognised as one
)

// The families are those of the parser differentials that MIMEminer ("Inbox Invasion", CCS 2024) found between gateways
// and mail programs: duplicate fields, blanks and NUL in and around names, folds, comments, encoded words, line ends,
// boundaries, preamble and epilogue, nesting, and the border of header and body.
func variants() []variant {
	both := func(boundaryValue, line string) []string {
		return []string{delims, "--" + line, boundary, "boundary=" + boundaryValue}
	}
	return []variant{
		{"plain", nil, plain},
		{"no disposition", []string{dispLine, ""}, plain},
		// Duplicate fields and values.
		{"encoding twice, first valid", []string{encLine, encLine + "Content-Transfer-Encoding: OTHER\r\n"}, flagged},
		{"encoding twice, last valid", []string{encLine, "Content-Transfer-Encoding: OTHER\r\n" + encLine}, flagged},
		{"encoding three times", []string{encLine, "Content-Transfer-Encoding: OTHER\r\n" + encLine + encLine}, flagged},
		{"encoding three times, last other", []string{encLine, encLine + encLine + "Content-Transfer-Encoding: OTHER\r\n"}, flagged},
		{"encoding unknown, then valid", []string{encLine, "Content-Transfer-Encoding: xxxx\r\n" + encLine}, flagged},
		{"encoding valid, then unknown", []string{encLine, encLine + "Content-Transfer-Encoding: xxxx\r\n"}, flagged},
		{"two encodings in a value", []string{"ENC\r", "ENC, OTHER\r"}, flagged},
		{"two encodings in a value, last valid", []string{"ENC\r", "OTHER, ENC\r"}, flagged},
		{"quoted encoding", []string{"ENC\r", "\"ENC\", OTHER\r"}, flagged},
		{"quoted other encoding", []string{"ENC\r", "\"OTHER\", ENC\r"}, flagged},
		{"type twice, last a multipart", []string{partType, partType + "Content-Type: multipart/mixed; boundary=bar\r\n"}, flagged},
		{"type twice, first a multipart", []string{partType, "Content-Type: multipart/mixed; boundary=bar\r\n" + partType}, flagged},
		{"two types in a value", []string{"octet-stream; name=a.com", "octet-stream, multipart/mixed; boundary=bar"}, flagged},
		{"two types in a value, last valid", []string{"application/octet-stream; name=a.com", "multipart/mixed, application/octet-stream; boundary=bar"}, flagged},
		{"top type twice", []string{topType, topType + "Content-Type: application/octet-stream\r\n"}, flagged},
		{"top type twice, last valid", []string{topType, "Content-Type: application/octet-stream\r\n" + topType}, flagged},
		{"two top types in a value", []string{"multipart/mixed;", "multipart/mixed, application/octet-stream;"}, flagged},
		{"two top types in a value, last valid", []string{"multipart/mixed;", "application/octet-stream, multipart/mixed;"}, flagged},
		// Names of fields.
		{"blank before the encoding", []string{encLine, " " + encLine}, flagged},
		{"blank before the encoding, first", []string{partType + dispLine + encLine, " " + encLine + partType + dispLine}, flagged},
		{"NUL before the encoding", []string{encLine, "\x00" + encLine}, flagged},
		{"NUL before the encoding, first", []string{partType + dispLine + encLine, "\x00" + encLine + partType + dispLine}, flagged},
		{"blank before the colon of the encoding", []string{"Encoding:", "Encoding :"}, flagged},
		{"NUL before the colon of the encoding", []string{"Encoding:", "Encoding\x00:"}, flagged},
		{"odd case", []string{"ENC\r", "MiXeDcAsE\r"}, plain},
		{"NUL in front of the encoding", []string{": ENC", ": \x00ENC"}, flagged},
		{"NUL inside of the encoding", []string{"ENC\r", "SPLIT\x00ENC\r"}, flagged},
		{"NUL behind the encoding", []string{"ENC\r", "ENC\x00\r"}, flagged},
		{"encoding folded inside", []string{"ENC\r", "SPLIT\r\n ENC\r"}, flagged},
		{"encoding folded behind the colon", []string{"Encoding: ENC", "Encoding:\r\n ENC"}, flagged},
		{"encoding folded before the colon", []string{"Encoding: ENC", "Encoding\r\n :ENC"}, flagged},
		{"encoding folded in a comment", []string{"ENC\r", "SPLIT(com\r\n ment)ENC\r"}, flagged},
		{"blank before the top type", []string{topType, " " + topType}, flagged},
		{"NUL before the top type", []string{topType, "\x00" + topType}, flagged},
		{"blank before the colon of the top type", []string{topType, strings.Replace(topType, ":", " :", 1)}, flagged},
		{"NUL before the colon of the top type", []string{topType, strings.Replace(topType, ":", "\x00:", 1)}, flagged},
		{"top type in odd case", []string{"multipart/mixed", "mUltIpARt/mIxeD"}, plain},
		{"NUL in front of the top type", []string{"multipart/mixed", "\x00multipart/mixed"}, flagged},
		{"NUL inside of the top type", []string{"multipart/mixed", "multipar\x00t/mixed"}, flagged},
		{"NUL behind the top type", []string{"multipart/mixed", "multipart/mixed\x00"}, flagged},
		{"nested type behind a blank", []string{partType, " Content-Type: multipart/mixed; boundary=bar\r\n\r\n--bar\r\n\r\nx\r\n--bar\r\n" + partType,
			"--foo--", "--bar--\r\n--foo--"}, flagged},
		{"nested type behind NUL", []string{partType, "\x00Content-Type: multipart/mixed; boundary=bar\r\n\r\n--bar\r\n\r\nx\r\n--bar\r\n" + partType,
			"--foo--", "--bar--\r\n--foo--"}, flagged},
		{"no name of a field", []string{partType, strings.TrimPrefix(partType, "Content-Type")}, flagged},
		{"name of the top type twice", []string{topType, "Content-Type:" + topType}, flagged},
		{"top type twice in one", []string{"multipart/mixed", "multipart/mixedmultipart/mixed"}, flagged},
		{"name of the encoding twice", []string{encLine, "Content-Transfer-Encoding:" + encLine}, flagged},
		{"encoding twice in one", []string{"ENC\r", "ENCENC\r"}, flagged},
		{"encoding with a digit more", []string{"ENC\r", "ENC5\r"}, flagged},
		{"encoding with a hyphen", []string{"ENC\r", "ENC-\r"}, flagged},
		// Line ends between fields.
		{"CR between fields", []string{"a.com\r\n", "a.com\r"}, flagged},
		{"LF between fields", []string{"a.com\r\n", "a.com\n"}, plain},
		{"LF CR between fields", []string{"a.com\r\n", "a.com\n\r"}, flagged},
		{"CR CRLF between fields", []string{"a.com\r\n", "a.com\r\r\n"}, flagged},
		{"CRLF LF between fields", []string{"a.com\r\n", "a.com\r\n\n"}, flagged},
		{"CRLF CR between fields", []string{"a.com\r\n", "a.com\r\n\r"}, flagged},
		{"LF CRLF between fields", []string{"a.com\r\n", "a.com\n\r\n"}, flagged},
		{"CR and a control between fields", []string{"a.com\r\n", "a.com\r\x13"}, flagged},
		{"control and LF between fields", []string{"a.com\r\n", "a.com\x13\n"}, flagged},
		{"CR, braces, LF between fields", []string{"a.com\r\n", "a.com\r{}\n"}, flagged},
		{"CR, LF in a comment", []string{"a.com\r\n", "a.com\r(\n)"}, flagged},
		{"CR blank", []string{"a.com\r\n", "a.com\r "}, flagged},
		{"CRLF blank", []string{"a.com\r\n", "a.com\r\n "}, flagged},
		{"blank LF", []string{"a.com\r\n", "a.com \n"}, plain},
		{"field behind a number sign", []string{encLine, encLine + "#Content-ID: 3\r\n"}, plain},
		{"fold behind the encoding", []string{encLine, encLine + " Content-ID: 3\r\n"}, flagged},
		{"CR and fold behind the encoding", []string{encLine, strings.TrimSuffix(encLine, "\n") + " Content-ID: 3\r\n"}, flagged},
		// Boundaries.
		{"boundary twice in fields", []string{topType, topType + "Content-Type: multipart/mixed; boundary=faa\r\n"}, flagged},
		{"boundary twice in fields, last valid", []string{topType, "Content-Type: multipart/mixed; boundary=faa\r\n" + topType}, flagged},
		{"two boundaries", []string{boundary, "boundary=foo, boundary=faa"}, flagged},
		{"two boundaries, last valid", []string{boundary, "boundary=faa, boundary=foo"}, flagged},
		{"two boundaries, both used", []string{boundary, "boundary=foo, boundary=faa", "--foo\r\nContent-Type: text", "--faa\r\nContent-Type: text"}, flagged},
		{"two fields with boundaries, both used", []string{topType, topType + "Content-Type: multipart/mixed; boundary=faa\r\n",
			"--foo\r\nContent-Type: text", "--faa\r\nContent-Type: text"}, flagged},
		{"comma in the boundary", both("foo,faa", "foo,faa"), flagged},
		{"comma, first used", both("foo,faa", "foo"), flagged},
		{"comma, last used", both("foo,faa", "faa"), flagged},
		{"blank before the boundary", both(" foo", "foo"), flagged},
		{"blank before the boundary, used", both(" foo", " foo"), flagged},
		{"blank before the quoted boundary", both("\" foo\"", "foo"), flagged},
		{"blank before the quoted boundary, used", both("\" foo\"", " foo"), flagged},
		{"NUL before the boundary", both("\x00foo", "foo"), flagged},
		{"NUL before the boundary, used", both("\x00foo", "\x00foo"), flagged},
		{"NUL before the quoted boundary", both("\"\x00foo\"", "foo"), flagged},
		{"NUL before the quoted boundary, used", both("\"\x00foo\"", "\x00foo"), flagged},
		{"blank inside of the boundary", both("foo foo", "foo"), flagged},
		{"blank inside of the boundary, used", both("foo foo", "foo foo"), flagged},
		{"blank inside of the quoted boundary", both("\"foo foo\"", "foo foo"), flagged},
		{"quotes in the delimiter", both("\"foo foo\"", "\"foo foo\""), flagged},
		{"semicolon in the boundary", both("foo;foo", "foo"), flagged},
		{"semicolon in the boundary, used", both("foo;foo", "foo;foo"), flagged},
		{"semicolon in the quoted boundary", both("\"foo;foo\"", "foo;foo"), flagged},
		{"nothing in front of the boundary", both("\"\"foo", ""), flagged},
		{"nothing in front of the boundary, used", both("\"\"foo", "foo"), flagged},
		{"half a quoted boundary", both("\"bar\"foo", "bar"), flagged},
		{"half a quoted boundary, last", both("\"bar\"foo", "foo"), flagged},
		{"half a quoted boundary, both", both("\"bar\"foo", "\"bar\"foo"), flagged},
		{"empty boundary", both("", ""), flagged},
		{"quote as boundary", both("\"", ""), flagged},
		{"empty quoted boundary", both("\"\"", ""), flagged},
		{"semicolon as boundary", both(";", ";"), flagged},
		{"boundary folded", both("foo\r\n foo", "foo"), flagged},
		{"boundary folded, whole", both("foo\r\n foo", "foofoo"), flagged},
		{"boundary folded behind the equals sign", both("\r\n foo", "foo"), flagged},
		{"boundary folded before the equals sign", []string{boundary, "boundary\r\n =foo"}, flagged},
		{"first delimiter indented", []string{"--foo\r\nContent-Type: text", " --foo\r\nContent-Type: text"}, flagged},
		{"delimiter indented", []string{"--foo\r\nContent-Type: app", " --foo\r\nContent-Type: app"}, flagged},
		{"last delimiter indented", []string{"--foo--", " --foo--"}, flagged},
		{"blank behind the boundary", []string{boundary, "boundary=foo "}, flagged},
		{"no hyphens at the end", []string{"--foo--", "--foo"}, flagged},
		{"blank behind a delimiter", []string{"--foo\r\nContent-Type: app", "--foo \r\nContent-Type: app"}, plain},
		{"blank before the equals sign", []string{boundary, "boundary =foo"}, flagged},
		{"NUL before the equals sign", []string{boundary, "boundary\x00=foo"}, flagged},
		{"no semicolon before the boundary", []string{"; boundary", " boundary"}, flagged},
		{"other parameter", []string{boundary, "bound=foo"}, flagged},
		{"boundary on the leaf", []string{"name=a.com", "boundary=faa"}, flagged},
		{"other delimiters", []string{delims, "--faa"}, flagged},
		{"RFC 2231 boundary", both("x; boundary*=us-ascii''foo", "foo"), flagged},
		{"RFC 2231 pieces of a boundary", []string{boundary, "boundary*0=f; boundary*1=oo"}, flagged},
		{"encoded word as boundary", both("=?US-ASCII?Q?foo?=", "foo"), flagged},
		{"encoded word as boundary, used", both("=?US-ASCII?Q?foo?=", "=?US-ASCII?Q?foo?="), flagged},
		{"comment in the boundary", both("foo(foo)foo", "foofoo"), flagged},
		{"comment in the boundary, used", both("foo(foo)foo", "foo(foo)foo"), flagged},
		{"comment as boundary", both("(foo)", ""), flagged},
		{"comment as boundary, used", both("(foo)", "(foo)"), flagged},
		{"comment before the boundary", both("(foo)1", "(foo)1"), flagged},
		{"open comment as boundary", both("(foo", "(foo"), flagged},
		{"open comment behind the boundary", both("foo(foo", "foo"), flagged},
		{"open comment behind the boundary, used", both("foo(foo", "foo(foo"), flagged},
		{"delimiter behind CR", []string{"Hello.\r\n", "Hello.\r"}, flagged},
		{"delimiter behind CR and a comma", []string{"Hello.\r\n", "Hello.\r,"}, flagged},
		{"delimiter ends in CR", []string{"--foo\r\nContent-Type: app", "--foo\rContent-Type: app"}, flagged},
		{"delimiter ends in CR and a control", []string{"--foo\r\nContent-Type: app", "--foo\r\x13Content-Type: app"}, flagged},
		{"delimiter with garbage", []string{"--foo\r\nContent-Type: app", "--foo garbage\r\nContent-Type: app"}, flagged},
		// Structure.
		{"empty line behind the delimiter", []string{"--foo\r\nContent-Type: app", "--foo\r\n\r\nContent-Type: app"}, flagged},
		{"in the preamble", []string{"\r\n\r\n--foo\r\nContent-Type: text", "\r\n\r\n" + partType + dispLine + encEnd + "BODY--foo\r\nContent-Type: text",
			encEnd + "BODY--foo--", "\r\nx\r\n--foo--"}, flagged},
		{"in the epilogue", []string{encEnd + "BODY--foo--\r\n", "\r\nx\r\n--foo--\r\n" + partType + dispLine + encEnd + "BODY"}, flagged},
		{"inner multipart with the outer delimiter", []string{"--foo\r\nContent-Type: app", "--foo\r\nContent-Type: multipart/mixed; boundary=faa\r\n\r\n--faa\r\n\r\nx\r\n--foo\r\nContent-Type: app",
			"--foo--", "--faa--\r\n--foo--"}, flagged},
		{"inner multipart with the outer boundary", []string{"--foo\r\nContent-Type: app", "--foo\r\nContent-Type: multipart/mixed; boundary=foo\r\n\r\n--foo\r\n\r\nx\r\n--foo--\r\nContent-Type: app"}, flagged},
		{"inner multipart without boundary", []string{"--foo\r\nContent-Type: app", "--foo\r\nContent-Type: multipart/mixed\r\n\r\n--faa\r\n\r\nx\r\n--faa\r\nContent-Type: app",
			"--foo--", "--faa--\r\n--foo--"}, flagged},
		{"inner multipart without boundary, with the outer one", []string{"--foo\r\nContent-Type: app", "--foo\r\nContent-Type: multipart/mixed\r\n\r\n--foo\r\nContent-Type: app",
			"--foo--", "--foo--\r\n--foo--"}, flagged},
		{"inner multipart without parts", []string{"Content-Type: text/plain\r\n\r\nHello.", "Content-Type: multipart/mixed; boundary=bar\r\n\r\n"}, flagged},
		{"prefix as inner boundary", []string{"Content-Type: text/plain\r\n\r\nHello.", "Content-Type: multipart/mixed; boundary=foo1\r\n\r\n--foo1\r\n\r\nx\r\n--foo1--"}, flagged},
		{"encoded multipart", []string{topType, topType + "Content-Transfer-Encoding: base64\r\n"}, flagged},
		// The border of header and body.
		{"CR in place of the empty line", []string{encEnd, encLine + "\r"}, flagged},
		{"LF in place of the empty line", []string{encEnd, encLine + "\n"}, plain},
		{"CR CRLF", []string{encEnd, "Content-Transfer-Encoding: ENC\r\r\n"}, flagged},
		{"LF CRLF", []string{encEnd, "Content-Transfer-Encoding: ENC\n\r\n"}, plain},
		{"CR CR", []string{encEnd, "Content-Transfer-Encoding: ENC\r\r"}, flagged},
		{"LF LF", []string{encEnd, "Content-Transfer-Encoding: ENC\n\n"}, plain},
		{"LF CR", []string{encEnd, "Content-Transfer-Encoding: ENC\n\r"}, flagged},
		{"no empty line", []string{encEnd, encLine}, flagged},
		{"CR CRLF as empty line", []string{encEnd, encLine + "\r\r\n"}, flagged},
		{"LF CRLF as empty line", []string{encEnd, encLine + "\n\r\n"}, plain},
		{"empty line and CR", []string{encEnd, encEnd + "\r"}, flagged},
		{"two empty lines", []string{encEnd, encEnd + "\r\n"}, plain},
		{"open comment at the end", []string{dispLine + encEnd, encLine + "Content-Disposition: attachment; filename=a.com(\r\n\r\n"}, flagged},
		{"comment over the empty line", []string{dispLine + encEnd, encLine + "Content-Disposition: attachment; filename=a.com(\r\n)\r\n"}, flagged},
		{"CR and a slash", []string{encEnd, "Content-Transfer-Encoding: ENC\r/\r\n"}, flagged},
		{"CR and brackets", []string{encEnd, "Content-Transfer-Encoding: ENC\r<>\n\r\n"}, flagged},
		{"letter as empty line", []string{encEnd, encLine + "c\n"}, flagged},
		{"bracket as empty line", []string{encEnd, encLine + "<\r\n"}, flagged},
		{"CR and quotes as empty line", []string{encEnd, encLine + "\r\"\"\n"}, flagged},
		{"encoding behind the empty line", []string{encEnd, "\r\n" + encEnd}, flagged},
		{"encoding behind the empty line, none behind it", []string{encEnd, "\r\n" + encLine}, flagged},
		{"encoding behind a sentence", []string{encEnd, "\r\nA sentence.\r\n" + encEnd}, unseen},
		{"encoding between sentences", []string{encEnd, "\r\nA sentence.\r\n" + encLine + "A sentence.\r\n\r\n"}, unseen},
		{"indented encoding behind the empty line", []string{encEnd, "\r\n " + encEnd}, flagged},
		{"sentence in the header", []string{encEnd, "A sentence.\r\n" + encLine}, flagged},
		{"empty line between fields", []string{partType, partType + "\r\n"}, flagged},
		{"CR line between fields", []string{partType, partType + "\r"}, flagged},
		{"LF line between fields", []string{partType, partType + "\n"}, flagged},
		// Comments and encoded words in the encoding.
		{"encoding in a comment", []string{"ENC\r", "(ENC)\r"}, flagged},
		{"comment inside of the encoding", []string{"ENC\r", "SPLIT(comment)ENC\r"}, flagged},
		{"comment around the colon", []string{"Encoding: ENC", "Encoding(: )ENC"}, flagged},
		{"open comment in the name", []string{"Content-Transfer-Encoding:", "Content-Transfe(r-Encoding:"}, flagged},
		{"open comment behind the encoding", []string{"ENC\r", "ENC(OTHER\r"}, flagged},
		{"open comment and CR", []string{encLine, "Content-Transfer-Encoding: ENC(OTHER\r"}, flagged},
		{"open comment and LF", []string{encLine, "Content-Transfer-Encoding: ENC(OTHER\n"}, flagged},
		{"comment closed behind CR", []string{encLine, "Content-Transfer-Encoding: ENC(OTHER\r)"}, flagged},
		{"comment closed behind LF", []string{encLine, "Content-Transfer-Encoding: ENC(OTHER\n)"}, flagged},
		{"encoded word as encoding", []string{": ENC", ": =?US-ASCII?Q?ENC?="}, flagged},
		{"encoded word in the encoding", []string{": ENC", ": SPLIT=?US-ASCII?Q?ENC?="}, flagged},
		{"open comment, then valid", []string{encLine, "Content-Transfer-Encoding: (ENC\r\n" + encLine}, flagged},
		{"octets that are no UTF-8 before the name", []string{"attachment; filename=", "attachment; \xf8\xf8\xf8; fileNAME=", "ENC\r", "ENC5\r"}, flagged},
		// Base64 itself.
		{"padding in the middle", []string{"BODY", "eHh4eA==\r\nBODY"}, onlyInB64},
		{"padding in the middle of a line", []string{"BODY", "eHh4eA==BODY"}, onlyInB64},
		{"padding that counts as a digit", []string{"BODY", "SHIFTED"}, onlyInB64},
		{"junk", []string{"BODY", "JUNK"}, onlyInB64},
		{"blanks", []string{"BODY", "SPACED"}, onlyInB64},
	}
}

// render makes the mail of a variant.
func (v variant) render(encoding string) string {
	text := plainMail
	for i := 0; i+1 < len(v.replace); i += 2 {
		text = strings.ReplaceAll(text, v.replace[i], v.replace[i+1])
	}
	b64 := base64.StdEncoding.EncodeToString([]byte(eicar()))
	spaced := strings.Join(strings.Split(b64, ""), " ") + "\r\n"
	junk := strings.Join(strings.Split(b64, ""), "*") + "\r\n"
	shifted := b64[:10] + "=" + b64[10:] + "\r\n"
	pieces := []string{"base", "64", "quoted-printable"}
	body := b64[:60] + "\r\n" + b64[60:] + "\r\n"
	if encoding == "quoted-printable" {
		pieces = []string{"quoted-", "printable", "base64"}
		body = ""
		for i, c := range []byte(eicar()) {
			if body += fmt.Sprintf("=%02X", c); i == 20 {
				body += "=\r\n"
			}
		}
		body += "\r\n"
	}
	return strings.NewReplacer("SPLIT", pieces[0], "\x00ENC", "\x00"+tail(v, pieces, encoding), ")ENC\r", ")"+tail(v, pieces, encoding)+"\r",
		"\r\n ENC", "\r\n "+tail(v, pieces, encoding), "=?US-ASCII?Q?ENC?=", "=?US-ASCII?Q?"+tail(v, pieces, encoding)+"?=",
		"MiXeDcAsE", strings.ToUpper(encoding[:3])+encoding[3:], "ENC", encoding, "OTHER", pieces[2],
		"BODY", body, "SPACED", spaced, "JUNK", junk, "SHIFTED", shifted).Replace(text)
}

// tail is the encoding, or what is left of it where the case has its beginning elsewhere.
func tail(v variant, pieces []string, encoding string) string {
	for _, s := range v.replace {
		if strings.Contains(s, "SPLIT") {
			return pieces[1]
		}
	}
	return encoding
}

// sees reports whether the strict reading of m, or one beside it, has the file.
func sees(t testing.TB, m *message.Message) (strict, union bool) {
	t.Helper()
	file := []byte(eicar())
	for p := range m.Root.Leaves() {
		content, err := io.ReadAll(m.Content(p))
		if err != nil {
			t.Fatal(err)
		}
		strict = strict || bytes.Contains(content, file)
	}
	union = strict
	for r := range Readings(m, Limits{}) {
		union = union || bytes.Contains(r.Content, file)
	}
	return strict, union
}

// isFlagged reports whether a message has a defect that readers understand differently.
func isFlagged(m *message.Message) bool {
	for _, d := range m.Defects {
		if d.Tier() != message.Info {
			return true
		}
	}
	return false
}

func read(t testing.TB, raw []byte) *message.Message {
	t.Helper()
	m, err := message.Read(bytes.NewReader(raw), message.Envelope{}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestAmbiguousMail(t *testing.T) {
	mails, seen, strictly, withDefects := 0, 0, 0, 0
	for _, v := range variants() {
		for _, encoding := range []string{"base64", "quoted-printable"} {
			if v.expect == onlyInB64 && encoding != "base64" {
				continue
			}
			m := read(t, []byte(v.render(encoding)))
			strict, union := sees(t, m)
			mails++
			if union {
				seen++
			}
			if strict {
				strictly++
			}
			if isFlagged(m) {
				withDefects++
			}
			if !union && v.expect != unseen {
				t.Errorf("%s, %s: no reading has the file\n%q", v.name, encoding, v.render(encoding))
			}
			switch {
			case isFlagged(m) && v.expect == plain:
				t.Errorf("%s, %s: false alarm %v", v.name, encoding, m.Defects)
			case !isFlagged(m) && v.expect != plain && v.expect != unseen:
				t.Errorf("%s, %s: no defect", v.name, encoding)
			case !strict && v.expect == plain:
				t.Errorf("%s, %s: the strict reading does not have the file", v.name, encoding)
			}
		}
	}
	t.Logf("%d mails: the strict reading has the file in %d, the union in %d; %d are flagged", mails, strictly, seen, withDefects)
}

// The program that looks for the file as another well-known parser does.
const pythonSees = `
import base64, email, json, sys
file = base64.b64decode(sys.argv[1])
for line in sys.stdin:
    m = email.message_from_bytes(base64.b64decode(json.loads(line)))
    print(any(file in (p.get_payload(decode=True) or b'') for p in m.walk() if not p.is_multipart()))
`

// Where Python's email package sees something else than the strict reading, the mail is flagged; and what it sees, the
// union of readings has.
func TestAmbiguousMailInPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: no python3 to compare with")
	}
	var in bytes.Buffer
	enc := json.NewEncoder(&in)
	var names []string
	var mails []string
	for _, v := range variants() {
		for _, encoding := range []string{"base64", "quoted-printable"} {
			names = append(names, v.name+", "+encoding)
			mails = append(mails, v.render(encoding))
			if err := enc.Encode([]byte(v.render(encoding))); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd := exec.Command(python, "-c", pythonSees, base64.StdEncoding.EncodeToString([]byte(eicar())))
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	answers := strings.Fields(string(out))
	if len(answers) != len(mails) {
		t.Fatalf("%d answers for %d mails", len(answers), len(mails))
	}
	seen, differ := 0, 0
	for i, raw := range mails {
		m := read(t, []byte(raw))
		strict, union := sees(t, m)
		inPython := answers[i] == "True"
		if inPython {
			seen++
		}
		if inPython && !union {
			t.Errorf("%s: Python has the file", names[i])
		}
		if inPython != strict {
			differ++
			if !isFlagged(m) {
				t.Errorf("%s: no defect, and the file is in Python: %t, here: %t\n%q", names[i], inPython, strict, raw)
			}
		}
	}
	t.Logf("%d mails: Python has the file in %d, and differs from the strict reading in %d", len(mails), seen, differ)
}
