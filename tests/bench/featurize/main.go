// Command featurize times the featurize step on made-up sales: "make DIR SERIES STEPS" writes a workspace whose validate step is done,
// "run DIR" materialises the reference features of it and prints one line of JSON with the processor time and the peak memory of the
// whole process. bench.sh runs it beside polars on the same file.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"salescast/pkg/artifact"
	"salescast/pkg/artifact/dir"
	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/pkg/feature"
	"salescast/pkg/panel"
	"salescast/tasks"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "featurize bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 4 && args[0] == "make":
		series, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		steps, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		return makeWorkspace(args[1], series, steps)
	case len(args) == 2 && args[0] == "run":
		return featurize(args[1])
	}
	return errors.New("usage: make DIR SERIES STEPS | run DIR")
}

// makeWorkspace writes series of daily counts with weekday, year and promotions, and the manifest that makes them a finished step.
func makeWorkspace(root string, series, steps int) error {
	folder := filepath.Join(root, "validate", "attempts", "bench")
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(folder, "panel.parquet"))
	if err != nil {
		return err
	}
	defer f.Close()
	g := rand.New(rand.NewPCG(1, 2))
	start := calendar.DateOf(2021, time.January, 1)
	key := panel.Key{Name: "unique_id"}
	for s := range series {
		key.Levels = append(key.Levels, fmt.Sprintf("s%06d", s))
	}
	var w *columnar.PanelWriter
	for s := range series {
		p := oneSeries(g, calendar.Step(start), steps)
		p.Keys = []panel.Key{{Name: key.Name, Levels: key.Levels, Codes: []int32{int32(s)}}}
		if w == nil {
			if w, err = columnar.NewPanelWriter(f, columnar.SchemaOf(p, "ds", "y")); err != nil {
				return err
			}
		}
		if err := w.Write(p); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	m := artifact.Manifest{
		Schema: artifact.ManifestSchema, Step: "validate", Attempt: "bench", Binary: "bench", Key: hex.EncodeToString(sum[:]),
		OptionsDigest: hex.EncodeToString(sum[:]), Inputs: []artifact.Input{},
		Files: []artifact.File{{Name: "panel.parquet", Object: "attempts/bench/panel.parquet", Size: int64(len(b)), SHA256: hex.EncodeToString(sum[:])}},
	}
	text, err := m.Encode()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "validate", artifact.ManifestName), bytes.TrimSpace(text), 0o600)
}

func oneSeries(g *rand.Rand, start calendar.Step, steps int) *panel.Panel {
	level := 20 * (g.ExpFloat64() + g.ExpFloat64())
	var week [7]float64
	for i := range week {
		week[i] = max(0.1, 1+0.2*g.NormFloat64())
	}
	p := &panel.Panel{Frequency: calendar.Frequency{Unit: calendar.Daily}, Start: []calendar.Step{start}, Offsets: []int{0, steps}}
	promo := make([]float32, steps)
	for t := range steps {
		rate := level * week[t%7] * (1 + 0.3*math.Sin(2*math.Pi*float64(t)/365.25))
		p.Target = append(p.Target, float32(max(0, math.Round(rate+math.Sqrt(rate)*g.NormFloat64()))))
		p.Observed = append(p.Observed, true)
		if g.Float64() < 0.05 {
			promo[t] = 1
		}
	}
	p.Covariates = []panel.Covariate{{Name: "promo", Role: panel.KnownFuture, Values: promo}}
	return p
}

func featurize(root string) error {
	store, err := dir.New(root)
	if err != nil {
		return err
	}
	if name := os.Getenv("CPUPROFILE"); name != "" {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	env := tasks.Env{Store: store, Log: zerolog.Nop(), Now: time.Now, Version: "bench", Threads: runtime.GOMAXPROCS(0), Scratch: filepath.Join(root, "scratch")}
	began := time.Now()
	r, err := tasks.Featurize(context.Background(), env, tasks.FeaturizeOptions{
		Horizon: 28, Families: []string{feature.Lag, feature.Rolling, feature.Date}, Force: true,
	})
	if err != nil {
		return err
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"rows": r.Rows["features"], "columns": r.Metrics["columns"], "timings": r.Timings, "wall_s": math.Round(time.Since(began).Seconds()*100) / 100,
		"cpu_s": math.Round(float64(u.Utime.Nano()+u.Stime.Nano())/1e7) / 100, "peak_rss_mb": u.Maxrss / 1024,
	})
}
