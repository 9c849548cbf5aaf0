package tasks

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/pkg/feature"
	"salescast/pkg/panel"
)

// shopPanel has stores x items daily series with a promotion and a price, and a plan of 14 days.
func shopPanel(stores, items, steps int) *panel.Panel {
	g := rand.New(rand.NewPCG(5, 6))
	p := &panel.Panel{Frequency: calendar.Frequency{Unit: calendar.Daily}, Offsets: []int{0}}
	p.Keys = []panel.Key{{Name: "store"}, {Name: "item"}}
	for i := range stores {
		p.Keys[0].Levels = append(p.Keys[0].Levels, fmt.Sprintf("s%03d", i))
	}
	for i := range items {
		p.Keys[1].Levels = append(p.Keys[1].Levels, fmt.Sprintf("i%03d", i))
	}
	p.Covariates = []panel.Covariate{{Name: "promo", Role: panel.KnownFuture}, {Name: "price", Role: panel.KnownFuture}, {Name: "rain", Role: panel.PastOnly}}
	for a := range stores {
		for b := range items {
			p.Keys[0].Codes, p.Keys[1].Codes = append(p.Keys[0].Codes, int32(a)), append(p.Keys[1].Codes, int32(b))
			p.Start = append(p.Start, calendar.Step(calendar.DateOf(2024, 1, 1))+calendar.Step(a))
			for t := a; t < steps+14; t++ {
				sold := t < steps && (t == a || g.IntN(8) > 0)
				y := float32(math.NaN())
				if t < steps {
					y = float32(g.IntN(20))
				}
				p.Target, p.Observed = append(p.Target, y), append(p.Observed, sold)
				for k, v := range []float32{float32(g.IntN(2)), 1 + float32(g.IntN(10))/4, g.Float32()} {
					p.Covariates[k].Values = append(p.Covariates[k].Values, v)
				}
			}
			p.Offsets = append(p.Offsets, len(p.Target))
		}
	}
	return p
}

// validated gives the workspace a finished validate step with that panel.
func validated(t *testing.T, env Env, p *panel.Panel) {
	t.Helper()
	_, err := runStep(t.Context(), env, stepSpec{Name: "validate", Options: struct{}{}, Force: true}, func(ctx context.Context, s *Step) error {
		var b bytes.Buffer
		w, err := columnar.NewPanelWriter(&b, columnar.SchemaOf(p, "date", "sales"))
		if err != nil {
			return err
		}
		if err := w.Write(p); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		return s.WriteFile(ctx, "panel.parquet", b.Bytes())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// matrix reads the design matrix of a finished step: rows by series id and date.
func matrix(t *testing.T, env Env, step string) (map[string][]float32, []string) {
	t.Helper()
	o, err := OpenStep(t.Context(), env.Store, step)
	if err != nil {
		t.Fatal(err)
	}
	rows, names := map[string][]float32{}, []string(nil)
	for _, name := range o.Names("features/") {
		r, err := o.ReadAt(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for b, err := range columnar.Frames(t.Context(), r, nil) {
			if err != nil {
				t.Fatal(err)
			}
			names = slices.Clone(b.Frame.Names)
			for i := range b.Frame.Rows {
				var id []string
				for k := range b.Levels {
					id = append(id, b.Levels[k][b.Codes[k][i]])
				}
				key := strings.Join(append(id, b.Dates[i].String()), "/")
				if rows[key] != nil {
					t.Fatalf("row %s is there twice", key)
				}
				row := make([]float32, len(names))
				for c := range names {
					row[c] = b.Frame.Column(c)[i]
				}
				rows[key] = row
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return rows, names
}

// What is written is what the plan fills for every series and step up to the last sale; plan.json gives that plan back.
func TestFeaturizeWritesTheOneStepMatrix(t *testing.T) {
	t.Parallel()
	env, p := stepEnv(t), shopPanel(3, 4, 200)
	validated(t, env, p)
	r, err := Featurize(t.Context(), env, FeaturizeOptions{Horizon: 14, Country: "DE"})
	if err != nil || r.Status != Done {
		t.Fatalf("%+v, %v", r, err)
	}
	got, names := matrix(t, env, "featurize")
	o, err := OpenStep(t.Context(), env.Store, "featurize")
	if err != nil {
		t.Fatal(err)
	}
	text, err := o.ReadFile(t.Context(), "plan.json", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := feature.ParsePlan(text)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(names, append([]string{"sales", "observed"}, plan.Names()...)) {
		t.Fatalf("the columns are %v", names)
	}
	st, err := plan.NewState(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for s := range p.Series() {
		for at := p.Start[s]; at < calendar.Step(calendar.DateOf(2024, 1, 1))+200; at++ {
			var f panel.Frame
			if err := st.Fill([]feature.Row{{Series: int32(s), Origin: at - 1, Target: at}}, feature.Unscaled, &f, nil); err != nil {
				t.Fatal(err)
			}
			row := got[strings.Join(append(p.ID(s), calendar.Day(at).String()), "/")]
			for c, v := range f.Data {
				if w := row[c+2]; w != v && (w == w || v == v) {
					t.Fatalf("%s of series %v at %v is %v, want %v", f.Names[c], p.ID(s), calendar.Day(at), w, v)
				}
			}
			n++
		}
	}
	if len(got) != n || r.Rows["features"] != int64(n) || r.Rows["series"] != 12 {
		t.Errorf("%d rows are there and %v are said to be, want %d", len(got), r.Rows, n)
	}
	if r, err = Featurize(t.Context(), env, FeaturizeOptions{Horizon: 14, Country: "DE"}); err != nil || r.Status != Cached {
		t.Errorf("again: %+v, %v", r, err)
	}
}

// Shards have every series once, with the values that the whole has; threads do not change a byte.
func TestFeaturizeShardsAndThreads(t *testing.T) {
	t.Parallel()
	env, p := stepEnv(t), shopPanel(5, 6, 120)
	validated(t, env, p)
	if _, err := Featurize(t.Context(), env, FeaturizeOptions{Horizon: 14}); err != nil {
		t.Fatal(err)
	}
	whole, _ := matrix(t, env, "featurize")
	n := 0
	for shard := 1; shard <= 3; shard++ {
		if _, err := Featurize(t.Context(), env, FeaturizeOptions{Horizon: 14, Shard: shard, Shards: 3}); err != nil {
			t.Fatal(err)
		}
		part, _ := matrix(t, env, fmt.Sprintf("featurize/shard-%d-of-3", shard))
		if len(part) == 0 || len(part) == len(whole) {
			t.Errorf("shard %d has %d rows of %d", shard, len(part), len(whole))
		}
		n += len(part)
		for k, v := range part {
			if !slices.EqualFunc(v, whole[k], func(a, b float32) bool { return a == b || a != a && b != b }) {
				t.Fatalf("row %s of shard %d differs from the whole", k, shard)
			}
		}
	}
	if n != len(whole) {
		t.Errorf("the shards have %d rows, the whole %d", n, len(whole))
	}
	o, err := OpenStep(t.Context(), env.Store, "featurize")
	if err != nil {
		t.Fatal(err)
	}
	env.Threads = 3
	if _, err := Featurize(t.Context(), env, FeaturizeOptions{Horizon: 14, Force: true}); err != nil {
		t.Fatal(err)
	}
	again, err := OpenStep(t.Context(), env.Store, "featurize")
	if err != nil {
		t.Fatal(err)
	}
	if o.Manifest.ContentDigest() != again.Manifest.ContentDigest() {
		t.Error("3 threads give other content")
	}
}

func TestFeaturizeRefuses(t *testing.T) {
	t.Parallel()
	env := stepEnv(t)
	for _, u := range []struct {
		name    string
		options FeaturizeOptions
		want    Kind
	}{
		{"no validate step", FeaturizeOptions{Horizon: 14}, KindInputMissing},
		{"a shard that does not exist", FeaturizeOptions{Horizon: 14, Shard: 4, Shards: 3}, KindUsage},
	} {
		if _, err := Featurize(t.Context(), env, u.options); KindOf(err) != u.want {
			t.Errorf("%s: %v", u.name, err)
		}
	}
	validated(t, env, shopPanel(1, 1, 60))
	for _, o := range []FeaturizeOptions{{Horizon: 14, Families: []string{"tealeaves"}}, {Horizon: 14, Country: "XX"}, {}} {
		if _, err := Featurize(t.Context(), env, o); KindOf(err) != KindConfig {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
