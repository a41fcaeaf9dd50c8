package html

import (
	"assay/verify/vectors"
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"assay/scan"
	"assay/verify/message"
)

// A vector is one hostile document.
type vector struct {
	ID   string `json:"id"`
	Type string `json:"ct"`
	HTML string `json:"html"`
	src  []byte
}

// hostile returns all hostile documents.
func hostile(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectors.Path(t, "scan/html"), "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	var all []vector
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var v vector
			if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
				t.Fatal(err)
			}
			if v.src, err = base64.StdEncoding.DecodeString(v.HTML); err != nil {
				t.Fatal(err)
			}
			all = append(all, v)
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// newsletters returns the documents that have to stay as they are.
func newsletters(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectors.Path(t, "scan/newsletters"), "*.html"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no newsletters: %v", err)
	}
	all := make(map[string][]byte, len(files))
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(name)] = src
	}
	return all
}

func TestVectorsAreMadeSafe(t *testing.T) {
	for _, v := range hostile(t) {
		for _, level := range []scan.Level{scan.Active, scan.Remote} {
			r := Clean(v.src, charsetOf(v.Type), level, Options{})
			mustBeSafe(t, v.ID, r, charsetOf(v.Type), level)
			if r.Fallback != NoFallback {
				t.Logf("%s %s: fallback %s", v.ID, level, r.Fallback)
			}
		}
	}
}

func TestNewslettersStayAsTheyAre(t *testing.T) {
	docs := newsletters(t)
	same := 0
	for name, src := range docs {
		r := Clean(src, "utf-8", scan.Active, Options{})
		mustBeSafe(t, name, r, "utf-8", scan.Active)
		if !r.Changed {
			same++
			continue
		}
		t.Logf("%s: changed, %v %s", name, r.Taken, r.Fallback)
	}
	if same*100 < len(docs)*95 {
		t.Errorf("%d of %d newsletters are the same, want at least 95 %%", same, len(docs))
	}
}

// TestMailsAreMadeSafe scans whole mails, and reads what the edits of HTML bodies put in.
func TestMailsAreMadeSafe(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(vectors.Path(t, "scan/mime-corpus"), "*.eml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no mails: %v", err)
	}
	bodies, edits := 0, 0
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := message.Read(file, message.Envelope{}, message.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for _, remedy := range (&Scanner{}).Scan(t.Context(), m).Remedies {
			bodies++
			edit, taken, ok := remedy.Edit(scan.Active)
			if !ok {
				continue
			}
			edits++
			t.Logf("%s %s: %q %v", filepath.Base(name), remedy.Section, edit.MediaType, taken)
			if edit.Part.MediaType != "text/html" || edit.MediaType == "text/plain" {
				continue
			}
			charset := edit.Part.Params["charset"]
			if edit.MediaType != "" {
				charset = "utf-8"
			}
			mustBeSafe(t, name, Result{Output: edit.Content}, charset, scan.Active)
		}
		if err := errors.Join(m.Close(), file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d HTML parts, %d are edited at level active", bodies, edits)
}
