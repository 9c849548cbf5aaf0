package tasks

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"salescast/pkg/artifact"
)

// Orphans are the files of attempts that no manifest names and that are older than before: what a killed or replaced attempt left.
func Orphans(ctx context.Context, store artifact.Store, before time.Time) ([]artifact.Info, error) {
	var found []artifact.Info
	named := map[string]map[string]bool{} // by step
	for i, err := range store.List(ctx, "") {
		if err != nil {
			return nil, fmt.Errorf("look for orphans: %w", err)
		}
		step, _, ok := strings.Cut(i.Name, "/"+attempts+"/")
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
	return found, nil
}
