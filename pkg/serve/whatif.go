package serve

import (
	"net/http"
	"slices"
)

// whatIf answers a forecast with a second plan, rows that change the first value by value: with both forecasts and their difference. The same days are sold in the same world, so what makes the one forecast wrong
// makes the other wrong in the same direction: the difference at a level is between the quantiles of that level, and the interval is
// their least and greatest over the levels asked for.
func (s *Server) whatIf(w http.ResponseWriter, r *http.Request) error {
	in, done := s.intake()
	defer done()
	req := forecastRequest{history: &in.history, plan: &in.plan}
	if err := in.decodeRows(r, &req, s.limits(), map[string]*table{"history": req.history, "plan": req.plan, "changes": &in.changes}); err != nil {
		return err
	}
	q, other, release, err := s.question(r.Context(), &req, &in.changes)
	if err != nil {
		return err
	}
	defer release()
	a, err := q.answer(r.Context())
	if err != nil {
		return err
	}
	b, err := other.answer(r.Context())
	if err != nil {
		return err
	}
	type difference struct {
		ID       map[string]string `json:"id"`
		Forecast []number64        `json:"forecast"`
		Lower    []number64        `json:"lower"`
		Upper    []number64        `json:"upper"`
		Total    number64          `json:"total"`
	}
	out := struct {
		Base       *answer      `json:"base"`
		Changed    *answer      `json:"changed"`
		Difference []difference `json:"difference"`
	}{Base: a, Changed: b, Difference: []difference{}}
	for i := range a.series {
		one := &a.series[i]
		j := slices.IndexFunc(b.series, func(x seriesAnswer) bool { return slices.Equal(x.id, one.id) })
		if j < 0 {
			continue
		}
		two := &b.series[j]
		d := difference{ID: idMap(q.view, one.id)}
		n := len(a.levels)
		for h := range one.point {
			delta := two.point[h] - one.point[h]
			lo, hi := delta, delta
			for l := range n {
				x := two.quantiles[h*n+l] - one.quantiles[h*n+l]
				lo, hi = min(lo, x), max(hi, x)
			}
			d.Forecast, d.Lower, d.Upper = append(d.Forecast, number64(delta)), append(d.Lower, number64(lo)), append(d.Upper, number64(hi))
			d.Total += number64(delta)
		}
		out.Difference = append(out.Difference, d)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// number64 is null in JSON where it is not finite.
type number64 float64

// MarshalJSON implements [json.Marshaler].
func (n number64) MarshalJSON() ([]byte, error) { return appendNumber(nil, float64(n)), nil }

func idMap(v *view, id []string) map[string]string {
	out := map[string]string{}
	for k, key := range v.history.Keys {
		out[key.Name] = id[k]
	}
	return out
}
