package tasks

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"salescast/pkg/artifact"
)

// Orphans are the files of attempts that no manifest names, that no registered model version points to, and that are older than before: what a killed or replaced attempt left.
func Orphans(ctx context.Context, store artifact.Store, before time.Time) ([]artifact.Info, error) {
	var found []artifact.Info
	named := map[string]map[string]bool{} // by step
	registered := map[string]bool{}       // by attempt
	for i, err := range store.List(ctx, "") {
		if err != nil {
			return nil, fmt.Errorf("look for orphans: %w", err)
		}
		step, _, ok := strings.Cut(i.Name, "/"+attempts+"/")
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
