package dir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"salescast/pkg/artifact"
)

// reserved is the first element of names that the store keeps for itself.
const reserved = ".salescast"

// Store is a folder. It is made with New.
type Store struct {
	root string
	// mu and the lock file together make a change of an existing name exclusive: flock does not order the goroutines of one process.
	mu sync.Mutex
}

var (
	_ artifact.Store  = (*Store)(nil)
	_ artifact.Linker = (*Store)(nil)
)

// New returns the store whose root is that folder. The folder is made by the first write; until then every name is missing.
func New(root string) (*Store, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open folder %s: %w", root, err)
	}
	if fi, err := os.Stat(abs); err == nil && !fi.IsDir() {
		return nil, fmt.Errorf("open folder %s: it is a file: %w", root, fs.ErrInvalid)
	}
	return &Store{root: abs}, nil
}

// URL returns the absolute path of the name.
func (s *Store) URL(name string) string { return filepath.Join(s.root, filepath.FromSlash(name)) }

func (s *Store) path(op, name string) (string, error) {
	if err := artifact.CheckName(name); err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	if name == reserved || strings.HasPrefix(name, reserved+"/") {
		return "", fmt.Errorf("%s %s: %s is reserved: %w", op, name, reserved, fs.ErrInvalid)
	}
	return s.URL(name), nil
}

func (s *Store) open(ctx context.Context, op, name string) (*os.File, artifact.Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, artifact.Info{}, err
	}
	p, err := s.path(op, name)
	if err != nil {
		return nil, artifact.Info{}, err
	}
	f, err := os.OpenFile(p, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe without a writer would be waited for
	if err != nil {
		return nil, artifact.Info{}, failure(op, name, err)
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, artifact.Info{}, failure(op, name, err)
	}
	return f, info(name, fi), nil
}

// Get opens the file.
func (s *Store) Get(ctx context.Context, name string) (io.ReadCloser, artifact.Info, error) {
	f, i, err := s.open(ctx, "read", name)
	if err != nil {
		return nil, artifact.Info{}, err
	}
	return &file{ctxReader{ctx, f}, f}, i, nil
}

type file struct {
	io.Reader
	io.Closer
}

// ReadAt opens the file for random access.
func (s *Store) ReadAt(ctx context.Context, name string) (artifact.ReaderAt, error) {
	f, i, err := s.open(ctx, "read", name)
	if err != nil {
		return nil, err
	}
	return &sized{f, i.Size}, nil
}

type sized struct {
	*os.File
	size int64
}

func (f *sized) Size() int64 { return f.size }

// Stat returns what the file system knows.
func (s *Store) Stat(ctx context.Context, name string) (artifact.Info, error) {
	if err := ctx.Err(); err != nil {
		return artifact.Info{}, err
	}
	p, err := s.path("stat", name)
	if err != nil {
		return artifact.Info{}, err
	}
	fi, err := os.Stat(p)
	if err == nil && !fi.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return artifact.Info{}, failure("stat", name, err)
	}
	return info(name, fi), nil
}

// Put writes a temporary file and renames it over the name.
func (s *Store) Put(ctx context.Context, name string, r io.Reader) (artifact.Info, error) {
	return s.write(ctx, name, r, func(tmp, dst string) error {
		return s.locked(func() error { return os.Rename(tmp, dst) })
	})
}

// Create writes a temporary file and links it to the name, which the file system refuses where something stands.
func (s *Store) Create(ctx context.Context, name string, r io.Reader) (artifact.Info, error) {
	return s.write(ctx, name, r, func(tmp, dst string) error {
		err := os.Link(tmp, dst)
		if !linkUnsupported(err) {
			return err
		}
		return s.locked(func() error {
			if _, err := os.Lstat(dst); !errors.Is(err, fs.ErrNotExist) {
				return cmp.Or(err, fs.ErrExist)
			}
			return os.Rename(tmp, dst)
		})
	})
}

// Replace compares and renames under the store's lock.
func (s *Store) Replace(ctx context.Context, name, etag string, r io.Reader) (artifact.Info, error) {
	return s.write(ctx, name, r, func(tmp, dst string) error {
		return s.locked(func() error {
			fi, err := os.Stat(dst)
			if errors.Is(err, fs.ErrNotExist) || err == nil && info(name, fi).ETag != etag {
				return artifact.ErrChanged
			}
			if err != nil {
				return err
			}
			return os.Rename(tmp, dst)
		})
	})
}

// Link makes a hard link, or a copy where the file system has none.
func (s *Store) Link(ctx context.Context, name, alias string) error {
	src, _, err := s.open(ctx, "link", name)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := s.path("link", alias)
	if err != nil {
		return err
	}
	tmp, err := s.temp()
	if err == nil {
		// The name of the temporary file is wanted, not the file.
		tmp.Close()
		os.Remove(tmp.Name())
		err = os.Link(src.Name(), tmp.Name())
		if linkUnsupported(err) {
			_, err = s.Put(ctx, alias, src)
			return err
		}
	}
	if err != nil {
		return failure("link", alias, err)
	}
	// Renaming one link of a file over another does nothing and keeps both, hence the removal in any case.
	defer os.Remove(tmp.Name())
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return failure("link", alias, err)
	}
	if err := s.locked(func() error { return os.Rename(tmp.Name(), dst) }); err != nil {
		return failure("link", alias, err)
	}
	return nil
}

// Delete removes the file, and the folders that it leaves empty.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := s.path("delete", name)
	if err != nil {
		return err
	}
	err = s.locked(func() error {
		fi, err := os.Lstat(p)
		if err == nil && !fi.IsDir() { // a folder is no object
			err = os.Remove(p)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return failure("delete", name, err)
	}
	empty := true
	for d := path.Dir(name); d != "." && empty; d = path.Dir(d) {
		empty = unix.Rmdir(s.URL(d)) == nil // unlike os.Remove it leaves a link to a folder
	}
	return nil
}

// List walks the folder in the order of whole names: "a-b" comes before "a/b", although the folder "a" comes before "a-b".
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[artifact.Info, error] {
	return func(yield func(artifact.Info, error) bool) {
		if err := artifact.CheckPrefix(prefix); err != nil {
			yield(artifact.Info{}, fmt.Errorf("list: %w", err))
			return
		}
		s.walk(ctx, strings.TrimSuffix(path.Dir(prefix+"x"), "."), prefix, yield)
	}
}

func (s *Store) walk(ctx context.Context, folder, prefix string, yield func(artifact.Info, error) bool) bool {
	if err := ctx.Err(); err != nil {
		return yield(artifact.Info{}, err) && false
	}
	entries, err := os.ReadDir(s.URL(folder))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return true
	}
	if err != nil {
		return yield(artifact.Info{}, failure("list", folder, err)) && false
	}
	key := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(key(a), key(b)) })
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		if name == reserved {
			continue
		}
		if e.IsDir() {
			below := name + "/"
			if (strings.HasPrefix(below, prefix) || strings.HasPrefix(prefix, below)) && !s.walk(ctx, name, prefix, yield) {
				return false
			}
			continue
		}
		if !strings.HasPrefix(name, prefix) || artifact.CheckName(name) != nil {
			continue
		}
		fi, err := os.Stat(s.URL(name))
		if errors.Is(err, fs.ErrNotExist) || err == nil && !fi.Mode().IsRegular() {
			continue // deleted meanwhile, a dangling link, a socket
		}
		if err != nil {
			return yield(artifact.Info{}, failure("list", name, err)) && false
		}
		if !yield(info(name, fi), nil) {
			return false
		}
	}
	return true
}

// write streams r into a temporary file, syncs it, lets commit give it its name, and syncs the folder.
func (s *Store) write(ctx context.Context, name string, r io.Reader, commit func(tmp, dst string) error) (_ artifact.Info, err error) {
	if err := ctx.Err(); err != nil {
		return artifact.Info{}, err
	}
	dst, err := s.path("write", name)
	if err != nil {
		return artifact.Info{}, err
	}
	f, err := s.temp()
	if err != nil {
		return artifact.Info{}, failure("write", name, err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := io.Copy(f, ctxReader{ctx, r}); err != nil {
		return artifact.Info{}, failure("write", name, err)
	}
	if err := f.Sync(); err != nil {
		return artifact.Info{}, failure("write", name, err)
	}
	fi, err := f.Stat()
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(dst), 0o755)
	}
	if err == nil {
		err = commit(f.Name(), dst)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(dst))
	}
	if err != nil {
		return artifact.Info{}, failure("write", name, err)
	}
	return info(name, fi), nil
}

func (s *Store) temp() (*os.File, error) {
	folder := filepath.Join(s.root, reserved, "tmp")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(folder, "put-")
	if err != nil {
		return nil, err
	}
	// CreateTemp gives 0600; objects are as readable as the folder they lie in.
	return f, f.Chmod(0o644)
}

// locked runs f while no other goroutine or process changes a name.
func (s *Store) locked(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	lock, err := os.OpenFile(filepath.Join(s.root, reserved, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return f() // no folder, hence nothing that another process could change
	}
	if err != nil {
		return err
	}
	defer lock.Close() // gives the lock back
	for {
		if err = unix.Flock(int(lock.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return f()
}

func syncFolder(p string) error {
	d, err := os.Open(p)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some file systems cannot sync a folder and say EINVAL; they have their own order.
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}

func linkUnsupported(err error) bool {
	return errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EMLINK) || errors.Is(err, syscall.EXDEV)
}

// info names a version by inode, size and time of change: every write makes a new inode, and a reused one has another time.
func info(name string, fi fs.FileInfo) artifact.Info {
	tag := strconv.FormatInt(fi.ModTime().UnixNano(), 36) + "-" + strconv.FormatInt(fi.Size(), 36)
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		tag += "-" + strconv.FormatUint(st.Ino, 36)
	}
	return artifact.Info{Name: name, Size: fi.Size(), Modified: fi.ModTime().Round(time.Microsecond), ETag: tag}
}

// failure wraps an error of the system in the contract's.
func failure(op, name string, err error) error {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.EIO, syscall.ESTALE, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, full) {
			return fmt.Errorf("%s %s: %w: %w", op, name, artifact.ErrUnavailable, err)
		}
	}
	for _, wrong := range []error{syscall.ENAMETOOLONG, syscall.ELOOP} {
		if errors.Is(err, wrong) {
			return fmt.Errorf("%s %s: %w: %w", op, name, artifact.ErrMisconfigured, err)
		}
	}
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s %s: %w: %w", op, name, fs.ErrPermission, err)
	case (errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR)) && op == "write":
		return fmt.Errorf("%s %s: %w: %w", op, name, artifact.ErrMisconfigured, err)
	case errors.Is(err, syscall.ENOTDIR) && (op == "read" || op == "stat" || op == "link"):
		return fmt.Errorf("%s %s: %w: %w", op, name, fs.ErrNotExist, err)
	}
	return fmt.Errorf("%s %s: %w", op, name, err)
}

// ctxReader ends a copy when its context ends. It lives for one call, which is why it may hold a context.
type ctxReader struct {
	ctx context.Context //nolint:containedctx // an io.Reader has no other place for it
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
