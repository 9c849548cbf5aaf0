package feature

import (
	"math"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Kind says what the values of a covariate look like.
type Kind string

// The kinds of covariates. A price takes more than two values, all positive, so that logarithms of ratios make sense.
const (
	Flag    Kind = "flag"
	Numeric Kind = "numeric"
	Price   Kind = "price"
)

// Schema is what a plan must know of the data. It is learnt from data at or before one step only and kept with the model.
type Schema struct {
	Frequency calendar.Frequency `json:"frequency"`
	// Horizon is the number of steps forecast at once: known-future covariates are read up to origin + Horizon.
	Horizon int `json:"horizon"`
	// Country is the ISO 3166 code whose public holidays are features; empty for none.
	Country string `json:"country,omitempty"`
	// Origin is the last step that was looked at.
	Origin calendar.Step `json:"origin"`
	// First and Last are the first and last step of any row, the plan included.
	First      calendar.Step `json:"first"`
	Last       calendar.Step `json:"last"`
	Series     int           `json:"series"`
	Keys       []Key         `json:"keys"`
	Static     []Key         `json:"static"`
	Covariates []Covariate   `json:"covariates"`
}

// Key is a column of the series id or a static attribute with its levels at training; a value's code is its index in Levels.
type Key struct {
	Name   string   `json:"name"`
	Levels []string `json:"levels"`
}

// Covariate describes one covariate.
type Covariate struct {
	Name  string `json:"name"`
	Known bool   `json:"known_future"`
	Kind  Kind   `json:"kind"`
	// Spread is the standard deviation of all values up to the origin, at least 1e-6.
	Spread float64 `json:"spread"`
	// Varies says whether series of one level of the first key ever differ at the same step.
	Varies bool `json:"varies"`
}

// Describe returns the schema of a whole panel as it is known at origin.
func Describe(p *panel.Panel, origin calendar.Step, horizon int, country string) Schema {
	s := NewSurvey(origin, horizon, country)
	s.Add(p)
	return s.Schema()
}

// Survey learns a Schema from a panel that comes in batches of whole series, sorted by their keys.
type Survey struct {
	schema Schema
	origin calendar.Step
	stats  []covariateStats
	// level is the code of the first key whose series are passing; seen holds each covariate's first value at each step of them.
	level int32
}

type covariateStats struct {
	distinct      [2]float32
	n             int // of distinct, 3 for more than two
	min           float32
	shift         float64 // the first value: moments are taken around it
	sum, squares  float64
	count         int
	varies        bool
	seen          []float32
	seenFirst     calendar.Step
	seenSomewhere bool
}

// NewSurvey begins a survey of values at steps up to origin. An origin beyond all data, math.MaxInt32, stands for the last observed
// sale: each series is looked at up to its own, and the schema's origin is the latest.
func NewSurvey(origin calendar.Step, horizon int, country string) *Survey {
	s := &Survey{schema: Schema{Origin: origin, Horizon: horizon, Country: country}, origin: origin, level: -1}
	if origin == math.MaxInt32 {
		s.schema.Origin = math.MinInt32
	}
	return s
}

// Add looks at the next series. All batches have the same columns.
func (s *Survey) Add(p *panel.Panel) {
	d := &s.schema
	if d.Keys == nil {
		s.begin(p)
	}
	for i := range p.Series() {
		lo, hi := p.Span(i)
		start := p.Start[i]
		if d.Series == 0 || start < d.First {
			d.First = start
		}
		if last := start + calendar.Step(hi-lo-1); d.Series == 0 || last > d.Last {
			d.Last = last
		}
		d.Series++
		if len(p.Keys) > 0 && p.Keys[0].Codes[i] != s.level {
			s.level = p.Keys[0].Codes[i]
			for k := range s.stats {
				s.stats[k].seenSomewhere = false
			}
		}
		n := min(hi-lo, int(s.origin-start)+1)
		if s.origin == math.MaxInt32 {
			if last, ok := p.LastObserved(i); ok {
				n, d.Origin = int(last-start)+1, max(d.Origin, last)
			} else {
				n = 0
			}
		}
		for k := range p.Covariates {
			if n > 0 {
				s.stats[k].add(p.Covariates[k].Values[lo:lo+n], start)
			}
		}
	}
}

func (s *Survey) begin(p *panel.Panel) {
	d := &s.schema
	d.Frequency = p.Frequency
	d.Keys, d.Static = keysOf(p.Keys), keysOf(p.Static)
	d.Covariates = make([]Covariate, len(p.Covariates))
	for k, c := range p.Covariates {
		d.Covariates[k] = Covariate{Name: c.Name, Known: c.Role == panel.KnownFuture}
	}
	s.stats = make([]covariateStats, len(p.Covariates))
	for k := range s.stats {
		s.stats[k].min = float32(math.Inf(1))
	}
}

func keysOf(ks []panel.Key) []Key {
	out := make([]Key, 0, len(ks))
	for _, k := range ks {
		out = append(out, Key{Name: k.Name, Levels: slices.Clone(k.Levels)})
	}
	return out
}

func (c *covariateStats) add(values []float32, start calendar.Step) {
	nan := float32(math.NaN())
	if !c.seenSomewhere {
		c.seen, c.seenFirst, c.seenSomewhere = c.seen[:0], start, true
	}
	if start < c.seenFirst { // the series began before those that passed: make room in front
		front := make([]float32, int(c.seenFirst-start), int(c.seenFirst-start)+len(c.seen))
		for i := range front {
			front[i] = nan
		}
		c.seen, c.seenFirst = append(front, c.seen...), start
	}
	at := int(start - c.seenFirst)
	for len(c.seen) < at+len(values) {
		c.seen = append(c.seen, nan)
	}
	for i, v := range values {
		if v != v {
			continue
		}
		if first := c.seen[at+i]; first != first {
			c.seen[at+i] = v
		} else if first != v {
			c.varies = true
		}
		switch c.n {
		case 0:
			c.distinct[0], c.n, c.shift = v, 1, float64(v)
		case 1:
			if v != c.distinct[0] {
				c.distinct[1], c.n = v, 2
			}
		case 2:
			if v != c.distinct[0] && v != c.distinct[1] {
				c.n = 3
			}
		}
		c.min = min(c.min, v)
		x := float64(v) - c.shift
		c.sum += x
		c.squares += x * x
		c.count++
	}
}

// Schema returns what was learnt.
func (s *Survey) Schema() Schema {
	d := s.schema
	d.Covariates = slices.Clone(d.Covariates)
	for k := range d.Covariates {
		c, t := &d.Covariates[k], &s.stats[k]
		switch {
		case t.n <= 2:
			c.Kind = Flag
		case t.min > 0:
			c.Kind = Price
		default:
			c.Kind = Numeric
		}
		if t.count > 0 {
			m := t.sum / float64(t.count)
			c.Spread = math.Sqrt(max(t.squares/float64(t.count)-m*m, 0))
		}
		c.Spread = max(c.Spread, 1e-6)
		c.Varies = t.varies
	}
	return d
}
