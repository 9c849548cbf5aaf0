package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGitTags(t *testing.T) {
	t.Parallel()
	commit := strings.Repeat("0123456789", 4)
	for name, c := range map[string]struct {
		files          map[string]string
		commit, branch string
	}{
		"no repository": {},
		"a branch":      {map[string]string{".git/HEAD": "ref: refs/heads/a/b\n", ".git/refs/heads/a/b": commit + "\n"}, commit, "a/b"},
		"a packed branch": {
			map[string]string{".git/HEAD": "ref: refs/heads/main\n", ".git/packed-refs": "# pack-refs\n" + strings.Repeat("f", 40) + " refs/heads/domain\n" + commit + " refs/heads/main\n"},
			commit, "main",
		},
		"a commit":  {map[string]string{".git/HEAD": commit + "\n"}, commit, ""},
		"no commit": {map[string]string{".git/HEAD": "ref: refs/heads/main\n"}, "", ""},
		"a work tree": {
			map[string]string{".git": "gitdir: ../main/.git/worktrees/w\n", "../main/.git/worktrees/w/HEAD": "ref: refs/heads/w\n", "../main/.git/worktrees/w/commondir": "../..\n", "../main/.git/refs/heads/w": commit},
			commit, "w",
		},
	} {
		root := filepath.Join(t.TempDir(), "repository")
		for file, text := range c.files {
			p := filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got := gitTags(filepath.Join(root, "deep", "below"))
		if got["mlflow.source.git.commit"] != c.commit || got["mlflow.source.git.branch"] != c.branch {
			t.Errorf("%s: %v, want commit %q of branch %q", name, got, c.commit, c.branch)
		}
	}
}
