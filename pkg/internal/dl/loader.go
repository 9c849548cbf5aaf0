package dl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/ebitengine/purego"
)

// Config says where libraries may come from.
type Config struct {
	// Dir is a folder of libraries, packed (with its manifest) or plain. If set, nothing else is searched.
	Dir string
	// CacheDir is where packed libraries are unpacked; with "" they live in memory.
	CacheDir string
	// Python is an interpreter whose packages are searched last; "" is python3 on the PATH, if there is one.
	Python string
}

// Loader opens libraries. It is safe for use by several goroutines.
type Loader struct {
	config Config
	mu     sync.Mutex
	// runtimes is true once what the engines depend on was opened from a packed folder.
	runtimes bool
	opened   map[string]*Library
}

// NewLoader returns a loader; it reads nothing yet.
func NewLoader(c Config) *Loader { return &Loader{config: c, opened: map[string]*Library{}} }

// MissingError says that a library could not be opened: where it was looked for, and what would help.
type MissingError struct {
	Library string
	// Tried has one error for each place.
	Tried []error
	Hint  string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("open the %s library: %v", e.Library, strings.ReplaceAll(errors.Join(e.Tried...).Error(), "\n", "; "))
}

func (e *MissingError) Unwrap() []error { return e.Tried }

// Library is an opened shared library. It stays mapped until the process ends: the engines keep threads in it.
type Library struct {
	Name string
	// Version is the engine's release, "" where the place does not tell.
	Version string
	// Origin says in words where the library came from.
	Origin string
	// Path is what was given to the loader.
	Path   string
	handle uintptr
}

// Open finds and opens a library by name, XGBoost or LightGBM; a second call returns the same one. The error is a *MissingError.
func (l *Loader) Open(ctx context.Context, name string) (*Library, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lib := l.opened[name]; lib != nil {
		return lib, nil
	}
	if err := prepare(); err != nil {
		return nil, &MissingError{Library: name, Tried: []error{err}, Hint: hintPlatform}
	}
	var tried []error
	for _, place := range l.places() {
		lib, err := place(ctx, name)
		if err == nil {
			l.opened[name] = lib
			return lib, nil
		}
		tried = append(tried, err)
	}
	return nil, &MissingError{Library: name, Tried: tried, Hint: hint(name, errors.Join(tried...))}
}

// Release answers the version of the library that Open would open, without opening it; "" where only the library itself knows, or
// there is none.
func (l *Loader) Release(name string) string {
	l.mu.Lock()
	lib := l.opened[name]
	l.mu.Unlock()
	if lib != nil {
		return lib.Version
	}
	dir := embeddedFiles()
	if l.config.Dir != "" {
		dir = os.DirFS(l.config.Dir)
	}
	if dir == nil {
		return ""
	}
	m, err := readManifest(dir)
	if err != nil {
		return ""
	}
	e, _ := m.entry(name)
	return e.Version
}

type place func(ctx context.Context, name string) (*Library, error)

// places lists where to look, in order.
func (l *Loader) places() []place {
	if l.config.Dir != "" {
		return []place{func(_ context.Context, name string) (*Library, error) {
			return l.fromFolder(os.DirFS(l.config.Dir), "folder "+l.config.Dir, name)
		}}
	}
	return []place{
		func(_ context.Context, name string) (*Library, error) {
			if dir := embeddedFiles(); dir != nil {
				return l.fromFolder(dir, "embedded in this binary", name)
			}
			return nil, errors.New("this binary was built without the engines")
		},
		l.fromPython,
	}
}

// fromFolder opens a library of a packed folder, or of a plain one without a manifest.
func (l *Loader) fromFolder(dir fs.FS, origin, name string) (*Library, error) {
	m, err := readManifest(dir)
	if errors.Is(err, fs.ErrNotExist) && l.config.Dir != "" {
		return openPlain(l.config.Dir, name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	e, ok := m.entry(name)
	if !ok {
		return nil, fmt.Errorf("%s: its %s lists no %s", origin, ManifestFile, name)
	}
	if !l.runtimes {
		if err := l.openRuntimes(dir, m); err != nil {
			return nil, fmt.Errorf("%s: %w", origin, err)
		}
		l.runtimes = true
	}
	path, handle, err := l.openPacked(dir, e, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	return &Library{Name: name, Version: e.Version, Origin: origin, Path: path, handle: handle}, nil
}

// openRuntimes opens what the engines need, in the order of their dependence: then the engines find it by name among what is loaded.
func (l *Loader) openRuntimes(dir fs.FS, m Manifest) error {
	for _, name := range []string{libGCC, libCXX, OpenMP} {
		e, ok := m.entry(name)
		if name != OpenMP {
			// The machine's own C++ runtime fits its C library; the packed one may want a newer one.
			file := map[string]string{libGCC: "libgcc_s.so.1", libCXX: "libstdc++.so.6"}[name]
			if _, err := open(file, purego.RTLD_NOW|purego.RTLD_GLOBAL); err == nil {
				continue
			} else if !ok {
				return err
			}
		}
		if !ok {
			continue
		}
		if _, _, err := l.openPacked(dir, e, purego.RTLD_NOW|purego.RTLD_GLOBAL); err != nil {
			return err
		}
	}
	return nil
}

// openPacked opens a packed library from the cache, or from memory where the cache's file system forbids executable files.
func (l *Loader) openPacked(dir fs.FS, e Entry, mode int) (path string, handle uintptr, err error) {
	if path, err = unpack(dir, e, l.config.CacheDir); err != nil {
		return "", 0, err
	}
	handle, err = open(path, mode)
	if err != nil && (strings.Contains(err.Error(), "failed to map segment") || strings.Contains(err.Error(), "Operation not permitted")) {
		if path, err = unpack(dir, e, ""); err == nil {
			handle, err = open(path, mode)
		}
	}
	return path, handle, err
}

// openPlain opens a library that lies unpacked in a folder.
func openPlain(dir, name string) (*Library, error) {
	files := map[string][]string{XGBoost: {"libxgboost.so", "libxgboost.dylib"}, LightGBM: {"lib_lightgbm.so", "lib_lightgbm.dylib"}}[name]
	gomp := filepath.Join(dir, "libgomp.so.1")
	if _, err := os.Stat(gomp); err == nil {
		if _, err := open(gomp, purego.RTLD_NOW|purego.RTLD_GLOBAL); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		path := filepath.Join(dir, f)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		handle, err := open(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err != nil {
			return nil, err
		}
		return &Library{Name: name, Origin: "folder " + dir, Path: path, handle: handle}, nil
	}
	return nil, fmt.Errorf("folder %s has neither %s nor %s", dir, ManifestFile, strings.Join(files, " nor "))
}

// fromPython opens the library of an installed Python package.
func (l *Loader) fromPython(ctx context.Context, name string) (*Library, error) {
	python := l.config.Python
	if python == "" {
		var err error
		if python, err = exec.LookPath("python3"); err != nil {
			return nil, errors.New("there is no python3 on the PATH whose packages could be used")
		}
	}
	path, version, err := inPython(ctx, python, name)
	if err != nil {
		return nil, err
	}
	handle, err := open(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, err
	}
	return &Library{Name: name, Version: version, Origin: "Python package of " + python, Path: path, handle: handle}, nil
}

// open calls dlopen; its error text is kept per thread.
func open(path string, mode int) (uintptr, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h, err := purego.Dlopen(path, mode)
	if err != nil {
		return 0, fmt.Errorf("load %s: %w", path, err)
	}
	return h, nil
}

// prepare sets what the OpenMP runtime reads when it is loaded. Threads that wait by spinning starve each other on a busy machine: they
// shall sleep. A value that the user has set stays.
func prepare() error {
	var setenv func(name, value string, overwrite int32) int32
	sym, err := purego.Dlsym(purego.RTLD_DEFAULT, "setenv")
	if err != nil {
		return fmt.Errorf("find setenv in the C library: %w", err)
	}
	purego.RegisterFunc(&setenv, sym)
	setenv("OMP_WAIT_POLICY", "PASSIVE", 0)
	return nil
}

// Symbol returns the address of a C function.
func (l *Library) Symbol(name string) (uintptr, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sym, err := purego.Dlsym(l.handle, name)
	if err != nil {
		return 0, fmt.Errorf("%s at %s is not a version that can be used: %w", l.Name, l.Path, err)
	}
	return sym, nil
}

// Bind sets each function pointed to by a value of functions to the C function of that name.
func (l *Library) Bind(functions map[string]any) error {
	for name, f := range functions {
		sym, err := l.Symbol(name)
		if err != nil {
			return err
		}
		purego.RegisterFunc(f, sym)
	}
	return nil
}

const hintPlatform = "the engines need Linux with glibc 2.27 or newer"

// hint says what helps against the most telling of the errors.
func hint(name string, err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "unpack "):
		return "the packed libraries are damaged: install salescast again, or run make engines again in the source tree"
	case strings.Contains(text, "libgomp"):
		return "install the OpenMP runtime (on Debian: apt-get install libgomp1), or use a release of salescast with the engines inside"
	case strings.Contains(text, "libstdc++") || strings.Contains(text, "libgcc_s") || strings.Contains(text, "GLIBCXX"):
		return "install the C++ runtime (on Debian: apt-get install libstdc++6), or use a release of salescast with the engines inside"
	case strings.Contains(text, "GLIBC_"):
		return hintPlatform
	}
	wheel := map[string]string{XGBoost: "xgboost-cpu==3.2.0", LightGBM: "lightgbm==4.7.0"}[name]
	return fmt.Sprintf("use a release of salescast with the engines inside, or pip install %s, or run make engines in the source tree and set SALESCAST_ENGINE_DIR to .engines/%s", wheel, Platform())
}
