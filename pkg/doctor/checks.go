package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"salescast/pkg/regress"
	"salescast/pkg/regress/engines"
)

// Engine checks that the library of a regression engine, "xgboost" or "lightgbm", opens, and says from where. The Err of a failure is a
// *regress.UnavailableError.
func Engine(e *engines.Engines, name string) Check {
	return Check{Name: name, Run: func(ctx context.Context) Finding {
		s, err := e.Status(ctx, name)
		if err != nil {
			f := Finding{Status: Failed, Message: err.Error(), Err: err}
			if u := (*regress.UnavailableError)(nil); errors.As(err, &u) {
				f.Hint = u.Hint
			}
			return f
		}
		version := s.Version
		if version == "" {
			version = "of unknown version"
		}
		return Finding{Status: OK, Message: fmt.Sprintf("%s, %s, loaded from %s", version, s.Origin, s.Path)}
	}}
}

// Cache checks that the folder where libraries are unpacked can be written. Without it they live in memory, in every process again.
func Cache(dir string) Check {
	return Check{Name: "cache", Run: func(context.Context) Finding {
		const hint = "set XDG_CACHE_HOME to a folder that can be written, so that libraries are unpacked once"
		if dir == "" {
			return Finding{Status: Warning, Message: "there is no cache folder: libraries are unpacked into memory at every start", Hint: hint}
		}
		if err := writable(dir); err != nil {
			return Finding{Status: Warning, Message: fmt.Sprintf("%s cannot be written (%v): libraries are unpacked into memory at every start", dir, err), Hint: hint}
		}
		return Finding{Status: OK, Message: dir}
	}}
}

func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// lowMemory is what a run on a few dozen series needs.
const lowMemory = 512 << 20

// Machine says how many threads and how much memory salescast will use of what the control group allows. root is the file system "/".
func Machine(root fs.FS, threads, cpus int) Check {
	return Check{Name: "machine", Run: func(context.Context) Finding {
		f := Finding{Status: OK, Message: fmt.Sprintf("%d threads on %d CPUs", threads, cpus)}
		quota, limited := CPUQuota(root)
		if limited {
			f.Message += fmt.Sprintf(", of which the control group allows %.3g", quota)
		}
		memory, ok := MemoryLimit(root)
		if ok {
			f.Message += "; memory limit " + size(memory)
		} else {
			f.Message += "; no memory limit"
		}
		switch {
		case limited && float64(threads) > quota+0.5:
			f.Status, f.Hint = Warning, fmt.Sprintf("use --threads %d: more threads than the control group allows wait for each other", max(1, int(quota+0.5)))
		case threads > cpus:
			f.Status, f.Hint = Warning, fmt.Sprintf("use --threads %d: more threads than CPUs wait for each other", cpus)
		case ok && memory < lowMemory:
			f.Status, f.Hint = Warning, "give the container at least "+size(lowMemory)
		}
		return f
	}}
}

func size(bytes int64) string {
	if bytes >= 1<<30 {
		return fmt.Sprintf("%.3g GiB", float64(bytes)/(1<<30))
	}
	return fmt.Sprintf("%.3g MiB", float64(bytes)/(1<<20))
}

// Folder checks that a folder, such as a workspace or the state folder, can be written.
func Folder(name, dir string) Check {
	return Check{Name: name, Run: func(context.Context) Finding {
		dir := filepath.Clean(dir)
		if err := writable(dir); err != nil {
			return Finding{Status: Failed, Message: fmt.Sprintf("%s cannot be written: %v", dir, err), Hint: "give another folder, or mend its permissions", Err: err}
		}
		return Finding{Status: OK, Message: dir}
	}}
}
