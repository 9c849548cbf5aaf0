package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// predictRequest asks for one day of one series, known by its store and product.
type predictRequest struct {
	StoreID   string `json:"store_id"`
	ProductID string `json:"product_id"`
	Date      string `json:"date"`
	// Features are values of the plan on that day.
	Features map[string]*float32 `json:"additional_features"`
	Model    string              `json:"model"`
}

type predictAnswer struct {
	StoreID    string       `json:"store_id"`
	ProductID  string       `json:"product_id"`
	Date       calendar.Day `json:"date"`
	Prediction number64     `json:"prediction"`
	Interval80 []number64   `json:"confidence_interval_80"`
	Interval95 []number64   `json:"confidence_interval_95"`
	Version    string       `json:"model_version"`
	Timestamp  time.Time    `json:"prediction_timestamp"`
	Warnings   []string     `json:"warnings"`
}

func (s *Server) predict(w http.ResponseWriter, r *http.Request) error {
	var req predictRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	a, err := s.predictOne(r.Context(), req)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, a)
	return nil
}

const maxBatch = 1000

func (s *Server) predictBatch(w http.ResponseWriter, r *http.Request) error {
	var body json.RawMessage
	if err := decode(r, &body); err != nil {
		return err
	}
	var list []predictRequest
	if len(body) > 0 && body[0] == '{' {
		var o struct {
			Requests []predictRequest `json:"requests"`
		}
		if err := unmarshal(body, &o); err != nil {
			return err
		}
		if o.Requests == nil {
			return bad("requests is no list").hint("send {\"requests\": [...]} or the list alone")
		}
		list = o.Requests
	} else if err := unmarshal(body, &list); err != nil {
		return err
	} else if list == nil {
		return bad("there is no list of requests").hint("send {\"requests\": [...]} or the list alone")
	}
	if len(list) > maxBatch {
		return &problem{http.StatusRequestEntityTooLarge, codeTooLarge, fmt.Sprintf("there are more than %d requests", maxBatch), "POST /v1/forecast answers for many days and series at once"}
	}
	out := []*predictAnswer{}
	for i, one := range list {
		a, err := s.predictOne(r.Context(), one)
		if err != nil {
			p := *problemOf(err)
			p.Message = fmt.Sprintf("request %d: %s", i+1, p.Message)
			if p.Status == http.StatusInternalServerError {
				return err
			}
			return &p
		}
		out = append(out, a)
	}
	writeJSON(w, http.StatusOK, map[string]any{"predictions": out})
	return nil
}

// predictOne forecasts one day. There is no history in such a request, so the series must be known, and the day within the horizon.
func (s *Server) predictOne(ctx context.Context, r predictRequest) (*predictAnswer, error) {
	day, err := calendar.ParseDay(r.Date)
	if err != nil {
		return nil, bad("date must be in YYYY-MM-DD format")
	}
	v, release, err := s.models.acquire(r.Model)
	if err != nil {
		return nil, err
	}
	defer release()
	p := v.history
	id, err := referenceID(v, r)
	if err != nil {
		return nil, err
	}
	at, ok := p.Frequency.Step(day)
	last := p.Frequency.Day(v.end + calendar.Step(v.bundle.Manifest.Horizon))
	if !ok || at <= v.end || at > v.end+calendar.Step(v.bundle.Manifest.Horizon) {
		return nil, &problem{
			http.StatusUnprocessableEntity, codeHistory, fmt.Sprintf("the model knows sales up to %s and can forecast from the day after to %s, not %s", p.Frequency.Day(v.end), last, day),
			"for another day POST /v1/forecast with the sales before it as history",
		}
	}
	horizon := int(at - v.end)
	q, err := newQuestion(v, &horizon, nil, false)
	if err != nil {
		return nil, err
	}
	ch := &changes{values: map[planKey][]float32{}, ids: map[string]bool{}}
	if len(r.Features) > 0 {
		row := slices.Repeat([]float32{nan32}, len(p.Covariates))
		for name, value := range r.Features {
			c := slices.IndexFunc(p.Covariates, func(c panel.Covariate) bool { return c.Name == name && c.Role == panel.KnownFuture })
			if c < 0 {
				return nil, bad("%q is no column of the plan", clip(name)).hint("GET /v1/models lists them as known_future")
			}
			if value != nil {
				row[c] = *value
			}
		}
		ch.values[planKey{joinID(id), at}], ch.ids[joinID(id)] = row, true
	}
	if err := q.fromStored([]int{v.index[joinID(id)]}, ch); err != nil {
		return nil, err
	}
	a, err := q.answer(ctx)
	if err != nil {
		return nil, err
	}
	one := &a.series[0]
	h := horizon - 1
	out := &predictAnswer{StoreID: r.StoreID, ProductID: r.ProductID, Date: day, Prediction: number64(one.point[h]), Version: s.versionOf(v), Timestamp: s.o.Now().UTC(), Warnings: append([]string{}, a.warnings...)}
	out.Interval80, out.Interval95 = one.interval(a.levels, h, 0.1, 0.9), one.interval(a.levels, h, 0.025, 0.975)
	return out, nil
}

func referenceID(v *view, r predictRequest) ([]string, error) {
	id := []string{r.StoreID, r.ProductID}
	switch n := len(v.history.Keys); {
	case n == 1 && r.ProductID == "":
		id = id[:1]
	case n == 1 && r.StoreID == "":
		id = id[1:]
	case n != 2:
		return nil, bad("the model names its series by %s, not by store_id and product_id", keyNames(v.history.Keys)).hint("use POST /v1/forecast")
	}
	if _, ok := v.index[joinID(id)]; !ok {
		return nil, &problem{
			http.StatusUnprocessableEntity, codeHistory, fmt.Sprintf("the series %q, %q is not known to the model, and a forecast needs its past sales", clip(r.StoreID), clip(r.ProductID)),
			"POST /v1/forecast with its sales as history",
		}
	}
	return id, nil
}

// interval is nil where one of its ends was not calibrated.
func (s *seriesAnswer) interval(levels []float64, h int, lo, hi float64) []number64 {
	a, b := slices.Index(levels, lo), slices.Index(levels, hi)
	if a < 0 || b < 0 {
		return nil
	}
	return []number64{number64(s.quantiles[h*len(levels)+a]), number64(s.quantiles[h*len(levels)+b])}
}

func (s *Server) versionOf(v *view) string {
	s.models.mu.RLock()
	defer s.models.mu.RUnlock()
	for _, slot := range s.models.slots {
		if slot.loaded != nil && slot.loaded.opened == v.opened {
			return slot.loaded.version
		}
	}
	return ""
}
