package forecasttest

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"testing"
)

// Fixtures reads what another implementation made of at least that many series: testdata/cases.json.gz of the package under test.
func Fixtures[T any](t testing.TB, least int) []T {
	t.Helper()
	f, err := os.Open("testdata/cases.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []T
	if err := json.NewDecoder(z).Decode(&out); err != nil {
		t.Fatal(err)
	}
	if len(out) < least {
		t.Fatalf("%d fixtures, want %d or more", len(out), least)
	}
	return out
}
