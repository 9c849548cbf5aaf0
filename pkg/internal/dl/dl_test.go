package dl

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"salescast/pkg/regress/regresstest"
)

// unpackVariable makes the test binary unpack libraries into the folder that it names, and nothing else.
const unpackVariable = "SALESCAST_TEST_UNPACK"

func TestMain(m *testing.M) {
	if cache := os.Getenv(unpackVariable); cache != "" {
		if _, err := NewLoader(Config{Dir: os.Getenv("SALESCAST_ENGINE_DIR"), CacheDir: cache}).Open(context.Background(), XGBoost); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// packed returns the manifest of the real folder of libraries and one of its entries.
func packed(t *testing.T) (fs.FS, Entry) {
	t.Helper()
	dir := os.DirFS(regresstest.EngineDir(t))
	m, err := readManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	e, ok := m.entry(OpenMP)
	if !ok {
		t.Fatal("the folder has no libgomp")
	}
	return dir, e
}

func TestOpenBothEngines(t *testing.T) {
	t.Parallel()
	for _, cache := range []string{t.TempDir(), ""} {
		l := NewLoader(Config{Dir: regresstest.EngineDir(t), CacheDir: cache})
		for name, symbol := range map[string]string{XGBoost: "XGBoostVersion", LightGBM: "LGBM_GetLastError"} {
			lib, err := l.Open(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := l.Open(t.Context(), name); err != nil || again != lib {
				t.Errorf("the second Open of %s gives another library (error %v)", name, err)
			}
			if want := map[bool]string{true: "/proc/self/fd/", false: cache}[cache == ""]; !strings.HasPrefix(lib.Path, want) {
				t.Errorf("%s was opened at %s, want below %s", name, lib.Path, want)
			}
			if _, err := lib.Symbol(symbol); err != nil {
				t.Error(err)
			}
			if _, err := lib.Symbol("no_such_function"); err == nil || !strings.Contains(err.Error(), "no_such_function") {
				t.Errorf("a missing function gives error %v", err)
			}
		}
	}
}

func TestUnpackMendsTheCache(t *testing.T) {
	t.Parallel()
	dir, e := packed(t)
	cache := filepath.Join(t.TempDir(), "not", "there", "yet")
	path, err := unpack(dir, e, cache)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string][]byte{"empty": {}, "truncated": whole[:len(whole)/2], "altered": append([]byte{^whole[0]}, whole[1:]...)} {
		if err := errors.Join(os.Remove(path), os.WriteFile(path, damage, 0o500)); err != nil {
			t.Fatal(err)
		}
		again, err := unpack(dir, e, cache)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(again); err != nil || string(b) != string(whole) {
			t.Errorf("a cached library that is %s is used as it is (error %v)", name, err)
		}
	}
	if left, _ := os.ReadDir(cache); len(left) != 1 {
		t.Errorf("the cache holds %d files, want only the library", len(left))
	}
}

// A cache below a file cannot be made, whoever runs the test.
func TestUnpackWithoutCacheStaysInMemory(t *testing.T) {
	t.Parallel()
	dir, e := packed(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := unpack(dir, e, filepath.Join(file, "cache"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(path, "/proc/self/fd/") || !matches(path, e) {
		t.Errorf("the library lies at %s, whole: %v", path, matches(path, e))
	}
}

func TestProcessesThatStartTogether(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), unpackVariable+"="+cache, "SALESCAST_ENGINE_DIR="+regresstest.EngineDir(t))
			if b, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, b)
			}
		})
	}
	wg.Wait()
	entries, err := os.ReadDir(cache)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range entries {
		if strings.HasPrefix(f.Name(), ".") {
			t.Errorf("%s was left over", f.Name())
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	dir, e := packed(t)
	z, err := fs.ReadFile(dir, e.File+".zst")
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := fs.ReadFile(dir, ManifestFile)
	if err != nil {
		t.Fatal(err)
	}
	write := func(files map[string][]byte) string {
		d := t.TempDir()
		for name, b := range files {
			if err := os.WriteFile(filepath.Join(d, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return d
	}
	python := filepath.Join(write(nil), "python3")
	if err := os.WriteFile(python, []byte("#!/bin/sh\necho\necho\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config    Config
		says, tip string
	}{
		"empty folder":      {Config{Dir: write(nil)}, "libxgboost.so", "make engines"},
		"no such folder":    {Config{Dir: "/nonexistent"}, "/nonexistent", "make engines"},
		"damaged library":   {Config{Dir: write(map[string][]byte{ManifestFile: manifest, e.File + ".zst": z[:len(z)/2]})}, e.File, "damaged"},
		"manifest alone":    {Config{Dir: write(map[string][]byte{ManifestFile: manifest})}, e.File, "damaged"},
		"not a manifest":    {Config{Dir: write(map[string][]byte{ManifestFile: []byte("{")})}, ManifestFile, "make engines"},
		"not a library":     {Config{Dir: write(map[string][]byte{"libxgboost.so": []byte("text")})}, "libxgboost.so", "make engines"},
		"python without it": {Config{Python: python}, "no package xgboost", "pip install xgboost-cpu"},
		"no such python":    {Config{Python: "/nonexistent/python3"}, "/nonexistent/python3", "pip install"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.config.Dir == "" && embeddedFiles() != nil {
				return // a binary with the engines inside never asks Python
			}
			_, err := NewLoader(c.config).Open(t.Context(), XGBoost)
			missing := (*MissingError)(nil)
			if !errors.As(err, &missing) {
				t.Fatalf("error is %v, want a MissingError", err)
			}
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(missing.Hint, c.tip) {
				t.Errorf("error %q with hint %q does not say %q and %q", err, missing.Hint, c.says, c.tip)
			}
		})
	}
}

func TestPythonPackage(t *testing.T) {
	t.Parallel()
	if embeddedFiles() != nil {
		return // a binary with the engines inside never asks Python
	}
	dir := os.DirFS(regresstest.EngineDir(t))
	m, err := readManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	// The package's library asks for libgomp, which is opened first, as a machine that has it would.
	l := NewLoader(Config{Dir: regresstest.EngineDir(t)})
	if _, err := l.Open(t.Context(), XGBoost); err != nil {
		t.Fatal(err)
	}
	e, _ := m.entry(XGBoost)
	b, err := decompress(dir, e)
	if err != nil {
		t.Fatal(err)
	}
	site := filepath.Join(t.TempDir(), "xgboost")
	python := filepath.Join(t.TempDir(), "python3")
	script := "#!/bin/sh\necho '" + site + "'\necho 3.2.0\n"
	err = errors.Join(os.MkdirAll(filepath.Join(site, "lib"), 0o700), os.WriteFile(filepath.Join(site, "lib", e.File), b, 0o600), os.WriteFile(python, []byte(script), 0o700))
	if err != nil {
		t.Fatal(err)
	}
	lib, err := NewLoader(Config{Python: python}).Open(t.Context(), XGBoost)
	if err != nil {
		t.Fatal(err)
	}
	if lib.Version != "3.2.0" || !strings.HasPrefix(lib.Path, site) {
		t.Errorf("opened %s, version %s", lib.Path, lib.Version)
	}
}

func TestThread(t *testing.T) {
	t.Parallel()
	th := NewThread()
	defer th.Close()
	defer func() {
		if r := recover(); r != "out of Do" {
			t.Errorf("a panic on the thread comes out as %v", r)
		}
	}()
	n := 0
	for range 100 {
		th.Do(func() { n++; runtime.Gosched() })
	}
	if n != 100 {
		t.Errorf("%d of 100 functions ran", n)
	}
	th.Do(func() { panic("out of Do") })
}
