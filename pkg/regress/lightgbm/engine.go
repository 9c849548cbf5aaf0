package lightgbm

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"

	"salescast/pkg/internal/dl"
	"salescast/pkg/regress/internal/boost"
)

// Config sets up an engine.
type Config struct {
	// Threads is used for training and prediction where the parameters have no num_threads; at least 1.
	Threads int
	// Log receives the engine's own messages; nil drops them.
	Log func(message string)
}

// Engine is the opened library. It may be used from several goroutines: fits wait for each other, predictions do not.
type Engine struct {
	api     api
	config  Config
	version string
	worker  *boost.Worker
	// said collects the engine's messages of the call in progress on the worker: each comes in three pieces.
	said strings.Builder
}

// Open binds the functions of the library and starts the engine's thread. The library must be LightGBM 4.
func Open(lib *dl.Library, c Config) (*Engine, error) {
	c.Threads = max(1, c.Threads)
	e := &Engine{config: c, version: lib.Version}
	err := lib.Bind(e.api.functions())
	if err != nil {
		return nil, err
	}
	if e.api.rowPredict, err = lib.Symbol("LGBM_BoosterPredictForMatSingleRowFast"); err != nil {
		return nil, err
	}
	e.worker = boost.NewWorker()
	log := purego.NewCallback(func(piece *byte) uintptr {
		e.said.WriteString(goString(piece))
		return 0
	})
	// Without a callback the engine writes to standard output. The callback belongs to the thread that sets it.
	if err := e.train(func() int32 { return e.api.setLogCallback(log) }); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// Version is the library's release as the place it came from tells, "" if it does not: the library itself does not say.
func (e *Engine) Version() string { return e.version }

// Close ends the engine's thread; models that it made stay usable. The library stays mapped.
func (e *Engine) Close() { e.worker.Close() }

// train makes one C call on the engine's thread and fetches its error there. A misspelt parameter, only a warning to the engine, is an
// error.
func (e *Engine) train(call func() int32) error {
	var unknown error
	err := e.call(call, func(message string) {
		if _, name, ok := strings.Cut(message, "Unknown parameter: "); ok {
			unknown = fmt.Errorf("lightgbm does not know the parameter %s", name)
		} else {
			e.log(message)
		}
	})
	return errors.Join(err, unknown)
}

// call makes one C call on the engine's thread, where its messages are caught, and hands them on.
func (e *Engine) call(call func() int32, message func(string)) (err error) {
	e.worker.Thread.Do(func() {
		e.said.Reset()
		err = e.check(call())
		for m := range strings.Lines(e.said.String()) {
			if m = strings.TrimSpace(m); m != "" {
				message(strings.TrimPrefix(m, "[LightGBM] "))
			}
		}
	})
	return err
}

func (e *Engine) log(message string) {
	if e.config.Log != nil {
		e.config.Log(message)
	}
}

// check turns a C status into the error text, which the library keeps for the calling thread.
func (e *Engine) check(status int32) error {
	if status == 0 {
		return nil
	}
	return errors.New("lightgbm: " + strings.TrimSpace(e.api.lastError()))
}

// maxCString bounds a string that comes from C.
const maxCString = 1 << 20

// goString copies a zero-terminated string of C.
func goString(p *byte) string {
	n := 0
	for p != nil && n < maxCString && *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}

// cStrings returns pointers to zero-terminated copies; Go's collector does not move them and keeps them while the slice lives.
func cStrings(s []string) []*byte {
	p := make([]*byte, len(s))
	for i := range s {
		p[i] = &append([]byte(s[i]), 0)[0]
	}
	return p
}

// strs calls one of the engine's functions that fill an array of strings.
func strs(n int, get func(room int32, n *int32, buffer uint64, needed *uint64, out **byte) int32) ([]string, int32) {
	if n == 0 {
		return nil, 0
	}
	const width = 256
	size := uint64(width)
	for {
		buffers := make([][]byte, n)
		pointers := make([]*byte, n)
		for i := range buffers {
			buffers[i] = make([]byte, size)
			pointers[i] = &buffers[i][0]
		}
		count, needed := new(int32), new(uint64)
		if status := get(int32(n), count, size, needed, &pointers[0]); status != 0 {
			return nil, status
		}
		if *needed > size && *needed <= maxCString {
			size = *needed
			continue
		}
		s := make([]string, 0, n)
		for i := range min(int(*count), n) {
			s = append(s, goString(pointers[i]))
		}
		return s, 0
	}
}
