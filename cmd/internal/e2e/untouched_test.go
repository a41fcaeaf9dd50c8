package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"assay/cmd/internal/mtatest"
)

// signedMail is a multipart/signed with active HTML and trailing blanks, which any rewriting would touch.
const signedMail = "From: a@client.example\r\nTo: b@rcpt.example\r\nSubject: signed\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n" +
	"Message-ID: <1@client.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; micalg=pgp-sha256;\r\n" +
	"\tprotocol=\"application/pgp-signature\"; boundary=sig\r\n\r\npreamble\r\n--sig\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" +
	"<p onclick=\"alert(1)\">signed  \r\n<script>alert(2)</script>\t\r\n</p>\r\n\r\n--sig\r\nContent-Type: application/pgp-signature; name=signature.asc\r\n\r\n" +
	"-----BEGIN PGP SIGNATURE-----\r\n\r\nAAAA\r\n-----END PGP SIGNATURE-----\r\n--sig--\r\n"

// TestSignedMailStays: what is signed is not changed by one octet, however active it is; the reader is told, and so is the operator.
func TestSignedMailStays(t *testing.T) {
	r := newRig(t, program(t, false), "")
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		reply := send(t, connect(t, m, "127.0.2.25"), between("a@client.example", "b@rcpt.example"), signedMail, 250)
		got := r.delivered(t, reply)
		if !bytes.HasSuffix(got, []byte(signedMail)) {
			t.Errorf("delivered is\n%s", got)
		}
		header, _ := fields(got)
		if text := strings.Join(named(header, "X-Assay-Summary"), ""); !strings.Contains(text, "active content") {
			t.Errorf("the reader is not told: %s", text)
		}
		if len(named(header, "X-Assay-Content")) != 1 || !strings.Contains(strings.Join(named(header, "X-Assay-Result"), ""), "changed=none") {
			t.Errorf("fields %q", header)
		}
	})
}

// newsletter is HTML of the usual kind, in which nothing acts on its own.
func newsletter() string {
	row := "<tr><td align=\"center\" style=\"padding:0 10px;font-family:Arial,sans-serif\"><a href=\"https://client.example/r?id=1&utm_source=nl\" " +
		"target=\"_blank\"><img src=\"https://client.example/img/1.png\" width=\"600\" alt=\"Angebot\" border=\"0\"></a></td></tr>\r\n"
	html := "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\r\n" +
		"<html xmlns=\"http://www.w3.org/1999/xhtml\"><head><meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\" />\r\n" +
		"<style type=\"text/css\">@media only screen and (max-width:600px){.w{width:100%!important}}</style>\r\n" +
		"<!--[if gte mso 9]><xml><o:OfficeDocumentSettings><o:AllowPNG/></o:OfficeDocumentSettings></xml><![endif]--></head>\r\n" +
		"<body bgcolor=\"#ffffff\"><table width=\"100%\" class=\"w\">\r\n" + strings.Repeat(row, 50) + "</table>\r\n" +
		"<p>Gr\u00fc\u00dfe &nbsp; <font color=red>Unclosed<br><img src=\"https://client.example/open.gif?u=1\" width=1 height=1></body></html>\r\n"
	return "From: News <a@client.example>\r\nTo: b@rcpt.example\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n" +
		"Message-ID: <1@client.example>\r\nList-Unsubscribe: <https://client.example/u>\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/alternative; boundary=\"_=_\"\r\n\r\n--_=_\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
		"Gr\u00fc\u00dfe  \r\n\r\n--_=_\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + quoted(html) + "--_=_--\r\n"
}

// TestNewsletterStays: nothing is taken from a newsletter, its body is the same to the octet, and the signature verifies for
// whoever gets it next. dkimpy says so.
func TestNewsletterStays(t *testing.T) {
	k := newKeys(t)
	message := k.sign(t, signature{Tool: "dkimpy", Key: "rsa2048", Domain: "client.example", Header: "simple", Body: "simple"}, []byte(newsletter()))
	r := newRig(t, program(t, false), "")
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		got := r.delivered(t, send(t, connect(t, m, "127.0.2.25"), between("a@client.example", "b@rcpt.example"), string(message), 250))
		if !bytes.HasSuffix(got, message) {
			t.Errorf("delivered is\n%s", got)
		}
		verdict := dkimpy(t, []dkimpyJob{{Message: got, Zone: map[string]string{
			"rsa2048._domainkey.client.example": "v=DKIM1; k=rsa; p=" + k.public["rsa2048"]}}})
		if verdict[0] != "True" {
			t.Errorf("dkimpy says %s", verdict[0])
		}
		header, _ := fields(got)
		if result := strings.Join(named(header, "X-Assay-Result"), ""); !strings.Contains(result, "changed=none") || len(named(header, "X-Assay-Content")) != 0 {
			t.Errorf("%q", header)
		}
	})
}

// TestRemovedAttachment: a file is replaced by a notice that names it, and the files around it are what they were. The only content
// of a message is removed in the same way.
func TestRemovedAttachment(t *testing.T) {
	program, octets := program(t, false), append([]byte("MZ"), noise(5000)...)
	r := newRig(t, program, fmt.Sprintf("rules: {dirs: [shipped, %q]}\n", ruleDir(t, map[string]string{"10.yaml": editRules})))
	const head = "From: a@client.example\r\nTo: b@rcpt.example\r\nSubject: x\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@client.example>\r\nMIME-Version: 1.0\r\n"
	several := head + "Content-Type: multipart/mixed; boundary=mix\r\n\r\n--mix\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHallo\r\n" +
		attachment("mix", "application/pdf", "eins.pdf", noise(2000)) + attachment("mix", "application/octet-stream", "gr\u00fcn \u201ex\u201c.exe", octets) +
		attachment("mix", "application/zip", "drei.bin", noise(3000)) + "--mix--\r\n"
	single := head + "Content-Type: application/x-msdownload; name=setup.exe\r\nContent-Disposition: attachment; filename=setup.exe\r\n" +
		"Content-Transfer-Encoding: base64\r\n\r\n" + lined(octets)
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		c := connect(t, m, "127.0.2.25")
		first := send(t, c, between("a@client.example", "b@rcpt.example"), several, 250)
		second := send(t, c, between("a@client.example", "b@rcpt.example"), single, 250)
		read := judge(t, []byte(several), r.delivered(t, first), r.delivered(t, second))
		before, after, alone := read[0], read[1], read[2]
		if len(after.Leaves) != 4 || len(alone.Leaves) != 1 {
			t.Fatalf("%d and %d leaves", len(after.Leaves), len(alone.Leaves))
		}
		for _, i := range []int{1, 3} {
			if after.Leaves[i].SHA256 != before.Leaves[i].SHA256 || after.Leaves[i].Name != before.Leaves[i].Name {
				t.Errorf("attachment %d was changed: %+v", i, after.Leaves[i])
			}
		}
		for queue, leaf := range map[string]judgedLeaf{first.QueueID(): after.Leaves[2], second.QueueID(): alone.Leaves[0]} {
			for _, part := range []string{"An attachment was removed", ".exe", before.Leaves[2].SHA256, "Programs are removed", "own-remove", queue} {
				if !strings.Contains(leaf.Text, part) {
					t.Errorf("the notice does not say %q:\n%s", part, leaf.Text)
				}
			}
			if leaf.Type != "text/plain" || strings.HasSuffix(leaf.Name, ".exe") || len(leaf.Defects) > 0 {
				t.Errorf("the notice is %+v", leaf)
			}
		}
		if !strings.Contains(after.Leaves[0].Text, "Hallo") || !strings.Contains(after.Leaves[0].Text, "was removed") {
			t.Errorf("the text does not tell of it: %s", after.Leaves[0].Text)
		}
		if !slices.Equal(alone.Fields, []string{"mime-version", "content-type", "content-transfer-encoding"}) {
			t.Errorf("fields of the notice that is alone: %v", alone.Fields)
		}
		for _, data := range [][]byte{r.delivered(t, first), r.delivered(t, second)} {
			if bytes.Contains(data, []byte(base64.StdEncoding.EncodeToString(octets[:30]))) {
				t.Error("the program is still in the mail")
			}
		}
	})
}

// TestOddLineEnds: HTML with line ends that are none. What the MTA makes of them is its own affair, which a run without active
// content shows; beside the HTML no octet may differ from that.
func TestOddLineEnds(t *testing.T) {
	r := newRigWith(t, setup{main: map[string]string{"smtpd_forbid_bare_newline": "no"}}, program(t, false), "")
	const head = "From: a@client.example\r\nTo: b@rcpt.example\r\nSubject: x\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@client.example>\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=mix\r\n\r\n"
	before := "--mix\r\nContent-Type: text/plain\r\n\r\nbare\nnewline, bare\rreturn, \r\r\n two returns\r\n\x00NUL\r\n--mix\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
	after := "\r\n--mix\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: 8bit\r\n\r\na\nb\rc\r\n--mix--\r\n"
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		c := connect(t, m, "127.0.2.25")
		message := func(html string) []byte {
			text := head + before + html + after
			if m.Name() == "sendmail" { // it ends the session at a bare newline, and at a bare return
				text = strings.NewReplacer("\r\n", "\r\n", "\r\r\n", "\r\n", "\n", " ", "\r", " ").Replace(text)
			}
			return r.delivered(t, send(t, c, between("a@client.example", "b@rcpt.example"), text, 250))
		}
		_, calm := fields(message("<p>one\ntwo\rthree</p>"))
		_, cleaned := fields(message("<p>one\n<script>alert(1)\r</script>two\rthree</p>"))
		front, back, _ := strings.Cut(calm, "<p>one")
		_, back, _ = strings.Cut(back, "</p>")
		if !strings.HasPrefix(cleaned, front) || !strings.HasSuffix(cleaned, back) {
			t.Errorf("untouched:\n%q\ncleaned:\n%q", calm, cleaned)
		}
		if strings.Contains(cleaned, "alert") || !strings.Contains(cleaned, "three</p>") {
			t.Errorf("cleaned:\n%q", cleaned)
		}
	})
}
