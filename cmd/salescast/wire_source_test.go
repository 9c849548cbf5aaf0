package main

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"salescast/pkg/artifact"
	"salescast/pkg/artifact/dir"
)

func TestStoreFiles(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	store, err := dir.New(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"sales/year=2024/a.csv", "sales/year=2025/b.csv.gz", "sales/year=2025/c.parquet", "sales/_SUCCESS", "sales/_tmp/d.csv",
		"sales/notes.txt", "sales.csv", "sales2/e.csv",
	} {
		if _, err := store.Put(t.Context(), name, strings.NewReader(name)); err != nil {
			t.Fatal(err)
		}
	}
	for source, want := range map[string][]string{
		"sales":                    {"sales/year=2024/a.csv", "sales/year=2025/b.csv.gz", "sales/year=2025/c.parquet"},
		"sales/":                   {"sales/year=2024/a.csv", "sales/year=2025/b.csv.gz", "sales/year=2025/c.parquet"},
		"sales.csv":                {"sales.csv"},
		"sales/notes.txt":          {"sales/notes.txt"},
		"sales/*/b*":               {"sales/year=2025/b.csv.gz"},
		"sales/year=202[45]/?.csv": {"sales/year=2024/a.csv"},
		"*.csv":                    {"sales.csv"},
		"":                         {"sales.csv", "sales/year=2024/a.csv", "sales/year=2025/b.csv.gz", "sales/year=2025/c.parquet", "sales2/e.csv"},
	} {
		folder, pattern := splitPattern(source)
		below, err := dir.New(root + "/" + folder)
		if err != nil {
			t.Fatal(err)
		}
		files, err := storeFiles(t.Context(), below, pattern)
		if err != nil {
			t.Errorf("%q: %v", source, err)
		}
		var got []string
		for _, f := range files {
			r, err := f.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err = errors.Join(err, r.Close()); err != nil || int64(len(b)) != f.Size {
				t.Errorf("%s: %d bytes, %v", f.Name, len(b), err)
			}
			got = append(got, string(b))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q is %q, want %q", source, got, want)
		}
	}
	for _, missing := range []string{"nothing", "sale", "*.nothing"} {
		if _, err := storeFiles(t.Context(), store, missing); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v, want fs.ErrNotExist", missing, err)
		}
	}
}

// What is read is what was listed, or an error.
func TestStoreFileChanges(t *testing.T) {
	t.Parallel()
	store, err := dir.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = store.Put(t.Context(), "a.csv", strings.NewReader("one")); err != nil {
		t.Fatal(err)
	}
	files, err := storeFiles(t.Context(), store, "a.csv")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = store.Put(t.Context(), "a.csv", strings.NewReader("two")); err != nil {
		t.Fatal(err)
	}
	for kind, read := range map[string]func(io.ReaderAt, io.Reader) error{
		"stream": func(_ io.ReaderAt, r io.Reader) error { _, err := io.ReadAll(r); return err },
		"random": func(r io.ReaderAt, _ io.Reader) error { _, err := r.ReadAt(make([]byte, 1), 0); return err },
	} {
		r, err := files[0].Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := read(r, r); !errors.Is(err, artifact.ErrChanged) {
			t.Errorf("%s: %v, want ErrChanged", kind, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
