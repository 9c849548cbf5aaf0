package xgboost

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"salescast/pkg/panel"
	"salescast/pkg/regress"
	"salescast/pkg/regress/internal/boost"
)

// feeds finds the feed that a C callback means by its number: C must not keep pointers into Go's memory.
type feeds struct {
	mu   sync.Mutex
	last uintptr
	open map[uintptr]*feed
}

func (s *feeds) add(f *feed) uintptr {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.open[s.last] = f
	return s.last
}

func (s *feeds) remove(id uintptr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, id)
}

func (s *feeds) get(id uintptr) *feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[id]
}

// next is called by C: it puts the next block into the proxy and answers 1, or 0 at the end or on an error, which the feed keeps.
func (s *feeds) next(id uintptr) (more int32) {
	f := s.get(id)
	defer func() {
		if r := recover(); r != nil { // a panic must not unwind through C
			f.fail(fmt.Errorf("read the design matrix: %v", r))
			more = 0
		}
	}()
	return f.next()
}

// reset is called by C before every pass over the data and after the last one.
func (s *feeds) reset(id uintptr) { s.get(id).stop() }

// feed hands the blocks of a source to C, one pass after another.
type feed struct {
	engine  *Engine
	proxy   uintptr
	source  regress.Source
	columns []*byte // names
	types   []*byte // feature types, nil for all numbers
	open    func() *pass
	pass    *pass
	left    int
	err     error
	array   []byte
	// held keeps the block that C reads until the next call.
	held regress.Block
}

// pass is one reading of the source, by a goroutine that waits while C uses a block.
type pass struct {
	blocks chan regress.Block
	// release has room for the one block that is out: giving it back never waits for a goroutine that may have ended.
	release chan struct{}
	cancel  context.CancelFunc
	err     error // set before blocks is closed
}

func newFeed(ctx context.Context, e *Engine, s regress.Source) *feed {
	f := &feed{engine: e, source: s}
	f.open = func() *pass {
		ctx, cancel := context.WithCancel(ctx)
		p := &pass{blocks: make(chan regress.Block), release: make(chan struct{}, 1), cancel: cancel}
		go func() {
			defer close(p.blocks)
			for b, err := range s.Blocks(ctx) {
				if err != nil {
					p.err = err
					return
				}
				select {
				case p.blocks <- b:
				case <-ctx.Done():
					p.err = ctx.Err()
					return
				}
				select {
				case <-p.release:
				case <-ctx.Done():
					p.err = ctx.Err()
					return
				}
			}
			p.err = ctx.Err()
		}()
		return p
	}
	return f
}

func (f *feed) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// stop ends the pass in progress and waits for its goroutine.
func (f *feed) stop() {
	if f.pass == nil {
		return
	}
	f.pass.cancel()
	for range f.pass.blocks { // until the goroutine has closed it
	}
	f.pass, f.held = nil, regress.Block{}
}

func (f *feed) next() int32 {
	if f.err != nil {
		return 0
	}
	if f.pass == nil {
		f.pass, f.left = f.open(), f.source.Rows()
	} else {
		f.pass.release <- struct{}{}
	}
	for {
		b, ok := <-f.pass.blocks
		if !ok {
			if f.fail(f.pass.err); f.err == nil && f.left != 0 {
				f.fail(fmt.Errorf("the design matrix yields %d rows fewer than it announced", f.left))
			}
			f.pass.cancel()
			f.pass = nil
			return 0
		}
		if f.fail(boost.CheckBlock(b, len(f.columns), f.left)); f.err != nil {
			return 0
		}
		if b.X.Rows > 0 {
			f.left -= b.X.Rows
			if f.fail(f.put(b)); f.err != nil {
				return 0
			}
			return 1
		}
		f.pass.release <- struct{}{}
	}
}

// put makes the proxy stand for a block.
func (f *feed) put(b regress.Block) error {
	f.held = b
	api, n := &f.engine.api, uint64(len(f.columns))
	f.array = appendFrame(f.array[:0], b.X, 0, b.X.Rows)
	if err := f.engine.check(api.proxySetDense(f.proxy, &f.array[0])); err != nil {
		return err
	}
	if err := f.engine.check(api.matrixStrings(f.proxy, "feature_name\x00", &f.columns[0], n)); err != nil {
		return err
	}
	if f.types != nil {
		if err := f.engine.check(api.matrixStrings(f.proxy, "feature_type\x00", &f.types[0], n)); err != nil {
			return err
		}
	}
	f.array = appendVector(f.array[:0], b.Y)
	if err := f.engine.check(api.matrixInfo(f.proxy, "label\x00", &f.array[0])); err != nil {
		return err
	}
	if b.Weight != nil {
		f.array = appendVector(f.array[:0], b.Weight)
		return f.engine.check(api.matrixInfo(f.proxy, "weight\x00", &f.array[0]))
	}
	return nil
}

// matrix quantises a source: in passes, with nothing but the bins and the labels kept. ref is the training matrix whose bins a
// validation matrix takes, or 0.
func (e *Engine) matrix(ctx context.Context, s regress.Source, p boost.Params, categorical bool, ref uintptr) (matrix uintptr, err error) {
	f := newFeed(ctx, e, s)
	var names, types []string
	for _, c := range s.Columns() {
		names = append(names, c.Name)
		kind := "float"
		if categorical && c.Categorical {
			kind = "c"
		}
		types = append(types, kind)
	}
	f.columns = cStrings(names)
	if categorical {
		f.types = cStrings(types)
	}
	if err := e.train(func() int32 { return e.api.proxyCreate(&f.proxy) }); err != nil {
		return 0, err
	}
	defer func() { _ = e.train(func() int32 { return e.api.matrixFree(f.proxy) }) }()
	id := e.feeds.add(f)
	defer e.feeds.remove(id)
	bins := "256"
	if b, ok := p.Values["max_bin"]; ok {
		bins = b
	}
	config := fmt.Sprintf(`{"missing":NaN,"nthread":%s,"max_bin":%s}`, p.Values["nthread"], bins) + "\x00"
	out := new(uintptr)
	err = e.train(func() int32 { return e.api.quantileMatrix(id, f.proxy, ref, e.reset, e.next, config, out) })
	f.stop()
	runtime.KeepAlive(f)
	if f.err != nil { // the cause; what C says of it is a consequence
		if err == nil {
			_ = e.train(func() int32 { return e.api.matrixFree(*out) })
		}
		return 0, fmt.Errorf("read the design matrix: %w", f.err)
	}
	return *out, err
}

// appendFrame appends the array interface of rows lo to hi-1 of a frame, zero-terminated. Columns stay where they are: strides say so.
func appendFrame(b []byte, x *panel.Frame, lo, hi int) []byte {
	columns := len(x.Data) / max(1, x.Rows)
	b = appendArray(b, unsafe.Pointer(unsafe.SliceData(x.Data[lo:])))
	return fmt.Appendf(b, `,"shape":[%d,%d],"strides":[4,%d]}`+"\x00", hi-lo, columns, 4*x.Rows)
}

func appendVector(b []byte, v []float32) []byte {
	return fmt.Appendf(appendArray(b, unsafe.Pointer(unsafe.SliceData(v))), `,"shape":[%d]}`+"\x00", len(v))
}

func appendArray(b []byte, data unsafe.Pointer) []byte {
	return fmt.Appendf(b, `{"data":[%d,true],"typestr":"<f4","version":3`, uintptr(data))
}
