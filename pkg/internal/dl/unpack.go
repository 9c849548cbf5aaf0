package dl

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// maxCompressed bounds a compressed library as it is read from a folder.
const maxCompressed = 64 << 20

func readBounded(dir fs.FS, name string, limit int64) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return b, err
}

// unpack returns a path of e's unpacked file in cache, written there if it is absent or damaged. Without a cache that can be written
// the file lives in memory, and stays open until the process ends.
func unpack(dir fs.FS, e Entry, cache string) (path string, err error) {
	var unwritable error
	if cache == "" {
		unwritable = errors.New("no cache folder is set")
	} else {
		// The name carries the digest: other versions of the binary share the folder, and never a file.
		path = filepath.Join(cache, e.SHA256[:min(16, len(e.SHA256))]+"-"+filepath.Base(e.File))
		if matches(path, e) {
			return path, nil
		}
		unwritable = os.MkdirAll(cache, 0o700)
	}
	b, err := decompress(dir, e)
	if err != nil {
		return "", err
	}
	if unwritable == nil {
		if unwritable = replaceFile(path, b); unwritable == nil {
			return path, nil
		}
	}
	path, err = memoryFile(e.File, b)
	if err != nil {
		return "", fmt.Errorf("unpack %s: the cache cannot be used (%w) and neither can memory: %w", e.File, unwritable, err)
	}
	return path, nil
}

func decompress(dir fs.FS, e Entry) ([]byte, error) {
	z, err := readBounded(dir, e.File+".zst", maxCompressed)
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", e.File, err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(e.Size)+1<<20))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	b, err := dec.DecodeAll(z, make([]byte, 0, min(e.Size, 128<<20)))
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", e.File, err)
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != e.SHA256 {
		return nil, fmt.Errorf("unpack %s: its SHA-256 is %x, the manifest says %s", e.File, sum, e.SHA256)
	}
	return b, nil
}

// matches reports whether the file at path is e, byte for byte.
func matches(path string, e Entry) bool {
	f, err := os.Open(path) // #nosec G304 -- a name made of a digest, in the caller's cache
	if err != nil {
		return false
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || fi.Size() != e.Size {
		return false
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && hex.EncodeToString(h.Sum(nil)) == e.SHA256
}

// replaceFile writes b beside path and renames it there, so that processes that start together see a whole file or none.
func replaceFile(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".unpack-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o500), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
