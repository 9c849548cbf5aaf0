package main

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// gitTags are the commit and branch of the repository that encloses a folder, as MLflow shows them; none where there is none.
func gitTags(folder string) map[string]string {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil
	}
	for ; ; folder = filepath.Dir(folder) {
		git := filepath.Join(folder, ".git")
		if to, ok := strings.CutPrefix(firstLine(git), "gitdir: "); ok { // a work tree beside the repository
			git = to
			if !filepath.IsAbs(git) {
				git = filepath.Join(folder, git)
			}
		}
		if head := firstLine(filepath.Join(git, "HEAD")); head != "" {
			return headTags(git, head)
		}
		if folder == filepath.Dir(folder) {
			return nil
		}
	}
}

func headTags(git, head string) map[string]string {
	tags := map[string]string{}
	commit := head
	if ref, ok := strings.CutPrefix(head, "ref: "); ok {
		tags["mlflow.source.git.branch"] = strings.TrimPrefix(ref, "refs/heads/")
		common := git
		if c := firstLine(filepath.Join(git, "commondir")); c != "" {
			common = filepath.Join(git, c)
		}
		if commit = firstLine(filepath.Join(common, filepath.FromSlash(ref))); commit == "" {
			commit = packedRef(filepath.Join(common, "packed-refs"), ref)
		}
	}
	if len(commit) < 40 || strings.Trim(commit, "0123456789abcdef") != "" {
		return nil // a repository without a commit, or none that we understand
	}
	tags["mlflow.source.git.commit"] = commit
	return tags
}

// firstLine is that of a small file, "" where it cannot be read.
func firstLine(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}

func packedRef(name, ref string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	for sc := bufio.NewScanner(io.LimitReader(f, 16<<20)); sc.Scan(); {
		if commit, ok := strings.CutSuffix(sc.Text(), " "+ref); ok {
			return commit
		}
	}
	return ""
}
