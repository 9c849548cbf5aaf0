package docs_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// support are packages for tests and for one package alone, which the drawing leaves out.
var support = regexp.MustCompile(`/internal/|test$`)

// The drawing of rooms has every package once, and no import goes up in it.
func TestDrawingOfRooms(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	drawn := regexp.MustCompile("(?s)```rooms\n(.*?)```").FindStringSubmatch(string(b))
	if drawn == nil {
		t.Fatal("there is no drawing")
	}
	at := map[string]int{}
	for i, line := range strings.Split(drawn[1], "\n") {
		for room := range strings.FieldsSeq(line) {
			if _, twice := at[room]; twice {
				t.Errorf("%s is drawn twice", room)
			}
			at[room] = i
			if !exists(filepath.Join(root, room)) {
				t.Errorf("%s is drawn, and is not there", room)
			}
		}
	}
	imports := importsOf(t)
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		if support.MatchString(pkg) {
			continue
		}
		here, ok := at[pkg]
		if !ok {
			t.Errorf("%s is not drawn", pkg)
			continue
		}
		for _, to := range imports[pkg] {
			if there, ok := at[to]; ok && there < here {
				t.Errorf("%s imports %s, which is drawn above it", pkg, to)
			}
		}
	}
}

// importsOf are the packages of this module that each of them imports, without tests.
func importsOf(t *testing.T) map[string][]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./cmd/...", "./tasks/...", "./pkg/...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	const module = "salescast/"
	found := map[string][]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		from := strings.TrimPrefix(p.ImportPath, module)
		found[from] = nil
		for _, to := range p.Imports {
			if own, ok := strings.CutPrefix(to, module); ok {
				found[from] = append(found[from], own)
			}
		}
	}
	return found
}
