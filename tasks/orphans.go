package tasks

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"salescast/pkg/artifact"
)

// attemptForm is what [newAttempt] names an attempt.
var attemptForm = regexp.MustCompile(`^\d{8}T\d{6}Z-[a-z2-7]{8}$`)

// ofAttempt is the step of a file that a step of ours wrote in an attempt: a folder that somebody else calls attempts has none.
func ofAttempt(name string) (step string, ok bool) {
	step, rest, ok := strings.Cut(name, "/"+attempts+"/")
	attempt, _, file := strings.Cut(rest, "/")
	if !ok || !file || !attemptForm.MatchString(attempt) {
		return "", false
	}
	kind, model, many := strings.Cut(step, "/")
	switch kind {
	case "train", "tune":
		return step, many && model != "" && !strings.Contains(model, "/")
	}
	return step, slices.Contains([]string{dataStep, validateStep, "featurize", "ensemble", "evaluate", "register", "forecast", "monitor", "report"}, step)
}

// Orphans are the files of attempts that no manifest names, that no registered model version points to, and that are older than before:
// what a killed or replaced attempt left. Nothing else is one, whatever its folder is called.
func Orphans(ctx context.Context, store artifact.Store, before time.Time) ([]artifact.Info, error) {
	var found []artifact.Info
	named := map[string]map[string]bool{} // by step
	registered := map[string]bool{}       // by attempt
	for i, err := range store.List(ctx, "") {
		if err != nil {
			return nil, fmt.Errorf("look for orphans: %w", err)
		}
		step, ok := ofAttempt(i.Name)
		if path.Base(i.Name) == registeredName {
			registered[path.Dir(i.Name)] = true
		}
		if !ok || !i.Modified.Before(before) {
			continue
		}
		if _, ok := named[step]; !ok {
			names := map[string]bool{}
			o, err := OpenStep(ctx, store, step)
			switch KindOf(err) {
			case "":
				for _, f := range o.Manifest.Files {
					names[path.Join(step, f.Object)] = true
				}
			case KindInputMissing: // never finished
			default: // what a damaged manifest names is not known
				return nil, err
			}
			named[step] = names
		}
		if !named[step][i.Name] {
			found = append(found, i)
		}
	}
	return slices.DeleteFunc(found, func(i artifact.Info) bool {
		step, rest, _ := strings.Cut(i.Name, "/"+attempts+"/")
		attempt, _, _ := strings.Cut(rest, "/")
		return registered[path.Join(step, attempts, attempt)]
	}), nil
}
