package message

import "testing"

func TestCheckSpool(t *testing.T) {
	dir := t.TempDir()
	if err := CheckSpool(Limits{TempDir: dir}); err != nil {
		t.Errorf("writable directory: %v", err)
	}
	if err := CheckSpool(Limits{TempDir: dir + "/absent"}); err == nil {
		t.Error("an absent directory passes")
	}
}
