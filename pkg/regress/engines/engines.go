// Package engines opens the regression engines by name, each when it is first asked for.
package engines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"salescast/pkg/internal/dl"
	"salescast/pkg/regress"
	"salescast/pkg/regress/golearn"
	"salescast/pkg/regress/lightgbm"
	"salescast/pkg/regress/xgboost"
)

// Config says where the engines' libraries are and how they run.
type Config struct {
	// EngineDir is a folder of libraries; if set, nothing else is searched.
	EngineDir string
	// CacheDir is where embedded libraries are unpacked; with "" they live in memory.
	CacheDir string
	// Python is an interpreter whose packages are searched last; "" is python3 on the PATH.
	Python string
	// Threads bounds training and prediction; at least 1.
	Threads int
	// Log receives the engines' own messages; nil drops them. It may be called from several goroutines.
	Log func(engine, message string)
}

// Engines makes learners and opens models. It is safe for use by several goroutines.
type Engines struct {
	config   Config
	loader   *dl.Loader
	xgboost  lazy[*xgboost.Engine]
	lightgbm lazy[*lightgbm.Engine]
}

// lazy is an engine that is opened once; a failure is kept.
type lazy[E any] struct {
	once   sync.Once
	engine E
	lib    *dl.Library
	err    error
}

// New returns the engines; none is opened yet, and nothing is read.
func New(c Config) *Engines {
	return &Engines{config: c, loader: dl.NewLoader(dl.Config{Dir: c.EngineDir, CacheDir: c.CacheDir, Python: c.Python})}
}

// Learner returns the named engine, "xgboost", "lightgbm" or "golearn", set up with parameters in the engine's own names; "rounds" is the number of
// boosting rounds for each. An engine whose library cannot be opened is a *regress.UnavailableError.
func (e *Engines) Learner(engine string, params map[string]string) (regress.Learner, error) {
	switch engine {
	case dl.XGBoost:
		x, err := e.openXGBoost(context.Background())
		if err != nil {
			return nil, err
		}
		return x.Learner(params)
	case dl.LightGBM:
		l, err := e.openLightGBM(context.Background())
		if err != nil {
			return nil, err
		}
		return l.Learner(params)
	case "golearn":
		return golearn.NewLearner(params)
	}
	return nil, fmt.Errorf("there is no regression engine %q; there are xgboost, lightgbm, golearn", engine)
}

// Open returns what loads models of a format, as a model's Format gives it. The engine is opened by the first load.
func (e *Engines) Open(format string) (regress.Open, error) {
	switch format {
	case xgboost.Format:
		return func(r io.Reader) (regress.Model, error) {
			x, err := e.openXGBoost(context.Background())
			if err != nil {
				return nil, err
			}
			return x.Load(r)
		}, nil
	case lightgbm.Format:
		return func(r io.Reader) (regress.Model, error) {
			l, err := e.openLightGBM(context.Background())
			if err != nil {
				return nil, err
			}
			return l.Load(r)
		}, nil
	case golearn.Format:
		return golearn.Load, nil
	}
	return nil, fmt.Errorf("there is no engine for models of format %q; there are %s, %s, %s", format, xgboost.Format, lightgbm.Format, golearn.Format)
}

// Status says which library an engine was opened from.
type Status struct {
	Engine, Version, Origin, Path string
}

// Status opens the named engine if it is not open yet, and says from where. The error is a *regress.UnavailableError.
func (e *Engines) Status(ctx context.Context, engine string) (Status, error) {
	var (
		lib     *dl.Library
		version string
	)
	switch engine {
	case dl.XGBoost:
		x, err := e.openXGBoost(ctx)
		if err != nil {
			return Status{}, err
		}
		lib, version = e.xgboost.lib, x.Version()
	case dl.LightGBM:
		l, err := e.openLightGBM(ctx)
		if err != nil {
			return Status{}, err
		}
		lib, version = e.lightgbm.lib, l.Version()
	default:
		return Status{}, fmt.Errorf("there is no library for an engine %q", engine)
	}
	return Status{Engine: engine, Version: version, Origin: lib.Origin, Path: lib.Path}, nil
}

// Release answers the version of the engine that Learner would use, "" for one that has no library or cannot be opened. Where the libraries have a manifest, as
// embedded ones do, none is opened for it.
func (e *Engines) Release(ctx context.Context, engine string) string {
	if v := e.loader.Release(engine); v != "" {
		return v
	}
	s, err := e.Status(ctx, engine)
	if err != nil {
		return ""
	}
	return s.Version
}

// Close ends the threads of the engines that were opened. Models must be closed before.
func (e *Engines) Close() {
	// An engine that was never opened shall not be from here on.
	e.xgboost.once.Do(func() { e.xgboost.err = errClosed })
	e.lightgbm.once.Do(func() { e.lightgbm.err = errClosed })
	if e.xgboost.engine != nil {
		e.xgboost.engine.Close()
	}
	if e.lightgbm.engine != nil {
		e.lightgbm.engine.Close()
	}
}

var errClosed = errors.New("the engines are closed")

func (e *Engines) openXGBoost(ctx context.Context) (*xgboost.Engine, error) {
	return e.xgboost.open(ctx, e.loader, dl.XGBoost, func(lib *dl.Library) (*xgboost.Engine, error) {
		return xgboost.Open(lib, xgboost.Config{Threads: e.config.Threads, Log: e.log(dl.XGBoost)})
	})
}

func (e *Engines) openLightGBM(ctx context.Context) (*lightgbm.Engine, error) {
	return e.lightgbm.open(ctx, e.loader, dl.LightGBM, func(lib *dl.Library) (*lightgbm.Engine, error) {
		return lightgbm.Open(lib, lightgbm.Config{Threads: e.config.Threads, Log: e.log(dl.LightGBM)})
	})
}

func (l *lazy[E]) open(ctx context.Context, loader *dl.Loader, name string, open func(*dl.Library) (E, error)) (E, error) {
	l.once.Do(func() {
		// The search is short and its outcome is kept for the whole process: it does not end with the caller that came first.
		lib, err := loader.Open(context.WithoutCancel(ctx), name)
		if err == nil {
			l.lib = lib
			l.engine, err = open(lib)
		}
		l.err = unavailable(name, err)
	})
	return l.engine, l.err
}

func (e *Engines) log(engine string) func(string) {
	if e.config.Log == nil {
		return nil
	}
	return func(message string) { e.config.Log(engine, message) }
}
