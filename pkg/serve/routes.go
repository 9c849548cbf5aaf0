package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast/member"
	"salescast/pkg/panel"
)

// route is one method of one path, with what /openapi.json says of it.
type route struct {
	method, path string
	// about is one line for people; takes and gives name schemas, "" for none.
	about, takes, gives string
	// work is limited in time and number; open needs no token; quiet is not worth a line of log; mlflow clients know other errors.
	work, open, quiet, mlflow bool
	// numbers are the query's whole numbers.
	numbers []string
	// query are other parameters of the query.
	query []parameter
	do    handlerFunc
}

func (s *Server) routes() []route {
	return []route{
		{method: "GET", path: "/ping", about: "Says that the server is there.", open: true, quiet: true, do: s.ping},
		{method: "GET", path: "/health", about: "Says that the server has a model, and which.", gives: "Health", open: true, quiet: true, do: s.health},
		{method: "GET", path: "/version", about: "Says the version of the server.", quiet: true, do: s.version},
		{method: "GET", path: "/metrics", about: "Figures for Prometheus.", quiet: true, do: s.prometheus},
		{method: "GET", path: "/openapi.json", about: "This description.", quiet: true, do: s.openapi},
		{method: "GET", path: "/v1/models", about: "Lists the models, and what could not be loaded.", gives: "Models", do: s.listModels},
		{method: "POST", path: "/v1/models/reload", about: "Looks for newer models now.", gives: "Models", do: s.reload},
		{method: "GET", path: "/v1/models/{name...}", about: "Tells of one model: figures, span of its data, features.", gives: "Model", do: s.showModel},
		{method: "GET", path: "/v1/models/{source}/{model}/series", about: "Lists the series that a model knows; the query's limit, offset and key values choose among them, days asks for their last sales.", gives: "SeriesList", numbers: []string{"limit", "offset", "days"}, do: s.listSeries},
		{method: "POST", path: "/v1/forecast", about: "Forecasts known or new series.", takes: "ForecastRequest", gives: "Forecast", work: true, query: forecastQuery, do: s.forecast},
		{method: "POST", path: "/v1/whatif", about: "Forecasts twice, as planned and with changes, and tells the difference.", takes: "WhatIfRequest", gives: "WhatIf", work: true, do: s.whatIf},
		{method: "POST", path: "/invocations", about: "MLflow's scoring protocol.", takes: "Invocations", gives: "Predictions", work: true, mlflow: true, do: s.invocations},
		{method: "POST", path: "/predict", about: "Forecasts one day of one known series.", takes: "PredictRequest", gives: "Predict", work: true, do: s.predict},
		{method: "POST", path: "/predict/batch", about: "Forecasts several days of known series.", takes: "PredictBatchRequest", gives: "PredictBatch", work: true, do: s.predictBatch},
	}
}

func (s *Server) ping(w http.ResponseWriter, _ *http.Request) error {
	write(w, http.StatusOK, []byte("\n"))
	return nil
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	s.models.mu.RLock()
	defer s.models.mu.RUnlock()
	out := map[string]any{"status": "ok", "models_loaded": len(s.models.slots)}
	if l := s.models.slots[0].loaded; l != nil {
		out["model_version"] = l.version
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

func (s *Server) version(w http.ResponseWriter, _ *http.Request) error {
	write(w, http.StatusOK, []byte(s.o.Version))
	return nil
}

func (s *Server) prometheus(w http.ResponseWriter, r *http.Request) error {
	s.metrics.handler.ServeHTTP(w, r)
	return nil
}

func (s *Server) openapi(w http.ResponseWriter, _ *http.Request) error {
	write(w, http.StatusOK, s.openAPI)
	return nil
}

// modelInfo is what a list says of a model.
type modelInfo struct {
	Name    string `json:"name"`
	Source  string `json:"source"`
	Model   string `json:"model"`
	Version string `json:"version"`
	// Default is the model of requests that name none.
	Default   bool               `json:"default"`
	Aliases   []string           `json:"aliases,omitempty"`
	Created   time.Time          `json:"created,omitzero"`
	Loaded    time.Time          `json:"loaded"`
	Horizon   int                `json:"horizon"`
	Frequency calendar.Frequency `json:"frequency"`
	Quantiles []float64          `json:"quantiles"`
	Series    int                `json:"series"`
	First     calendar.Day       `json:"first"`
	Last      calendar.Day       `json:"last"`
	Keys      []string           `json:"keys"`
	Time      string             `json:"time"`
	Target    string             `json:"target"`
	Known     []string           `json:"known_future"`
	PastOnly  []string           `json:"past_only"`
	Weight    *float64           `json:"weight,omitempty"`
	Kind      string             `json:"kind"`
	Failure   string             `json:"failure,omitempty"`
}

func info(s *slot, v *view, isDefault bool) modelInfo {
	m, p := v.bundle.Manifest, v.history
	out := modelInfo{
		Name: s.address.name + "/" + v.name, Source: s.address.name, Model: v.name, Version: s.loaded.version, Default: isDefault, Aliases: s.loaded.aliases,
		Created: s.loaded.created.UTC(), Loaded: s.loaded.at, Horizon: m.Horizon, Frequency: m.Frequency, Quantiles: m.Levels, Series: p.Series(),
		Time: m.Time, Target: m.Target, Keys: []string{}, Known: []string{}, PastOnly: []string{}, Kind: "ensemble", Failure: s.failure, Last: p.Frequency.Day(v.end),
	}
	for _, k := range p.Keys {
		out.Keys = append(out.Keys, k.Name)
	}
	for _, c := range p.Covariates {
		if c.Role == panel.KnownFuture {
			out.Known = append(out.Known, c.Name)
		} else {
			out.PastOnly = append(out.PastOnly, c.Name)
		}
	}
	first := v.end
	for _, at := range p.Start {
		first = min(first, at)
	}
	out.First = p.Frequency.Day(first)
	if v.member >= 0 {
		one := v.bundle.Members()[v.member]
		out.Weight, out.Kind = &one.Weight.Weight, string(one.Model.(*member.Model).Kind)
	}
	return out
}

func (s *Server) modelList() map[string]any {
	s.models.mu.RLock()
	defer s.models.mu.RUnlock()
	list := []modelInfo{}
	failures := []map[string]string{}
	for i, slot := range s.models.slots {
		if slot.failure != "" {
			// What failed may name places and hosts: the log has it whole.
			failures = append(failures, map[string]string{"source": slot.address.name, "since": slot.since.UTC().Format(time.RFC3339), "at": slot.failed.UTC().Format(time.RFC3339), "message": slot.failure})
		}
		if slot.loaded == nil {
			continue
		}
		for k, v := range slot.loaded.views {
			list = append(list, info(slot, v, i == 0 && k == 0))
		}
	}
	return map[string]any{"models": list, "failures": failures}
}

func (s *Server) listModels(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, s.modelList())
	return nil
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	ctx := context.WithoutCancel(r.Context()) // whoever asked may leave: the others want the newest all the same
	if err := s.models.refresh(ctx, true); err != nil {
		return &problem{http.StatusBadGateway, codeReload, err.Error(), "what was loaded before is served on; GET /v1/models says what"}
	}
	return s.listModels(w, r)
}

type featureInfo struct {
	Name  string `json:"name"`
	Group string `json:"group"`
	About string `json:"about"`
}

func (s *Server) showModel(w http.ResponseWriter, r *http.Request) error {
	v, release, err := s.models.acquire(r.PathValue("name"))
	if err != nil {
		return err
	}
	defer release()
	s.models.mu.RLock()
	defer s.models.mu.RUnlock()
	for i, slot := range s.models.slots {
		if slot.loaded == nil || slot.loaded.opened != v.opened {
			continue
		}
		features := []featureInfo{}
		seen := map[string]bool{}
		for k, m := range v.bundle.Members() {
			t, ok := m.Model.(*member.Model)
			if v.member >= 0 && v.member != k || !ok || t.Kind != member.Trees {
				continue
			}
			for _, c := range t.Trees.Plan().Columns() {
				if !seen[c.Name] {
					seen[c.Name] = true
					features = append(features, featureInfo{c.Name, c.Group, c.About})
				}
			}
		}
		out := struct {
			modelInfo
			Features []featureInfo   `json:"features"`
			Members  any             `json:"members,omitempty"`
			Metrics  json.RawMessage `json:"metrics,omitempty"`
		}{modelInfo: info(slot, v, i == 0 && v.member < 0), Features: features, Metrics: slot.loaded.metrics}
		if v.member < 0 {
			out.Members = v.bundle.Manifest.Members
		}
		writeJSON(w, http.StatusOK, out)
		return nil
	}
	return &problem{http.StatusNotFound, codeUnknownModel, "the model was replaced just now", "ask again"}
}

// decode reads a JSON body strictly into v.
func decode(r *http.Request, v any) error {
	b, err := readJSON(r, nil)
	if err != nil {
		return err
	}
	return unmarshal(b, v)
}

func readJSON(r *http.Request, into []byte) ([]byte, error) {
	kind, _, err := mediaType(r)
	if err != nil {
		return nil, err
	}
	if kind != "application/json" {
		return nil, &problem{http.StatusUnsupportedMediaType, codeMediaType, "the content type is " + clip(kind), "send application/json; with curl: --json"}
	}
	return readBody(r, into)
}

// readBody reads it in one piece, into the memory of what is given where it has room; the server bounds it.
func readBody(r *http.Request, into []byte) ([]byte, error) {
	b := bytes.NewBuffer(into[:0])
	b.Grow(int(min(max(r.ContentLength, 0), 1<<20)) + bytes.MinRead)
	if _, err := b.ReadFrom(r.Body); err != nil {
		return nil, bodyProblem(err)
	}
	return b.Bytes(), nil
}

// intake is the memory that the rows of a request are read into; it is used again for the next.
type intake struct {
	body                   []byte
	history, plan, changes table
}

// mostKept is the largest body whose memory is kept.
const mostKept = 1 << 20

// intake returns memory for one request; release takes it back when nothing reads the rows any more.
func (s *Server) intake() (in *intake, release func()) {
	in = s.intakes.Get().(*intake)
	return in, func() {
		if cap(in.body) > mostKept {
			return
		}
		for _, t := range []*table{&in.history, &in.plan, &in.changes} {
			*t = table{}
		}
		s.intakes.Put(in)
	}
}

// decodeRows is decode for a body that is mostly rows: those of the named fields are read into tables.
func (in *intake) decodeRows(r *http.Request, v any, l limits, rows map[string]*table) (err error) {
	if in.body, err = readJSON(r, in.body); err != nil {
		return err
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(in.body))
	rest := []byte{'{'}
	if d.PeekKind() != '{' {
		return unmarshal(in.body, v)
	}
	if _, err := d.ReadToken(); err != nil {
		return bodyless(err)
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return bodyless(err)
		}
		if to, ok := rows[name.String()]; ok {
			if err := to.read(r.Context(), d, l); err != nil {
				return err
			}
			continue
		}
		if len(rest) > 1 {
			rest = append(rest, ',')
		}
		if rest, err = jsontext.AppendQuote(rest, name.String()); err != nil {
			return bodyless(err)
		}
		value, err := d.ReadValue()
		if err != nil {
			return bodyless(err)
		}
		rest = append(append(rest, ':'), value...)
	}
	if _, err := d.ReadToken(); err != nil {
		return bodyless(err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return bad("something follows the JSON object")
	}
	return unmarshal(append(rest, '}'), v)
}

func bodyless(err error) error {
	return bad("the body is not what this route reads: %v", plain(err)).hint("GET /openapi.json describes it")
}

func unmarshal(b []byte, v any) error {
	d := decoder(b)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return bad("the body is not what this route reads: %s", strings.TrimPrefix(err.Error(), "json: ")).hint("GET /openapi.json describes it")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return bad("something follows the JSON object")
	}
	return nil
}

func bodyProblem(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return bad("the body could not be read to its end")
}

func (s *Server) limits() limits { return limits{rows: s.o.MaxRows, columns: maxColumns} }

// readForecast reads the body as JSON, or as CSV with the rest in the query.
func readForecast(r *http.Request, in *intake, l limits) (*forecastRequest, error) {
	q := &forecastRequest{history: &in.history, plan: &in.plan}
	kind, _, err := mediaType(r)
	if err != nil {
		return nil, err
	}
	if kind != "text/csv" {
		if err := in.decodeRows(r, q, l, map[string]*table{"history": q.history, "plan": q.plan}); err != nil {
			return nil, err
		}
		return q, q.fromQuery(r.URL.Query())
	}
	if in.body, err = readBody(r, in.body); err != nil {
		return nil, err
	}
	if len(in.body) == 0 {
		return nil, bad("the body is empty").hint("its first line names the columns")
	}
	if err := q.history.csv(r.Context(), string(in.body), l); err != nil {
		return nil, err
	}
	if q.history.Rows == 0 {
		return nil, bad("the CSV has no row after its first line")
	}
	return q, q.fromQuery(r.URL.Query())
}

func (q *forecastRequest) fromQuery(v url.Values) error {
	for name, values := range v {
		value := values[0]
		var err error
		switch name {
		case "model":
			q.Model = value
		case "horizon":
			var n int
			n, err = strconv.Atoi(value)
			q.Horizon = &n
		case "quantiles":
			q.Quantiles = nil
			for f := range strings.SplitSeq(value, ",") {
				var l float64
				if l, err = strconv.ParseFloat(f, 64); err != nil {
					break
				}
				q.Quantiles = append(q.Quantiles, l)
			}
		case "drivers":
			q.Drivers, err = strconv.ParseBool(value)
		case "totals":
			q.Totals, err = strconv.ParseBool(value)
		case "append":
			q.Append, err = strconv.ParseBool(value)
		default:
			return bad("unknown parameter %q", clip(name)).hint("they are model, horizon, quantiles, drivers, totals, append")
		}
		if err != nil {
			return bad("parameter %s cannot be read: %q", name, clip(value))
		}
	}
	return nil
}

// question checks a request against the model that it names; release must be called when the answer was written.
func (s *Server) question(ctx context.Context, r *forecastRequest, changed *table) (base, other *question, release func(), err error) {
	v, done, err := s.models.acquire(r.Model)
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() {
		if err != nil {
			done()
		}
	}()
	if base, err = newQuestion(v, r.Horizon, r.Quantiles, r.Drivers); err != nil {
		return nil, nil, nil, err
	}
	planned, err := base.readPlan(r.plan)
	if err != nil {
		return nil, nil, nil, err
	}
	if changed == nil {
		return base, nil, done, base.resolve(ctx, r, r.history, planned, s.limits())
	}
	if other, err = newQuestion(v, r.Horizon, r.Quantiles, r.Drivers); err != nil {
		return nil, nil, nil, err
	}
	extra, err := other.readPlan(changed)
	if err != nil {
		return nil, nil, nil, err
	}
	if len(extra.values) == 0 {
		return nil, nil, nil, bad("there are no changes").hint("send changes: plan rows with other promotions or prices")
	}
	if len(planned.series) == 0 {
		planned.series = extra.series
	}
	if err = base.resolve(ctx, r, r.history, planned, s.limits()); err != nil {
		return nil, nil, nil, err
	}
	return base, other, done, other.resolve(ctx, r, r.history, planned.over(extra), s.limits())
}

func (s *Server) forecast(w http.ResponseWriter, r *http.Request) error {
	in, done := s.intake()
	defer done()
	req, err := readForecast(r, in, s.limits())
	if err != nil {
		return err
	}
	q, _, release, err := s.question(r.Context(), req, nil)
	if err != nil {
		return err
	}
	defer release()
	a, err := q.answer(r.Context())
	if err == nil && req.Totals {
		err = a.total()
	}
	if err != nil {
		return err
	}
	s.writeAnswer(w, a)
	return nil
}

// writeAnswer writes through a buffer that is used again.
func (s *Server) writeAnswer(w http.ResponseWriter, a *answer) {
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	*buf = append(a.append((*buf)[:0]), '\n')
	write(w, http.StatusOK, *buf)
}
