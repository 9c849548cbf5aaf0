package panel

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"salescast/pkg/calendar"
)

// A record is series (4 bytes), day (4), origin (8), target (4) and covariates (4 each), little-endian.
const recordHead = 16

type record []byte

func (r record) series() int32     { return int32(binary.LittleEndian.Uint32(r)) }
func (r record) day() calendar.Day { return calendar.Day(binary.LittleEndian.Uint32(r[4:])) }
func (r record) origin() Origin    { return Origin(binary.LittleEndian.Uint64(r[8:])) }
func (r record) value(i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(r[recordHead+4*i:]))
}

func (r record) values(dst []float32) []float32 {
	dst = dst[:0]
	for i := range (len(r) - recordHead) / 4 {
		dst = append(dst, r.value(i))
	}
	return dst
}

// run is a sorted sequence of records; a record is valid until the next call.
type run interface {
	next() (record, error) // io.EOF at the end
}

// fileRun is a run on disk.
type fileRun struct {
	file *os.File
	in   *bufio.Reader
	buf  []byte
}

func (r *fileRun) next() (record, error) {
	if _, err := io.ReadFull(r.in, r.buf); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("reading sorted rows back from %s: %w", r.file.Name(), err)
	}
	return r.buf, nil
}

func (r *fileRun) close() error {
	err := r.file.Close()
	if e := os.Remove(r.file.Name()); err == nil {
		err = e
	}
	return err
}

// memoryRun is a run in memory; order is nil where the records lie sorted.
type memoryRun struct {
	records []byte
	width   int
	order   []int32
	at      int
}

func (r *memoryRun) next() (record, error) {
	i := r.at
	if i*r.width >= len(r.records) {
		return nil, io.EOF
	}
	r.at++
	if r.order != nil {
		i = int(r.order[i])
	}
	return r.records[i*r.width : (i+1)*r.width], nil
}

// ranks orders the series by their key values: rank[series code] is the place of the series. levels and places are per key column.
func (b *Builder) ranks() (rank []int32, order []int32, levels [][]string, places [][]int32) {
	levels, places = usedLevels(b.keys, b.ids, len(b.series))
	n := len(b.schema.Keys)
	order = make([]int32, len(b.series))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(x, y int32) int {
		for k := range n {
			if c := cmp.Compare(places[k][b.ids[int(x)*n+k]], places[k][b.ids[int(y)*n+k]]); c != 0 {
				return c
			}
		}
		return 0
	})
	rank = make([]int32, len(order))
	for i, s := range order {
		rank[s] = int32(i)
	}
	return rank, order, levels, places
}

func usedLevels(dicts []Dictionary, codes []int32, series int) (levels [][]string, places [][]int32) {
	n := len(dicts)
	for k := range dicts {
		used := make([]bool, dicts[k].Len())
		for s := range series {
			used[codes[s*n+k]] = true
		}
		l, p := dicts[k].sorted(used)
		levels, places = append(levels, l), append(places, p)
	}
	return levels, places
}

func sortKey(rank []int32, r record) uint64 {
	return uint64(uint32(rank[r.series()]))<<32 | uint64(uint32(r.day())^0x80000000)
}

// sortRecords returns the order of the records by series rank, day and arrival; nil where they lie in it already.
func (b *Builder) sortRecords(rank []int32) []int32 {
	type item struct {
		key uint64
		at  int32
	}
	n := len(b.records) / b.width
	sorted := true
	var last uint64
	for i := range n {
		k := sortKey(rank, b.records[i*b.width:])
		if k < last {
			sorted = false
			break
		}
		last = k
	}
	if sorted {
		return nil
	}
	items := make([]item, n)
	for i := range items {
		items[i] = item{sortKey(rank, b.records[i*b.width:]), int32(i)}
	}
	slices.SortFunc(items, func(x, y item) int {
		if c := cmp.Compare(x.key, y.key); c != 0 {
			return c
		}
		return cmp.Compare(x.at, y.at)
	})
	order := make([]int32, n)
	for i := range items {
		order[i] = items[i].at
	}
	return order
}

// spill sorts what is in memory into a file. Runs sorted by the ranks known so far stay sorted by the final ones: a new key value
// changes no order between old ones.
func (b *Builder) spill() (err error) {
	rank, _, _, _ := b.ranks()
	m := memoryRun{records: b.records, width: b.width, order: b.sortRecords(rank)}
	f, err := os.CreateTemp(b.opts.Scratch, "rows-*.run")
	if err != nil {
		return fmt.Errorf("spilling rows that do not fit in memory: %w", err)
	}
	b.runs = append(b.runs, &fileRun{file: f, buf: make([]byte, b.width)})
	w := bufio.NewWriterSize(f, 1<<18)
	for {
		r, e := m.next()
		if e != nil {
			break
		}
		if _, err := w.Write(r); err != nil {
			return fmt.Errorf("spilling rows to %s: %w", f.Name(), err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("spilling rows to %s: %w", f.Name(), err)
	}
	b.records = b.records[:0]
	return nil
}

// merger yields the records of several runs in order; equal ones in the order of their arrival.
type merger struct {
	rank []int32
	runs []run
	heap []head
}

type head struct {
	key uint64
	rec record
	run int
}

func newMerger(rank []int32, runs []run) (*merger, error) {
	m := &merger{rank: rank, runs: runs}
	for i := range runs {
		if err := m.push(i); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *merger) push(i int) error {
	r, err := m.runs[i].next()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	m.heap = append(m.heap, head{sortKey(m.rank, r), r, i})
	for c := len(m.heap) - 1; c > 0; {
		p := (c - 1) / 2
		if !m.less(c, p) {
			break
		}
		m.heap[c], m.heap[p] = m.heap[p], m.heap[c]
		c = p
	}
	return nil
}

func (m *merger) less(a, b int) bool {
	x, y := &m.heap[a], &m.heap[b]
	return x.key < y.key || x.key == y.key && x.run < y.run
}

// down restores the heap from its top.
func (m *merger) down() {
	for p := 0; ; {
		c := 2*p + 1
		if c >= len(m.heap) {
			return
		}
		if c+1 < len(m.heap) && m.less(c+1, c) {
			c++
		}
		if !m.less(c, p) {
			return
		}
		m.heap[c], m.heap[p] = m.heap[p], m.heap[c]
		p = c
	}
}

// peek returns the next record, nil at the end.
func (m *merger) peek() record {
	if len(m.heap) == 0 {
		return nil
	}
	return m.heap[0].rec
}

// advance drops the record that peek returns.
func (m *merger) advance() error {
	top := &m.heap[0]
	r, err := m.runs[top.run].next()
	switch {
	case errors.Is(err, io.EOF):
		n := len(m.heap) - 1
		m.heap[0] = m.heap[n]
		m.heap = m.heap[:n]
	case err != nil:
		return err
	default:
		top.rec, top.key = r, sortKey(m.rank, r)
	}
	m.down()
	return nil
}

// emit merges the runs and yields chunks.
func (b *Builder) emit(ctx context.Context, f calendar.Frequency, maxRows int, yield func(*Panel, error) bool) error {
	rank, order, levels, places := b.ranks()
	var runs []run
	for _, r := range b.runs {
		if _, err := r.file.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("reading sorted rows back from %s: %w", r.file.Name(), err)
		}
		r.in = bufio.NewReaderSize(r.file, 1<<17)
		runs = append(runs, r)
	}
	runs = append(runs, &memoryRun{records: b.records, width: b.width, order: b.sortRecords(rank)})
	m, err := newMerger(rank, runs)
	if err != nil {
		return err
	}
	g := newGrid(b, f, levels, places)
	for i, s := range order {
		if i%64 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if err := g.read(m, s); err != nil {
			return err
		}
		g.place(s)
		if g.out.Rows() >= maxRows {
			if !yield(g.take(), nil) {
				return nil
			}
		}
	}
	if g.out.Series() > 0 {
		yield(g.take(), nil)
	}
	return nil
}
