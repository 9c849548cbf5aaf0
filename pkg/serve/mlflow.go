package serve

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"salescast/pkg/columnar"
	"salescast/pkg/panel"
)

// invocations answers MLflow's scoring protocol: rows of history, and of the plan without a sale, give one record per series and step.
func (s *Server) invocations(w http.ResponseWriter, r *http.Request) error {
	t, params, err := s.readInvocation(r)
	if err != nil {
		return err
	}
	v, release, err := s.models.acquire(params.Model)
	if err != nil {
		return err
	}
	defer release()
	q, err := newQuestion(v, params.Horizon, params.Quantiles, false)
	if err != nil {
		return err
	}
	if t.Rows == 0 {
		if len(t.Columns) > 0 {
			if _, err := q.layout(t, "input"); err != nil {
				return err
			}
		}
		writeJSON(w, http.StatusOK, map[string]any{"predictions": []any{}})
		return nil
	}
	history, plan, err := q.split(t)
	if err != nil {
		return err
	}
	ch, err := q.readPlan(plan)
	if err != nil {
		return err
	}
	if err := q.resolve(r.Context(), &forecastRequest{}, history, ch, s.limits()); err != nil {
		return err
	}
	a, err := q.answer(r.Context())
	if err != nil {
		return err
	}
	records := []map[string]any{}
	for i := range a.series {
		one := &a.series[i]
		for h, d := range one.dates {
			rec := map[string]any{"date": d.String() + midnight, "cutoff": one.origin.String() + midnight, "horizon": h + 1, "forecast": number64(one.point[h])}
			for k, key := range v.history.Keys {
				rec[key.Name] = one.id[k]
			}
			for l, level := range a.levels {
				rec[columnar.QuantileName(level)] = number64(one.quantiles[h*len(a.levels)+l])
			}
			records = append(records, rec)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"predictions": records})
	return nil
}

// midnight is how MLflow writes the time of a date.
const midnight = "T00:00:00"

// invocationParams are MLflow's inference parameters; unknown ones are ignored, as MLflow does.
type invocationParams struct {
	Model     string    `json:"model"`
	Horizon   *int      `json:"horizon"`
	Quantiles []float64 `json:"quantiles"`
}

func (s *Server) readInvocation(r *http.Request) (*table, invocationParams, error) {
	var p invocationParams
	kind, params, err := mediaType(r)
	if err != nil {
		return nil, p, err
	}
	for name := range params {
		if name != "charset" {
			return nil, p, &problem{http.StatusUnsupportedMediaType, codeMediaType, "the content type has the parameter " + clip(name), "send application/json"}
		}
	}
	switch kind {
	case "text/csv":
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, p, bodyProblem(err)
		}
		t := &table{}
		return t, p, t.csv(r.Context(), string(b), s.limits())
	case "application/json":
	default:
		return nil, p, &problem{http.StatusUnsupportedMediaType, codeMediaType, "the content type is " + clip(kind), "send application/json or text/csv"}
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, p, bodyProblem(err)
	}
	var body map[string]json.RawMessage
	if err := json.Unmarshal(b, &body); err != nil {
		return nil, p, bad("the body is not a JSON object").hint(`send {"dataframe_records":[{...}]}`)
	}
	if raw, ok := body["params"]; ok {
		if err := json.Unmarshal(raw, &p); err != nil {
			return nil, p, bad("params cannot be read: they are model, horizon and quantiles")
		}
		delete(body, "params")
	}
	if len(body) != 1 {
		return nil, p, bad("the body must have exactly one of dataframe_split, dataframe_records, inputs, instances")
	}
	for name, raw := range body {
		t, err := s.form(name, raw)
		return t, p, err
	}
	return nil, p, nil
}

// form reads one of MLflow's forms of a table.
func (s *Server) form(name string, raw json.RawMessage) (*table, error) {
	raw = bytes.TrimSpace(raw)
	t := &table{}
	switch name {
	case "dataframe_records", "instances":
		if !bytes.HasPrefix(raw, []byte("[")) {
			return nil, bad("%s is not a list of records", name)
		}
		d := jsontext.NewDecoder(bytes.NewBuffer(raw))
		return t, whole(d, t.records(d, s.limits()))
	case "inputs":
		if bytes.HasPrefix(raw, []byte("{")) {
			d := jsontext.NewDecoder(bytes.NewBuffer(raw))
			return t, whole(d, t.columns(d, s.limits()))
		}
		return nil, bad("inputs must be an object of columns: the model reads named columns, no tensors")
	case "dataframe_split":
		var f struct {
			Columns []string        `json:"columns"`
			Data    [][]any         `json:"data"`
			Index   json.RawMessage `json:"index"`
		}
		d := decoder(raw)
		if err := d.Decode(&f); err != nil {
			return nil, bad("dataframe_split cannot be read: it has columns and data")
		}
		t.Rows = len(f.Data)
		if err := t.tooLong(s.limits()); err != nil {
			return nil, err
		}
		for _, c := range f.Columns {
			if t.column(c) >= 0 {
				return nil, bad("column %q is there twice", clip(c))
			}
			if _, err := t.add(c, s.limits()); err != nil {
				return nil, err
			}
		}
		for i, row := range f.Data {
			if len(row) != len(f.Columns) {
				return nil, bad("row %d has %d values for %d columns", i+1, len(row), len(f.Columns))
			}
			for c, v := range row {
				cell, err := cellOf(v)
				if err != nil {
					return nil, bad("row %d, column %q: %v", i+1, clip(f.Columns[c]), err)
				}
				t.set(c, i, []byte(cell))
			}
		}
		return t, nil
	}
	return nil, bad("the body must have exactly one of dataframe_split, dataframe_records, inputs, instances")
}

// split parts the rows of series that are all plan, for the model knows their history, from the others.
func (q *question) split(t *table) (history, plan *table, err error) {
	at, err := q.layout(t, "input")
	if err != nil {
		return nil, nil, err
	}
	for c, col := range at.covs {
		if v := q.view.history.Covariates[c]; col < 0 && v.Role == panel.KnownFuture {
			return nil, nil, bad("input rows have no column %q", v.Name).hint("POST /v1/forecast takes what is usual in its place")
		}
	}
	if at.target < 0 {
		return &table{}, t, nil
	}
	sold := map[string]bool{}
	id := make([]string, len(at.keys))
	of := func(row int) string { t.texts(at.keys, row, id); return joinID(id) }
	for row := range t.Rows {
		if c := strings.TrimSpace(t.at(at.target, row)); c != "" && !strings.EqualFold(c, "nan") && !strings.EqualFold(c, "null") {
			sold[of(row)] = true
		}
	}
	history, plan = t.empty(), t.empty()
	for row := range t.Rows {
		to := plan
		if sold[of(row)] {
			to = history
		}
		to.Rows++
		for c := range t.Columns {
			to.Columns[c].Codes = append(to.Columns[c].Codes, t.Columns[c].Codes[row])
		}
	}
	return history, plan, nil
}
