package main

import (
	"regexp"
	"strings"
	"testing"
)

const pass = `{"Action":"output","Package":"p","Test":"TestA","Output":"hidden\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
`

func TestReport(t *testing.T) {
	tests := []struct {
		name, in string
		ok       bool
		want     string
	}{
		{"all pass", pass, true, "ok  \tp\t0.1s\n"},
		{"nothing ran", "", false, "testreport: no package was tested\n"},
		{"a failure is shown", `{"Action":"output","Package":"q","Test":"TestB","Output":"q_test.go:1: wrong\n"}
{"Action":"fail","Package":"q","Test":"TestB"}
{"Action":"output","Package":"q","Output":"FAIL\tq\t0.1s\n"}
{"Action":"fail","Package":"q"}
`, false, "q_test.go:1: wrong\nFAIL\tq\t0.1s\nfailed: q TestB\nfailed: q \n"},
		{"a package that does not build", `{"Action":"build-output","Output":"x.go:1: undefined: y\n"}
{"Action":"build-fail"}
{"Action":"output","Package":"q","Output":"FAIL\tq [build failed]\n"}
{"Action":"fail","Package":"q"}
`, false, "x.go:1: undefined: y\nFAIL\tq [build failed]\nfailed:  \nfailed: q \n"},
		{"a test that took the whole program along", `{"Action":"output","Package":"q","Test":"TestB","Output":"panic: x\n"}
{"Action":"output","Package":"q","Output":"FAIL\tq\t0.1s\n"}
{"Action":"fail","Package":"q"}
`, false, "panic: x\nFAIL\tq\t0.1s\nfailed: q \n"},
		{"an allowed skip", `{"Action":"output","Package":"p","Test":"TestC","Output":"=== RUN   TestC\n"}
{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:1: no vectors\n"}
{"Action":"output","Package":"p","Test":"TestC","Output":"--- SKIP: TestC (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestC"}
` + pass, true, "ok  \tp\t0.1s\nNOT RUN, as allowed here: p TestC: c_test.go:1: no vectors\n"},
		{"a skip that nobody allowed", `{"Action":"skip","Package":"p","Test":"TestC"}
` + pass, false, "ok  \tp\t0.1s\nNOT RUN, but it has to: p TestC: \n"},
		{"a part that passed without running", `{"Action":"output","Package":"p","Test":"TestD","Output":"    d_test.go:1: NOT RUN: no perl\n"}
{"Action":"pass","Package":"p","Test":"TestD"}
` + pass, false, "ok  \tp\t0.1s\nNOT RUN, but it has to: p TestD: d_test.go:1: NOT RUN: no perl\n"},
		{"a package without tests", `{"Action":"output","Package":"r","Output":"?   \tr\t[no test files]\n"}
{"Action":"skip","Package":"r"}
` + pass, true, "ok  \tp\t0.1s\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			r := &report{out: &out, allowed: regexp.MustCompile("no vectors"), said: map[string][]string{}}
			if err := r.read(strings.NewReader(tt.in)); err != nil {
				t.Fatal(err)
			}
			if ok := r.finish(); ok != tt.ok || out.String() != tt.want {
				t.Errorf("ok %t, printed %q, want %q", ok, out.String(), tt.want)
			}
		})
	}
}
