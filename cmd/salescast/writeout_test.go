package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"
)

// What the command line names stays what it is: a file is replaced, a link followed, a device and a pipe written into.
func TestWriteOutReplacesFilesAlone(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	for _, err := range []error{
		os.WriteFile(at("old"), []byte("before"), 0o600), os.Symlink("old", at("link")), os.Symlink("later", at("dangling")),
		os.Symlink("/dev/null", at("null")), unix.Mkfifo(at("pipe"), 0o600), unix.Mkfifo(at("unread"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	read := make(chan []byte, 1)
	go func() {
		b, err := os.ReadFile(at("pipe"))
		if err != nil {
			t.Error(err)
		}
		read <- b
	}()
	for _, name := range []string{"new", "old", "link", "dangling", "null"} {
		if err := writeOut(at(name), strings.NewReader("now")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for writeOut(at("pipe"), strings.NewReader("now")) != nil { // until its reader is there
		time.Sleep(time.Millisecond)
	}
	if got := <-read; string(got) != "now" {
		t.Errorf("the pipe gave %q", got)
	}
	for _, name := range []string{"new", "old", "later"} {
		b, err := os.ReadFile(at(name))
		if err != nil || string(b) != "now" {
			t.Errorf("%s holds %q, error %v", name, b, err)
		}
	}
	for name, want := range map[string]fs.FileMode{"link": fs.ModeSymlink, "dangling": fs.ModeSymlink, "null": fs.ModeSymlink, "pipe": fs.ModeNamedPipe, "old": 0} {
		if fi, err := os.Lstat(at(name)); err != nil || fi.Mode().Type() != want {
			t.Errorf("%s is now %v, error %v", name, fi, err)
		}
	}
	if fi, err := os.Stat(at("old")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the mode of a replaced file is %v, error %v", fi.Mode(), err)
	}
	if err := writeOut(at("unread"), strings.NewReader("now")); !errors.Is(err, unix.ENXIO) {
		t.Errorf("a pipe that nobody reads gives %v", err)
	}
	if err := writeOut(folder, strings.NewReader("now")); !errors.Is(err, unix.EISDIR) {
		t.Errorf("a folder gives %v", err)
	}
}

// Nothing leaves before all has been read without an error, whatever its size, and a file stays as it was.
func TestNothingLeavesBeforeItIsChecked(t *testing.T) {
	t.Parallel()
	broken := errors.New("its SHA-256 is another")
	for _, size := range []int{0, 10, smallFile - 1, smallFile, smallFile + 10} {
		var out bytes.Buffer
		whole := bytes.Repeat([]byte("x"), size)
		if err := checkedCopy(&out, bytes.NewReader(whole)); err != nil || !bytes.Equal(out.Bytes(), whole) {
			t.Errorf("%d bytes: %d came, error %v", size, out.Len(), err)
		}
		out.Reset()
		if err := checkedCopy(&out, io.MultiReader(bytes.NewReader(whole), iotest.ErrReader(broken))); !errors.Is(err, broken) || out.Len() > 0 {
			t.Errorf("%d broken bytes: %d came, error %v", size, out.Len(), err)
		}
		kept := filepath.Join(t.TempDir(), "kept")
		if err := os.WriteFile(kept, []byte("before"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := writeOut(kept, io.MultiReader(bytes.NewReader(whole), iotest.ErrReader(broken))); !errors.Is(err, broken) {
			t.Errorf("%d broken bytes: error %v", size, err)
		}
		if b, err := os.ReadFile(kept); err != nil || string(b) != "before" {
			t.Errorf("a broken file replaced the old one: %q, %v", b, err)
		}
	}
}
