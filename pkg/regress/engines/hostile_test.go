package engines_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"salescast/pkg/panel"
	"salescast/pkg/regress"
	"salescast/pkg/regress/engines"
	"salescast/pkg/regress/regresstest"
)

// hostileEnv makes a child of a test load mutated models instead: FROM TO.
const hostileEnv = "SALESCAST_TEST_HOSTILE"

// hostileModels is the number of mutated models of each engine that a test loads; SALESCAST_TEST_MODELS says another.
const hostileModels = 4000

// hostileBatch is how many of them a child loads, in a minute at most: a walk without an end is one that takes longer.
const hostileBatch = 2000

func TestMain(m *testing.M) {
	if job := os.Getenv(hostileEnv); job != "" {
		os.Exit(loadHostile(job))
	}
	os.Exit(m.Run())
}

// variants are settings whose models have each another form.
var variants = map[string][]map[string]string{
	"lightgbm": {
		{},
		{"linear_tree": "true"},
		{"min_data_in_leaf": "700"},
		{"boosting": "rf", "bagging_freq": "1", "bagging_fraction": "0.5"},
		{"boosting": "dart"},
		{"monotone_constraints": "1,0,0"},
		{"objective": "tweedie"},
		{"objective": "quantile", "alpha": "0.7"},
		{"zero_as_missing": "true"},
		{"use_missing": "false"},
		{"objective": "huber"},
		{"extra_trees": "true"},
		{"use_quantized_grad": "true"},
		{"objective": "mape"},
		{"objective": "poisson"},
		{"objective": "gamma"},
		{"objective": "fair"},
		{"objective": "regression_l1"},
		{"reg_sqrt": "true"},
	},
	"xgboost": {
		{},
		{"booster": "dart", "rate_drop": "0.5"},
		{"gamma": "100"},
		{"num_parallel_tree": "3"},
		{"max_leaves": "7", "grow_policy": "lossguide"},
		{"objective": "reg:tweedie"},
		{"enable_categorical": "true"},
		{"enable_categorical": "true", "max_cat_to_onehot": "100"},
		{"objective": "reg:pseudohubererror"},
		{"objective": "reg:quantileerror", "quantile_alpha": "0.3"},
		{"objective": "count:poisson"},
		{"objective": "reg:absoluteerror"},
		{"objective": "reg:gamma"},
		{"objective": "reg:squaredlogerror"},
		{"monotone_constraints": "(1,0,0)"},
		{"max_depth": "1"},
	},
}

// saved fits one model of each variant of an engine.
func saved(tb testing.TB, e *engines.Engines, engine string) (models [][]byte, format string) {
	tb.Helper()
	s := regresstest.Sales(300, 1)
	for i, y := range s.Y {
		s.Y[i] = max(0.1, y)
	}
	for _, v := range variants[engine] {
		params := map[string]string{"rounds": "3"}
		maps.Copy(params, v)
		m := fit(tb, e, engine, s, params)
		var b bytes.Buffer
		if err := m.Save(&b); err != nil {
			tb.Fatal(err)
		}
		models, format = append(models, b.Bytes()), m.Format()
	}
	return models, format
}

// What an engine makes, with whichever of its settings, is opened again.
func TestEveryFormOfModelIsOpened(t *testing.T) {
	t.Parallel()
	e := open(t, 1)
	for engine, settings := range variants {
		models, format := saved(t, e, engine)
		load, err := e.Open(format)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range models {
			m, err := load(bytes.NewReader(b))
			if err != nil {
				t.Errorf("%s %v: %v", engine, settings[i], err)
				continue
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A model that was altered is refused, or predicts: the process lives, and the walks end. The engines run in a child, which says where it is.
func TestAlteredModelsDoNoHarm(t *testing.T) {
	t.Parallel()
	n := hostileModels
	if testing.Short() {
		n = 300
	}
	if s := os.Getenv("SALESCAST_TEST_MODELS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	e := open(t, 1)
	for _, engine := range []string{"lightgbm", "xgboost"} {
		models, format := saved(t, e, engine)
		dir := t.TempDir()
		for i, b := range models {
			if err := os.WriteFile(fmt.Sprintf("%s/%d", dir, i), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		accepted, crashes := 0, 0
		for from := 0; from < n && crashes < 5; {
			to := min(n, from+hostileBatch)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			c := exec.CommandContext(ctx, os.Args[0])
			c.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d %d %d", hostileEnv, dir, format, len(models), from, to), "SALESCAST_ENGINE_DIR="+regresstest.EngineDir(t))
			var said bytes.Buffer
			c.Stderr = &said
			out, err := c.Output()
			cancel()
			last, opened := progress(out)
			accepted += opened
			if err == nil {
				from = to
				continue
			}
			if last < from {
				t.Fatalf("%s: %v\n%s", engine, err, said.String())
			}
			crashes++
			t.Errorf("%s: alteration %d ended the process: %v\n%.600s", engine, last, err, said.String())
			from = last + 1
		}
		t.Logf("%s: %d of %d altered models were opened", engine, accepted, n)
	}
}

// progress reads what a child said between the engine's own words: the last alteration, and how many models were opened.
func progress(out []byte) (last, opened int) {
	last = -1
	for line := range strings.Lines(string(out)) {
		if s, ok := strings.CutPrefix(line, "alteration "); ok {
			last, _ = strconv.Atoi(strings.TrimSpace(s))
		}
		if line == "opened\n" {
			opened++
		}
	}
	return last, opened
}

// loadHostile is the child: it prints the number of each alteration before it opens the model, and a word once it is open.
func loadHostile(job string) int {
	var (
		dir, format     string
		count, from, to int
	)
	if _, err := fmt.Sscan(job, &dir, &format, &count, &from, &to); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	e := engines.New(engines.Config{EngineDir: os.Getenv("SALESCAST_ENGINE_DIR"), Threads: 1})
	load, err := e.Open(format)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	models := make([][]byte, count)
	for i := range models {
		if models[i], err = os.ReadFile(fmt.Sprintf("%s/%d", dir, i)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	for i := from; i < to; i++ {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		b := alter(r, models[i%count], format)
		fmt.Println("alteration", i)
		m, err := load(bytes.NewReader(b))
		if err != nil {
			continue
		}
		fmt.Println("opened")
		use(m, r)
		_ = m.Close()
	}
	return 0
}

// use predicts, explains and saves; what comes out does not matter.
func use(m regress.Model, r *rand.Rand) {
	s := regresstest.Sales(40, r.Uint64())
	for i := range s.X.Data {
		switch r.IntN(10) {
		case 0:
			s.X.Data[i] = float32(math.NaN())
		case 1:
			s.X.Data[i] = float32(r.NormFloat64() * 1e9)
		}
	}
	x := &panel.Frame{Names: s.X.Names, Rows: s.X.Rows, Data: s.X.Data}
	_ = m.Predict(context.Background(), x, make([]float32, x.Rows))
	if c, ok := m.(regress.Contributor); ok {
		_ = c.Contributions(context.Background(), x, make([]float32, x.Rows*4))
	}
	_, _ = m.Importance()
	_ = m.Save(&bytes.Buffer{})
}

// alter changes a model in one to three places.
func alter(r *rand.Rand, model []byte, format string) []byte {
	b := slices.Clone(model)
	for range 1 + r.IntN(3) {
		if strings.HasSuffix(format, ".txt") {
			b = alterText(r, b)
		} else {
			b = alterBytes(r, b)
		}
	}
	if strings.HasSuffix(format, ".txt") && r.IntN(10) > 0 {
		b = resize(b)
	}
	return b
}

// words are numbers at which a parser or an index may break.
var words = []string{
	"-1", "-2", "0", "1", "2", "3", "5", "31", "255", "65536", "2147483647", "-2147483648", "4294967295", "99999999999", "1e308", "-1e308", "1e-320", "nan", "inf", "-inf", "", "x", "1.5", "+1", "0x10", "1_0", " 1", "1e999",
}

// alterText changes a word of a line, or a line.
func alterText(r *rand.Rand, b []byte) []byte {
	lines := strings.Split(string(b), "\n")
	last := max(1, slices.Index(lines, "end of trees"))
	i := r.IntN(last)
	key, value, ok := strings.Cut(lines[i], "=")
	words := strings.Split(value, " ")
	at := r.IntN(len(words))
	switch r.IntN(12) {
	case 0:
		lines = slices.Delete(lines, i, i+1)
	case 1:
		lines[i] = lines[r.IntN(last)]
	case 2:
		lines = slices.Insert(lines, i, lines[i])
	case 3:
		words = append(words, "1")
	case 4:
		words = words[:at]
	case 5:
		words[at] = words[r.IntN(len(words))]
	case 6:
		b = []byte(strings.Join(lines, "\n"))
		b[r.IntN(len(b))] = byte(r.IntN(256))
		return b
	case 7:
		r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	case 8:
		words[at] = strconv.Itoa(r.IntN(40) - 20)
	default:
		words[at] = oneOf(r)
	}
	if ok && i < len(lines) && strings.HasPrefix(lines[i], key+"=") {
		lines[i] = key + "=" + strings.Join(words, " ")
	}
	return []byte(strings.Join(lines, "\n"))
}

func oneOf(r *rand.Rand) string { return words[r.IntN(len(words))] }

// resize writes the sizes of the trees anew.
func resize(b []byte) []byte {
	text := string(b)
	from, to := strings.Index(text, "Tree="), strings.Index(text, "end of trees")
	at := strings.Index(text, "tree_sizes=")
	if from < 0 || to < from || at < 0 || at > from {
		return b
	}
	var sizes []string
	for _, t := range strings.SplitAfter(text[from:to], "\n\n\n") {
		if t != "" {
			sizes = append(sizes, strconv.Itoa(len(t)))
		}
	}
	_, rest, _ := strings.Cut(text[at:], "\n")
	return []byte(text[:at] + "tree_sizes=" + strings.Join(sizes, " ") + "\n" + rest)
}

// alterBytes changes bytes, a number in place, or a word.
func alterBytes(r *rand.Rand, b []byte) []byte {
	i := r.IntN(len(b))
	switch r.IntN(6) {
	case 0:
		b[i] = byte(r.IntN(256))
	case 1:
		return slices.Delete(b, i, min(len(b), i+1+r.IntN(8)))
	case 2:
		return slices.Insert(b, i, b[i:min(len(b), i+r.IntN(40))]...)
	case 3: // a big-endian number of four bytes, perhaps
		v := [][]byte{{0, 0, 0, 0}, {0, 0, 0, 1}, {0, 0, 0, byte(r.IntN(64))}, {0x7f, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0}, {0x7f, 0x80, 0, 0}, {0x7f, 0x7f, 0xff, 0xff}}
		copy(b[i:], v[r.IntN(len(v))])
	default: // the values of a named array
		names := []string{"children", "split_indices", "split_type", "categories", "parents", "num_", "indptr", "tree_info", "default_left", "base_score", "name", "weight_drop", "conditions"}
		name := []byte(names[r.IntN(len(names))])
		at := bytes.Index(b[i:], name)
		if at < 0 {
			return b
		}
		at += i + len(name)
		b[min(len(b)-1, at+r.IntN(80))] = byte(r.IntN(256))
	}
	return b
}
