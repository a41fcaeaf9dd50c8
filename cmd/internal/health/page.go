package health

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Pages serves
//
//	/livez    200 while the process makes progress, draining or not: restart it otherwise
//	/readyz   200 while every check succeeds, one line for each; 503 otherwise, and while draining: send no mail here
//	/healthz  the same as one word, "ok", or the reasons
//
// all of them as text, or as JSON with ?format=json.
func Pages(mux *http.ServeMux, report func() Report, alive func() error) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, r *http.Request) {
		err := alive()
		text := "ok\n"
		if err != nil {
			text = err.Error() + "\n"
		}
		reply(w, r, err == nil, text, struct {
			Alive bool `json:"alive"`
		}{err == nil})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		now := report()
		reply(w, r, now.Ready, now.Text(), now)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		now := report()
		text := "ok\n"
		if err := now.Err(); err != nil {
			text = err.Error() + "\n"
		}
		reply(w, r, now.Ready, text, now)
	})
}

// Text is the report for people, one line for each check.
func (r Report) Text() string {
	var b strings.Builder
	for _, c := range r.Checks {
		word := "ok"
		if !c.OK {
			word = "FAILED"
		}
		fmt.Fprintf(&b, "%-6s %s: %s\n", word, c.Name, c.Detail)
	}
	return b.String()
}

// reply writes one page.
func reply(w http.ResponseWriter, r *http.Request, ok bool, text string, data any) {
	status, kind, body := http.StatusOK, "text/plain; charset=utf-8", []byte(text)
	if !ok {
		status = http.StatusServiceUnavailable
	}
	if r.URL.Query().Get("format") == "json" {
		encoded, err := json.Marshal(data)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		kind, body = "application/json", append(encoded, '\n')
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
