package peers

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The other implementations are programs: dkimpy (Debian's python3-dkim) and Mail::DKIM (Debian's libmail-dkim-perl).
// Both sign every NAME.eml of a folder as NAME.signed, and verify every NAME.case with the key records of NAME.keys, one
// "name TAB record" in a line. For each case they print its name and, for each signature from the top, 1 or 0; "-" stands
// for a message in which they see none.
const (
	dkimpyProgram = `
import base64, dkim, glob, sys
folder, job = sys.argv[1:3]
def sign():
    rsa = open(folder + '/rsa.pem', 'rb').read()
    ed = open(folder + '/ed.seed', 'rb').read()
    forms = [b'simple', b'relaxed']
    for n, name in enumerate(sorted(glob.glob(folder + '/*.eml'))):
        text = open(name, 'rb').read()
        canon = (forms[n & 1], forms[n >> 1 & 1])
        more = dict(length=n % 3 == 2)
        if n % 4 == 3:
            more.update(include_headers=[b'From', b'To', b'Subject', b'X-None', b'From', b'Subject'])
        if n % 5 == 4:
            more.update(identity=b'someone@mail.example.com')
        sig = dkim.sign(text, b'rsa', b'example.com', rsa, canonicalize=canon, **more)
        if n % 6 > 3:
            ed_sig = dkim.sign(text, b'ed', b'example.com', ed, canonicalize=canon, signature_algorithm=b'ed25519-sha256')
            sig = ed_sig + (sig if n % 6 == 5 else b'')
        open(name[:-4] + '.signed', 'wb').write(sig + text)
def verify():
    for name in sorted(glob.glob(folder + '/*.case')):
        text = open(name, 'rb').read()
        keys = dict(l.split(b'\t', 1) for l in open(name[:-5] + '.keys', 'rb').read().splitlines() if l)
        def ask(q, timeout=5):
            return keys.get(q.rstrip(b'.').lower())
        out, n = '', 0
        try:
            d = dkim.DKIM(text)
            n = sum(1 for k, v in d.headers if k.lower() == b'dkim-signature')
        except Exception as e:
            pass
        for i in range(n):
            try:
                out += '1' if dkim.DKIM(text).verify(idx=i, dnsfunc=ask) else '0'
            except Exception:
                out += '0'
        print(name.split('/')[-1][:-5], out or '-')
sign() if job == 'sign' else verify()
`
	mailDKIMProgram = `
use strict; use Mail::DKIM::Signer; use Mail::DKIM::Verifier; use Net::DNS;
my ($folder, $job) = @ARGV;
sub slurp { open my $in, '<:raw', $_[0] or die; local $/; my $text = <$in>; return $text }
if ($job eq 'sign') {
    my @forms = qw(simple relaxed); my $n = 0;
    for my $name (sort glob("$folder/*.eml")) {
        my %more;
        $more{Identity} = 'a@mail.example.com' if $n % 3 == 1;
        my $signer = Mail::DKIM::Signer->new(Algorithm => 'rsa-sha256', Domain => 'example.com', Selector => 'rsa',
            Method => $forms[$n & 1] . '/' . $forms[$n >> 1 & 1], KeyFile => "$folder/rsa.pem", %more);
        $signer->extended_headers({ From => '*', Subject => '+', To => '*' }) if $n % 4 == 3;
        $n++;
        my $text = slurp($name);
        $signer->PRINT($text); $signer->CLOSE;
        my $sig = $signer->signature;
        $sig->prettify if $n % 2;
        (my $to = $name) =~ s/eml$/signed/;
        open my $out, '>:raw', $to or die;
        print $out $sig->as_string, "\r\n", $text;
    }
    exit;
}
our %keys;
no warnings 'redefine';
*Mail::DKIM::DNS::query = sub {
    my $record = $keys{lc $_[0]};
    $@ = 'NXDOMAIN';
    return unless defined $record;
    return Net::DNS::RR->new(owner => 'x.example', type => 'TXT', txtdata => [ $record =~ /(.{1,255})/gs ]);
};
for my $name (sort glob("$folder/*.case")) {
    (my $of = $name) =~ s/case$/keys/;
    %keys = map { my ($n, $r) = split /\t/, $_, 2; ($n => $r) } split /\n/, slurp($of);
    my $verifier = Mail::DKIM::Verifier->new;
    my $out = '';
    eval {
        $verifier->PRINT(slurp($name)); $verifier->CLOSE;
        $out .= ($_->result || '') eq 'pass' ? '1' : '0' for $verifier->signatures;
    };
    (my $short = $name) =~ s{.*/|\.case$}{}g;
    print "$short ", $out eq '' ? '-' : $out, "\n";
}
`
)

// A peer is another implementation that can be run.
type peer struct {
	name, command, program string
	probe, run             []string
}

var dkimpy = peer{
	"dkimpy", "/usr/bin/python3", dkimpyProgram, []string{"-c", "import dkim, nacl"}, []string{"-c"},
}

var mailDKIM = peer{
	"Mail::DKIM", "/usr/bin/perl", mailDKIMProgram, []string{"-MMail::DKIM::Verifier", "-e1"}, []string{"-e"},
}

// missing says why the peer cannot be run, nil if it can.
func (p peer) missing() error { return exec.Command(p.command, p.probe...).Run() }

// do has the peer sign or verify what is in a folder, and returns what it printed.
func (p peer) do(t *testing.T, dir, job string) string {
	t.Helper()
	c := exec.Command(p.command, append(p.run, p.program, dir, job)...)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", p.name, job, err, stderr.String())
	}
	return string(out)
}

// verdicts has the peer verify a folder, and returns its verdicts by case.
func (p peer) verdicts(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(p.do(t, dir, "verify")) {
		name, verdict, _ := strings.Cut(strings.TrimSpace(line), " ")
		out[name] = verdict
	}
	return out
}

// writeKeys writes the private keys of signers in the forms that the peers read.
func writeKeys(t *testing.T, dir string, keys []signer) {
	t.Helper()
	for _, s := range keys {
		switch k := s.key.(type) {
		case *rsa.PrivateKey:
			block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}
			write(t, filepath.Join(dir, "rsa.pem"), string(pem.EncodeToMemory(block)))
		case ed25519.PrivateKey:
			write(t, filepath.Join(dir, "ed.seed"), base64.StdEncoding.EncodeToString(k.Seed()))
		}
	}
}

// write writes a file.
func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// signedBy returns messages that the peer has signed, and their texts before.
func signedBy(t *testing.T, p peer, keys []signer, messages []string) []string {
	t.Helper()
	dir := t.TempDir()
	writeKeys(t, dir, keys)
	for i, m := range messages {
		write(t, filepath.Join(dir, fmt.Sprintf("%04d.eml", i)), m)
	}
	p.do(t, dir, "sign")
	out := make([]string, len(messages))
	for i := range messages {
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%04d.signed", i)))
		if err != nil {
			t.Fatal(err)
		}
		out[i] = string(text)
	}
	return out
}

// sign signs a digest of SHA-256.
func (s signer) sign(t testing.TB, digest []byte) []byte {
	t.Helper()
	opt := crypto.SignerOpts(crypto.SHA256)
	if _, ok := s.key.(ed25519.PrivateKey); ok {
		opt = crypto.Hash(0)
	}
	sig, err := s.key.Sign(nil, digest, opt)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}
