// Package artifacttest is the conformance suite of artifact.Store: every implementation calls Exercise from a test.
package artifacttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"salescast/pkg/artifact"
)

// Exercise checks every law of the contract. Open is called once for each law and returns an empty store.
func Exercise(t *testing.T, open func(t *testing.T) artifact.Store) {
	t.Helper()
	laws := []struct {
		name string
		run  func(t *testing.T, s artifact.Store)
	}{
		{"what is put is got", roundTrip},
		{"a missing name", missing},
		{"unclean names are refused", unclean},
		{"put replaces and is idempotent", put},
		{"put is atomic", atomic},
		{"create is exclusive", create},
		{"replace compares", replace},
		{"list is ordered and complete", list},
		{"random access", readAt},
		{"delete", remove},
		{"a cancelled context", cancelled},
		{"links", link},
	}
	for _, l := range laws {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.run(t, open(t))
		})
	}
}

func mustPut(t *testing.T, s artifact.Store, name, content string) artifact.Info {
	t.Helper()
	i, err := s.Put(t.Context(), name, strings.NewReader(content))
	if err != nil {
		t.Fatalf("Put(%q): %v", name, err)
	}
	return i
}

func content(t *testing.T, s artifact.Store, name string) string {
	t.Helper()
	r, _, err := s.Get(t.Context(), name)
	if err != nil {
		t.Fatalf("Get(%q): %v", name, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read %q: %v", name, err)
	}
	return string(b)
}

func wantIs(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: error %v, want one that wraps %v", what, err, target)
	}
}

func roundTrip(t *testing.T, s artifact.Store) {
	big := strings.Repeat("0123456789abcdef", 1<<16) // larger than one buffer or part of most clients
	for name, want := range map[string]string{
		"a": "x", "empty": "", "deep/er/and/deeper.json": "{}", "with space and ümläut+%25#?.csv": "odd", "big.bin": big,
		"d/.hidden": "h", strings.Repeat("n", 200): "long",
	} {
		i := mustPut(t, s, name, want)
		if i.Name != name || i.Size != int64(len(want)) || i.ETag == "" {
			t.Errorf("Put(%q) = %+v, want its name, size %d and an ETag", name, i, len(want))
		}
		if got := content(t, s, name); got != want {
			t.Errorf("Get(%q): %d bytes, want the %d that were put", name, len(got), len(want))
		}
		st, err := s.Stat(t.Context(), name)
		if err != nil || st.Name != name || st.Size != i.Size || st.ETag != i.ETag || st.Modified.IsZero() {
			t.Errorf("Stat(%q) = %+v, %v, want what Put returned: %+v", name, st, err, i)
		}
		_, gi, err := getInfo(t.Context(), s, name)
		if err != nil || gi.Size != i.Size || gi.ETag != i.ETag || gi.Name != name {
			t.Errorf("Get(%q) info = %+v, %v, want %+v", name, gi, err, i)
		}
		if s.URL(name) == "" {
			t.Errorf("URL(%q) is empty", name)
		}
	}
}

func getInfo(ctx context.Context, s artifact.Store, name string) ([]byte, artifact.Info, error) {
	r, i, err := s.Get(ctx, name)
	if err != nil {
		return nil, i, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return b, i, err
}

func missing(t *testing.T, s artifact.Store) {
	mustPut(t, s, "folder/file", "x")
	// A folder is not an object, and neither is something below an object.
	for _, name := range []string{"nothing", "folder", "folder/other", "folder/file/below"} {
		_, _, err := s.Get(t.Context(), name)
		wantIs(t, "Get("+name+")", err, fs.ErrNotExist)
		_, err = s.Stat(t.Context(), name)
		wantIs(t, "Stat("+name+")", err, fs.ErrNotExist)
		_, err = s.ReadAt(t.Context(), name)
		wantIs(t, "ReadAt("+name+")", err, fs.ErrNotExist)
		if err := s.Delete(t.Context(), name); err != nil {
			t.Errorf("Delete(%q) of a missing name: %v, want none", name, err)
		}
	}
	if got := content(t, s, "folder/file"); got != "x" {
		t.Errorf("deleting missing names beside it changed folder/file to %q", got)
	}
}

func unclean(t *testing.T, s artifact.Store) {
	for _, name := range []string{"", "/abs", "../up", "a/../b", "a/..", "./a", "a//b", "a/", ".", "..", `a\b`, "nul\x00", "line\n", "\xff", strings.Repeat("x", 2000)} {
		_, err := s.Put(t.Context(), name, strings.NewReader("x"))
		wantIs(t, fmt.Sprintf("Put(%q)", name), err, fs.ErrInvalid)
		_, err = s.Create(t.Context(), name, strings.NewReader("x"))
		wantIs(t, fmt.Sprintf("Create(%q)", name), err, fs.ErrInvalid)
		_, err = s.Replace(t.Context(), name, "tag", strings.NewReader("x"))
		wantIs(t, fmt.Sprintf("Replace(%q)", name), err, fs.ErrInvalid)
		_, _, err = s.Get(t.Context(), name)
		wantIs(t, fmt.Sprintf("Get(%q)", name), err, fs.ErrInvalid)
		_, err = s.Stat(t.Context(), name)
		wantIs(t, fmt.Sprintf("Stat(%q)", name), err, fs.ErrInvalid)
		wantIs(t, fmt.Sprintf("Delete(%q)", name), s.Delete(t.Context(), name), fs.ErrInvalid)
	}
}

func put(t *testing.T, s artifact.Store) {
	mustPut(t, s, "a/b", "first, and longer")
	mustPut(t, s, "a/b", "second")
	mustPut(t, s, "a/b", "second")
	if got := content(t, s, "a/b"); got != "second" {
		t.Errorf("after the second Put: %q", got)
	}
	// A reader that is open while the name is written anew reads one version, whole.
	r, _, err := s.Get(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	mustPut(t, s, "a/b", "third!")
	b, err := io.ReadAll(r)
	if err != nil || string(b) != "second" && string(b) != "third!" {
		t.Errorf("a reader during Put got %q, %v", b, err)
	}
}

var errSource = errors.New("the source broke")

func atomic(t *testing.T, s artifact.Store) {
	broken := func() io.Reader {
		return io.MultiReader(bytes.NewReader(make([]byte, 100_000)), errReader{})
	}
	mustPut(t, s, "old", "old")
	i, err := s.Stat(t.Context(), "old")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Put(t.Context(), "old", broken())
	wantIs(t, "Put of a broken source", err, errSource)
	_, err = s.Replace(t.Context(), "old", i.ETag, broken())
	wantIs(t, "Replace by a broken source", err, errSource)
	if got := content(t, s, "old"); got != "old" {
		t.Errorf("a failed write left %d other bytes", len(got))
	}
	_, err = s.Create(t.Context(), "new", broken())
	wantIs(t, "Create of a broken source", err, errSource)
	_, err = s.Stat(t.Context(), "new")
	wantIs(t, "Stat after a failed Create", err, fs.ErrNotExist)
	if got := names(t, s, ""); !slices.Equal(got, []string{"old"}) {
		t.Errorf("failed writes left %v, want old alone", got)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errSource }

func create(t *testing.T, s artifact.Store) {
	if _, err := s.Create(t.Context(), "one/name", strings.NewReader("first")); err != nil {
		t.Fatal(err)
	}
	_, err := s.Create(t.Context(), "one/name", strings.NewReader("second"))
	wantIs(t, "second Create", err, fs.ErrExist)
	if got := content(t, s, "one/name"); got != "first" {
		t.Errorf("the second Create changed the content to %q", got)
	}
	won := race(t, func(i int) error {
		_, err := s.Create(t.Context(), "contended", strings.NewReader(strconv.Itoa(i)))
		return err
	}, fs.ErrExist)
	if got := content(t, s, "contended"); got != strconv.Itoa(won) {
		t.Errorf("content %q, but Create number %d succeeded", got, won)
	}
}

func replace(t *testing.T, s artifact.Store) {
	_, err := s.Replace(t.Context(), "a", "whatever", strings.NewReader("x"))
	wantIs(t, "Replace of a missing name", err, artifact.ErrChanged)
	first := mustPut(t, s, "a", "first")
	second, err := s.Replace(t.Context(), "a", first.ETag, strings.NewReader("other"))
	if err != nil {
		t.Fatalf("Replace with the current ETag: %v", err)
	}
	if st, err := s.Stat(t.Context(), "a"); err != nil || st.ETag != second.ETag {
		t.Errorf("Stat after Replace: %+v, %v, want ETag %s", st, err, second.ETag)
	}
	_, err = s.Replace(t.Context(), "a", first.ETag, strings.NewReader("late"))
	wantIs(t, "Replace with a stale ETag", err, artifact.ErrChanged)
	if got := content(t, s, "a"); got != "other" {
		t.Errorf("a stale Replace left %q", got)
	}
	won := race(t, func(i int) error {
		_, err := s.Replace(t.Context(), "a", second.ETag, strings.NewReader(fmt.Sprintf("winner %d", i)))
		return err
	}, artifact.ErrChanged)
	if got := content(t, s, "a"); got != fmt.Sprintf("winner %d", won) {
		t.Errorf("content %q, but Replace number %d succeeded", got, won)
	}
}

// race runs try concurrently and returns which call succeeded: exactly one must, and the others must wrap lost.
func race(t *testing.T, try func(i int) error, lost error) int {
	t.Helper()
	const n = 8
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = try(i) })
	}
	wg.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won >= 0:
			t.Errorf("calls %d and %d both succeeded", won, i)
		case err == nil:
			won = i
		default:
			wantIs(t, "a call that lost", err, lost)
		}
	}
	if won < 0 {
		t.Error("no call succeeded")
	}
	return won
}

func names(t *testing.T, s artifact.Store, prefix string) []string {
	t.Helper()
	var got []string
	for i, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("List(%q): %v", prefix, err)
		}
		got = append(got, i.Name)
	}
	return got
}

func list(t *testing.T, s artifact.Store) {
	if got := names(t, s, ""); len(got) != 0 {
		t.Errorf("an empty store lists %v", got)
	}
	if got := names(t, s, "no/such/"); len(got) != 0 {
		t.Errorf("a missing prefix lists %v", got)
	}
	all := []string{"a", "a-b", "a.b", "a/b", "a/b-c", "a/b/c", "a/b0", "a0", "é"}
	slices.Sort(all)
	for _, n := range slices.Backward(all) {
		if n == "a" || n == "a/b" { // on a folder these are folders
			continue
		}
		mustPut(t, s, n, n)
	}
	all = slices.DeleteFunc(all, func(n string) bool { return n == "a" || n == "a/b" })
	for _, prefix := range []string{"", "a", "a/", "a/b", "a/b/", "a/b/c", "a-", "b", "a/b/c/d"} {
		var want []string
		for _, n := range all {
			if strings.HasPrefix(n, prefix) {
				want = append(want, n)
			}
		}
		if got := names(t, s, prefix); !slices.Equal(got, want) {
			t.Errorf("List(%q) = %q, want %q", prefix, got, want)
		}
	}
	for i, err := range s.List(t.Context(), "a0") {
		if st, serr := s.Stat(t.Context(), "a0"); err != nil || serr != nil || i.Size != st.Size || i.ETag != st.ETag {
			t.Errorf("List says %+v, Stat %+v, %v, %v", i, st, err, serr)
		}
	}
	for _, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Error(err)
		}
		break // stopping early is allowed
	}
	for _, err := range s.List(t.Context(), "../x") {
		wantIs(t, "List(../x)", err, fs.ErrInvalid)
	}
	// More names than one answer of an object store holds.
	for i := range 1005 {
		mustPut(t, s, fmt.Sprintf("many/%04d", i), "")
	}
	if got := names(t, s, "many/"); len(got) != 1005 || !slices.IsSorted(got) {
		t.Errorf("List(many/) gave %d names, sorted %t, want 1005 in order", len(got), slices.IsSorted(got))
	}
}

func readAt(t *testing.T, s artifact.Store) {
	want := bytes.Repeat([]byte("salescast "), 20_000)
	mustPut(t, s, "x.parquet", string(want))
	r, err := s.ReadAt(t.Context(), "x.parquet")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Size() != int64(len(want)) {
		t.Fatalf("Size() = %d, want %d", r.Size(), len(want))
	}
	var wg sync.WaitGroup
	for _, off := range []int{0, 1, 99_999, len(want) - 10} {
		wg.Go(func() {
			b := make([]byte, 10)
			if n, err := r.ReadAt(b, int64(off)); n != 10 || err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(b, want[off:off+10]) {
				t.Errorf("ReadAt(10 bytes at %d) = %d, %v, %q", off, n, err, b)
			}
		})
	}
	wg.Wait()
	b := make([]byte, 10)
	if n, err := r.ReadAt(b, int64(len(want)-3)); n != 3 || !errors.Is(err, io.EOF) {
		t.Errorf("ReadAt over the end = %d, %v, want 3, EOF", n, err)
	}
	if n, err := r.ReadAt(b, int64(len(want)+5)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("ReadAt behind the end = %d, %v, want 0, EOF", n, err)
	}
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("reading all through a section: %d bytes, %v", len(got), err)
	}
}

func remove(t *testing.T, s artifact.Store) {
	mustPut(t, s, "a/b", "x")
	mustPut(t, s, "a/c", "y")
	for range 2 {
		if err := s.Delete(t.Context(), "a/b"); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, s, ""); !slices.Equal(got, []string{"a/c"}) {
		t.Errorf("after Delete: %v", got)
	}
	if err := s.Delete(t.Context(), "a/c"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), "a", strings.NewReader("the folder's name is free")); err != nil {
		t.Errorf("Create(a) after everything below was deleted: %v", err)
	}
}

func cancelled(t *testing.T, s artifact.Store) {
	mustPut(t, s, "a", "x")
	ctx, cancel := context.WithCancel(t.Context())
	// Cancelled in the middle of a write.
	_, err := s.Put(ctx, "half", io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), readerFunc(func([]byte) (int, error) {
		cancel()
		return 0, nil
	}), bytes.NewReader(make([]byte, 1<<20))))
	wantIs(t, "Put cancelled half-way", err, context.Canceled)
	_, err = s.Stat(t.Context(), "half")
	wantIs(t, "Stat after a cancelled Put", err, fs.ErrNotExist)

	_, err = s.Put(ctx, "b", strings.NewReader("x"))
	wantIs(t, "Put", err, context.Canceled)
	_, _, err = s.Get(ctx, "a")
	wantIs(t, "Get", err, context.Canceled)
	_, err = s.Stat(ctx, "a")
	wantIs(t, "Stat", err, context.Canceled)
	wantIs(t, "Delete", s.Delete(ctx, "a"), context.Canceled)
	for _, err := range s.List(ctx, "") {
		wantIs(t, "List", err, context.Canceled)
	}
	if got := names(t, s, ""); !slices.Equal(got, []string{"a"}) {
		t.Errorf("names after cancelled calls: %v, want a", got)
	}
}

// readerFunc is asked once and is then at its end.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) {
	n, err := f(p)
	if err == nil {
		err = io.EOF
	}
	return n, err
}

func link(t *testing.T, s artifact.Store) {
	l, ok := s.(artifact.Linker)
	if !ok {
		return // the contract leaves it open
	}
	mustPut(t, s, "attempts/1/m.json", "one")
	mustPut(t, s, "attempts/2/m.json", "two")
	for _, v := range []struct{ name, want string }{{"attempts/1/m.json", "one"}, {"attempts/1/m.json", "one"}, {"attempts/2/m.json", "two"}} {
		if err := l.Link(t.Context(), v.name, "m.json"); err != nil {
			t.Fatal(err)
		}
		if got := content(t, s, "m.json"); got != v.want {
			t.Errorf("m.json reads %q, want %q", got, v.want)
		}
	}
	mustPut(t, s, "m.json", "three")
	if got := content(t, s, "attempts/2/m.json"); got != "two" {
		t.Errorf("writing the alias changed the object to %q", got)
	}
	wantIs(t, "Link of a missing name", l.Link(t.Context(), "nothing", "x"), fs.ErrNotExist)
	wantIs(t, "Link to an unclean alias", l.Link(t.Context(), "m.json", "../x"), fs.ErrInvalid)
	if err := s.Delete(t.Context(), "m.json"); err != nil {
		t.Fatal(err)
	}
	if got := content(t, s, "attempts/1/m.json"); got != "one" {
		t.Errorf("deleting the alias changed the object to %q", got)
	}
}
