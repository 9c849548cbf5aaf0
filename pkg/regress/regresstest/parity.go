package regresstest

import (
	"bytes"
	"embed"
	"encoding/csv"
	"encoding/json"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
	"testing"

	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

//go:embed testdata
var fixtures embed.FS

// Fixture is one training by an engine's Python package: testdata/make.py.
type Fixture struct {
	Engine        string            `json:"engine"`
	Name          string            `json:"name"`
	Params        map[string]string `json:"params"`
	Missing       bool              `json:"missing"`
	Weighted      bool              `json:"weighted"`
	Patience      int               `json:"patience"`
	Categorical   bool              `json:"categorical"`
	BlockRows     int               `json:"block_rows"`
	Keep          bool              `json:"keep"`
	Rounds        int               `json:"rounds"`
	Predictions   []float32         `json:"predictions"`
	Contributions [][]float32       `json:"contributions"`
	Importance    []float64         `json:"importance"`
}

// Parity trains with the parameters of every fixture of an engine and compares predictions, contributions and importance with those of
// its Python package; models that Python saved are opened and compared too. No difference is tolerated.
func Parity(t *testing.T, e Engine, engine string) {
	t.Helper()
	names, err := fs.Glob(fixtures, "testdata/"+engine+"_*.json")
	if err != nil || len(names) < 5 {
		t.Fatalf("fixtures of %s: found %d, error %v", engine, len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(path.Base(name), ".json"), func(t *testing.T) {
			t.Parallel()
			b, err := fixtures.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var f Fixture
			if err := json.Unmarshal(b, &f); err != nil {
				t.Fatal(err)
			}
			all, train, valid := f.matrices(t)
			l, err := e.Learner(f.Params)
			if err != nil {
				t.Fatal(err)
			}
			m, err := l.Fit(t.Context(), train, valid)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			f.compare(t, "trained in Go", m, all)
			if f.Keep {
				f.compareSaved(t, e, all, strings.TrimSuffix(name, ".json")+path.Ext(m.Format()))
			}
		})
	}
}

func (f *Fixture) compareSaved(t *testing.T, e Engine, all *Matrix, name string) {
	t.Helper()
	b, err := fixtures.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Open(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	f.compare(t, "saved by Python", m, all)
}

func (f *Fixture) compare(t *testing.T, what string, m regress.Model, all *Matrix) {
	t.Helper()
	got := predict(t, m, all.X)
	for i, want := range f.Predictions {
		if got[i] != want {
			t.Fatalf("%s: row %d is predicted as %v, by Python as %v", what, i, got[i], want)
		}
	}
	few := &panel.Frame{Names: all.X.Names}
	few.Resize(len(f.Contributions))
	for c := range few.Names {
		copy(few.Column(c), all.X.Column(c))
	}
	per := len(few.Names) + 1
	parts := make([]float32, per*few.Rows)
	if err := m.(regress.Contributor).Contributions(t.Context(), few, parts); err != nil {
		t.Fatal(err)
	}
	for i, want := range f.Contributions {
		for c := range want {
			if parts[i*per+c] != want[c] {
				t.Fatalf("%s: row %d, contribution %d is %v, by Python %v", what, i, c, parts[i*per+c], want[c])
			}
		}
	}
	gain, err := m.Importance()
	if err != nil {
		t.Fatal(err)
	}
	for c, want := range f.Importance {
		if gain[c] != want {
			t.Fatalf("%s: importance of %s is %v, by Python %v", what, few.Names[c], gain[c], want)
		}
	}
}

// matrices reads the data of the fixtures: all rows, the rows to train on, and those to stop by.
func (f *Fixture) matrices(t *testing.T) (all, train *Matrix, valid *regress.Valid) {
	t.Helper()
	file, err := fixtures.Open("testdata/data.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	header, rows := rows[0], rows[1:]
	columns := len(header) - 3
	number := func(r, c int) float32 {
		v, err := strconv.ParseFloat(rows[r][c], 32)
		if err != nil {
			t.Fatal(err)
		}
		return float32(v)
	}
	pick := func(keep func(r int) bool) *Matrix {
		var at []int
		for r := range rows {
			if keep(r) {
				at = append(at, r)
			}
		}
		m := &Matrix{X: &panel.Frame{Names: header[:columns]}, BlockRows: f.BlockRows}
		m.X.Resize(len(at))
		for c, name := range m.X.Names {
			m.Cols = append(m.Cols, regress.Column{Name: name, Categorical: f.Categorical && name == "weekday", MayBeMissing: f.Missing})
			for i, r := range at {
				v := number(r, c)
				if f.Missing && (r*columns+c)%7 == 0 {
					if v = float32(math.NaN()); name == "weekday" {
						v = 0
					}
				}
				m.X.Column(c)[i] = v
			}
		}
		for _, r := range at {
			m.Y = append(m.Y, number(r, columns))
			if f.Weighted {
				m.Weight = append(m.Weight, number(r, columns+1))
			}
		}
		return m
	}
	all = pick(func(int) bool { return true })
	if f.Patience == 0 {
		return all, all, nil
	}
	isValid := func(r int) bool { return rows[r][columns+2] == "1" }
	train = pick(func(r int) bool { return !isValid(r) })
	return all, train, &regress.Valid{Source: pick(isValid), Patience: f.Patience}
}
