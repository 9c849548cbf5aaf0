package engines_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

// generated is a design matrix that exists one block at a time.
type generated struct {
	rows, columns int
	missing       bool
}

func (g generated) Columns() []regress.Column {
	c := make([]regress.Column, g.columns)
	for i := range c {
		c[i] = regress.Column{Name: fmt.Sprintf("c%d", i), MayBeMissing: g.missing}
	}
	return c
}

func (g generated) Rows() int { return g.rows }

func (g generated) Blocks(context.Context) iter.Seq2[regress.Block, error] {
	return func(yield func(regress.Block, error) bool) {
		const block = 8192
		x := &panel.Frame{}
		for _, c := range g.Columns() {
			x.Names = append(x.Names, c.Name)
		}
		y := make([]float32, block)
		for lo := 0; lo < g.rows; lo += block {
			rng := rand.New(rand.NewPCG(uint64(lo), 1))
			x.Resize(min(block, g.rows-lo))
			clear(y)
			for c := range g.columns {
				for r, column := 0, x.Column(c); r < x.Rows; r++ {
					column[r] = float32(rng.IntN(1000)) / 8
					y[r] += column[r] * float32(c%5)
				}
			}
			if g.missing {
				x.Data[0] = nan
			}
			if !yield(regress.Block{X: x, Y: y[:x.Rows]}, nil) {
				return
			}
		}
	}
}

// peak returns the largest resident set so far of this process, in MB.
func peak(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kb float64
	if _, err := fmt.Sscan(after, &kb); err != nil {
		b.Fatal(err)
	}
	return kb / 1000
}

// BenchmarkStream fits a matrix of 1,000,000 rows and 40 columns, 160 MB as float32, that is never whole in memory. One benchmark per
// process: the peak is the process's.
func BenchmarkStream(b *testing.B) {
	for _, engine := range []string{"xgboost", "lightgbm"} {
		for _, missing := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/missing=%t", engine, missing), func(b *testing.B) {
				for b.Loop() {
					fit(b, open(b, 2), engine, generated{1_000_000, 40, missing}, map[string]string{"rounds": "10", "max_bin": "255"})
				}
				b.ReportMetric(peak(b), "peak-MB")
			})
		}
	}
}
