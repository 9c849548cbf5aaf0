package feature_test

import (
	"compress/gzip"
	"encoding/json"
	"math"
	"os"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/feature"
	"salescast/pkg/panel"
)

// recipe is what testdata/recipe.py writes; series x time matrices, null is missing.
type recipe struct {
	Dates       []calendar.Day                   `json:"dates"`
	Start       []int                            `json:"start"`
	Store       []int32                          `json:"store"`
	Item        []int32                          `json:"item"`
	Horizon     int                              `json:"horizon"`
	Origin      int                              `json:"origin"`
	Target      [][]float32                      `json:"target"`
	Observed    [][]int                          `json:"observed"`
	Covariates  map[string][][]float32           `json:"covariates"`
	Rows        [][3]int                         `json:"rows"`
	Features    map[string]map[string][]*float64 `json:"features"`
	Scale       map[string][]float64             `json:"scale"`
	firstOfGrid calendar.Step
}

func readRecipe(t *testing.T, name string, f calendar.Frequency) recipe {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var r recipe
	if err := json.NewDecoder(z).Decode(&r); err != nil {
		t.Fatal(err)
	}
	var ok bool
	if r.firstOfGrid, ok = f.Step(r.Dates[0]); !ok {
		t.Fatalf("%v is not on the grid", r.Dates[0])
	}
	return r
}

func (r recipe) panel(f calendar.Frequency, names []string) *panel.Panel {
	p := &panel.Panel{Frequency: f, Offsets: []int{0}}
	p.Keys = []panel.Key{{Name: "store", Levels: []string{"a", "b", "c"}, Codes: r.Store}, {Name: "item", Levels: []string{"x", "y"}, Codes: r.Item}}
	for _, n := range names {
		p.Covariates = append(p.Covariates, panel.Covariate{Name: n, Role: panel.KnownFuture})
	}
	for s, from := range r.Start {
		p.Start = append(p.Start, r.firstOfGrid+calendar.Step(from))
		p.Target = append(p.Target, r.Target[s][from:]...)
		for _, o := range r.Observed[s][from:] {
			p.Observed = append(p.Observed, o == 1)
		}
		for k, n := range names {
			p.Covariates[k].Values = append(p.Covariates[k].Values, r.Covariates[n][s][from:]...)
		}
		p.Offsets = append(p.Offsets, len(p.Target))
	}
	return p
}

// The training features equal those that the study's numpy formulas give, name by name.
func TestParityWithTheStudy(t *testing.T) {
	t.Parallel()
	for _, u := range []struct {
		file  string
		f     calendar.Frequency
		names []string
	}{
		{"testdata/recipe_daily.json.gz", daily, []string{"promo"}},
		{"testdata/recipe_weekly.json.gz", weekly, []string{"promo", "price", "rival"}},
	} {
		r := readRecipe(t, u.file, u.f)
		p := r.panel(u.f, u.names)
		plan, err := feature.NewPlan(feature.Spec{}, feature.Describe(p, r.firstOfGrid+calendar.Step(r.Origin), r.Horizon, ""))
		if err != nil {
			t.Fatal(err)
		}
		rows := make([]feature.Row, len(r.Rows))
		for i, x := range r.Rows {
			rows[i] = feature.Row{Series: int32(x[0]), Origin: r.firstOfGrid + calendar.Step(x[1]), Target: r.firstOfGrid + calendar.Step(x[2])}
		}
		for kind := feature.Recent; kind <= feature.Overall; kind++ {
			got, scale := fill(t, plan, p, rows, kind)
			want := r.Features[kind.String()]
			if len(want) != len(got.Names) {
				t.Errorf("%s: %d columns, the study has %d", u.file, len(got.Names), len(want))
			}
			for c, name := range got.Names {
				if want[name] == nil {
					t.Errorf("%s: the study has no %s", u.file, name)
					continue
				}
				for i, row := range rows {
					if math.Abs(scale[i]-r.Scale[kind.String()][i]) > 1e-8*scale[i] {
						t.Fatalf("%s: %s scale of %v is %v, want %v", u.file, kind, r.Rows[i], scale[i], r.Scale[kind.String()][i])
					}
					w, g := nan, float64(got.Column(c)[i])
					if v := want[name][i]; v != nil {
						w = *v
					}
					// float32 columns, and exponential means carried in float32
					if math.IsNaN(w) != math.IsNaN(g) || math.Abs(w-g) > 1e-6*math.Abs(w)+1e-6 {
						t.Fatalf("%s: %s (%s) of %v (%+v) is %v, want %v", u.file, name, kind, r.Rows[i], row, g, w)
					}
				}
			}
		}
	}
}
