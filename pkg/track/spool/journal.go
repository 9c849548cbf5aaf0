package spool

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// ErrCorrupt is a log with a bad line that is not its last.
var ErrCorrupt = errors.New("the spool is corrupt")

// maxLine bounds one line of a log, for writers and readers alike.
const maxLine = 4 << 20

// line is one record of a log.
type line struct {
	Seq  int64           `json:"seq"`
	Op   string          `json:"op"`
	Body json.RawMessage `json:"body"`
	Sum  string          `json:"sum"`
}

// entry is a line to be written.
type entry struct {
	op   string
	body any
}

// chain checks and makes the sums of consecutive lines.
type chain struct {
	seq int64
	sum uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (c chain) next(op string, body []byte) chain {
	var before []byte
	if c.seq > 0 {
		before = hex.AppendEncode(nil, binary.BigEndian.AppendUint32(nil, c.sum))
	}
	n := chain{seq: c.seq + 1}
	n.sum = crc32.Update(0, castagnoli, before)
	n.sum = crc32.Update(n.sum, castagnoli, strconv.AppendInt(nil, n.seq, 10))
	n.sum = crc32.Update(n.sum, castagnoli, []byte(op))
	n.sum = crc32.Update(n.sum, castagnoli, body)
	return n
}

func (c chain) hex() string { return fmt.Sprintf("%08x", c.sum) }

// scan reads lines from r, which continues a log after c, and hands each good one to apply. It returns the chain after the last good
// line and how many bytes the good lines have. A bad last line is left out in silence; a bad line before the last is ErrCorrupt.
func scan(r io.Reader, c chain, apply func(line) error) (chain, int64, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	var good int64
	for {
		raw, err := readLine(b)
		if err != nil && !errors.Is(err, io.EOF) {
			return c, good, err
		}
		if len(raw) == 0 {
			return c, good, nil
		}
		var l line
		bad := errors.Is(err, io.EOF) || json.Unmarshal(raw, &l) != nil
		n := c.next(l.Op, l.Body)
		if bad || l.Seq != n.seq || l.Sum != n.hex() {
			if _, err := b.Peek(1); !errors.Is(err, io.EOF) {
				return c, good, fmt.Errorf("%w: line %d fails its checksum", ErrCorrupt, n.seq)
			}
			return c, good, nil
		}
		if err := apply(l); err != nil {
			return c, good, fmt.Errorf("line %d: %w", n.seq, err)
		}
		c, good = n, good+int64(len(raw))
	}
}

// readLine returns a line with its newline, or what is left and io.EOF.
func readLine(b *bufio.Reader) ([]byte, error) {
	var out []byte
	for {
		part, err := b.ReadSlice('\n')
		out = append(out, part...)
		if len(out) > maxLine {
			return nil, fmt.Errorf("%w: a line has more than %d bytes", ErrCorrupt, maxLine)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return out, err
		}
	}
}

// journal appends to one log that other processes may append to as well. apply sees every line, whoever wrote it, in order; reset is
// called where the log was taken away and begins anew.
type journal struct {
	path  string
	space *space
	reset func()
	apply func(line) error

	mu    sync.Mutex
	f     *os.File
	chain chain
	off   int64
	// written counts the lines of the log that are from here.
	written int64
}

// end is the size of the log as far as it is known here.
func (j *journal) end() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.off
}

// update locks the log, catches up with what others wrote, asks for entries, and appends them all or none. With durable they are on
// the disk when it returns.
func (j *journal) update(ctx context.Context, durable bool, decide func() ([]entry, error)) (err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.lock(ctx); err != nil {
		return fmt.Errorf("lock %s: %w", j.path, err)
	}
	defer func() { err = errors.Join(err, unlock(j.f)) }()
	if err := j.catchUp(); err != nil {
		return fmt.Errorf("read %s: %w", j.path, err)
	}
	entries, err := decide()
	if err != nil {
		return err
	}
	if err := j.append(entries); err != nil {
		return fmt.Errorf("write %s: %w", j.path, err)
	}
	if durable {
		if err := j.f.Sync(); err != nil {
			return fmt.Errorf("write %s: %w", j.path, err)
		}
	}
	return nil
}

// lock opens the log where needed and locks it, and makes sure that what is locked is what stands under the path.
func (j *journal) lock(ctx context.Context) error {
	for {
		if j.f == nil {
			if err := os.MkdirAll(filepath.Dir(j.path), 0o755); err != nil {
				return full(err)
			}
			f, err := os.OpenFile(j.path, os.O_RDWR|os.O_CREATE, 0o644)
			if errors.Is(err, fs.ErrNotExist) {
				continue // the folder was taken away between the two calls
			}
			if err != nil {
				return full(err)
			}
			j.f, j.chain, j.off, j.written = f, chain{}, 0, 0
			j.reset()
		}
		if err := waitLock(ctx, j.f); err != nil {
			return err
		}
		mine, err := j.f.Stat()
		if err != nil {
			return err
		}
		now, err := os.Stat(j.path)
		if err == nil && os.SameFile(mine, now) {
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := j.f.Close(); err != nil {
			return err
		}
		j.f = nil
	}
}

func (j *journal) catchUp() error {
	size, err := j.f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size < j.off {
		return fmt.Errorf("%w: the log has shrunk from %d to %d bytes", ErrCorrupt, j.off, size)
	}
	c, good, err := scan(io.NewSectionReader(j.f, j.off, size-j.off), j.chain, j.apply)
	if err != nil {
		return err
	}
	j.chain, j.off = c, j.off+good
	if j.off < size { // the torn line of a writer that is gone: nobody else can be writing it, we hold the lock
		return j.f.Truncate(j.off)
	}
	return nil
}

// encode makes the lines that continue a log after c, and their bytes.
func encode(c chain, entries []entry) (chain, []line, []byte, error) {
	var buf bytes.Buffer
	lines := make([]line, 0, len(entries))
	for _, e := range entries {
		body, err := json.Marshal(e.body)
		if err != nil {
			return c, nil, nil, err
		}
		c = c.next(e.op, body)
		l := line{Seq: c.seq, Op: e.op, Body: body, Sum: c.hex()}
		raw, err := json.Marshal(l)
		if err != nil {
			return c, nil, nil, err
		}
		if len(raw) >= maxLine {
			return c, nil, nil, fmt.Errorf("a record %q has %d bytes: the most is %d", e.op, len(raw), maxLine)
		}
		buf.Write(raw)
		buf.WriteByte('\n')
		lines = append(lines, l)
	}
	return c, lines, buf.Bytes(), nil
}

func (j *journal) append(entries []entry) error {
	c, lines, raw, err := encode(j.chain, entries)
	if err != nil {
		return err
	}
	if err := j.space.take(int64(len(raw))); err != nil {
		return err
	}
	if _, err := j.f.WriteAt(raw, j.off); err != nil {
		j.space.give(int64(len(raw)))
		return errors.Join(full(err), j.f.Truncate(j.off))
	}
	j.chain, j.off, j.written = c, j.off+int64(len(raw)), j.written+int64(len(lines))
	for _, l := range lines {
		if err := j.apply(l); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.f == nil {
		return nil
	}
	err := errors.Join(j.f.Sync(), j.f.Close())
	j.f = nil
	return err
}

// waitLock takes the lock, waiting for others until ctx is done.
func waitLock(ctx context.Context, f *os.File) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if err := ctx.Err(); err != nil {
			return err
		}
		ok, err := tryLock(f)
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
