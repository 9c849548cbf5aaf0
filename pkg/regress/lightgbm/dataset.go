package lightgbm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"

	"salescast/pkg/panel"
	"salescast/pkg/regress"
	"salescast/pkg/regress/internal/boost"
)

// maxRows is the engine's limit: it counts rows with 32 bits.
const maxRows = math.MaxInt32

// pushRows is the number of rows turned from columns to rows at a time.
const pushRows = 1024

// largeSample is the number of sampled values, of 12 bytes each, from which their memory is given back at once.
const largeSample = 2 << 20

// zeroThreshold is LightGBM's: smaller magnitudes are zeros, and zeros are left out of its sample.
const zeroThreshold = 1e-35

// data is a quantised source.
type data struct {
	handle   uintptr
	weighted bool
}

// dataset bins a source by its own sample of rows, reading it twice.
func (e *Engine) dataset(ctx context.Context, s regress.Source, params string) (data, error) {
	if s.Rows() > maxRows {
		return data{}, fmt.Errorf("%d rows: lightgbm takes at most %d", s.Rows(), maxRows)
	}
	sampled, err := e.sample(ctx, s, params)
	if err != nil {
		return data{}, err
	}
	columns := make([]string, len(s.Columns()))
	for i, c := range s.Columns() {
		columns[i] = c.Name
	}
	values, indices := make([]*float64, len(columns)), make([]*int32, len(columns))
	counts := make([]int32, len(columns))
	for c := range columns {
		// The spare element keeps a pointer valid for a column of zeros.
		values[c], indices[c], counts[c] = &append(sampled.values[c], 0)[0], &append(sampled.rows[c], 0)[0], int32(len(sampled.values[c]))
	}
	out := new(uintptr)
	err = e.train(func() int32 {
		return e.api.datasetSampled(&values[0], &indices[0], int32(len(columns)), &counts[0], int32(sampled.count), int32(s.Rows()), int64(s.Rows()), params, out)
	})
	runtime.KeepAlive(values)
	runtime.KeepAlive(indices)
	if err != nil {
		return data{}, err
	}
	if sampled.count*len(columns) > largeSample {
		// The rows to come are allocated by C, which does not see what Go could give back.
		sampled, values, indices = nil, nil, nil
		debug.FreeOSMemory()
	}
	cn := cStrings(names(columns))
	err = e.train(func() int32 { return e.api.datasetNames(*out, &cn[0], int32(len(cn))) })
	d := data{handle: *out}
	if err == nil {
		d.weighted, err = e.push(ctx, d.handle, s, false)
	}
	if err != nil {
		return data{}, errors.Join(err, e.free(d.handle))
	}
	return d, nil
}

// like bins a source by the bins of another, and has weights where that has.
func (e *Engine) like(ctx context.Context, s regress.Source, other data) (data, error) {
	out := new(uintptr)
	if err := e.train(func() int32 { return e.api.datasetReference(other.handle, int64(s.Rows()), out) }); err != nil {
		return data{}, err
	}
	weighted, err := e.push(ctx, *out, s, other.weighted)
	if err != nil {
		return data{}, errors.Join(err, e.free(*out))
	}
	return data{*out, weighted || other.weighted}, nil
}

func (e *Engine) free(dataset uintptr) error {
	return e.train(func() int32 { return e.api.datasetFree(dataset) })
}

// sample holds the values of the sampled rows that are not zero, by column, and where they stand in the sample.
type sample struct {
	count  int
	values [][]float64
	rows   [][]int32
}

// sample reads the rows that the engine itself would draw.
func (e *Engine) sample(ctx context.Context, s regress.Source, params string) (*sample, error) {
	n := new(int32)
	if err := e.train(func() int32 { return e.api.sampleCount(int32(s.Rows()), params, n) }); err != nil {
		return nil, err
	}
	drawn := make([]int32, max(1, *n))
	if err := e.train(func() int32 { return e.api.sampleIndices(int32(s.Rows()), params, &drawn[0], n) }); err != nil {
		return nil, err
	}
	drawn = drawn[:*n]
	out := &sample{count: len(drawn), values: make([][]float64, len(s.Columns())), rows: make([][]int32, len(s.Columns()))}
	for c := range out.values {
		// Memory that a column of zeros does not touch costs nothing; growing would hold every column twice.
		out.values[c], out.rows[c] = make([]float64, 0, len(drawn)+1), make([]int32, 0, len(drawn)+1)
	}
	first, taken := 0, 0
	for b, err := range s.Blocks(ctx) {
		if err == nil {
			err = boost.CheckBlock(b, len(s.Columns()), s.Rows()-first)
		}
		if err != nil {
			return nil, fmt.Errorf("read the design matrix: %w", err)
		}
		end := taken // drawn rows are in increasing order
		for end < len(drawn) && int(drawn[end]) < first+b.X.Rows {
			end++
		}
		for c := range out.values {
			column := b.X.Column(c)
			for i := taken; i < end; i++ {
				if v := float64(column[int(drawn[i])-first]); math.Abs(v) > zeroThreshold || math.IsNaN(v) {
					out.values[c] = append(out.values[c], v)
					out.rows[c] = append(out.rows[c], int32(i))
				}
			}
		}
		first, taken = first+b.X.Rows, end
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if first != s.Rows() {
		return nil, fmt.Errorf("read the design matrix: it yields %d rows and announced %d", first, s.Rows())
	}
	return out, nil
}

// push fills a dataset with the rows of a source, and answers whether they have weights. A dataset that was made like another one has
// room for weights already if that has them, and the engine refuses to make it twice.
func (e *Engine) push(ctx context.Context, dataset uintptr, s regress.Source, room bool) (weighted bool, err error) {
	columns, first := len(s.Columns()), 0
	var rows []float32
	for b, err := range s.Blocks(ctx) {
		if err == nil {
			err = boost.CheckBlock(b, columns, s.Rows()-first)
		}
		if err != nil {
			return false, fmt.Errorf("read the design matrix: %w", err)
		}
		if first == 0 {
			weighted = b.Weight != nil
			hasWeights := int32(0)
			if weighted && !room {
				hasWeights = 1
			}
			if room && !weighted {
				return false, errors.New("read the design matrix: its rows have no weights, and those that its bins come from have")
			}
			if err := e.train(func() int32 { return e.api.datasetStream(dataset, hasWeights, 0, 0, 1, 1, -1) }); err != nil {
				return false, err
			}
		}
		if weighted != (b.Weight != nil) {
			return false, errors.New("read the design matrix: some blocks have weights and some have none")
		}
		for lo := 0; lo < b.X.Rows; lo += pushRows {
			hi := min(lo+pushRows, b.X.Rows)
			rows = rowMajor(rows, b.X, lo, hi)
			var weight *float32
			if weighted {
				weight = &b.Weight[lo]
			}
			err := e.train(func() int32 {
				return e.api.datasetPush(dataset, &rows[0], float32Type, int32(hi-lo), int32(columns), int32(first+lo), &b.Y[lo], weight, nil, nil, 0)
			})
			if err != nil {
				return false, err
			}
		}
		first += b.X.Rows
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if first != s.Rows() {
		return false, fmt.Errorf("read the design matrix: it yields %d rows and announced %d", first, s.Rows())
	}
	return weighted, e.train(func() int32 { return e.api.datasetFinish(dataset) })
}

// rowMajor writes rows lo to hi-1 of a frame row after row into dst, which it grows as needed.
func rowMajor(dst []float32, x *panel.Frame, lo, hi int) []float32 {
	columns := len(x.Data) / max(1, x.Rows)
	if n := (hi - lo) * columns; cap(dst) < n {
		dst = make([]float32, n)
	} else {
		dst = dst[:n]
	}
	for c := range columns {
		for i, v := range x.Data[c*x.Rows+lo : c*x.Rows+hi] {
			dst[i*columns+c] = v
		}
	}
	return dst
}
