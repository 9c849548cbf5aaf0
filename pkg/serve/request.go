package serve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
)

// forecastRequest is the body of POST /v1/forecast.
type forecastRequest struct {
	Model string `json:"model"`
	// Series are key values of known series that are forecast from the bundle's own history.
	Series []map[string]any `json:"series"`
	// Append puts the history after the bundle's own instead of in its place.
	Append    bool      `json:"append"`
	Horizon   *int      `json:"horizon"`
	Quantiles []float64 `json:"quantiles"`
	Drivers   bool      `json:"drivers"`
	// Totals asks for the sums of all series and by key.
	Totals bool `json:"totals"`
	// history and plan are the rows of these fields.
	history, plan *table
}

// question is a checked request: panels whose series have one origin each.
type question struct {
	view     *view
	horizon  int
	levels   []float64
	drivers  bool
	stored   []int // series that are asked without any change
	parts    []part
	warnings []string
}

// part are series with one origin, their rows and their plan.
type part struct {
	panel  *panel.Panel
	origin calendar.Step
}

func (q *question) warn(format string, a ...any) {
	if s := fmt.Sprintf(format, a...); !slices.Contains(q.warnings, s) && len(q.warnings) < 20 {
		q.warnings = append(q.warnings, s)
	}
}

// newQuestion checks horizon and levels against the bundle.
func newQuestion(v *view, horizon *int, levels []float64, drivers bool) (*question, error) {
	m := v.bundle.Manifest
	q := &question{view: v, horizon: m.Horizon, levels: levels, drivers: drivers}
	if horizon != nil {
		q.horizon = *horizon
	}
	if q.horizon < 1 || q.horizon > m.Horizon {
		return nil, (&problem{Status: http.StatusUnprocessableEntity, Code: codeHorizon, Message: fmt.Sprintf("the model forecasts 1 to %d steps, not %d: it was trained and its intervals were measured for no more", m.Horizon, q.horizon)}).
			hint("ask for at most %d, or train with --horizon %d", m.Horizon, max(q.horizon, 1))
	}
	if q.levels == nil {
		q.levels = m.Levels
	}
	for i, l := range q.levels {
		if i > 0 && l <= q.levels[i-1] {
			return nil, bad("the quantile levels %v do not increase", q.levels)
		}
		if v.model.Calibrated() && !slices.Contains(m.Levels, l) || !(l > 0 && l < 1) {
			return nil, (&problem{Status: http.StatusUnprocessableEntity, Code: codeQuantile, Message: fmt.Sprintf("quantile %v was not calibrated", l)}).hint("the levels are %v", m.Levels)
		}
	}
	return q, nil
}

// resolve turns the request's rows into panels.
func (q *question) resolve(ctx context.Context, r *forecastRequest, history *table, changes *changes, l limits) error {
	named, err := q.named(r.Series)
	if err != nil {
		return err
	}
	if history.Rows > 0 {
		if err := q.fromHistory(ctx, history, changes, r.Append, l); err != nil {
			return err
		}
	} else if len(named) == 0 {
		named = changes.series
	}
	if len(named) == 0 && len(q.parts) == 0 {
		for s := range q.view.history.Series() {
			named = append(named, s)
		}
	}
	for _, s := range changes.series {
		if !slices.Contains(named, s) && !q.has(s) {
			named = append(named, s)
		}
	}
	return q.fromStored(named, changes)
}

// has says whether a known series' history came with the request.
func (q *question) has(s int) bool {
	id := q.view.history.ID(s)
	for _, p := range q.parts {
		for i := range p.panel.Series() {
			if slices.Equal(p.panel.ID(i), id) {
				return true
			}
		}
	}
	return false
}

// named looks series up by their key values.
func (q *question) named(ids []map[string]any) ([]int, error) {
	var out []int
	keys := q.view.history.Keys
	for _, m := range ids {
		id := make([]string, len(keys))
		for k := range keys {
			v, ok := m[keys[k].Name]
			if !ok {
				return nil, bad("a series has no %q", keys[k].Name).hint("a series is named by %s", keyNames(keys))
			}
			cell, err := cellOf(v)
			if err != nil {
				return nil, bad("%q of a series: %v", keys[k].Name, err)
			}
			id[k] = cell
		}
		if len(m) > len(keys) {
			return nil, bad("a series has other names than its keys").hint("a series is named by %s", keyNames(keys))
		}
		s, ok := q.view.index[joinID(id)]
		if !ok {
			return nil, &problem{http.StatusUnprocessableEntity, codeHistory, fmt.Sprintf("the series %q is not known to the model", clip(strings.Join(id, ", "))), "send its history: rows with " + keyNames(keys) + ", " + q.view.bundle.Manifest.Time + " and " + q.view.bundle.Manifest.Target}
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}

func keyNames(keys []panel.Key) string {
	out := make([]string, len(keys))
	for k := range keys {
		out[k] = keys[k].Name
	}
	return strings.Join(out, " and ")
}

// layout says where in a table the panel's columns are; -1 is nowhere.
type layout struct {
	time, target       int
	keys, static, covs []int
	// stockout is the column of empty shelves.
	stockout int
}

func (q *question) layout(t *table, what string) (layout, error) {
	m, p := q.view.bundle.Manifest, q.view.history
	l := layout{time: t.column(m.Time), target: t.column(m.Target)}
	if l.time < 0 {
		l.time = t.column("date")
	}
	if l.target < 0 {
		l.target = t.column("sales")
	}
	used := []int{l.time, l.target}
	find := func(name string) int {
		c := t.column(name)
		used = append(used, c)
		return c
	}
	for _, k := range p.Keys {
		c := find(k.Name)
		if c < 0 {
			return l, bad("%s rows have no column %q", what, k.Name).hint("every row needs %s and %s", keyNames(p.Keys), m.Time)
		}
		l.keys = append(l.keys, c)
	}
	for _, k := range p.Static {
		l.static = append(l.static, find(k.Name))
	}
	for _, c := range p.Covariates {
		l.covs = append(l.covs, find(c.Name))
	}
	l.stockout = -1
	if name := q.view.input.Stockout; name != "" {
		l.stockout = find(name)
	}
	if l.time < 0 {
		return l, bad("%s rows have no column %q", what, m.Time)
	}
	for c := range t.Columns {
		if !slices.Contains(used, c) {
			q.warn("column %q of the %s is not used", clip(t.Columns[c].Name), what)
		}
	}
	return l, nil
}

// firstDay and lastDay are 1970-01-01 and 2200-12-31.
const firstDay, lastDay calendar.Day = 0, 84370

// day reads a date near the model's time: others are mistakes, and grids that reach them would be huge.
func (q *question) day(t *table, l layout, row int, what string) (calendar.Day, error) {
	text := strings.TrimSpace(t.at(l.time, row))
	if len(text) > 10 && (text[10] == 'T' || text[10] == ' ') && strings.Trim(text[11:], "0:.Z+") == "" {
		text = text[:10] // midnight
	}
	d, err := calendar.ParseDay(text)
	if err != nil {
		return 0, bad("%s row %d, column %q: %q is no date", what, row+1, t.Columns[l.time].Name, clip(text)).hint("write dates as YYYY-MM-DD")
	}
	if d < firstDay || d > lastDay {
		return 0, bad("%s row %d, column %q: %s is not between 1970 and 2200", what, row+1, t.Columns[l.time].Name, text)
	}
	return d, nil
}

func (t *table) texts(cols []int, row int, dst []string) {
	for i, c := range cols {
		dst[i] = ""
		if c >= 0 {
			dst[i] = t.at(c, row)
		}
	}
}

func (t *table) number(c, row int, what string) (float32, error) {
	if c < 0 {
		return nan32, nil
	}
	v, err := number(t.at(c, row))
	if err != nil {
		return v, bad("%s row %d, column %q: %v", what, row+1, t.Columns[c].Name, err)
	}
	return v, nil
}

var nan32 = float32(math.NaN())

// changes are the rows of a request's plan.
type changes struct {
	values map[planKey][]float32
	series []int           // known ones
	ids    map[string]bool // of all
	// planned are the series with rows of the plan itself, not only with what is laid over it.
	planned map[string]bool
}

type planKey struct {
	id string
	at calendar.Step
}

// over lays the rows of other on those of ch, value by value. A series that ch has no plan for has none after it either: what other leaves
// open is taken from where it would have been.
func (ch *changes) over(other *changes) *changes {
	out := &changes{values: maps.Clone(ch.values), series: slices.Clone(ch.series), ids: maps.Clone(ch.ids), planned: ch.planned}
	for k, v := range other.values {
		row := slices.Clone(v)
		for c, x := range ch.values[k] {
			if row[c] != row[c] {
				row[c] = x
			}
		}
		out.values[k] = row
		out.ids[k.id] = true
	}
	for _, s := range other.series {
		if !slices.Contains(out.series, s) {
			out.series = append(out.series, s)
		}
	}
	return out
}

func (q *question) readPlan(t *table) (*changes, error) {
	ch := &changes{values: map[planKey][]float32{}, ids: map[string]bool{}, planned: map[string]bool{}}
	if t.Rows == 0 {
		return ch, nil
	}
	at, err := q.layout(t, "plan")
	if err != nil {
		return nil, err
	}
	p := q.view.history
	id := make([]string, len(p.Keys))
	for row := range t.Rows {
		d, err := q.day(t, at, row, "plan")
		if err != nil {
			return nil, err
		}
		step, ok := p.Frequency.Step(d)
		if !ok {
			return nil, bad("plan row %d: no step of the frequency %s begins on %s", row+1, p.Frequency, d)
		}
		if v, err := t.number(at.target, row, "plan"); err != nil || v == v {
			if err == nil {
				err = bad("plan row %d has a sale", row+1).hint("rows with sales belong to the history")
			}
			return nil, err
		}
		t.texts(at.keys, row, id)
		key := planKey{joinID(id), step}
		if _, twice := ch.values[key]; twice {
			return nil, bad("plan row %d: the series has another row on %s", row+1, d)
		}
		values := make([]float32, len(at.covs))
		for c, col := range at.covs {
			if values[c], err = t.number(col, row, "plan"); err != nil {
				return nil, err
			}
		}
		ch.values[key] = values
		if !ch.ids[key.id] {
			ch.ids[key.id], ch.planned[key.id] = true, true
			if s, ok := q.view.index[key.id]; ok {
				ch.series = append(ch.series, s)
			}
		}
	}
	return ch, nil
}

// fromHistory builds the panel of the request's own rows.
func (q *question) fromHistory(ctx context.Context, t *table, ch *changes, after bool, l limits) error {
	at, err := q.layout(t, "history")
	if err != nil {
		return err
	}
	if at.target < 0 {
		return bad("history rows have no column %q", q.view.bundle.Manifest.Target)
	}
	built, ok := q.straight(t, at)
	if !ok {
		if built, err = q.build(ctx, t, at, l); err != nil {
			return err
		}
	}
	end, _ := built.End()
	if after {
		built = q.appendTo(built)
	}
	q.warnUnknownPast(built, end, at)
	full, err := q.plan(q.view.known.Adopt(built), end, ch)
	if err != nil {
		return err
	}
	q.parts = append(q.parts, part{full, end})
	return nil
}

// build makes the panel of any rows.
func (q *question) build(ctx context.Context, t *table, at layout, l limits) (*panel.Panel, error) {
	p := q.view.history
	schema := panel.Schema{}
	for _, k := range p.Keys {
		schema.Keys = append(schema.Keys, k.Name)
	}
	for _, k := range p.Static {
		schema.Static = append(schema.Static, k.Name)
	}
	for _, c := range p.Covariates {
		schema.Covariates = append(schema.Covariates, panel.Attribute{Name: c.Name, Role: c.Role})
	}
	if at.stockout >= 0 {
		schema.Covariates = append(schema.Covariates, panel.Attribute{Name: t.Columns[at.stockout].Name, Role: panel.Stockout})
		at.covs = append(slices.Clip(at.covs), at.stockout)
	}
	var fault *problem
	b, err := panel.NewBuilder(schema, panel.BuilderOptions{Frequency: p.Frequency.String(), Settled: true, Missing: q.view.input.Missing, EndedAfter: p.EndedAfter, Report: func(e panel.Event) {
		if f := eventProblem(e, q); f != nil && fault == nil {
			fault = f
		}
	}})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if err := q.addRows(b, t, at, l); err != nil {
		return nil, err
	}
	built, err := b.Build(ctx)
	if fault != nil {
		return nil, fault
	}
	if errors.Is(err, panel.ErrNoSales) {
		return nil, &problem{http.StatusUnprocessableEntity, codeHistory, "no row of the history has a sale", "send past sales, or name known series under series"}
	}
	return built, err
}

// straight makes the panel of rows of one series that follow each other without a hole, as build would. Of any others, and of any that are
// wrong, it says not ok: build takes longer and says what is wrong where.
func (q *question) straight(t *table, at layout) (p *panel.Panel, ok bool) {
	if at.stockout >= 0 {
		return nil, false
	}
	known := q.view.history
	keys, static := make([]string, len(at.keys)), make([]string, len(at.static))
	t.texts(at.keys, 0, keys)
	t.texts(at.static, 0, static)
	q.knownStatic(at, keys, static)
	p = &panel.Panel{Frequency: known.Frequency, Offsets: []int{0, t.Rows}}
	for i, k := range known.Keys {
		p.Keys = append(p.Keys, panel.Key{Name: k.Name, Levels: keys[i : i+1], Codes: []int32{0}})
	}
	for i, k := range known.Static {
		p.Static = append(p.Static, panel.Key{Name: k.Name, Levels: static[i : i+1], Codes: []int32{0}})
	}
	for _, c := range slices.Concat(at.keys, at.static) {
		if c >= 0 && !t.constant(c) {
			return nil, false
		}
	}
	first, err := calendar.ParseDay(t.at(at.time, 0))
	start, onGrid := known.Frequency.Step(first)
	if err != nil || !onGrid || first < firstDay || known.Frequency.Day(start+calendar.Step(t.Rows-1)) > lastDay {
		return nil, false
	}
	p.Start = []calendar.Step{start}
	var text [10]byte
	for row := range t.Rows {
		if t.at(at.time, row) != string(appendDay(text[:0], known.Frequency.Day(start+calendar.Step(row)))) {
			return nil, false
		}
	}
	room := t.Rows + q.horizon // for the plan
	values := make([]float32, room*(1+len(at.covs)))
	p.Target, p.Observed = values[:t.Rows:room], make([]bool, t.Rows, room)
	if !t.numbers(at.target, p.Target) {
		return nil, false
	}
	last := 0
	for row, y := range p.Target {
		if p.Observed[row] = y == y; y != y {
			continue
		}
		if row > last+1 && q.view.input.Missing != panel.Leave {
			return nil, false // the policy fills the days between
		}
		last = row
	}
	for c, col := range at.covs {
		v := values[(c+1)*room : (c+1)*room+t.Rows : (c+2)*room]
		if !t.numbers(col, v) {
			return nil, false
		}
		p.Covariates = append(p.Covariates, panel.Covariate{Name: known.Covariates[c].Name, Role: known.Covariates[c].Role, Values: v})
	}
	return p, p.Observed[0]
}

// constant says whether all rows have the same text in a column.
func (t *table) constant(c int) bool {
	first := t.at(c, 0)
	for row := range t.Rows {
		if t.at(c, row) != first {
			return false
		}
	}
	return true
}

// numbers reads a column, NaN for all where there is none.
func (t *table) numbers(c int, dst []float32) bool {
	for row := range dst {
		dst[row] = nan32
		if c < 0 {
			continue
		}
		v, err := number(t.at(c, row))
		if err != nil {
			return false
		}
		dst[row] = v
	}
	return true
}

func eventProblem(e panel.Event, q *question) *problem {
	id := clip(strings.Join(e.ID, ", "))
	switch e.Kind {
	case panel.Duplicate:
		return bad("history row %d: the series %q has another row on %s", e.Origin+1, id, e.Day)
	case panel.OffGrid:
		return bad("history row %d: no step of the frequency %s begins on %s", e.Origin+1, q.view.history.Frequency, e.Day)
	case panel.NoSale:
		return &problem{http.StatusUnprocessableEntity, codeHistory, fmt.Sprintf("the series %q has no sale", id), "send past sales of every series"}
	case panel.StaticConflict:
		return bad("history row %d: an attribute of the series %q differs from that of an earlier row", e.Origin+1, id)
	case panel.BeforeFirstSale, panel.OtherFrequency, panel.EmptyShelf:
	}
	return nil
}

// addRows gives the builder every row; those without a sale after the last one are plan.
func (q *question) addRows(b *panel.Builder, t *table, at layout, l limits) error {
	keys, static := make([]string, len(at.keys)), make([]string, len(at.static))
	covs := make([]float32, len(at.covs))
	first, last := calendar.Day(math.MaxInt32), calendar.Day(math.MinInt32)
	for row := range t.Rows {
		d, err := q.day(t, at, row, "history")
		if err != nil {
			return err
		}
		first, last = min(first, d), max(last, d)
		y, err := t.number(at.target, row, "history")
		if err != nil {
			return err
		}
		for c, col := range at.covs {
			if covs[c], err = t.number(col, row, "history"); err != nil {
				return err
			}
		}
		t.texts(at.keys, row, keys)
		t.texts(at.static, row, static)
		if slices.Contains(at.static, -1) {
			q.knownStatic(at, keys, static)
		}
		if err := b.AddText(keys, static, d, y, covs); err != nil {
			return err
		}
	}
	if grid := int64(last-first+1) * int64(b.Series()); grid > 4*int64(l.rows)+100_000 {
		return &problem{http.StatusRequestEntityTooLarge, codeTooLarge, fmt.Sprintf("%d series over %d days are too many at once", b.Series(), last-first+1), "send fewer series or years"}
	}
	return nil
}

// warnUnknownPast tells of columns that the rows lack and the stored plan does not know either.
func (q *question) warnUnknownPast(p *panel.Panel, end calendar.Step, at layout) {
	for c, col := range at.covs {
		if col >= 0 || p.Covariates[c].Role != panel.KnownFuture {
			continue
		}
		for s := range p.Series() {
			lo, hi := p.Span(s)
			hi = min(hi, lo+max(0, int(end-p.Start[s])+1))
			if slices.ContainsFunc(p.Covariates[c].Values[lo:hi], func(v float32) bool { return v != v }) {
				q.warn("the history has no column %q: its past is unknown", p.Covariates[c].Name)
				break
			}
		}
	}
}

// knownStatic fills in what the rows do not say of a known series.
func (q *question) knownStatic(at layout, keys, static []string) {
	s, ok := q.view.index[joinID(keys)]
	if !ok {
		return
	}
	for i, c := range at.static {
		if c < 0 {
			k := q.view.history.Static[i]
			static[i] = k.Levels[k.Codes[s]]
		}
	}
}

// appendTo puts the rows of built after the stored ones of the same series; on a day that both have, the new row stands, and what it
// leaves open of the covariates is as stored.
func (q *question) appendTo(built *panel.Panel) *panel.Panel {
	p := q.view.history
	out := &panel.Panel{Frequency: p.Frequency, Keys: built.Keys, Static: built.Static, Offsets: []int{0}}
	for _, c := range built.Covariates {
		out.Covariates = append(out.Covariates, panel.Covariate{Name: c.Name, Role: c.Role})
	}
	for s := range built.Series() {
		start := built.Start[s]
		lo, hi := built.Span(s)
		if k, ok := q.view.index[joinID(built.ID(s))]; ok && p.Start[k] < start {
			a, z := p.Span(k)
			start = p.Start[k]
			for at := start; at < built.Start[s]; at++ {
				r := a + int(at-start)
				sold, y := false, nan32
				if r < z && at <= q.view.end {
					sold, y = p.Observed[r], p.Target[r]
				} else if q.view.input.Missing == panel.Zero {
					y = 0
				}
				out.Target, out.Observed = append(out.Target, y), append(out.Observed, sold)
				for c := range out.Covariates {
					v := nan32
					if r < z {
						v = p.Covariates[c].Values[r]
					}
					out.Covariates[c].Values = append(out.Covariates[c].Values, v)
				}
			}
		}
		out.Start = append(out.Start, start)
		out.Target, out.Observed = append(out.Target, built.Target[lo:hi]...), append(out.Observed, built.Observed[lo:hi]...)
		for c := range out.Covariates {
			out.Covariates[c].Values = append(out.Covariates[c].Values, built.Covariates[c].Values[lo:hi]...)
		}
		q.fillStored(out, len(out.Start)-1, hi-lo)
		out.Offsets = append(out.Offsets, len(out.Target))
	}
	return out
}

// fillStored fills in the covariates that the last n rows of a known series leave open, from the stored rows and plan.
func (q *question) fillStored(p *panel.Panel, s, n int) {
	k, ok := q.view.index[joinID(p.ID(s))]
	if !ok {
		return
	}
	rows := len(p.Target) - p.Offsets[s]
	for i := rows - n; i < rows; i++ {
		r, ok := q.view.history.Row(k, p.Start[s]+calendar.Step(i))
		if !ok {
			continue
		}
		for c := range p.Covariates {
			if v := &p.Covariates[c].Values[p.Offsets[s]+i]; *v != *v {
				*v = q.view.history.Covariates[c].Values[r]
			}
		}
	}
}

// fromStored takes known series from the bundle's history, changed by the request's plan.
func (q *question) fromStored(series []int, ch *changes) error {
	var changed []int
	for _, s := range series {
		if q.has(s) {
			return bad("the series %q is asked for twice: with history, and without", clip(strings.Join(q.view.history.ID(s), ", ")))
		}
		if q.ahead() && !ch.ids[joinID(q.view.history.ID(s))] {
			q.stored = append(q.stored, s)
			if len(q.view.assumed) > 0 {
				q.warnAssumed(q.view.assumed)
			}
			continue
		}
		changed = append(changed, s)
	}
	if len(changed) == 0 {
		return nil
	}
	full, err := q.plan(q.view.history.Pick(changed), q.view.end, ch)
	if err != nil {
		return err
	}
	if len(q.view.assumed) > 0 && len(ch.ids) == 0 {
		q.warnAssumed(q.view.assumed)
	}
	q.parts = append(q.parts, part{full, q.view.end})
	return nil
}

// ahead says whether the answer for series without changes is there already.
func (q *question) ahead() bool {
	f := q.view.ahead
	return f != nil && !q.drivers && !slices.ContainsFunc(q.levels, func(l float64) bool { return !slices.Contains(f.Levels, l) })
}

func (q *question) warnAssumed(columns []string) {
	q.warn("the plan does not say %s: what is usual is assumed; send plan rows for a better forecast", strings.Join(columns, ", "))
}

// plan returns p with the steps up to origin and the plan after it: what the request says, else what the row of p says, else what the
// bundle's plan says, else, where the request has no plan for the series at all, what is usual. It takes the memory of p.
func (q *question) plan(p *panel.Panel, origin calendar.Step, ch *changes) (*panel.Panel, error) {
	out := &panel.Panel{Frequency: p.Frequency, EndedAfter: q.view.history.EndedAfter, Keys: p.Keys, Static: p.Static, Start: p.Start, Offsets: []int{0}}
	n := p.Series() * q.horizon
	out.Target, out.Observed = roomFor(p, n, p.Target), roomFor(p, n, p.Observed)
	for _, c := range p.Covariates {
		out.Covariates = append(out.Covariates, panel.Covariate{Name: c.Name, Role: c.Role, Values: roomFor(p, n, c.Values)})
	}
	var assumed []string
	for s := range p.Series() {
		if p.Start[s] > origin {
			return nil, bad("the series %q begins after the others end", clip(strings.Join(p.ID(s), ", ")))
		}
		lo, hi := p.Span(s)
		past := min(hi-lo, int(origin-p.Start[s])+1)
		missing := int(origin-p.Start[s]) + 1 - past
		key := planKey{id: joinID(p.ID(s))}
		known, isKnown := q.view.index[key.id]
		out.Target, out.Observed = append(out.Target, p.Target[lo:lo+past]...), append(out.Observed, p.Observed[lo:lo+past]...)
		for range missing + q.horizon {
			out.Target, out.Observed = append(out.Target, nan32), append(out.Observed, false)
		}
		said := ch.planned[key.id] || hi-lo > past && !isKnown
		for c := range p.Covariates {
			values := &out.Covariates[c].Values
			from := p.Covariates[c].Values[lo:hi]
			begin := len(*values)
			*values = append(*values, from[:past]...)
			for range missing {
				*values = append(*values, nan32)
			}
			for k := 1; k <= q.horizon; k++ {
				v := nan32
				if p.Covariates[c].Role == panel.KnownFuture {
					key.at = origin + calendar.Step(k)
					if row, ok := ch.values[key]; ok {
						v = row[c]
					}
					if i := past + missing + k - 1; v != v && i < len(from) {
						v = from[i]
					}
					if v != v && isKnown {
						v = q.view.known.Planned(known, c, key.at)
					}
					if v != v && !said {
						v = forecast.Usual((*values)[begin:begin+past+missing], past+missing+k-1, p.Frequency)
						if !slices.Contains(assumed, p.Covariates[c].Name) {
							assumed = append(assumed, p.Covariates[c].Name)
						}
					}
				}
				*values = append(*values, v)
			}
		}
		out.Offsets = append(out.Offsets, len(out.Target))
	}
	if len(assumed) > 0 {
		q.warnAssumed(assumed)
	}
	return out, nil
}

// roomFor returns an empty column with room for n rows more than p has: that of p itself where the rows of one series stay where they are.
func roomFor[T any](p *panel.Panel, n int, column []T) []T {
	if p.Series() == 1 {
		return slices.Grow(column, n)[:0]
	}
	return make([]T, 0, p.Rows()+n)
}
