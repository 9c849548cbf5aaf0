package bundle_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"salescast/pkg/bundle"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/forecast/forecasttest"
)

// number finds the numbers of a JSON document.
var number = regexp.MustCompile(`[:\[,\s](-?\d+(\.\d+)?([eE][-+]?\d+)?)[,\]\}\s]`)

// alter changes one place of a file: a number, a word, or a piece.
func alter(r *rand.Rand, text string) string {
	switch r.IntN(8) {
	case 0:
		i := r.IntN(len(text))
		return text[:i] + text[min(len(text), i+1+r.IntN(50)):]
	case 1:
		return strings.Repeat("[", 100_000)
	case 2:
		i := r.IntN(len(text))
		return text[:i] + string(rune('!'+r.IntN(90))) + text[i+1:]
	case 3: // a list that is longer or shorter by one
		if i := strings.IndexByte(text[r.IntN(len(text)):], ','); i > 0 {
			return strings.Replace(text, ",", ", 1,", r.IntN(3)+1)
		}
	}
	at := number.FindAllStringSubmatchIndex(text, -1)
	if len(at) == 0 {
		return text
	}
	values := []string{"-1", "0", "1", "2", "1e308", "-1e308", "99999999999", "2147483648", "-2147483648", "1e-320", "null", `"x"`, "[]", "{}", "1000000000", "5000", "0.5"}
	m := at[r.IntN(len(at))]
	return text[:m[2]] + values[r.IntN(len(values))] + text[m[3]:]
}

// seal writes the digests of altered files into the bundle, as whoever alters a model would.
func seal(w, before files) {
	for name, b := range w {
		old, now := sha256.Sum256(before[name]), sha256.Sum256(b)
		w[bundle.Name] = []byte(strings.ReplaceAll(string(w[bundle.Name]), hex.EncodeToString(old[:]), hex.EncodeToString(now[:])))
	}
}

// A bundle whose files were altered is refused as data, or forecasts finite numbers: it never ends the process.
func TestAlteredBundlesDoNoHarm(t *testing.T) {
	t.Parallel()
	shape := forecasttest.Daily()
	shape.Stores, shape.Steps = 1, 420
	p := forecasttest.Panel(shape)
	whole, _ := write(t, p)
	names := slices.Sorted(maps.Keys(whole))
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, ".json") })
	n := 300
	if testing.Short() {
		n = 40
	}
	refused := 0
	for i := range n {
		r := rand.New(rand.NewPCG(uint64(i), 3))
		w := maps.Clone(whole)
		name := names[r.IntN(len(names))]
		w[name] = []byte(alter(r, string(w[name])))
		seal(w, whole)
		if err := forecastWith(t.Context(), w); err != nil {
			refused++
			if altered := (*bundle.AlteredError)(nil); !errors.As(err, &altered) && !errors.Is(err, ensemble.ErrNotFinite) {
				t.Errorf("alteration %d of %s: %v", i, name, err)
			}
		}
	}
	t.Logf("%d of %d altered bundles were refused", refused, n)
}

func forecastWith(ctx context.Context, w files) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it panics: %v", r)
		}
	}()
	b, err := bundle.Open(ctx, w, loaders)
	if err != nil {
		return err
	}
	defer b.Close()
	k, err := b.Know(ctx)
	if err != nil {
		return err
	}
	f, err := k.Forecast(ctx, b.Model, forecast.Request{Panel: k.Panel, Origin: k.End, Horizon: b.Manifest.Horizon, Levels: b.Manifest.Levels}, nil)
	if err != nil {
		return err
	}
	for _, v := range slices.Concat(f.Point, f.Quantiles) {
		if math.IsInf(v, 0) {
			return fmt.Errorf("it forecasts %g", v)
		}
	}
	return nil
}
