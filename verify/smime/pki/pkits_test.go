package pki

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A pkitsCase is one path of the Public Key Interoperability Test Suite of NIST.
type pkitsCase struct {
	Name                        string
	CertPath                    []string
	ShouldValidate              bool
	InitialPolicySet            []string
	InitialPolicyMappingInhibit bool
	InitialExplicitPolicy       bool
	InitialAnyPolicyInhibit     bool
}

// pkitsDiffers are the cases that are decided otherwise, and why. None of them is accepted wrongly but for its CRL, which
// the copy that comes with Go does not have.
var pkitsDiffers = map[string]string{
	"4.1.4 Valid DSA Signatures Test4":                        "DSA is not supported",
	"4.1.5 Valid DSA Parameter Inheritance Test5":             "DSA is not supported",
	"4.5.2 Invalid Basic Self-Issued Old With New Test2":      "revoked",
	"4.5.5 Invalid Basic Self-Issued New With Old Test5":      "revoked",
	"4.5.7 Invalid Basic Self-Issued CRL Signing Key Test7":   "the key of the CRL must not sign certificates",
	"4.7.4 Invalid keyUsage Critical cRLSign False Test4":     "the CRL is signed with a key that must not",
	"4.7.5 Invalid keyUsage Not Critical cRLSign False Test5": "the CRL is signed with a key that must not",
	"4.6.15 Valid Self-Issued pathLenConstraint Test15":       "crypto/x509 counts self-issued certificates",
	"4.6.17 Valid Self-Issued pathLenConstraint Test17":       "crypto/x509 counts self-issued certificates",
	"4.13.25 Valid RFC822 nameConstraints Test25":             "crypto/x509 excludes what is below an excluded host",
	"4.13.36 Valid URI nameConstraints Test36":                "crypto/x509 excludes what is below an excluded host",
	"4.14.4 Valid distributionPoint Test4":                    "crypto/x509 does not parse the certificate",
	"4.14.5 Valid distributionPoint Test5":                    "crypto/x509 does not parse the certificate",
	"4.14.29 Valid cRLIssuer Test29":                          "crypto/x509 does not parse the certificate",
}

// TestPKITS runs the paths of PKITS that Go comes with. The suite has no e-mail usage; none of its certificates has
// extended key usages, so the private root takes them.
func TestPKITS(t *testing.T) {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("NOT RUN: no go command to ask for its test data (foreign vectors, like those of ASSAY_VECTORS): %v", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(goroot)), "src/crypto/x509/testdata/nist-pkits")
	data, err := os.ReadFile(filepath.Join(dir, "vectors.json"))
	if err != nil {
		t.Skipf("NOT RUN: Go was installed without its test data (foreign vectors, like those of ASSAY_VECTORS): %v", err)
	}
	var cases []pkitsCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	run, right := 0, 0
	for _, c := range cases {
		if c.InitialPolicyMappingInhibit || c.InitialExplicitPolicy || c.InitialAnyPolicyInhibit || !slices.Equal(c.InitialPolicySet, []string{"anyPolicy"}) {
			continue // there is no way to ask these questions
		}
		t.Run(c.Name, func(t *testing.T) {
			run++
			if !c.ShouldValidate && revocationOnly(c.Name) {
				t.Logf("its only fault is a CRL")
				return
			}
			r, err := pkitsPath(dir, c.CertPath)
			got := err == nil && r.Trust == Private
			switch why := pkitsDiffers[c.Name]; {
			case got == c.ShouldValidate && why != "":
				t.Errorf("listed as different (%s), but it is not", why)
			case got == c.ShouldValidate:
				right++
			case why == "":
				t.Errorf("good: %v, want %v: %s %s %v", got, c.ShouldValidate, r.Trust, r.Reason, err)
			}
		})
	}
	t.Logf("%d of %d", right, run)
}

// revocationOnly says whether the fault of a case is that a certificate is revoked or its CRL is not there.
func revocationOnly(name string) bool {
	for _, section := range []string{"4.4.", "4.14.", "4.15."} {
		if strings.HasPrefix(name, section) {
			return true
		}
	}
	return false
}

func pkitsPath(dir string, names []string) (Result, error) {
	var path []*x509.Certificate
	for _, name := range names {
		der, err := os.ReadFile(filepath.Join(dir, "certs", name))
		if err != nil {
			return Result{}, err
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return Result{}, err
		}
		path = append(path, c)
	}
	s := &Store{}
	s.AddAnchor(&Anchor{Certificate: path[0], Label: "PKITS"})
	last := len(path) - 1
	at := time.Date(2014, 1, 1, 0, 0, 0, 0, time.UTC)
	return New(s, Options{MinRSABits: 1024}).Path(context.Background(), Query{Leaf: path[last], Pool: path[1:last], At: at}), nil
}
