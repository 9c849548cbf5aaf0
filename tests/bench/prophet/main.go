// Command prophet fits and forecasts the first series of a sales file with the native Prophet model and prints what that cost.
package main

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"syscall"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast/prophet"
)

const (
	horizon = 28
	samples = 500
)

type series struct{ at, y []float64 }

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	all, err := read(path, n)
	if err != nil {
		return err
	}
	before := cpu()
	for _, s := range all {
		m, err := prophet.Fit(context.Background(), prophet.DefaultOptions(), prophet.Times{At: s.at}, s.y)
		if err != nil {
			return err
		}
		future := prophet.Times{}
		for h := range horizon {
			future.At = append(future.At, s.at[len(s.at)-1]+float64(h+1))
		}
		c, err := m.Predict(future)
		if err != nil {
			return err
		}
		m.Quantiles(future, c, []float64{0.1, 0.9}, samples, 1)
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]float64{"series": float64(len(all)), "cpu_s_per_series": (cpu() - before) / float64(len(all))})
}

func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	s := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return s(u.Utime) + s(u.Stime)
}

// read takes the first n series of a gzipped file of store, item, date, sales, sorted by series and date.
func read(path string, n int) ([]series, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(z)
	r.ReuseRecord = true
	if _, err := r.Read(); err != nil {
		return nil, err
	}
	var out []series
	var last []string
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if !slices.Equal(last, rec[:2]) {
			if len(out) == n {
				return out, nil
			}
			last = slices.Clone(rec[:2])
			out = append(out, series{})
		}
		day, err := calendar.ParseDay(rec[2])
		if err != nil {
			return nil, err
		}
		y, err := strconv.ParseFloat(rec[3], 64)
		if err != nil {
			return nil, err
		}
		s := &out[len(out)-1]
		s.at, s.y = append(s.at, float64(day)), append(s.y, y)
	}
}
