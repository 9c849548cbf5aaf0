package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// writeOut writes a file that the command line names. A file is replaced whole or not at all and keeps its mode, or is made; a link is
// followed; what is neither, such as a device or a pipe, is written into, never replaced. A pipe that nobody reads is an error.
func writeOut(name string, r io.Reader) error {
	fi, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if target, lerr := os.Readlink(name); lerr == nil { // a link to what is not there yet
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(name), target)
			}
			name = target
		}
		return replaceFile(name, 0o644, r)
	case err != nil:
		return err
	case fi.Mode().IsRegular():
		if name, err = filepath.EvalSymlinks(name); err != nil {
			return err
		}
		return replaceFile(name, fi.Mode().Perm(), r)
	case fi.IsDir():
		return fmt.Errorf("write %s: %w", name, unix.EISDIR)
	}
	return writeInto(name, r)
}

// writeInto writes into a device, a pipe or a socket.
func writeInto(name string, r io.Reader) (err error) {
	spool, err := checked(r)
	if err != nil {
		return err
	}
	defer spool.Close()
	f, err := os.OpenFile(name, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("write %s: nobody reads it: %w", name, err)
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(f, spool)
	return errors.Join(err, f.Close())
}

// replaceFile writes beside the file and renames.
func replaceFile(name string, mode fs.FileMode, r io.Reader) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".salescast-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := io.Copy(f, r); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := errors.Join(f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// checkedCopy copies what proves to be whole: nothing is written before r has ended without an error.
func checkedCopy(w io.Writer, r io.Reader) error {
	spool, err := checked(r)
	if err != nil {
		return err
	}
	defer spool.Close()
	_, err = io.Copy(w, spool)
	return err
}

// smallFile is the size up to which a file that is to be checked first waits in memory.
const smallFile = 4 << 20

// checked reads r to its end and answers what it read: from memory, or from a temporary file without a name.
func checked(r io.Reader) (io.ReadCloser, error) {
	head, err := io.ReadAll(io.LimitReader(r, smallFile))
	if err != nil {
		return nil, err
	}
	if len(head) < smallFile {
		return io.NopCloser(bytes.NewReader(head)), nil
	}
	f, err := os.CreateTemp("", "salescast-get-*")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(f.Name())
	_, err = io.Copy(f, io.MultiReader(bytes.NewReader(head), r))
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
