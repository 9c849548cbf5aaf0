package xgboost

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ebitengine/purego"

	"salescast/pkg/internal/dl"
	"salescast/pkg/regress/internal/boost"
)

// Config sets up an engine.
type Config struct {
	// Threads is used for training and prediction where the parameters have no nthread; at least 1.
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
	feeds   feeds
	next    uintptr
	reset   uintptr
	// said collects the engine's messages of the call in progress on the worker.
	said []string
}

// Open binds the functions of the library and starts the engine's thread. The library must be XGBoost 3.
func Open(lib *dl.Library, c Config) (*Engine, error) {
	c.Threads = max(1, c.Threads)
	e := &Engine{config: c, feeds: feeds{open: map[uintptr]*feed{}}}
	if err := lib.Bind(e.api.functions()); err != nil {
		return nil, err
	}
	var major, minor, patch int32
	e.api.version(&major, &minor, &patch)
	e.version = fmt.Sprintf("%d.%d.%d", major, minor, patch)
	if major != 3 {
		return nil, fmt.Errorf("%s is XGBoost %s: salescast uses the C interface of XGBoost 3", lib.Path, e.version)
	}
	e.worker = boost.NewWorker()
	e.next = purego.NewCallback(e.feeds.next)
	e.reset = purego.NewCallback(e.feeds.reset)
	log := purego.NewCallback(func(message *byte) uintptr {
		e.said = append(e.said, strings.TrimSpace(goString(message)))
		return 0
	})
	// Callback and verbosity belong to the thread that sets them.
	if err := e.train(func() int32 { return e.api.setLogCallback(log) }); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// Version is the library's release.
func (e *Engine) Version() string { return e.version }

// Close ends the engine's thread; models that it made stay usable. The library stays mapped.
func (e *Engine) Close() { e.worker.Close() }

// train makes one C call on the engine's thread and fetches its error there. A misspelt parameter, only a warning to the engine, is an
// error.
func (e *Engine) train(call func() int32) error {
	var unused error
	err := e.call(call, func(message string) {
		if strings.Contains(message, "are not used") && strings.Contains(message, "Parameters:") {
			unused = fmt.Errorf("xgboost does not know these parameters: %s", unknown(message))
		} else {
			e.log(message)
		}
	})
	return errors.Join(err, unused)
}

// call makes one C call on the engine's thread, where its messages are caught, and hands them on.
func (e *Engine) call(call func() int32, message func(string)) (err error) {
	e.worker.Thread.Do(func() {
		e.said = e.said[:0]
		err = e.check(call())
		for _, m := range e.said {
			message(m)
		}
	})
	return err
}

func (e *Engine) log(message string) {
	if e.config.Log != nil {
		e.config.Log(message)
	}
}

// unknown cuts the names out of the engine's warning about parameters.
func unknown(message string) string {
	_, s, _ := strings.Cut(message, "{")
	s, _, _ = strings.Cut(s, "}")
	return strings.TrimSpace(s)
}

// check turns a C status into the error text, which the library keeps for the calling thread.
func (e *Engine) check(status int32) error {
	if status == 0 {
		return nil
	}
	text, _, _ := strings.Cut(e.api.lastError(), "\nStack trace")
	// The message begins with a time and a source position: "[12:00:00] /path/file.cc:123: what".
	if _, after, ok := strings.Cut(text, ".cc:"); ok {
		if _, what, ok := strings.Cut(after, ": "); ok {
			text = what
		}
	}
	return errors.New("xgboost: " + strings.TrimSpace(text))
}
