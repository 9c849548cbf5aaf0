package serve

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Bounds of one page of the list of series.
const (
	usualListed = 1000
	mostListed  = 10_000
	mostCells   = 100_000 // of series x days
)

// listing is what is asked of the list of series: which page of it, with how many days of sales, and of what key values.
type listing struct {
	limit, offset, days int
	where               map[int]string // by key
}

// listedSeries is a series that the model knows, with its last days where they were asked for: sales and known-future columns, null where
// not known.
type listedSeries struct {
	ID    map[string]string `json:"id"`
	First calendar.Day      `json:"first"`
	Last  calendar.Day      `json:"last"`
	Dates []calendar.Day    `json:"dates,omitempty"`
	Sales []number64        `json:"sales,omitempty"`
	// Known has the columns that are known in advance, by name.
	Known map[string][]number64 `json:"known_future,omitempty"`
}

// listSeries tells which series a model knows, ordered by their keys: those that can be forecast without history, or continued.
func (s *Server) listSeries(w http.ResponseWriter, r *http.Request) error {
	v, release, err := s.models.acquire(r.PathValue("source") + "/" + r.PathValue("model"))
	if err != nil {
		return err
	}
	defer release()
	l, err := v.listing(r.URL.Query())
	if err != nil {
		return err
	}
	out := struct {
		Model  string         `json:"model"`
		Total  int            `json:"total"`
		Series []listedSeries `json:"series"`
	}{Model: v.name, Series: []listedSeries{}}
	for i := range v.history.Series() {
		if !v.matches(i, l.where) {
			continue
		}
		if out.Total >= l.offset && len(out.Series) < l.limit {
			out.Series = append(out.Series, v.listed(i, l.days))
		}
		out.Total++
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

func (v *view) listing(query url.Values) (listing, error) {
	l := listing{limit: usualListed, where: map[int]string{}}
	bounds := map[string]struct {
		to        *int
		low, high int
	}{"limit": {&l.limit, 1, mostListed}, "offset": {&l.offset, 0, 1 << 30}, "days": {&l.days, 0, mostCells}}
	for name, values := range query {
		if b, ok := bounds[name]; ok {
			n, err := strconv.Atoi(values[0])
			if err != nil || n < b.low || n > b.high {
				return l, bad("parameter %s is %q", name, clip(values[0])).hint("it is a number from %d to %d", b.low, b.high)
			}
			*b.to = n
			continue
		}
		k := slices.IndexFunc(v.history.Keys, func(k panel.Key) bool { return k.Name == name })
		if k < 0 {
			return l, bad("unknown parameter %q", clip(name)).hint("they are limit, offset, days and the keys %s", keyNames(v.history.Keys))
		}
		l.where[k] = values[0]
	}
	if l.limit*l.days > mostCells && query.Has("limit") {
		return l, bad("%d series with %d days are too many at once", l.limit, l.days).hint("limit times days is at most %d", mostCells)
	}
	if l.days > 0 {
		l.limit = max(1, min(l.limit, mostCells/l.days))
	}
	return l, nil
}

func (v *view) matches(series int, where map[int]string) bool {
	for k, value := range where {
		if v.history.Keys[k].Levels[v.history.Keys[k].Codes[series]] != value {
			return false
		}
	}
	return true
}

// listed describes a series with the last days of its history.
func (v *view) listed(series, days int) listedSeries {
	p := v.history
	first := p.Start[series]
	out := listedSeries{ID: idMap(v, p.ID(series)), First: p.Frequency.Day(first), Last: p.Frequency.Day(v.end)}
	lo, _ := p.Span(series)
	for at := max(first, v.end-calendar.Step(days)+1); at <= v.end; at++ {
		row := lo + int(at-first)
		y := number64(nan32)
		if p.Observed[row] {
			y = digits(p.Target[row])
		}
		out.Dates, out.Sales = append(out.Dates, p.Frequency.Day(at)), append(out.Sales, y)
		for _, c := range p.Covariates {
			if c.Role != panel.KnownFuture {
				continue
			}
			if out.Known == nil {
				out.Known = map[string][]number64{}
			}
			out.Known[c.Name] = append(out.Known[c.Name], digits(c.Values[row]))
		}
	}
	return out
}

// digits is y with the decimal digits that y has as a float32: 3.2, not 3.200000047683716.
func digits(y float32) number64 {
	d, err := strconv.ParseFloat(strconv.FormatFloat(float64(y), 'g', -1, 32), 64)
	if err != nil { // no finite number is without one
		return number64(y)
	}
	return number64(d)
}
