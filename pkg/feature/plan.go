package feature

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"salescast/pkg/calendar"
	"salescast/pkg/regress"
)

// PlanSchema names the version of a plan's JSON form.
const PlanSchema = "salescast.plan/v1"

// Anchor is the step that a read counts from.
type Anchor string

// The anchors of a read.
const (
	Origin Anchor = "origin"
	Target Anchor = "target"
)

// Sales is the name under which reads speak of the target column.
const Sales = "sales"

// Read is a range of steps of one column that a feature may look at.
type Read struct {
	// What is Sales, or the name of a covariate.
	What   string `json:"what"`
	Anchor Anchor `json:"anchor"`
	// From and To are the first and last step, relative to the anchor.
	From int `json:"from"`
	To   int `json:"to"`
	// Always means from the first step of the series on.
	Always bool `json:"always,omitempty"`
	// Limit cuts the range: "origin" at the forecast origin, "plan" at the later of the target and origin + horizon; empty, not at all.
	Limit string `json:"limit,omitempty"`
	// Group says that the column is read for all series of the panel or of the series' group.
	Group bool `json:"group,omitempty"`
}

// Column is one feature.
type Column struct {
	// Name is stable and derived from what the column is.
	Name string `json:"name"`
	// Families are those that have the column; it is there once.
	Families []string `json:"families"`
	// Group is for people: level, season, weekday, promotion, price, holiday, trend, identity.
	Group string `json:"group"`
	// About says in one line what the value is.
	About        string `json:"about"`
	Categorical  bool   `json:"categorical,omitempty"`
	MayBeMissing bool   `json:"may_be_missing"`
	// Whole values are whole numbers and never missing.
	Whole bool `json:"whole,omitempty"`
	// Scaled values are divided by the row's scale.
	Scaled bool `json:"scaled,omitempty"`
	// Reads is all that the column may look at, besides the calendar; checked when the plan is made.
	Reads []Read `json:"reads,omitempty"`

	fill  op
	needs shared
	stat  *orderStat
	dates dateColumn
}

// Plan is a checked list of columns. It is safe for concurrent use.
type Plan struct {
	spec    Spec
	schema  Schema
	grid    grid
	columns []Column
	names   []string
	needs   shared
	// covariates are the indices into schema.Covariates of those that any column reads.
	covariates []int
	stats      []orderStat
	lookback   int
	// weights of the profile, and the known-future covariates that likeness is measured by.
	weights          []float64
	analogCovariates []int
	dates            []dateColumn
	// table is the last that was made of dates: the next panel has the same ones, most of the time.
	table  atomic.Pointer[dateTable]
	blocks sync.Pool
	states sync.Pool
}

// AvailabilityError says that a feature would read what is not known at the forecast origin.
type AvailabilityError struct {
	Column string
	Read   Read
}

func (e *AvailabilityError) Error() string {
	return fmt.Sprintf("feature %q reads %s at steps %s%+d to %s%+d, which is not known at the forecast origin; lag it behind the origin, or declare the column as known in the future",
		e.Column, e.Read.What, e.Read.Anchor, e.Read.From, e.Read.Anchor, e.Read.To)
}

// NewPlan lays out the columns that spec declares for data like schema. It refuses unknown families and covariates, and with an
// *AvailabilityError a column that reads what a forecast cannot know.
func NewPlan(spec Spec, schema Schema) (*Plan, error) {
	if schema.Horizon < 1 {
		return nil, fmt.Errorf("plan features: horizon %d is not positive", schema.Horizon)
	}
	if schema.Frequency == (calendar.Frequency{}) {
		return nil, errors.New("plan features: the schema has no frequency")
	}
	g := gridOf(schema.Frequency)
	spec = spec.withDefaults(g, schema)
	for _, f := range spec.Families {
		if !slices.Contains(Families(), f) {
			return nil, fmt.Errorf("plan features: unknown family %q; the families are %s", f, strings.Join(Families(), ", "))
		}
	}
	p := &Plan{spec: spec, schema: schema, grid: g}
	c := catalogue{plan: p}
	if err := c.build(); err != nil {
		return nil, fmt.Errorf("plan features: %w", err)
	}
	for _, col := range c.columns {
		for _, r := range col.Reads {
			if err := p.check(r); err != nil {
				return nil, fmt.Errorf("plan features: %w", &AvailabilityError{Column: col.Name, Read: r})
			}
		}
	}
	p.lay(c.columns)
	return p, nil
}

// check reports a read that reaches what is unknown at the origin, for some horizon from 1 to the schema's.
func (p *Plan) check(r Read) error {
	known := false
	if r.What != Sales {
		i := slices.IndexFunc(p.schema.Covariates, func(c Covariate) bool { return c.Name == r.What })
		if i < 0 {
			return fmt.Errorf("no covariate %q", r.What)
		}
		known = p.schema.Covariates[i].Known
	}
	latest := r.To // relative to the origin
	if r.Anchor == Target {
		latest += p.schema.Horizon
	}
	switch {
	case r.Limit == "origin", latest <= 0:
		return nil
	case known && (latest <= p.schema.Horizon || r.Limit == "plan"):
		return nil
	}
	return errors.New("unknown at the origin")
}

// lay fixes the columns and what has to be prepared for them.
func (p *Plan) lay(columns []Column) {
	p.columns, p.needs, p.stats, p.covariates, p.dates = columns, 0, nil, nil, nil
	p.names = make([]string, len(columns))
	for i, c := range columns {
		p.names[i] = c.Name
		p.needs |= c.needs
		if c.stat != nil && !slices.Contains(p.stats, *c.stat) {
			p.stats = append(p.stats, *c.stat)
		}
		if c.dates != 0 && !slices.Contains(p.dates, c.dates) {
			p.dates = append(p.dates, c.dates)
		}
		for _, r := range c.Reads {
			if k := slices.IndexFunc(p.schema.Covariates, func(v Covariate) bool { return v.Name == r.What }); k >= 0 && !slices.Contains(p.covariates, k) {
				p.covariates = append(p.covariates, k)
			}
		}
	}
	slices.SortFunc(p.stats, orderStat.compare)
	slices.Sort(p.covariates)
	slices.Sort(p.dates)
	p.lookback = p.lookbackOf()
	p.weights = profileWeights(p.grid.profile)
	p.analogCovariates = nil
	for i, c := range p.schema.Covariates {
		if c.Known && slices.Contains(p.spec.Covariates, c.Name) {
			p.analogCovariates = append(p.analogCovariates, i)
		}
	}
	p.blocks.New = func() any { return new(block) }
}

// Columns returns the columns in order; the slice is not to be changed.
func (p *Plan) Columns() []Column { return p.columns }

// Names returns the columns' names in order; the slice is not to be changed.
func (p *Plan) Names() []string { return p.names }

// Schema returns the schema the plan was made for, and Spec the declaration with its defaults filled in.
func (p *Plan) Schema() Schema { return p.schema }

// Spec returns the declaration with its defaults filled in.
func (p *Plan) Spec() Spec { return p.spec }

// Learner returns the columns as a learner wants them described.
func (p *Plan) Learner() []regress.Column {
	out := make([]regress.Column, len(p.columns))
	for i, c := range p.columns {
		out[i] = regress.Column{Name: c.Name, Categorical: c.Categorical, MayBeMissing: c.MayBeMissing}
	}
	return out
}

// Select returns the plan with only the named columns, in the order of the plan.
func (p *Plan) Select(columns ...string) (*Plan, error) {
	return p.filter("column", columns, func(c *Column) []string { return []string{c.Name} })
}

// SelectFamilies returns the plan with only the columns of the named families, in the order of the plan.
func (p *Plan) SelectFamilies(families ...string) (*Plan, error) {
	return p.filter("family", families, func(c *Column) []string { return c.Families })
}

// filter keeps the columns of which any key is among names, and reports a name that is no column's.
func (p *Plan) filter(what string, names []string, keys func(c *Column) []string) (*Plan, error) {
	used := make(map[string]bool, len(names))
	var out []Column
	for _, c := range p.columns {
		keep := false
		for _, k := range keys(&c) {
			if slices.Contains(names, k) {
				keep, used[k] = true, true
			}
		}
		if keep {
			out = append(out, c)
		}
	}
	for _, n := range names {
		if !used[n] {
			return nil, fmt.Errorf("select features: no %s %q in the plan", what, n)
		}
	}
	return p.with(out), nil
}

// Without returns the plan less the named columns; a name that the plan does not have is no error.
func (p *Plan) Without(columns ...string) *Plan {
	return p.with(slices.DeleteFunc(slices.Clone(p.columns), func(c Column) bool { return slices.Contains(columns, c.Name) }))
}

func (p *Plan) with(columns []Column) *Plan {
	q := &Plan{spec: p.spec, schema: p.schema, grid: p.grid}
	q.lay(columns)
	return q
}

// Lookback returns the number of steps up to and including the origin that any column or scale reads, but for those that read from
// the beginning of a series, which a [Tail] carries as sums.
func (p *Plan) Lookback() int { return p.lookback }

func (p *Plan) lookbackOf() int {
	deepest := -max(p.grid.year, 2*p.grid.base) + 1
	for _, c := range p.columns {
		for _, r := range c.Reads {
			from := r.From
			if r.Anchor == Target {
				from++ // the earliest target is origin + 1
			}
			deepest = min(deepest, from)
		}
	}
	return 1 - deepest
}

// planFile is the JSON form of a plan.
type planFile struct {
	Schema  string   `json:"schema"`
	Data    Schema   `json:"data"`
	Spec    Spec     `json:"spec"`
	Columns []Column `json:"columns"`
}

// Equal says whether two plans have the same columns of the same data.
func (p *Plan) Equal(other *Plan) bool {
	return p == other || slices.Equal(p.names, other.names) && reflect.DeepEqual(p.spec, other.spec) && reflect.DeepEqual(p.schema, other.schema)
}

// MarshalJSON writes schema, spec and every column with what it is and what it may read.
func (p *Plan) MarshalJSON() ([]byte, error) {
	return json.Marshal(planFile{Schema: PlanSchema, Data: p.schema, Spec: p.spec, Columns: p.columns})
}

// ParsePlan reads what MarshalJSON wrote; it refuses a plan whose columns this version would lay out otherwise.
func ParsePlan(b []byte) (*Plan, error) {
	var f planFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	if f.Schema != PlanSchema {
		return nil, fmt.Errorf("read plan: schema %q is not %s", f.Schema, PlanSchema)
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	p, err := NewPlan(f.Spec, f.Data)
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	names := make([]string, len(f.Columns))
	for i, c := range f.Columns {
		names[i] = c.Name
	}
	q, err := p.Select(names...)
	if err != nil {
		return nil, fmt.Errorf("read plan: written by another version: %w", err)
	}
	if !slices.Equal(q.names, names) {
		return nil, errors.New("read plan: its columns stand in another order than this version's; train the model again")
	}
	return q, nil
}

var missing = math.NaN()
