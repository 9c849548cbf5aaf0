// Package docs_test holds the documents to the repository: what they name is there.
package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	code    = regexp.MustCompile("`([^`\n]+)`")
	link    = regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	file    = regexp.MustCompile(`^(\.?[\w.-]+/)*[\w.-]+(/|\.(go|md|mk|py|sh|yaml|txtar|csv|json))$|^(cmd|tasks|pkg|astro|dags|tests|docs|make|examples)/[\w./-]+$`)
	name    = regexp.MustCompile(`^([a-z][a-z0-9]*)\.([A-Z]\w*)(\.([A-Z]\w*))?(\(\))?$`)
	target  = regexp.MustCompile(`^make ([\w.-]+)`)
	targets = regexp.MustCompile(`(?m)^([\w. -]+):(?:[^=]|$)`)
)

// root is the repository.
const root = ".."

// What documents for contributors name in code font exists: files, functions and types, and what can be made. Of the other documents that holds
// for links, and for what can be made.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	t.Parallel()
	declared, made := declarations(t), rules(t)
	for _, doc := range documents(t) {
		b, err := os.ReadFile(filepath.Join(root, doc))
		if err != nil {
			t.Fatal(err)
		}
		ours := doc == "CONTRIBUTING.md" || doc == "docs/architecture.md"
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if to := filepath.Join(root, filepath.Dir(doc), m[1]); !strings.Contains(m[1], ":") && !exists(to) {
				t.Errorf("%s links to %s, which is not there", doc, m[1])
			}
		}
		for _, m := range code.FindAllStringSubmatch(string(b), -1) {
			said := m[1]
			if v := target.FindStringSubmatch(said); v != nil && !made[v[1]] {
				t.Errorf("%s says `%s`: there is no such rule", doc, said)
			}
			if !ours {
				continue
			}
			switch v := name.FindStringSubmatch(said); {
			case v != nil && v[4] != "" && !declared[v[1]+"."+v[2]+"."+v[4]], v != nil && !declared[v[1]+"."+v[2]]:
				t.Errorf("%s names %s, which is not declared", doc, said)
			case v == nil && file.MatchString(said) && strings.Contains(said, "/") && !exists(filepath.Join(root, said)):
				t.Errorf("%s names %s, which is not there", doc, said)
			}
		}
	}
}

// Every rule of the Makefile that says what it does stands in a group that "make help" prints.
func TestRulesHaveAGroup(t *testing.T) {
	t.Parallel()
	said := regexp.MustCompile(`(?m)^([\w.-]+):.*## (.*)$`)
	group := regexp.MustCompile(`^(use|develop|test|measure|ship): [A-Z]`)
	n := 0
	for _, f := range makefiles(t) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range said.FindAllStringSubmatch(string(b), -1) {
			if n++; !group.MatchString(m[2]) {
				t.Errorf("%s: %s says %q, with no group", f, m[1], m[2])
			}
		}
	}
	if n < 30 {
		t.Errorf("%d rules were found", n)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func documents(t *testing.T) []string {
	t.Helper()
	out := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"}
	of, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range of {
		out = append(out, "docs/"+f)
	}
	return out
}

func makefiles(t *testing.T) []string {
	t.Helper()
	of, err := filepath.Glob(filepath.Join(root, "make", "*.mk"))
	if err != nil {
		t.Fatal(err)
	}
	return append(of, filepath.Join(root, "Makefile"))
}

// rules are the names of what can be made.
func rules(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, f := range makefiles(t) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range targets.FindAllStringSubmatch(string(b), -1) {
			for n := range strings.FieldsSeq(m[1]) {
				out[n] = true
			}
		}
	}
	return out
}

// declarations are the names of all packages: "artifact.Store", and methods and fields as "artifact.Store.Get".
func declarations(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, dir := range []string{"cmd", "tasks", "pkg"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, d := range f.Decls {
				for _, n := range declaredBy(d) {
					out[f.Name.Name+"."+n] = true
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func declaredBy(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return []string{d.Name.Name}
		}
		of := d.Recv.List[0].Type
		if p, ok := of.(*ast.StarExpr); ok {
			of = p.X
		}
		if of, ok := of.(*ast.Ident); ok {
			return []string{of.Name + "." + d.Name.Name}
		}
	case *ast.GenDecl:
		var out []string
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				for _, n := range s.Names {
					out = append(out, n.Name)
				}
			case *ast.TypeSpec:
				out = append(out, s.Name.Name)
				if of, ok := s.Type.(*ast.InterfaceType); ok {
					for _, m := range of.Methods.List {
						for _, n := range m.Names {
							out = append(out, s.Name.Name+"."+n.Name)
						}
					}
				}
			}
		}
		return out
	}
	return nil
}
