package compose

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dockerfile reads a Dockerfile as BuildKit does.
func dockerfile(t *testing.T, file string) ([]instructions.Stage, []instructions.ArgCommand) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	parsed, err := parser.Parse(bytes.NewReader(text))
	must(t, err)
	stages, args, err := instructions.Parse(parsed.AST, nil)
	must(t, err)
	return stages, args
}

// given says which files of a context an engine is given: all that .dockerignore does not name.
func given(t *testing.T, context string) func(string) bool {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(context, ".dockerignore"))
	if err != nil {
		return func(string) bool { return true }
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(b))
	must(t, err)
	matcher, err := patternmatcher.New(patterns)
	must(t, err)
	return func(name string) bool {
		skip, err := matcher.MatchesOrParentMatches(name)
		must(t, err)
		return !skip
	}
}

// sources are the files and folders of a context that a pattern of COPY means.
func sources(t *testing.T, context, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(context, pattern))
	must(t, err)
	keep := given(t, context)
	var names []string
	for _, path := range found {
		name, err := filepath.Rel(context, path)
		must(t, err)
		if name == "." || keep(name) {
			names = append(names, name)
		}
	}
	return names
}
