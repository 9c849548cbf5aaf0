package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"salescast/pkg/track"
)

// candidates registers versions 1 to n of a model, of which the last replaced the one before.
func candidates(t *testing.T, r *Registry, n int) {
	t.Helper()
	for i := 1; i <= n; i++ {
		v, err := r.Create(t.Context(), track.NewVersion{Model: "sales", Key: fmt.Sprint("key", i), Source: fmt.Sprint("runs:/", i, "/model"), RunID: strconv.Itoa(i), Experiment: "e"})
		must(t, err, r.SetAlias(t.Context(), "sales", "challenger", v.Version))
		tags := map[string]string{"decision": "promoted", "previous": ""}
		if i > 1 {
			tags["previous"] = strconv.Itoa(i - 1)
		}
		must(t, r.SetTags(t.Context(), "sales", v.Version, tags), r.SetAlias(t.Context(), "sales", "champion", v.Version))
	}
}

// unready is a registry that does not know some runs yet.
type unready struct {
	track.Registry
	run string
}

func (u unready) Create(ctx context.Context, n track.NewVersion) (track.Version, error) {
	if n.RunID == u.run {
		return track.Version{}, fs.ErrNotExist
	}
	return u.Registry.Create(ctx, n)
}

func TestReplayRegistry(t *testing.T) {
	t.Parallel()
	options := RegistryReplay{Target: "there", Guarded: []string{"champion"}, Numbered: []string{"previous"}}
	now := func() time.Time { return epoch }
	setup := func(t *testing.T, n int) (here, there *Registry) {
		here, there = NewRegistry(open(t, t.TempDir(), 0), now), NewRegistry(open(t, t.TempDir(), 0), now)
		t.Cleanup(func() { must(t, errors.Join(here.Close(), there.Close())) })
		candidates(t, here, n)
		return here, there
	}
	replay := func(t *testing.T, from *Registry, to track.Registry) ReplayedVersions {
		t.Helper()
		out, err := ReplayRegistry(t.Context(), from, to, options)
		must(t, err)
		return out
	}
	aliasAt := func(t *testing.T, r *Registry, alias, want string) track.Version {
		t.Helper()
		v, err := r.ByAlias(t.Context(), "sales", alias)
		must(t, err)
		if v.Version != want {
			t.Errorf("%s is version %s, want %s", alias, v.Version, want)
		}
		return v
	}
	t.Run("once", func(t *testing.T) {
		t.Parallel()
		here, there := setup(t, 2)
		for range 2 {
			replay(t, here, there)
			all, err := there.Versions(t.Context(), "sales")
			must(t, err)
			if len(all) != 2 {
				t.Fatalf("%d versions are there, want 2", len(all))
			}
			if v := aliasAt(t, there, "champion", "2"); v.Tags["previous"] != "1" || v.Tags["decision"] != "promoted" {
				t.Errorf("the champion's tags are %v", v.Tags)
			}
			aliasAt(t, there, "challenger", "2")
		}
		if again := replay(t, here, there); again.Versions != 0 {
			t.Errorf("a registry that did not change was replayed: %+v", again)
		}
		// More of it is replayed, and what was judged again there meanwhile stands.
		must(t, there.SetTags(t.Context(), "sales", "2", map[string]string{"decision": "refused"}))
		candidates(t, here, 3)
		if more := replay(t, here, there); more.Versions != 3 {
			t.Errorf("after a third version: %+v", more)
		}
		aliasAt(t, there, "champion", "3")
		if v, err := there.Version(t.Context(), "sales", "2"); err != nil || v.Tags["decision"] != "refused" {
			t.Errorf("version 2 there is %+v, %v", v, err)
		}
	})
	t.Run("another champion", func(t *testing.T) {
		t.Parallel()
		here, there := setup(t, 2)
		_, err := there.Create(t.Context(), track.NewVersion{Model: "sales", Key: "another", Source: "runs:/9/model"})
		must(t, err, there.SetAlias(t.Context(), "sales", "champion", "1"), there.SetAlias(t.Context(), "sales", "challenger", "1"))
		out := replay(t, here, there)
		aliasAt(t, there, "champion", "1")
		if v := aliasAt(t, there, "challenger", "3"); v.Tags["previous"] != "2" {
			t.Errorf("the tags of version 3 are %v: the version that it replaced is 2 there", v.Tags)
		}
		if !slices.ContainsFunc(out.Left, func(l string) bool { return strings.Contains(l, "register again") }) {
			t.Errorf("left: %v", out.Left)
		}
	})
	t.Run("no way back", func(t *testing.T) {
		t.Parallel()
		here, there := setup(t, 2)
		replay(t, here, there)
		must(t, here.SetAlias(t.Context(), "sales", "champion", "1"))
		if out := replay(t, here, there); len(out.Left) != 1 {
			t.Errorf("left: %v", out.Left)
		}
		aliasAt(t, there, "champion", "2")
	})
	t.Run("a run that is not there yet", func(t *testing.T) {
		t.Parallel()
		here, there := setup(t, 2)
		if out := replay(t, here, unready{there, "2"}); out.Versions != 1 || len(out.Left) != 1 {
			t.Errorf("replayed %+v, want one version and one that waits", out)
		}
		if out := replay(t, here, there); out.Versions != 2 || len(out.Left) != 0 {
			t.Errorf("replayed %+v, want both", out)
		}
		aliasAt(t, there, "champion", "2")
	})
}
