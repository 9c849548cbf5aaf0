// Command fetch fills a folder with the engines' shared libraries: taken from pinned wheels, rewritten to share one libgomp, stripped, compressed.
package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"salescast/pkg/internal/dl"
)

//go:embed wheels.txt
var wheels []byte

// sharedGomp is the name under which the engines find the one OpenMP runtime of the process.
const sharedGomp = "libgomp.so.1"

// maxLibrary bounds what is read from one member of a wheel.
const maxLibrary = 128 << 20

func main() {
	log.SetFlags(0)
	log.SetPrefix("fetch: ")
	arch := flag.String("arch", runtime.GOARCH, "architecture: amd64 or arm64")
	out := flag.String("out", "", "folder to fill")
	python := flag.String("python", "python3", "a Python with pip")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		flag.Usage()
		log.Fatal("give -out FOLDER")
	}
	if err := run(context.Background(), *python, *arch, *out); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, python, arch, out string) error {
	tmp, err := os.MkdirTemp("", "salescast-wheels-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	files, err := download(ctx, python, arch, tmp)
	if err != nil {
		return err
	}
	var m dl.Manifest
	libraries := map[string][]byte{}
	for _, f := range files {
		if err := extract(f, &m, libraries); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(f), err)
		}
	}
	if err := shareGomp(libraries); err != nil {
		return err
	}
	if arch == runtime.GOARCH {
		if err := addToolchain(ctx, &m, libraries); err != nil {
			return err
		}
	}
	return write(out, m, libraries)
}

// download has pip fetch and verify the wheels of an architecture.
func download(ctx context.Context, python, arch, tmp string) ([]string, error) {
	machine, ok := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]
	if !ok {
		return nil, fmt.Errorf("no wheels are pinned for architecture %q; use amd64 or arm64", arch)
	}
	requirements := filepath.Join(tmp, "wheels.txt")
	if err := os.WriteFile(requirements, wheels, 0o600); err != nil {
		return nil, err
	}
	python, err := pythonWithPip(ctx, python, tmp)
	if err != nil {
		return nil, err
	}
	args := []string{
		"-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "-r", requirements, "-d", tmp,
		"--implementation", "py", "--abi", "none",
	}
	for _, tag := range []string{"manylinux_2_28", "manylinux_2_27", "manylinux2014", "manylinux_2_17"} {
		args = append(args, "--platform", tag+"_"+machine)
	}
	cmd := exec.CommandContext(ctx, python, args...) // #nosec G204 -- the Python that the caller of make names
	if b, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("download the engines' wheels with %s -m pip: %w\n%s", python, err, bytes.TrimSpace(b))
	}
	files, err := filepath.Glob(filepath.Join(tmp, "*.whl"))
	slices.Sort(files)
	return files, err
}

// pythonWithPip returns an interpreter that has pip: the given one, or a virtual environment of it.
func pythonWithPip(ctx context.Context, python, tmp string) (string, error) {
	if exec.CommandContext(ctx, python, "-m", "pip", "--version").Run() == nil { // #nosec G204 -- as above
		return python, nil
	}
	env := filepath.Join(tmp, "venv")
	if b, err := exec.CommandContext(ctx, python, "-m", "venv", env).CombinedOutput(); err != nil { // #nosec G204 -- as above
		return "", fmt.Errorf("%s has no pip and cannot make a virtual environment (on Debian: apt-get install python3-venv): %w\n%s", python, err, bytes.TrimSpace(b))
	}
	return filepath.Join(env, "bin", "python"), nil
}

// extract takes the engine, its libgomp and its licences out of a wheel.
func extract(wheel string, m *dl.Manifest, libraries map[string][]byte) error {
	z, err := zip.OpenReader(wheel)
	if err != nil {
		return err
	}
	defer z.Close()
	version := strings.Split(filepath.Base(wheel), "-")[1]
	for _, f := range z.File {
		name := path.Base(f.Name)
		var entry dl.Entry
		switch {
		case name == "libxgboost.so":
			entry = dl.Entry{Name: dl.XGBoost, File: name, Version: version}
		case name == "lib_lightgbm.so":
			entry = dl.Entry{Name: dl.LightGBM, File: name, Version: version}
		case strings.HasPrefix(name, "libgomp-"):
			entry = dl.Entry{Name: dl.OpenMP, File: sharedGomp, Version: name}
		default:
			continue
		}
		r, err := f.Open()
		if err != nil {
			return err
		}
		b, err := io.ReadAll(io.LimitReader(r, maxLibrary))
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
		libraries[entry.File] = b
		m.Libraries = append(m.Libraries, entry)
	}
	return nil
}

// shareGomp gives the wheel's private libgomp its usual name and makes XGBoost ask for that: LightGBM asks for it already.
func shareGomp(libraries map[string][]byte) error {
	private, err := soname(libraries[sharedGomp])
	if err != nil {
		return fmt.Errorf("libgomp: %w", err)
	}
	for _, file := range []string{sharedGomp, "libxgboost.so"} {
		if err := renameString(libraries[file], private, sharedGomp); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	for file, b := range libraries {
		if libraries[file], err = strip(b); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// addToolchain adds the C++ runtime of this machine, used where a target has none. A machine without a compiler has nothing to add.
func addToolchain(ctx context.Context, m *dl.Manifest, libraries map[string][]byte) error {
	for _, file := range []string{"libgcc_s.so.1", "libstdc++.so.6"} {
		b, err := exec.CommandContext(ctx, "gcc", "-print-file-name="+file).Output() // #nosec G204 -- fixed names
		if err != nil || !filepath.IsAbs(strings.TrimSpace(string(b))) {
			log.Printf("%s: not found on this machine (no gcc); left out: targets need their own", file)
			continue
		}
		lib, err := os.ReadFile(strings.TrimSpace(string(b)))
		if err != nil {
			return err
		}
		if lib, err = strip(lib); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		libraries[file] = lib
		m.Libraries = append(m.Libraries, dl.Entry{Name: strings.SplitN(file, ".", 2)[0], File: file})
	}
	return nil
}

// write compresses the libraries into a fresh folder that replaces out.
func write(out string, m dl.Manifest, libraries map[string][]byte) error {
	out = filepath.Clean(out)
	tmp := out + ".new"
	if err := errors.Join(os.RemoveAll(tmp), os.MkdirAll(tmp, 0o755)); err != nil { // #nosec G301 -- a build folder
		return err
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	slices.SortFunc(m.Libraries, func(a, b dl.Entry) int { return strings.Compare(a.Name, b.Name) })
	for i := range m.Libraries {
		e := &m.Libraries[i]
		b := libraries[e.File]
		sum := sha256.Sum256(b)
		e.SHA256, e.Size = hex.EncodeToString(sum[:]), int64(len(b))
		if err := os.WriteFile(filepath.Join(tmp, e.File+".zst"), enc.EncodeAll(b, nil), 0o644); err != nil { // #nosec G306 -- as above
			return err
		}
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, dl.ManifestFile), append(b, '\n'), 0o644); err != nil { // #nosec G306 -- as above
		return err
	}
	if err := os.RemoveAll(out); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(tmp, out)
}
