package xgboost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"salescast/pkg/panel"
	"salescast/pkg/regress"
	"salescast/pkg/regress/internal/boost"
)

// Format names what Save writes.
const Format = "xgboost.ubj"

// model is a booster that predicts with one thread per call: rows are spread over goroutines, so that calls do not wait for each other
// and OpenMP starts no pool for each of them.
type model struct {
	engine  *Engine
	columns []string // nil in a model that was saved without names
	width   int
	calls   sync.Pool // *call

	mu      sync.RWMutex // held for writing by Close alone
	booster uintptr      // 0 once closed
}

// call is the memory of one prediction call, kept for the next.
type call struct {
	array  []byte
	shape  *uint64
	dim    uint64
	result *float32
}

var errClosed = errors.New("the xgboost model is closed")

// Load opens a model that XGBoost saved as UBJSON; see [Check] for what is an error.
func (e *Engine) Load(r io.Reader) (regress.Model, error) {
	return boost.Load("xgboost", r, Check, e.open)
}

func (e *Engine) open(saved []byte) (*model, error) {
	if saved[0] != '{' {
		return nil, errors.New("it is neither UBJSON nor JSON")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	booster := new(uintptr)
	if err := e.check(e.api.boosterCreate(nil, 0, booster)); err != nil {
		return nil, err
	}
	m := &model{engine: e, booster: *booster}
	m.calls.New = func() any { return new(call) }
	err := e.call(func() int32 { return e.api.boosterLoad(m.booster, &saved[0], uint64(len(saved))) }, e.log)
	if err == nil {
		err = e.check(e.api.boosterSet(m.booster, "nthread\x00", "1\x00"))
	}
	if err == nil {
		err = m.describe()
	}
	if err == nil {
		err = m.warm()
	}
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// describe reads the number and the names of the columns.
func (m *model) describe() error {
	api, n := &m.engine.api, new(uint64)
	if err := m.engine.check(api.boosterColumns(m.booster, n)); err != nil {
		return err
	}
	m.width = int(*n)
	out := new(**byte)
	if err := m.engine.check(api.boosterGetStrings(m.booster, "feature_name\x00", n, out)); err != nil {
		return err
	}
	if *n > 0 {
		m.columns = goStrings(*out, *n)
	}
	return nil
}

// warm predicts one empty row: the first call configures the booster, which two threads must not do at once, and finds out what is wrong.
func (m *model) warm() error {
	x := &panel.Frame{Rows: 1, Data: make([]float32, m.width)}
	for i := range x.Data {
		x.Data[i] = float32(math.NaN())
	}
	var dst [1]float32
	return m.predict(x, 0, 1, dst[:])
}

const valueConfig = `{"type":0,"training":false,"iteration_begin":0,"iteration_end":0,"strict_shape":false,"missing":NaN,"cache_id":0}` + "\x00"

func (m *model) Predict(ctx context.Context, x *panel.Frame, dst []float32) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.check(x, 1, len(dst)); err != nil {
		return fmt.Errorf("predict with xgboost: %w", err)
	}
	err := boost.Spread(ctx, x.Rows, m.engine.config.Threads, func(lo, hi int) error { return m.predict(x, lo, hi, dst[lo:hi]) })
	if err != nil {
		return fmt.Errorf("predict %d rows with xgboost: %w", x.Rows, err)
	}
	return nil
}

func (m *model) check(x *panel.Frame, per, dst int) error {
	if m.booster == 0 {
		return errClosed
	}
	if m.columns != nil {
		if err := boost.CheckNames(m.columns, x.Names); err != nil {
			return err
		}
	}
	return boost.CheckFrame(x, m.width, per, dst)
}

// predict predicts rows lo to hi-1; the calling goroutine is locked to its thread, which owns the result.
func (m *model) predict(x *panel.Frame, lo, hi int, dst []float32) error {
	c := m.calls.Get().(*call)
	defer m.calls.Put(c)
	c.array = appendFrame(c.array[:0], x, lo, hi)
	err := m.engine.check(m.engine.api.predictDense(m.booster, &c.array[0], unsafe.StringData(valueConfig), 0, &c.shape, &c.dim, &c.result))
	runtime.KeepAlive(x)
	return c.copy(err, hi-lo, 1, dst)
}

// copy takes the result of a call, per values for each row.
func (c *call) copy(err error, rows, per int, dst []float32) error {
	if err != nil {
		return err
	}
	n := uint64(1)
	for _, d := range unsafe.Slice(c.shape, c.dim) {
		n *= d
	}
	if n != uint64(rows*per) {
		return fmt.Errorf("the model gives %d values for %d rows, not %d for each", n, rows, per)
	}
	copy(dst, unsafe.Slice(c.result, n))
	return nil
}

const contributionConfig = `{"type":2,"training":false,"iteration_begin":0,"iteration_end":0,"strict_shape":false}` + "\x00"

// Contributions implements regress.Contributor.
func (m *model) Contributions(ctx context.Context, x *panel.Frame, dst []float32) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	per := m.width + 1
	if err := m.check(x, per, len(dst)); err != nil {
		return fmt.Errorf("explain with xgboost: %w", err)
	}
	err := boost.Spread(ctx, x.Rows, m.engine.config.Threads, func(lo, hi int) error {
		return m.contributions(x, lo, hi, dst[lo*per:hi*per])
	})
	if err != nil {
		return fmt.Errorf("explain %d rows with xgboost: %w", x.Rows, err)
	}
	return nil
}

func (m *model) contributions(x *panel.Frame, lo, hi int, dst []float32) error {
	c, matrix := m.calls.Get().(*call), new(uintptr)
	defer m.calls.Put(c)
	c.array = appendFrame(c.array[:0], x, lo, hi)
	err := m.engine.check(m.engine.api.matrixDense(&c.array[0], `{"missing":NaN,"nthread":1}`+"\x00", matrix))
	runtime.KeepAlive(x)
	if err != nil {
		return err
	}
	err = m.engine.check(m.engine.api.predictFromDMatrix(m.booster, *matrix, unsafe.StringData(contributionConfig), &c.shape, &c.dim, &c.result))
	err = c.copy(err, hi-lo, m.width+1, dst)
	return errors.Join(err, m.engine.check(m.engine.api.matrixFree(*matrix)))
}

func (m *model) Format() string { return Format }

// Save writes UBJSON.
func (m *model) Save(w io.Writer) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.booster == 0 {
		return errClosed
	}
	runtime.LockOSThread()
	saved, status := m.engine.save(m.booster)
	err := m.engine.check(status)
	runtime.UnlockOSThread()
	if err == nil {
		_, err = w.Write(saved)
	}
	if err != nil {
		return fmt.Errorf("save an xgboost model: %w", err)
	}
	return nil
}

// save copies a booster's UBJSON; the bytes of C belong to the calling thread.
func (e *Engine) save(booster uintptr) ([]byte, int32) {
	n, out := new(uint64), new(*byte)
	status := e.api.boosterSave(booster, `{"format":"ubj"}`+"\x00", n, out)
	if status != 0 {
		return nil, status
	}
	return append([]byte(nil), unsafe.Slice(*out, *n)...), 0
}

// Importance returns the total gain of every column.
func (m *model) Importance() ([]float64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.booster == 0 {
		return nil, errClosed
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var (
		n, dim = new(uint64), new(uint64)
		names  = new(**byte)
		shape  = new(*uint64)
		scores = new(*float32)
	)
	err := m.engine.check(m.engine.api.boosterScore(m.booster, `{"importance_type":"total_gain"}`+"\x00", n, names, dim, shape, scores))
	if err != nil {
		return nil, fmt.Errorf("importance of an xgboost model: %w", err)
	}
	at := make(map[string]int, m.width)
	for i := range m.width {
		name := "f" + strconv.Itoa(i)
		if m.columns != nil {
			name = m.columns[i]
		}
		at[name] = i
	}
	gain := make([]float64, m.width)
	for i, name := range goStrings(*names, *n) { // only columns that split anything
		c, ok := at[name]
		if !ok {
			return nil, fmt.Errorf("importance of an xgboost model: it has no column %q, only %s", name, strings.Join(m.columns, ", "))
		}
		gain[c] = float64(unsafe.Slice(*scores, *n)[i])
	}
	return gain, nil
}

func (m *model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.booster == 0 {
		return nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	booster := m.booster
	m.booster = 0
	return m.engine.check(m.engine.api.boosterFree(booster))
}
