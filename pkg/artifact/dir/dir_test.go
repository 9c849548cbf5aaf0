package dir_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"salescast/pkg/artifact"
	"salescast/pkg/artifact/artifacttest"
	"salescast/pkg/artifact/dir"
)

func TestStore(t *testing.T) {
	t.Parallel()
	artifacttest.Exercise(t, func(t *testing.T) artifact.Store {
		s, err := dir.New(filepath.Join(t.TempDir(), "work space"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestReadingMakesNoFolder(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "absent")
	s, err := dir.New(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(t.Context(), "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat: %v", err)
	}
	for _, err := range s.List(t.Context(), "") {
		t.Errorf("List: %v", err)
	}
	if err := s.Delete(t.Context(), "x"); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if _, err := os.Stat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder was made by reading")
	}
}

func TestReservedNamesAreNoObjects(t *testing.T) {
	t.Parallel()
	s, err := dir.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".salescast", ".salescast/tmp/x"} {
		if _, err := s.Put(t.Context(), name, strings.NewReader("x")); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("Put(%q): %v", name, err)
		}
	}
}

func TestRootThatIsAFile(t *testing.T) {
	t.Parallel()
	p := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(p, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.New(p); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("New: %v", err)
	}
}

// A pipe in an object's place is no object, and is not waited for; a link to a folder stays when what it leads to is empty.
func TestPipesAndLinks(t *testing.T) {
	t.Parallel()
	root, other := t.TempDir(), t.TempDir()
	s, err := dir.New(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Mkfifo(filepath.Join(root, "pipe"), 0o600), os.Symlink(other, filepath.Join(root, "link"))); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Get(t.Context(), "pipe"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a pipe is read: %v", err)
	}
	if _, err := s.Put(t.Context(), "link/a", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "link/a"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(root, "link")); err != nil {
		t.Errorf("the link went with the object: %v", err)
	}
}
