package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// Store keeps named bytes under a root. Names are slash-separated, relative, clean (no "..", no leading slash, no backslash).
//
// Errors: a missing name wraps fs.ErrNotExist; a name that exists where it must not wraps fs.ErrExist; wrong or missing credentials
// wrap fs.ErrPermission; a place that is away, slow or full after the store's own retries wraps ErrUnavailable. A Store retries by
// itself; callers never do. A Store may be used from several goroutines.
type Store interface {
	// Get opens the object of that name; it is read as a stream and must be closed.
	Get(ctx context.Context, name string) (io.ReadCloser, Info, error)
	// ReadAt returns a random-access view of the object, for formats with an index at their end. It must be closed.
	ReadAt(ctx context.Context, name string) (ReaderAt, error)
	// Stat returns what is known of a name.
	Stat(ctx context.Context, name string) (Info, error)
	// Put writes the object: whole or not at all, replacing what was there. Putting the same bytes twice is the same as once.
	Put(ctx context.Context, name string, r io.Reader) (Info, error)
	// Create is Put where nothing may be there: of several concurrent Creates of one name exactly one succeeds.
	Create(ctx context.Context, name string, r io.Reader) (Info, error)
	// Replace is Put where the current object must still have that ETag; otherwise the error wraps ErrChanged.
	Replace(ctx context.Context, name, etag string, r io.Reader) (Info, error)
	// List yields every object whose name begins with prefix, in byte order of names; not only direct children.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Delete removes a name; a missing one is no error.
	Delete(ctx context.Context, name string) error
	// URL returns an address of the name that a person can use, without credentials.
	URL(name string) string
}

// Linker is a Store on which an object can also stand under a second name at no cost; the folder store is one.
type Linker interface {
	// Link makes the object of name also readable as alias, replacing what was there.
	Link(ctx context.Context, name, alias string) error
}

// ReaderAt is random access to one object.
type ReaderAt interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Info describes an object.
type Info struct {
	Name     string
	Size     int64
	Modified time.Time
	// ETag identifies the content for Replace; it is opaque and is not comparable between stores.
	ETag string
}

// ErrUnavailable is a place that is configured and cannot be reached, is too slow, or is full: trying again later may help.
var ErrUnavailable = errors.New("storage is unavailable")

// ErrFull is the ErrUnavailable of a place without room.
var ErrFull = fmt.Errorf("%w: no room is left", ErrUnavailable)

// ErrMisconfigured says that a store cannot be spoken to as its settings stand, however often it is tried.
var ErrMisconfigured = errors.New("the settings of the storage are wrong")

// ErrChanged is a Replace that lost to another writer.
var ErrChanged = errors.New("the object was changed by another writer")
