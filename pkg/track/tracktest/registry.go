package tracktest

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"testing"

	"salescast/pkg/track"
)

// RegistryHarness is what the suite needs of a registry.
type RegistryHarness struct {
	// Open returns a registry on the storage of this test; every call opens the same storage, as another process would.
	Open func(t *testing.T) track.Registry
	// Source returns the source and the run of a new version that this registry accepts.
	Source func(t *testing.T, unit string) (source, runID string)
}

// Registry runs the suite.
func Registry(t *testing.T, h RegistryHarness) {
	tests := []struct {
		name string
		test func(*testing.T, RegistryHarness)
	}{
		{"versions are counted and kept", testVersions},
		{"a key is one version", testVersionKey},
		{"an alias names one version", testAliases},
		{"tags", testVersionTags},
		{"what is missing", testMissing},
		{"names", testRegistryNames},
		{"registrations at once", testAtOnce},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.test(t, h)
		})
	}
}

func newVersion(t *testing.T, h RegistryHarness, unit string) track.NewVersion {
	t.Helper()
	s := spec(t, unit)
	source, run := h.Source(t, s.Key)
	return track.NewVersion{
		Model: "model-" + s.Experiment, Key: s.Key, Source: source, RunID: run,
		Description: "the " + unit, Tags: map[string]string{"wape": "0.3", "unit": unit},
	}
}

func create(t *testing.T, r track.Registry, n track.NewVersion) track.Version {
	t.Helper()
	v, err := r.Create(t.Context(), n)
	must(t, err)
	return v
}

func testVersions(t *testing.T, h RegistryHarness) {
	r := h.Open(t)
	a, b := newVersion(t, h, "a"), newVersion(t, h, "b")
	va, vb := create(t, r, a), create(t, r, b)
	if va.Version != "1" || vb.Version != "2" {
		t.Errorf("the versions are %s and %s, want 1 and 2", va.Version, vb.Version)
	}
	r = h.Open(t)
	all, err := r.Versions(t.Context(), a.Model)
	must(t, err)
	if len(all) != 2 || all[0].Version != "2" || all[1].Version != "1" {
		t.Fatalf("the versions are %v, want 2 and 1", all)
	}
	got, err := r.Version(t.Context(), a.Model, "1")
	must(t, err)
	if got.Model != a.Model || got.Source == "" || got.RunID != a.RunID || !got.Created.Equal(va.Created) || got.Created.IsZero() {
		t.Errorf("version 1 is %+v, want what was created, %+v", got, va)
	}
	for k, v := range a.Tags {
		if got.Tags[k] != v {
			t.Errorf("tag %s is %q, want %q", k, got.Tags[k], v)
		}
	}
	models, err := r.Models(t.Context())
	must(t, err)
	if !slices.Contains(models, a.Model) || !slices.IsSorted(models) {
		t.Errorf("models are %v, want %s among them, sorted", models, a.Model)
	}
}

func testVersionKey(t *testing.T, h RegistryHarness) {
	a := newVersion(t, h, "a")
	first := create(t, h.Open(t), a)
	again := create(t, h.Open(t), a)
	if first.Version != again.Version {
		t.Errorf("one key is version %s and %s", first.Version, again.Version)
	}
	all, err := h.Open(t).Versions(t.Context(), a.Model)
	must(t, err)
	if len(all) != 1 {
		t.Errorf("%d versions, want 1", len(all))
	}
}

func testAliases(t *testing.T, h RegistryHarness) {
	r := h.Open(t)
	a, b := newVersion(t, h, "a"), newVersion(t, h, "b")
	va, vb := create(t, r, a), create(t, r, b)
	expect := func(alias string, want track.Version) {
		t.Helper()
		got, err := h.Open(t).ByAlias(t.Context(), a.Model, alias)
		must(t, err)
		if got.Version != want.Version || !slices.Contains(got.Aliases, alias) {
			t.Errorf("%s is version %s with aliases %v, want %s", alias, got.Version, got.Aliases, want.Version)
		}
	}
	must(t, r.SetAlias(t.Context(), a.Model, "champion", va.Version), r.SetAlias(t.Context(), a.Model, "challenger", vb.Version))
	expect("champion", va)
	expect("challenger", vb)
	must(t, r.SetAlias(t.Context(), a.Model, "champion", vb.Version), r.SetAlias(t.Context(), a.Model, "champion", vb.Version))
	expect("champion", vb)
	old, err := r.Version(t.Context(), a.Model, va.Version)
	must(t, err)
	if len(old.Aliases) != 0 {
		t.Errorf("the old champion has aliases %v", old.Aliases)
	}
	must(t, r.DeleteAlias(t.Context(), a.Model, "challenger"), r.DeleteAlias(t.Context(), a.Model, "challenger"))
	if _, err := r.ByAlias(t.Context(), a.Model, "challenger"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an alias that was deleted: %v, want fs.ErrNotExist", err)
	}
	expect("champion", vb)
}

func testVersionTags(t *testing.T, h RegistryHarness) {
	r := h.Open(t)
	a := newVersion(t, h, "a")
	v := create(t, r, a)
	must(t, r.SetTags(t.Context(), a.Model, v.Version, map[string]string{"wape": "0.2", "validation": "passed"}))
	got, err := h.Open(t).Version(t.Context(), a.Model, v.Version)
	must(t, err)
	want := map[string]string{"wape": "0.2", "validation": "passed", "unit": "a"}
	maps.DeleteFunc(got.Tags, func(k, _ string) bool { _, ours := want[k]; return !ours })
	if !maps.Equal(got.Tags, want) {
		t.Errorf("tags are %v, want %v", got.Tags, want)
	}
}

func testMissing(t *testing.T, h RegistryHarness) {
	r := h.Open(t)
	a := newVersion(t, h, "a")
	calls := func(model string) map[string]error {
		_, version := r.Version(t.Context(), model, "7")
		_, alias := r.ByAlias(t.Context(), model, "champion")
		return map[string]error{
			"version": version, "alias": alias,
			"set alias": r.SetAlias(t.Context(), model, "champion", "7"),
			"set tags":  r.SetTags(t.Context(), model, "7", map[string]string{"a": "b"}),
		}
	}
	for name, err := range calls("nobody-" + a.Model) {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of a missing model: %v, want fs.ErrNotExist", name, err)
		}
	}
	if _, err := r.Versions(t.Context(), "nobody-"+a.Model); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("versions of a missing model: %v, want fs.ErrNotExist", err)
	}
	create(t, r, a)
	for name, err := range calls(a.Model) {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of a model: %v, want fs.ErrNotExist", name, err)
		}
	}
}

func testRegistryNames(t *testing.T, h RegistryHarness) {
	r := h.Open(t)
	a := newVersion(t, h, "a")
	v := create(t, r, a)
	for _, model := range []string{"", "a/b", "a:b", "a.b", "100%", `a"b`, "a'b"} {
		bad := a
		bad.Model = model
		if _, err := r.Create(t.Context(), bad); !errors.Is(err, track.ErrInvalid) {
			t.Errorf("model %q: %v, want ErrInvalid", model, err)
		}
	}
	for _, alias := range []string{"", "latest", "v12", "a/b", "a b"} {
		if err := r.SetAlias(t.Context(), a.Model, alias, v.Version); !errors.Is(err, track.ErrInvalid) {
			t.Errorf("alias %q: %v, want ErrInvalid", alias, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.SetAlias(ctx, a.Model, "champion", v.Version); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
}

func testAtOnce(t *testing.T, h RegistryHarness) {
	units := []string{"a", "b", "c", "d"}
	news := make([]track.NewVersion, len(units))
	for i, unit := range units {
		news[i] = newVersion(t, h, unit)
	}
	versions, errs := make([]track.Version, len(units)), make([]error, len(units))
	var wg sync.WaitGroup
	for i := range units {
		r := h.Open(t)
		wg.Go(func() { versions[i], errs[i] = r.Create(t.Context(), news[i]) })
	}
	wg.Wait()
	must(t, errs...)
	got := make([]string, 0, len(units))
	for _, v := range versions {
		got = append(got, v.Version)
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"1", "2", "3", "4"}) {
		t.Errorf("the versions are %v, want 1 to 4", got)
	}
}
