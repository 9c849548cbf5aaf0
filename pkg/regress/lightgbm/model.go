package lightgbm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"

	"salescast/pkg/panel"
	"salescast/pkg/regress"
	"salescast/pkg/regress/internal/boost"
)

// Format names what Save writes.
const Format = "lightgbm.txt"

// The kinds of prediction of the C API.
const (
	value         = 0
	contributions = 3
)

// model is a booster that predicts row by row with prepared predictors, one per call in progress: calls do not wait for each other, and
// no OpenMP pool is started for each of them.
type model struct {
	engine  *Engine
	columns []string // as the model text has them

	mu      sync.RWMutex // held for writing by Close alone
	booster uintptr      // 0 once closed

	free [2]predictors // for values and for contributions
}

// predictors are the idle ones of a kind.
type predictors struct {
	mu   sync.Mutex
	idle []*predictor
}

// predictor is one prepared single-row predictor of C and the memory of its calls.
type predictor struct {
	handle uintptr
	n      int64
	row    []float32
	rows   []float32
	out    []float64
}

var errClosed = errors.New("the lightgbm model is closed")

// Load opens a model text that LightGBM 4 saved; see [Check] for what is an error.
func (e *Engine) Load(r io.Reader) (regress.Model, error) {
	return boost.Load("lightgbm", r, Check, e.open)
}

func (e *Engine) open(saved []byte) (*model, error) {
	if !bytes.HasPrefix(saved, []byte("tree\n")) || !bytes.Contains(saved, []byte("\nend of trees\n")) {
		return nil, errors.New("it is not a whole LightGBM model text")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	booster, rounds := new(uintptr), new(int32)
	text := append(slices.Clip(saved), 0)
	if err := e.call(func() int32 { return e.api.boosterLoad(&text[0], rounds, booster) }, e.log); err != nil {
		return nil, err
	}
	m := &model{engine: e, booster: *booster}
	err := m.describe()
	if err == nil {
		err = m.warm()
	}
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// describe reads the names of the columns.
func (m *model) describe() (err error) {
	api, n := &m.engine.api, new(int32)
	if err := m.engine.check(api.boosterColumns(m.booster, n)); err != nil {
		return err
	}
	var status int32
	m.columns, status = strs(int(*n), func(room int32, n *int32, buffer uint64, needed *uint64, out **byte) int32 {
		return api.boosterNames(m.booster, room, n, buffer, needed, out)
	})
	return m.engine.check(status)
}

// warm makes the first predictor, which finds out whether the model gives one value per row.
func (m *model) warm() error {
	n := new(int64)
	if err := m.engine.check(m.engine.api.boosterNumPredict(m.booster, 1, value, 0, -1, n)); err != nil {
		return err
	}
	if *n != 1 {
		return fmt.Errorf("the model gives %d values for each row, not one", *n)
	}
	p, err := m.take(value)
	if err != nil {
		return err
	}
	m.give(value, p)
	return nil
}

// take returns an idle predictor of a kind, or a new one.
func (m *model) take(kind int32) (*predictor, error) {
	f := &m.free[kind/contributions]
	f.mu.Lock()
	if n := len(f.idle); n > 0 {
		p := f.idle[n-1]
		f.idle = f.idle[:n-1]
		f.mu.Unlock()
		return p, nil
	}
	f.mu.Unlock()
	p := &predictor{row: make([]float32, len(m.columns)), out: make([]float64, 1)}
	if kind == contributions {
		p.out = make([]float64, len(m.columns)+1)
	}
	handle := new(uintptr)
	params := fmt.Sprintf("num_threads=%d verbosity=-1", m.engine.config.Threads) + "\x00"
	if err := m.engine.check(m.engine.api.rowInit(m.booster, kind, 0, -1, float32Type, int32(len(m.columns)), params, handle)); err != nil {
		return nil, err
	}
	p.handle = *handle
	return p, nil
}

func (m *model) give(kind int32, p *predictor) {
	f := &m.free[kind/contributions]
	f.mu.Lock()
	f.idle = append(f.idle, p)
	f.mu.Unlock()
}

func (m *model) Predict(ctx context.Context, x *panel.Frame, dst []float32) error {
	if err := m.run(ctx, x, value, 1, dst); err != nil {
		return fmt.Errorf("predict %d rows with lightgbm: %w", x.Rows, err)
	}
	return nil
}

// Contributions implements regress.Contributor.
func (m *model) Contributions(ctx context.Context, x *panel.Frame, dst []float32) error {
	if err := m.run(ctx, x, contributions, len(m.columns)+1, dst); err != nil {
		return fmt.Errorf("explain %d rows with lightgbm: %w", x.Rows, err)
	}
	return nil
}

func (m *model) run(ctx context.Context, x *panel.Frame, kind int32, per int, dst []float32) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.booster == 0 {
		return errClosed
	}
	if err := boost.CheckNames(m.columns, x.Names); err != nil && boost.CheckNames(m.columns, names(x.Names)) != nil {
		return err
	}
	if err := boost.CheckFrame(x, len(m.columns), per, len(dst)); err != nil {
		return err
	}
	return boost.Spread(ctx, x.Rows, m.engine.config.Threads, func(lo, hi int) error {
		p, err := m.take(kind)
		if err != nil {
			return err
		}
		defer m.give(kind, p)
		return m.rows(p, x, lo, hi, dst[lo*per:hi*per])
	})
}

// rows predicts rows lo to hi-1; the calling goroutine is locked to its thread.
func (m *model) rows(p *predictor, x *panel.Frame, lo, hi int, dst []float32) error {
	p.rows = rowMajor(p.rows, x, lo, hi)
	columns, per := len(m.columns), len(p.out)
	for i := range hi - lo {
		row := p.rows[i*columns : (i+1)*columns]
		status, _, _ := purego.SyscallN(m.engine.api.rowPredict, p.handle, uintptr(unsafe.Pointer(&row[0])), uintptr(unsafe.Pointer(&p.n)), uintptr(unsafe.Pointer(&p.out[0])))
		if int32(status) != 0 {
			return m.engine.check(int32(status))
		}
		for j, v := range p.out {
			dst[i*per+j] = float32(v)
		}
	}
	return nil
}

func (m *model) Format() string { return Format }

// Save writes the model text.
func (m *model) Save(w io.Writer) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.booster == 0 {
		return errClosed
	}
	runtime.LockOSThread()
	saved, status := m.engine.save(m.booster, -1)
	err := m.engine.check(status)
	runtime.UnlockOSThread()
	if err == nil {
		_, err = w.Write(saved)
	}
	if err != nil {
		return fmt.Errorf("save a lightgbm model: %w", err)
	}
	return nil
}

// save returns the text of the first rounds of a booster, -1 for all.
func (e *Engine) save(booster uintptr, rounds int) ([]byte, int32) {
	const gain = 1
	b, needed := make([]byte, 1<<16), new(int64)
	for {
		if status := e.api.boosterSave(booster, 0, int32(rounds), gain, int64(len(b)), needed, &b[0]); status != 0 {
			return nil, status
		}
		if *needed <= int64(len(b)) {
			return b[:max(0, *needed-1)], 0 // the length counts the closing zero
		}
		b = make([]byte, *needed)
	}
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
	const totalGain = 1
	gain := make([]float64, max(1, len(m.columns)))
	if err := m.engine.check(m.engine.api.boosterImportance(m.booster, -1, totalGain, &gain[0])); err != nil {
		return nil, fmt.Errorf("importance of a lightgbm model: %w", err)
	}
	for i, g := range gain {
		if math.IsNaN(g) {
			gain[i] = 0
		}
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
	var err error
	for k := range m.free {
		for _, p := range m.free[k].idle {
			err = errors.Join(err, m.engine.check(m.engine.api.rowFree(p.handle)))
		}
		m.free[k].idle = nil
	}
	err = errors.Join(err, m.engine.check(m.engine.api.boosterFree(m.booster)))
	m.booster = 0
	return err
}
