package pdf_test

import (
	"fmt"
	"strings"
	"testing"

	"assay/scan"
	"assay/scan/container"
)

// TestRevisions opens every revision of the standard handler with the empty password and those of user and owner.
func TestRevisions(t *testing.T) {
	for _, c := range []struct {
		revision, bits int
		clear          bool
		name           string
	}{
		{2, 40, false, "RC4-40"}, {3, 40, false, "RC4-40"}, {3, 64, false, "RC4-64"}, {3, 128, false, "RC4-128"},
		{4, 128, false, "AES-128"}, {4, 128, true, "AES-128"}, {5, 256, false, "AES-256"}, {6, 256, false, "AES-256"},
		{7, 256, false, "AES-256-GCM"},
	} {
		t.Run(fmt.Sprintf("R%d %d %v", c.revision, c.bits, c.clear), func(t *testing.T) {
			opened := fmt.Sprintf("%s R%d", c.name, c.revision)
			empty := newSeal(c.revision, c.bits, "", "owner", c.clear).document()
			expectOpened(t, read(t, empty), opened, scan.OpenedEmpty)
			closed := newSeal(c.revision, c.bits, "user", "owner", c.clear).document()
			expectOpened(t, read(t, closed, "a", "user"), opened, scan.OpenedPassword)
			expectOpened(t, read(t, closed, "owner"), opened, scan.OpenedPassword)
			expectClosed(t, read(t, closed, "User", "", "OWNER"), fmt.Sprintf("%s (R%d), user password", c.name, c.revision))
			byOwner := newSeal(c.revision, c.bits, "user", "", c.clear).document()
			expectOpened(t, read(t, byOwner), opened, scan.OpenedEmpty)
		})
	}
}

// expectOpened checks that everything in a document of a seal was seen.
func expectOpened(t *testing.T, r result, method string, how scan.Trait) {
	t.Helper()
	if r.State != scan.Inspected || r.Class != scan.ClassPDF || r.Method != method || r.traits() != "embedded-file javascript "+string(how) {
		t.Errorf("%s", r)
	}
	if len(r.Links) != 1 || r.Links[0] != (container.Link{URL: "https://example.org/", Source: scan.FromAnchor}) {
		t.Errorf("links: %s", r)
	}
	if len(r.members) != 1 || r.members[0].Name != "a.txt" || string(r.members[0].Content) != "attached" {
		t.Errorf("members: %s", r)
	}
}

// expectClosed checks that nothing in a document of a seal is called readable.
func expectClosed(t *testing.T, r result, method string) {
	t.Helper()
	if r.State != scan.Encrypted || r.Class != scan.ClassPDF || r.Method != method || len(r.Links) != 0 {
		t.Errorf("%s", r)
	}
	for _, m := range r.members {
		if m.State != scan.Encrypted || m.Content != nil || m.Class != scan.ClassPDF || m.Method != method {
			t.Errorf("member: %s", r)
		}
	}
}

// TestPasswordEncodings tries passwords beyond ASCII: Latin-1 in old revisions, normalized UTF-8 in new ones.
func TestPasswordEncodings(t *testing.T) {
	for _, c := range []struct {
		revision      int
		written, said string
	}{
		{3, "gr\xfc\xdfe", "grüße"}, {4, "grüße", "grüße"}, {6, "grüße", "grüße"}, {6, "é", "e\u0301"}, {6, strings.Repeat("x", 127), strings.Repeat("x", 140)},
		{4, strings.Repeat("x", 32), strings.Repeat("x", 40)},
	} {
		if r := read(t, newSeal(c.revision, 128, c.written, "owner", false).document(), c.said); !r.has(scan.OpenedPassword) {
			t.Errorf("R%d, %q: %s", c.revision, c.said, r)
		}
	}
}

// TestGuesses checks that passwords are tried only as often as the budget allows, and the empty one always.
func TestGuesses(t *testing.T) {
	l := container.Limits{Guesses: 2}
	closed := newSeal(4, 128, "user", "owner", false).document()
	if r := readWithin(t, l, closed, "a", "b", "user"); r.State != scan.Encrypted {
		t.Errorf("%s", r)
	}
	if r := readWithin(t, l, closed, "a", "user"); r.State != scan.Inspected {
		t.Errorf("%s", r)
	}
}

// TestHandlers reads documents that are encrypted in other ways, or not at all.
func TestHandlers(t *testing.T) {
	encrypt := func(dict string) []byte { return documentWith("/Encrypt 4 0 R", "", dict) }
	aes := newSeal(4, 128, "user", "owner", false)
	rest := strings.TrimPrefix(aes.dict, "<<")
	inStream, content := objectStream(5, aes.dict)
	for _, c := range []struct {
		name    string
		content []byte
		state   scan.State
		method  string
		traits  string
	}{
		{"certificate", encrypt("<</Filter/Adobe.PubSec/SubFilter/adbe.pkcs7.s4/V 2/R 3/Recipients[(x)]>>"), scan.Encrypted, "certificate", ""},
		{"name with escapes", encrypt("<</Filter/Adobe#2EPub#53ec/V 4>>"), scan.Encrypted, "certificate", ""},
		{"FileOpen", encrypt("<</Filter/FileOpen/V 1>>"), scan.Encrypted, "handler FileOpen", ""},
		{"rights management", encrypt("<</Filter/MicrosoftIRMServices/V 1>>"), scan.Encrypted, "Microsoft rights management", ""},
		{"long name", encrypt("<</Filter/" + strings.Repeat("x", 500) + ">>"), scan.Encrypted, "handler " + strings.Repeat("x", 100) + "...", ""},
		{"garbage", encrypt("(garbage)"), scan.Encrypted, "damaged encryption dictionary", ""},
		{"missing", documentWith("/Encrypt 99 0 R", ""), scan.Encrypted, "damaged encryption dictionary", ""},
		{"short", encrypt("<</Filter/Standard/V 2/R 3/O(x)/U(y)/P -4>>"), scan.Encrypted, "damaged encryption dictionary", ""},
		{"no revision", encrypt("<</Filter/Standard/O(x)/U(y)>>"), scan.Encrypted, "damaged encryption dictionary", ""},
		{"direct", documentWith("/Encrypt "+aes.dict, ""), scan.Encrypted, "AES-128 (R4), user password", ""},
		{"escaped", documentWith("/E#6ecryp#74 "+aes.dict, ""), scan.Encrypted, "AES-128 (R4), user password", ""},
		{"in an object stream", documentWith("/Encrypt 5 0 R", "", flated(inStream, content)), scan.Encrypted, "AES-128 (R4), user password", ""},
		{"null", documentWith("/Encrypt null", ""), scan.Inspected, "", ""},
		{"word in a string", document("/Lang(/Encrypt 4 0 R)"), scan.Inspected, "", ""},
		{"word in a stream", document("", stream("", []byte("trailer <</Encrypt 4 0 R>>"))), scan.Inspected, "", ""},
		{"word in a comment", append(document(""), "% trailer <</Encrypt 4 0 R>>\n"...), scan.Inspected, "", ""},
		{"word as a name of a page", document("/PieceInfo<</Encrypt<</Filter/Standard>>>>"), scan.Inspected, "", ""},
		{"one revision is plain", update(documentWith("/Encrypt 4 0 R", "", aes.dict), 3, "null"), scan.Encrypted, "AES-128 (R4), user password", "ambiguous"},
		{"two keys", append(documentWith("/Encrypt 4 0 R", "", aes.dict), documentWith("/Encrypt 4 0 R", "", newSeal(6, 256, "other", "o", false).dict)...),
			scan.Encrypted, "AES-128 (R4), user password", "ambiguous"},
		{"without strings", encrypt("<</CF<<>>" + rest), scan.Encrypted, "AES-128 (R4), user password", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := read(t, c.content)
			if r.State != c.state || r.Method != c.method || r.traits() != c.traits || (r.Class == scan.ClassPDF) != (c.state == scan.Encrypted) {
				t.Errorf("%s", r)
			}
		})
	}
}

// TestAttachmentsOnly reads a document whose text is in clear and whose attached files are not.
func TestAttachmentsOnly(t *testing.T) {
	s := newSeal(4, 128, "user", "owner", false)
	dict := strings.NewReplacer("/StmF/StdCF/StrF/StdCF", "/StmF/Identity/StrF/Identity/EFF/StdCF", "/AESV2", "/AESV2/AuthEvent/EFOpen").Replace(s.dict)
	content := documentWith("/Encrypt 7 0 R/ID[("+identifier+")]", "",
		"<</S/URI/URI(https://example.org/)>>", "<</Type/Filespec/F(a.txt)/EF<</F 6 0 R>>>>",
		stream("/Type/EmbeddedFile", s.encrypt(6, []byte("attached"))), dict)
	r := read(t, content)
	if r.State != scan.Encrypted || r.Method != "AES-128 (R4), attachments only, user password" || len(r.Links) != 1 {
		t.Errorf("%s", r)
	}
	if len(r.members) != 1 || r.members[0].Name != "a.txt" || r.members[0].State != scan.Encrypted || r.members[0].Class != scan.ClassPDF {
		t.Errorf("%s", r)
	}
	r = read(t, content, "user")
	if r.State != scan.Inspected || len(r.members) != 1 || string(r.members[0].Content) != "attached" {
		t.Errorf("%s", r)
	}
}

// TestWrapper reads an unencrypted wrapper: ISO 32000-2 Section 7.6.7.
func TestWrapper(t *testing.T) {
	r := read(t, document("/Collection<</View/H>>/AF[4 0 R]/Names<</EmbeddedFiles<</Names[(x)4 0 R]>>>>",
		"<</Type/Filespec/F(payload.pdf)/AFRelationship/EncryptedPayload/EP<</Type/EncryptedPayload/Subtype/Vendor>>/EF<</F 5 0 R>>>>",
		stream("/Type/EmbeddedFile/Subtype/application#2Fpdf", []byte("%PDF-2.0 ..."))))
	if r.State != scan.Encrypted || r.Class != scan.ClassPDF || r.Method != "encrypted payload Vendor" {
		t.Errorf("%s", r)
	}
	if len(r.members) != 1 || r.members[0].Declared != "application/pdf" || string(r.members[0].Content) != "%PDF-2.0 ..." {
		t.Errorf("%s", r)
	}
}

// TestClearStream reads a stream that the filter Crypt leaves in clear: ISO 32000-1 Section 7.4.10.
func TestClearStream(t *testing.T) {
	s := newSeal(6, 256, "", "owner", false)
	r := read(t, documentWith("/Encrypt 5 0 R", "",
		stream("/Type/EmbeddedFile/Filter[/Crypt/ASCIIHexDecode]/DecodeParms[<</Type/CryptFilterDecodeParms/Name/Identity>>null]", []byte("616263>")), s.dict))
	if len(r.members) != 1 || string(r.members[0].Content) != "abc" || r.State != scan.Inspected {
		t.Errorf("%s", r)
	}
}
