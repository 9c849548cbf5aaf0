package table_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"salescast/pkg/table"
)

func TestLocalFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, n := range []string{"b.csv", "a/year=2025/x.parquet", "a/_tmp.csv", ".hidden/x.csv", "notes.txt", "c.csv.gz"} {
		p := filepath.Join(dir, n)
		_ = os.MkdirAll(filepath.Dir(p), 0o755)
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names := func(source string) []string {
		fs, err := table.LocalFiles(t.Context(), filepath.Join(dir, source))
		var out []string
		for _, f := range fs {
			rel, _ := filepath.Rel(dir, f.Name)
			out = append(out, filepath.ToSlash(rel))
		}
		if err != nil {
			out = append(out, "error")
		}
		return out
	}
	for source, want := range map[string][]string{
		"": {"a/year=2025/x.parquet", "b.csv", "c.csv.gz"}, "*.csv": {"b.csv"}, "b.csv": {"b.csv"}, "none.csv": {"error"}, "*.none": {"error"}, "notes.txt": {"notes.txt"},
	} {
		if got := names(source); !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", source, got, want)
		}
	}
}
