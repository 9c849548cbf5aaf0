package panel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"salescast/pkg/calendar"
)

// Missing is what stands for an absent row inside a series.
type Missing string

// The policies for absent rows. They hold alike for a row whose target is empty, and for the rows between a series' own last sale and
// the end of the data: every series reaches the last day on which any series was sold. Filled rows are not observed but by NoneSold.
const (
	// Zero: nothing was sold.
	Zero Missing = "zero"
	// Carry: unknown, taken to be like the last known sale.
	Carry Missing = "carry"
	// Leave: unknown, and left so: NaN.
	Leave Missing = "leave"
	// NoneSold: nothing was sold, and that was seen: an absent row counts as a sale of 0, as of receipts. A row with an empty target stays
	// unknown.
	NoneSold Missing = "none_sold"
)

// Aggregate is what rows of one series and step, such as receipts, make together.
type Aggregate string

// The ways to put rows together. Covariates become the mean of the known ones; a stockout is one where any row has it.
const (
	// Refuse: only the first stays, and the others are reported as Duplicate.
	Refuse Aggregate = ""
	// Sum: the sum of the known sales.
	Sum Aggregate = "sum"
	// Mean: their mean.
	Mean Aggregate = "mean"
	// Last: the row that was added last stands for all.
	Last Aggregate = "last"
)

// Attribute declares a covariate of a panel to be built.
type Attribute struct {
	Name string
	Role Role
}

// Schema names the columns of a panel to be built.
type Schema struct {
	Keys       []string
	Static     []string
	Covariates []Attribute
}

// Origin is where a row was read, as its reader numbers it; the builder only hands it back.
type Origin uint64

// Row is one row of a source. The builder copies what it keeps.
type Row struct {
	// Keys and Static have one code per column, from the builder's Dictionaries.
	Keys, Static []int32
	Day          calendar.Day
	// Target is NaN where there is no sale: a plan, or unknown.
	Target     float32
	Covariates []float32
	Origin     Origin
}

// EventKind says what the builder saw.
type EventKind uint8

// What the builder reports. After the first three the row is not in the panel.
const (
	// Duplicate: the series has another row on that day, read earlier; Other is its origin.
	Duplicate EventKind = iota + 1
	// OffGrid: no step of the frequency begins on that day.
	OffGrid
	// BeforeFirstSale: the row precedes the first sale of its series.
	BeforeFirstSale
	// NoSale: the series has no sale at all and is left out; Row is its first row.
	NoSale
	// StaticConflict: a static attribute differs from that of the series' earlier rows, whose value is kept.
	StaticConflict
	// EmptyShelf: the row is flagged by a column of the role Stockout, and its sale is taken to be unknown.
	EmptyShelf
	// OtherFrequency: a run of rows of a series lies on a coarser grid (weeks or months) than the panel's; Row is its first row.
	OtherFrequency
)

// Event is something that a person should know of a row. Its slices are valid during the call only.
type Event struct {
	Kind  EventKind
	ID    []string
	Day   calendar.Day
	Value []float32 // target, then covariates
	// Origin is the row's; Other the origin of the row that it clashes with.
	Origin, Other Origin
}

// BuilderOptions set the policies of a Builder.
type BuilderOptions struct {
	// Frequency is as for [calendar.ParseFrequency]; empty is inferred from all days.
	Frequency string
	// Settled says that Frequency is a model's: the rows of a request may lie as far apart on it as they like.
	Settled   bool
	Missing   Missing
	Aggregate Aggregate
	// MemoryRows bounds the rows held in memory; more are sorted into files under Scratch and merged. 0 is 1<<20.
	MemoryRows int
	// NewSeries keeps series without any sale whose rows lie after the last sale of all: what is planned and was never sold. They begin
	// with the first of these rows. Without it they are reported as NoSale.
	NewSeries bool
	// EndedAfter is that of the panel.
	EndedAfter int
	// MaxRows bounds the rows of the panel, filled gaps among them; more are a *[GridError], before any is made. 0 is ten million, and a
	// thousand for every row that was added.
	MaxRows int64
	// Scratch is a folder for those files, which the builder removes; empty keeps everything in memory.
	Scratch string
	// Report is told every Event, in the order of the panel; nil for none.
	Report func(Event)
}

// Builder makes a panel from rows in any order. Rows are kept compactly, sorted in runs, and come out series by series, so that
// memory is bounded by MemoryRows, the number of series and one chunk of the result.
//
// Add every row, then range over Panels once (or call Build), then Close.
type Builder struct {
	schema Schema
	opts   BuilderOptions
	keys   []Dictionary
	static []Dictionary

	series     map[string]int32
	ids        []int32 // len(schema.Keys) codes per series
	attributes []int32 // len(schema.Static) codes per series
	conflict   []bool  // per series: reported once
	reaches    []reach // per series
	lastSeries int32
	scratchKey []byte
	scratchRow Row

	width   int // bytes of a record
	records []byte
	runs    []*fileRun

	days     dayCensus
	firstDay calendar.Day
	lastDay  calendar.Day
	lastSale calendar.Day
	sold     bool
	rows     int64
}

// NewBuilder returns an empty builder.
func NewBuilder(s Schema, o BuilderOptions) (*Builder, error) {
	switch o.Missing {
	case "":
		o.Missing = Zero
	case Zero, Carry, Leave, NoneSold:
	default:
		return nil, fmt.Errorf("missing policy %q is not one of zero, carry, leave, none_sold", o.Missing)
	}
	switch o.Aggregate {
	case Refuse, Sum, Mean, Last:
	default:
		return nil, fmt.Errorf("aggregate %q is not one of sum, mean, last", o.Aggregate)
	}
	if o.Frequency != "" {
		if _, _, err := calendar.ParseFrequency(o.Frequency); err != nil {
			return nil, err
		}
	}
	if o.MemoryRows <= 0 {
		o.MemoryRows = 1 << 20
	}
	return &Builder{
		schema: s, opts: o, keys: make([]Dictionary, len(s.Keys)), static: make([]Dictionary, len(s.Static)),
		series: map[string]int32{}, lastSeries: -1, width: recordHead + 4*(1+len(s.Covariates)),
	}, nil
}

// KeyDictionary returns the dictionary of key column k, for coding Row.Keys.
func (b *Builder) KeyDictionary(k int) *Dictionary { return &b.keys[k] }

// StaticDictionary returns the dictionary of static column k, for coding Row.Static.
func (b *Builder) StaticDictionary(k int) *Dictionary { return &b.static[k] }

// Rows returns the number of rows added.
func (b *Builder) Rows() int64 { return b.rows }

// Series returns the number of distinct series added.
func (b *Builder) Series() int { return len(b.series) }

// LastSale returns the last day of any row with a sale; ok is false where there is none.
func (b *Builder) LastSale() (day calendar.Day, ok bool) { return b.lastSale, b.sold }

// AddText is Add for a row whose keys and static attributes are given as text.
func (b *Builder) AddText(keys, static []string, day calendar.Day, target float32, covariates []float32) error {
	r := &b.scratchRow
	r.Keys, r.Static = r.Keys[:0], r.Static[:0]
	for i, k := range keys {
		r.Keys = append(r.Keys, b.keys[i].CodeString(k))
	}
	for i, k := range static {
		r.Static = append(r.Static, b.static[i].CodeString(k))
	}
	r.Day, r.Target, r.Covariates, r.Origin = day, target, covariates, Origin(b.rows)
	return b.Add(r)
}

// Add takes one row. An error is of the scratch folder.
func (b *Builder) Add(r *Row) error {
	s, isNew := b.seriesOf(r.Keys)
	if isNew {
		b.attributes = append(b.attributes, r.Static...)
	} else if len(r.Static) > 0 {
		b.checkStatic(s, r)
	}
	b.days.add(r.Day)
	b.reaches[s].add(r)
	if b.rows == 0 || r.Day < b.firstDay {
		b.firstDay = r.Day
	}
	if b.rows == 0 || r.Day > b.lastDay {
		b.lastDay = r.Day
	}
	if r.Target == r.Target && (!b.sold || r.Day > b.lastSale) {
		b.lastSale, b.sold = r.Day, true
	}
	b.rows++
	rec := b.records
	rec = binary.LittleEndian.AppendUint32(rec, uint32(s))
	rec = binary.LittleEndian.AppendUint32(rec, uint32(r.Day))
	rec = binary.LittleEndian.AppendUint64(rec, uint64(r.Origin))
	rec = binary.LittleEndian.AppendUint32(rec, math.Float32bits(r.Target))
	for _, v := range r.Covariates {
		rec = binary.LittleEndian.AppendUint32(rec, math.Float32bits(v))
	}
	b.records = rec
	if b.opts.Scratch != "" && len(b.records) >= b.opts.MemoryRows*b.width {
		return b.spill()
	}
	return nil
}

func (b *Builder) seriesOf(keys []int32) (s int32, isNew bool) {
	n := len(b.schema.Keys)
	if b.lastSeries >= 0 && slices.Equal(b.ids[int(b.lastSeries)*n:int(b.lastSeries+1)*n], keys) {
		return b.lastSeries, false
	}
	k := b.scratchKey[:0]
	for _, c := range keys {
		k = binary.LittleEndian.AppendUint32(k, uint32(c))
	}
	b.scratchKey = k
	s, ok := b.series[string(k)]
	if !ok {
		s = int32(len(b.series))
		b.series[string(k)] = s
		b.ids = append(b.ids, keys...)
		b.conflict, b.reaches = append(b.conflict, false), append(b.reaches, reach{})
	}
	b.lastSeries = s
	return s, !ok
}

func (b *Builder) checkStatic(s int32, r *Row) {
	have := b.attributes[int(s)*len(r.Static) : int(s+1)*len(r.Static)]
	if b.conflict[s] || slices.Equal(have, r.Static) {
		return
	}
	b.conflict[s] = true
	b.report(StaticConflict, s, r.Day, append([]float32{r.Target}, r.Covariates...), r.Origin, 0)
}

// seriesText returns the key values of a series code.
func (b *Builder) seriesText(s int32) []string {
	id := make([]string, len(b.schema.Keys))
	for k := range id {
		id[k] = b.keys[k].Value(b.ids[int(s)*len(id)+k])
	}
	return id
}

func (b *Builder) report(kind EventKind, s int32, day calendar.Day, value []float32, at, other Origin) {
	if b.opts.Report != nil {
		b.opts.Report(Event{Kind: kind, ID: b.seriesText(s), Day: day, Value: value, Origin: at, Other: other})
	}
}

// ErrNoSales is a source in which no row has a sale.
var ErrNoSales = errors.New("no row has a sale")

// FrequencyError is a set of days that lie on no one grid, or not on the grid that was asked for.
type FrequencyError struct{ Reason string }

func (e *FrequencyError) Error() string { return e.Reason }

// Frequency returns the grid of the rows added so far: the one asked for, with the weekday of a bare W taken from the data, or the
// coarsest on which every day lies. The error is a *FrequencyError.
func (b *Builder) Frequency() (calendar.Frequency, error) {
	return b.days.frequency(b.opts.Frequency, b.opts.Settled)
}

// GridRows returns how many rows the panel has on a grid, filled gaps among them; rows that will be set aside may make it less.
func (b *Builder) GridRows(f calendar.Frequency) int64 {
	rows := int64(0)
	if !b.sold {
		return rows
	}
	end := f.Floor(b.lastSale)
	for i := range b.reaches {
		switch r := &b.reaches[i]; {
		case r.sold:
			rows += int64(max(end, f.Floor(r.last))-f.Floor(r.firstSale)) + 1
		case b.opts.NewSeries:
			rows += max(0, int64(f.Floor(r.last)-end))
		}
	}
	return rows
}

// CheckGrid answers a *[GridError] where the panel would have more rows than BuilderOptions allow.
func (b *Builder) CheckGrid(f calendar.Frequency) error {
	most := b.opts.MaxRows
	if most <= 0 {
		most = 10_000_000 + 1000*b.rows
	}
	rows := b.GridRows(f)
	if rows <= most {
		return nil
	}
	return &GridError{Rows: rows, Most: most, Given: b.rows, Series: len(b.series), First: b.firstDay, Last: b.lastDay}
}

// GridError is a panel that is not made since its grid would be too large for the rows that there are.
type GridError struct {
	// Rows are those of the grid, Most what it may have, Given what was added.
	Rows, Most, Given int64
	Series            int
	// First and Last are the days between which rows were added.
	First, Last calendar.Day
}

func (e *GridError) Error() string {
	return fmt.Sprintf("%d rows of %d series from %s to %s lie so far apart that a regular grid of them has %d rows; at most %d are made",
		e.Given, e.Series, e.First, e.Last, e.Rows, e.Most)
}

// reach is what a series spans: its first sale, if any, and its last row.
type reach struct {
	firstSale, last calendar.Day
	any, sold       bool
}

func (s *reach) add(r *Row) {
	if !s.any || r.Day > s.last {
		s.last, s.any = r.Day, true
	}
	if !isNaN(r.Target) && (!s.sold || r.Day < s.firstSale) {
		s.firstSale, s.sold = r.Day, true
	}
}

// Build returns the whole panel.
func (b *Builder) Build(ctx context.Context) (*Panel, error) {
	for p, err := range b.Panels(ctx, math.MaxInt) {
		return p, err
	}
	return nil, ErrNoSales
}

// Panels yields the panel in consecutive chunks of whole series, at least one series and about maxRows rows each; key levels are
// those of the whole panel. It can be ranged over once. The chunks are the consumer's to keep.
func (b *Builder) Panels(ctx context.Context, maxRows int) iter.Seq2[*Panel, error] {
	return func(yield func(*Panel, error) bool) {
		f, err := b.Frequency()
		if err == nil && !b.sold {
			err = ErrNoSales
		}
		if err == nil {
			err = b.CheckGrid(f)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		if err := b.emit(ctx, f, maxRows, yield); err != nil {
			yield(nil, err)
		}
	}
}

// Close removes the builder's files.
func (b *Builder) Close() error {
	var first error
	for _, r := range b.runs {
		if err := r.close(); err != nil && first == nil {
			first = err
		}
	}
	b.runs, b.records = nil, nil
	return first
}
