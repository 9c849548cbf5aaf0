package serve_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"salescast/pkg/artifact"
	"salescast/pkg/artifact/dir"
	"salescast/pkg/regress/engines"
	"salescast/pkg/regress/regresstest"
	"salescast/pkg/serve"
	"salescast/pkg/track"
	"salescast/tasks" //nolint:depguard // the answers are compared with those of the real steps
)

const horizon = 14

// shop is a workspace that the real steps made of generated sales: 3 stores x 2 items, a year and a half, promotions and prices planned.
type shop struct {
	folder  string
	engines *engines.Engines
	rows    []map[string]string
	want    map[string]map[string]string // forecast.csv by "store,item,date"
}

var (
	shopOnce sync.Once
	theShop  *shop
	shopErr  error
)

func TestMain(m *testing.M) {
	code := m.Run()
	if theShop != nil {
		theShop.engines.Close()
		_ = os.RemoveAll(theShop.folder)
	}
	os.Exit(code)
}

func open(tb testing.TB) *shop {
	tb.Helper()
	engineDir := regresstest.EngineDir(tb)
	shopOnce.Do(func() { theShop, shopErr = build(context.WithoutCancel(tb.Context()), engineDir) })
	if shopErr != nil {
		tb.Fatal(shopErr)
	}
	return theShop
}

func build(ctx context.Context, engineDir string) (*shop, error) {
	folder, err := os.MkdirTemp("", "shop-*")
	if err != nil {
		return nil, err
	}
	s := &shop{folder: folder, want: map[string]map[string]string{}}
	s.engines = engines.New(engines.Config{EngineDir: engineDir, CacheDir: filepath.Join(folder, "cache"), Threads: 1})
	var b bytes.Buffer
	b.WriteString("store,item,date,sales,promo,price\n")
	first := time.Date(2023, 1, 2, 0, 0, 0, 0, time.UTC)
	const days = 560
	for k := range 6 {
		for d := range days + horizon {
			promo, price := 0, 4.0
			if (d*7+k*11)%23 < 3 {
				promo, price = 1, 3.2
			}
			y := float64(20+10*k) * (1 + 0.3*float64(d%7)/6) * (1 + 0.8*float64(promo)) * (1 + 0.1*math.Sin(float64(d*(k+3))))
			sale := ""
			if d < days {
				sale = strconv.Itoa(int(y))
			}
			row := map[string]string{"store": fmt.Sprintf("S%d", k/2), "item": fmt.Sprintf("I%d", k%2), "date": first.AddDate(0, 0, d).Format(time.DateOnly), "sales": sale, "promo": strconv.Itoa(promo), "price": strconv.FormatFloat(price, 'f', -1, 64)}
			s.rows = append(s.rows, row)
			fmt.Fprintf(&b, "%s,%s,%s,%s,%s,%s\n", row["store"], row["item"], row["date"], row["sales"], row["promo"], row["price"])
		}
	}
	source := filepath.Join(folder, "sales.csv")
	if err := os.WriteFile(source, b.Bytes(), 0o600); err != nil {
		return nil, err
	}
	store, err := dir.New(filepath.Join(folder, "run"))
	if err != nil {
		return nil, err
	}
	env := tasks.Env{Store: store, Tracker: track.Off{}, Log: zerolog.Nop(), Progress: nothing{}, Now: time.Now, Version: "test", Threads: 1, Experiment: "test", Learners: s.engines}
	models := []string{"lightgbm", "xgboost", "smoothing"}
	levels := []float64{0.025, 0.1, 0.5, 0.9, 0.975}
	o := tasks.RunOptions{
		Validate: tasks.ValidateOptions{Data: tasks.DataOptions{Source: source, Keys: []string{"store", "item"}, Time: "date", Target: "sales", Frequency: "D", KnownFuture: []string{"promo", "price"}, Missing: "zero"}, MaxQuarantined: 0.01, Horizon: horizon, Seed: 1},
		Ensemble: tasks.EnsembleOptions{Models: models, Horizon: horizon, Backtest: tasks.BacktestOptions{Origins: 2}, Quantiles: levels, NonNegative: true, Seed: 1},
		Forecast: tasks.ForecastOptions{Horizon: horizon, Quantiles: levels},
	}
	if _, err := tasks.Validate(ctx, env, o.Validate); err != nil {
		return nil, err
	}
	for _, m := range models {
		t := tasks.TrainOptions{Model: m, Horizon: horizon, Backtest: o.Ensemble.Backtest, NonNegative: true, Seed: 1}
		if m != "smoothing" {
			t.Params = map[string]string{"rounds": "30"}
		}
		if _, err := tasks.Train(ctx, env, t); err != nil {
			return nil, err
		}
	}
	if _, err := tasks.Ensemble(ctx, env, o.Ensemble); err != nil {
		return nil, err
	}
	if _, err := tasks.Forecast(ctx, env, o.Forecast); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(folder, "run", "forecast", "forecast.csv"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, r := range records[1:] {
		row := map[string]string{}
		for c, name := range records[0] {
			row[name] = r[c]
		}
		s.want[row["store"]+","+row["item"]+","+row["date"]] = row
	}
	return s, nil
}

type nothing struct{}

func (nothing) Phase(string, int64) {}
func (nothing) Add(int64)           {}

func (s *shop) options(models ...string) serve.Options {
	return serve.Options{
		Models: models, Loaders: s.engines.Open, Log: zerolog.Nop(), Now: time.Now, Version: "1.2.3",
		OpenStore: func(at string) (artifact.Store, error) { return dir.New(at) },
	}
}

func (s *shop) start(tb testing.TB, change func(*serve.Options)) *serve.Server {
	tb.Helper()
	o := s.options("shop=" + filepath.Join(s.folder, "run"))
	if change != nil {
		change(&o)
	}
	srv, err := serve.New(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := srv.Close(); err != nil {
			tb.Error(err)
		}
	})
	return srv
}

func call(tb testing.TB, srv *serve.Server, method, path, kind string, body []byte, header ...string) (int, []byte) {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), method, path, bytes.NewReader(body))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	srv.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.Bytes()
}

type forecastAnswer struct {
	Model  string `json:"model"`
	Series []struct {
		ID        map[string]string     `json:"id"`
		Origin    string                `json:"origin"`
		Dates     []string              `json:"dates"`
		Forecast  []float64             `json:"forecast"`
		Quantiles map[string][]float64  `json:"quantiles"`
		Drivers   map[string][]*float64 `json:"drivers"`
	} `json:"series"`
	Warnings []string `json:"warnings"`
}

func ask(tb testing.TB, srv *serve.Server, body any) forecastAnswer {
	tb.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		tb.Fatal(err)
	}
	code, out := call(tb, srv, http.MethodPost, "/v1/forecast", "application/json", b)
	if code != http.StatusOK {
		tb.Fatalf("status %d: %s", code, out)
	}
	var a forecastAnswer
	if err := json.Unmarshal(out, &a); err != nil {
		tb.Fatal(err)
	}
	return a
}

func (s *shop) of(store, item string) []map[string]string {
	return slices.DeleteFunc(slices.Clone(s.rows), func(r map[string]string) bool { return r["store"] != store || r["item"] != item })
}

// compare wants the answer that the forecast step wrote; its CSV has float32 digits.
func (s *shop) compare(t *testing.T, what string, a forecastAnswer, series int) {
	t.Helper()
	if len(a.Series) != series {
		t.Fatalf("%s: %d series, want %d", what, len(a.Series), series)
	}
	for _, one := range a.Series {
		for h, d := range one.Dates {
			want := s.want[one.ID["store"]+","+one.ID["item"]+","+d]
			check := func(column string, got float64) {
				y, err := strconv.ParseFloat(want[column], 64)
				if err != nil || math.Abs(y-got) > 1e-6*(1+math.Abs(y)) {
					t.Errorf("%s: %v %s %s is %v, the forecast step says %q", what, one.ID, d, column, got, want[column])
				}
			}
			check("forecast", one.Forecast[h])
			for q, name := range map[string]string{"0.025": "q025", "0.1": "q10", "0.5": "q50", "0.9": "q90", "0.975": "q975"} {
				check(name, one.Quantiles[q][h])
			}
		}
	}
}

// However the same history comes, the answer is that of "salescast forecast".
func TestForecastIsTheStepsForecast(t *testing.T) {
	t.Parallel()
	s := open(t)
	srv := s.start(t, nil)
	s.compare(t, "nothing but the stored history", ask(t, srv, map[string]any{}), 6)
	one := []map[string]string{{"store": "S1", "item": "I0"}}
	s.compare(t, "one known series", ask(t, srv, map[string]any{"series": one}), 1)
	s.compare(t, "with drivers", ask(t, srv, map[string]any{"series": one, "drivers": true}), 1)
	s.compare(t, "shorter", ask(t, srv, map[string]any{"series": one, "horizon": 3}), 1)
	rows := s.of("S1", "I0")
	s.compare(t, "records", ask(t, srv, map[string]any{"history": rows}), 1)
	columns := map[string][]string{}
	text := csvText(rows)
	for _, r := range rows {
		for k, v := range r {
			columns[k] = append(columns[k], v)
		}
	}
	s.compare(t, "columns", ask(t, srv, map[string]any{"history": columns}), 1)
	s.compare(t, "CSV in JSON", ask(t, srv, map[string]any{"history": text}), 1)
	s.compare(t, "the past as history, the future as plan", ask(t, srv, map[string]any{"history": rows[:560], "plan": rows[560:]}), 1)
	s.compare(t, "the stored plan", ask(t, srv, map[string]any{"history": rows[:560]}), 1)
	s.compare(t, "the last month appended", ask(t, srv, map[string]any{"history": rows[530:], "append": true}), 1)
	s.compare(t, "all series", ask(t, srv, map[string]any{"history": s.rows}), 6)
	code, out := call(t, srv, http.MethodPost, "/v1/forecast?horizon=14&model=shop", "text/csv", []byte(text))
	var a forecastAnswer
	if err := json.Unmarshal(out, &a); err != nil || code != http.StatusOK {
		t.Fatalf("CSV: %d %s", code, out)
	}
	s.compare(t, "CSV", a, 1)
}

// Every member is a model, and what drives a forecast adds up to it.
func TestDriversAddUp(t *testing.T) {
	t.Parallel()
	s := open(t)
	srv := s.start(t, nil)
	for _, model := range []string{"", "shop", "ensemble", "lightgbm", "shop/xgboost"} {
		code, out := call(t, srv, http.MethodPost, "/v1/forecast", "application/json", []byte(`{"model":"`+model+`","series":[{"store":"S0","item":"I1"}],"drivers":true}`))
		if code == http.StatusNotFound {
			continue // a member without weight is not in the bundle
		}
		var a forecastAnswer
		if err := json.Unmarshal(out, &a); err != nil || code != http.StatusOK {
			t.Fatalf("%s: %d %s", model, code, out)
		}
		for h, y := range a.Series[0].Forecast {
			sum := 0.0
			for _, v := range a.Series[0].Drivers {
				sum += *v[h]
			}
			if math.Abs(sum-y) > 1e-6*(1+y) {
				t.Errorf("%s, step %d: the drivers add up to %v, the forecast is %v", model, h+1, sum, y)
			}
		}
	}
}

// A series that the model has never seen is forecast, wherever its history ends, and a short one like its kin.
func TestNewSeries(t *testing.T) {
	t.Parallel()
	s := open(t)
	srv := s.start(t, nil)
	for name, rows := range map[string][]map[string]string{"long": s.of("S1", "I0")[:560], "ends earlier": s.of("S1", "I0")[:500], "short": s.of("S1", "I0")[540:550]} {
		var own []map[string]string
		for _, r := range rows {
			n := maps.Clone(r)
			n["store"] = "new"
			own = append(own, n)
		}
		a := ask(t, srv, map[string]any{"history": own})
		for h, y := range a.Series[0].Forecast {
			if !(y > 5 && y < 200) || a.Series[0].Quantiles["0.025"][h] > y || a.Series[0].Quantiles["0.975"][h] < y {
				t.Errorf("%s, step %d: %v, %v", name, h+1, y, a.Series[0].Quantiles)
			}
		}
		if len(a.Warnings) == 0 {
			t.Errorf("%s: nobody was told that the plan is assumed", name)
		}
	}
}

func TestWhatIf(t *testing.T) {
	t.Parallel()
	s := open(t)
	srv := s.start(t, nil)
	rows := s.of("S2", "I1")
	changes := []map[string]string{}
	for _, r := range rows[560:] {
		changes = append(changes, map[string]string{"store": "S2", "item": "I1", "date": r["date"], "promo": "1", "price": "3.2"})
	}
	b, _ := json.Marshal(map[string]any{"changes": changes})
	code, out := call(t, srv, http.MethodPost, "/v1/whatif", "application/json", b)
	var a struct {
		Base, Changed forecastAnswer
		Difference    []struct {
			Forecast, Lower, Upper []float64
			Total                  float64
		}
	}
	if err := json.Unmarshal(out, &a); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s", code, out)
	}
	s.compare(t, "as planned", a.Base, 1)
	d := a.Difference[0]
	for h := range d.Forecast {
		if math.Abs(a.Changed.Series[0].Forecast[h]-a.Base.Series[0].Forecast[h]-d.Forecast[h]) > 1e-9 || d.Lower[h] > d.Forecast[h] || d.Upper[h] < d.Forecast[h] {
			t.Errorf("step %d: %v in %v to %v", h+1, d.Forecast[h], d.Lower[h], d.Upper[h])
		}
	}
	if d.Total <= 0 {
		t.Errorf("two weeks of promotion change sales by %v", d.Total)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	s := open(t)
	srv := s.start(t, func(o *serve.Options) { o.MaxBody, o.MaxRows = 1<<20, 5000 })
	const known = `"store":"S0","item":"I0"`
	for _, c := range []struct {
		name, path, body string
		status           int
		code             string
	}{
		{"no JSON", "/v1/forecast", `{`, 400, "bad_request"},
		{"unknown field", "/v1/forecast", `{"horzon":3}`, 400, "bad_request"},
		{"two objects", "/v1/forecast", `{}{}`, 400, "bad_request"},
		{"horizon too long", "/v1/forecast", `{"horizon":15}`, 422, "horizon_not_trained"},
		{"horizon 0", "/v1/forecast", `{"horizon":0}`, 422, "horizon_not_trained"},
		{"level", "/v1/forecast", `{"quantiles":[0.3]}`, 422, "quantile_not_calibrated"},
		{"levels fall", "/v1/forecast", `{"quantiles":[0.9,0.1]}`, 400, "bad_request"},
		{"model", "/v1/forecast", `{"model":"x"}`, 404, "unknown_model"},
		{"unknown series", "/v1/forecast", `{"series":[{"store":"S9","item":"I0"}]}`, 422, "history_missing"},
		{"half a series", "/v1/forecast", `{"series":[{"store":"S0"}]}`, 400, "bad_request"},
		{"no date", "/v1/forecast", `{"history":[{` + known + `,"date":"2024-02-30","sales":1}]}`, 400, "bad_request"},
		{"year 0", "/v1/forecast", `{"history":[{` + known + `,"date":"0000-01-01","sales":1}]}`, 400, "bad_request"},
		{"no number", "/v1/forecast", `{"history":[{` + known + `,"date":"2024-02-28","sales":"=cmd"}]}`, 400, "bad_request"},
		{"huge number", "/v1/forecast", `{"history":[{` + known + `,"date":"2024-02-28","sales":1e308}]}`, 400, "bad_request"},
		{"no key", "/v1/forecast", `{"history":[{"store":"S0","date":"2024-02-28","sales":1}]}`, 400, "bad_request"},
		{"twice", "/v1/forecast", `{"history":[{` + known + `,"date":"2024-02-28","sales":1},{` + known + `,"date":"2024-02-28","sales":2}]}`, 400, "bad_request"},
		{"no sale", "/v1/forecast", `{"history":[{` + known + `,"date":"2024-02-28"}]}`, 400, "bad_request"},
		{"half a plan", "/v1/forecast", `{"history":[{"store":"N","item":"I0","date":"2024-02-28","sales":1}],"plan":[{"store":"N","item":"I0","date":"2024-02-29","promo":1,"price":4}]}`, 422, "plan_missing"},
		{"no changes", "/v1/whatif", `{}`, 400, "bad_request"},
		{"predict far", "/predict", `{"store_id":"S0","product_id":"I0","date":"2030-01-01"}`, 422, "history_missing"},
		{"predict unknown", "/predict", `{"store_id":"S9","product_id":"I0","date":"2030-01-01"}`, 422, "history_missing"},
		{"predict date", "/predict", `{"store_id":"S0","product_id":"I0","date":"tomorrow"}`, 400, "bad_request"},
		{"too large", "/v1/forecast", `{"history":"` + strings.Repeat("x", 2<<20) + `"}`, 413, "too_large"},
		{"too many rows", "/v1/forecast", `{"history":"date\n` + strings.Repeat(`x\n`, 6000) + `"}`, 413, "too_large"},
	} {
		code, out := call(t, srv, http.MethodPost, c.path, "application/json", []byte(c.body))
		var p struct {
			Error struct{ Code, Message, Hint string }
		}
		if err := json.Unmarshal(out, &p); err != nil || code != c.status || p.Error.Code != c.code || p.Error.Message == "" {
			t.Errorf("%s: %d %s, want %d %s", c.name, code, out, c.status, c.code)
		}
	}
	for _, c := range []struct {
		method, path, kind string
		status             int
	}{{"GET", "/v1/forecast", "", 405}, {"GET", "/nothing", "", 404}, {"POST", "/v1/forecast", "image/png", 415}, {"HEAD", "/ping", "", 200}, {"GET", "/v1/models/nothing", "", 404}, {"GET", "/invocations", "", 405}} {
		if code, out := call(t, srv, c.method, c.path, c.kind, nil); code != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, code, out)
		}
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	srv := open(t).start(t, func(o *serve.Options) { o.Token = "secret" })
	for header, want := range map[string]int{"": 401, "Bearer wrong": 401, "Basic secret": 401, "Bearer secret": 200, "bearer secret": 200} {
		if code, _ := call(t, srv, "GET", "/v1/models", "", nil, "Authorization", header); code != want {
			t.Errorf("%q: %d, want %d", header, code, want)
		}
	}
	if code, _ := call(t, srv, "GET", "/ping", "", nil); code != 200 {
		t.Error("a probe needs no token")
	}
}

// All of MLflow's forms of the same rows give the same predictions.
func TestInvocations(t *testing.T) {
	t.Parallel()
	s := open(t)
	srv := s.start(t, nil)
	rows := s.of("S0", "I0")
	columns := map[string][]any{}
	names := []string{"store", "item", "date", "sales", "promo", "price"}
	data := [][]any{}
	text := csvText(rows)
	for _, r := range rows {
		line := []any{}
		for _, n := range names {
			columns[n] = append(columns[n], r[n])
			line = append(line, r[n])
		}
		data = append(data, line)
	}
	var first []byte
	for name, body := range map[string]any{"records": map[string]any{"dataframe_records": rows}, "split": map[string]any{"dataframe_split": map[string]any{"columns": names, "data": data}}, "inputs": map[string]any{"inputs": columns}, "instances": map[string]any{"instances": rows, "params": map[string]any{"other": 1}}, "csv": text} {
		kind := "application/json; charset=utf-8"
		b, _ := json.Marshal(body)
		if name == "csv" {
			kind, b = "text/csv", []byte(text)
		}
		code, out := call(t, srv, "POST", "/invocations", kind, b)
		if code != 200 {
			t.Fatalf("%s: %d %s", name, code, out)
		}
		if first == nil {
			first = out
		} else if !bytes.Equal(first, out) {
			t.Errorf("%s gives other predictions: %s", name, out)
		}
	}
	for body, want := range map[string]string{`[]`: "BAD_REQUEST", `{}`: "BAD_REQUEST", `{"inputs":{},"instances":[]}`: "BAD_REQUEST", `{"inputs":[[1,2]]}`: "BAD_REQUEST", `{"dataframe_records":[{"store":"S0","item":"I0","date":"2024-01-01","sales":"x"}]}`: "BAD_REQUEST"} {
		code, out := call(t, srv, "POST", "/invocations", "application/json", []byte(body))
		if code != 400 || !bytes.Contains(out, []byte(want)) {
			t.Errorf("%s: %d %s", body, code, out)
		}
	}
	if code, out := call(t, srv, "POST", "/invocations", "application/json", []byte(`{"dataframe_records":[]}`)); code != 200 || strings.TrimSpace(string(out)) != `{"predictions":[]}` {
		t.Errorf("no rows: %d %s", code, out)
	}
}

func TestPredict(t *testing.T) {
	t.Parallel()
	s := open(t)
	srv := s.start(t, nil)
	day := s.rows[562]["date"]
	code, out := call(t, srv, "POST", "/predict/batch", "application/json", []byte(`[{"store_id":"S0","product_id":"I0","date":"`+day+`"},{"store_id":"S0","product_id":"I0","date":"`+day+`","additional_features":{"promo":1,"price":3.2}}]`))
	var a struct {
		Predictions []struct {
			Prediction float64
			Interval   []float64 `json:"confidence_interval_95"`
		}
	}
	if err := json.Unmarshal(out, &a); err != nil || code != 200 || len(a.Predictions) != 2 {
		t.Fatalf("%d %s", code, out)
	}
	want, _ := strconv.ParseFloat(s.want["S0,I0,"+day]["forecast"], 64)
	if got := a.Predictions[0]; math.Abs(got.Prediction-want) > 1e-5*want || !(got.Interval[0] <= want && want <= got.Interval[1]) {
		t.Errorf("%+v, want %v", got, want)
	}
}

// The description names every route, and every reference in it resolves.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	srv := open(t).start(t, nil)
	_, out := call(t, srv, "GET", "/openapi.json", "", nil)
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(out, &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatalf("%v %s", err, doc.OpenAPI)
	}
	for _, part := range strings.Split(string(out), `"$ref": "#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		if doc.Components.Schemas[name] == nil {
			t.Errorf("the schema %s is not there", name)
		}
	}
	for path, methods := range doc.Paths {
		for method := range methods {
			at := strings.NewReplacer("{name}", "shop/ensemble", "{source}", "shop", "{model}", "ensemble").Replace(path)
			if code, body := call(t, srv, strings.ToUpper(method), at, "application/json", []byte(`{"unknown":1}`)); code == 404 || code == 405 || code >= 500 || method == "get" && code != 200 {
				t.Errorf("%s %s: %d %s", method, path, code, body)
			}
		}
	}
}

// Requests are answered while models are exchanged under them, and a model that cannot be loaded leaves the old one at work.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	s := open(t)
	copied := filepath.Join(t.TempDir(), "run")
	if err := os.CopyFS(copied, os.DirFS(filepath.Join(s.folder, "run"))); err != nil {
		t.Fatal(err)
	}
	srv := s.start(t, func(o *serve.Options) { o.Models = []string{"shop=" + copied} })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 30 {
				s.compare(t, "under load", ask(t, srv, map[string]any{"series": []map[string]string{{"store": "S1", "item": "I1"}}, "drivers": true}), 1)
			}
		})
	}
	for range 5 {
		if code, out := call(t, srv, "POST", "/v1/models/reload", "", nil); code != 200 {
			t.Errorf("%d %s", code, out)
		}
	}
	wg.Wait()
	if err := os.WriteFile(filepath.Join(copied, "ensemble", "manifest.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := call(t, srv, "POST", "/v1/models/reload", "", nil); code != 502 || !bytes.Contains(out, []byte("reload_failed")) {
		t.Errorf("%d %s", code, out)
	}
	s.compare(t, "the old one", ask(t, srv, map[string]any{}), 6)
	if _, out := call(t, srv, "GET", "/v1/models", "", nil); !bytes.Contains(out, []byte(`"failures":[{`)) {
		t.Errorf("the failure is not told: %s", out)
	}
}

func FuzzForecastRequest(f *testing.F) {
	srv := open(f).start(f, func(o *serve.Options) { o.MaxRows = 2000; o.MaxBody = 1 << 16 })
	for _, seed := range []string{`{}`, `{"history":"store,item,date,sales\nS0,I0,2024-01-01,3"}`, `{"history":{"store":["S0"],"item":["I0"],"date":["2024-01-01"],"sales":[1]},"append":true}`, `{"plan":[{"store":"S0","item":"I0","date":"2024-07-16","promo":null}],"horizon":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		code, out := call(t, srv, "POST", "/v1/forecast", "application/json", body)
		if code >= 500 || !json.Valid(out) {
			t.Errorf("%d %s", code, out)
		}
	})
}

// csvText is rows as a CSV file.
func csvText(rows []map[string]string) string {
	var b strings.Builder
	b.WriteString("store,item,date,sales,promo,price\n")
	for _, r := range rows {
		b.WriteString(strings.Join([]string{r["store"], r["item"], r["date"], r["sales"], r["promo"], r["price"]}, ",") + "\n")
	}
	return b.String()
}

// earlier puts n days before rows.
func earlier(rows []map[string]string, n int) []map[string]string {
	first, _ := time.Parse(time.DateOnly, rows[0]["date"])
	var out []map[string]string
	for d := range n {
		one := maps.Clone(rows[d%500])
		one["date"] = first.AddDate(0, 0, d-n).Format(time.DateOnly)
		out = append(out, one)
	}
	return append(out, rows...)
}

func columnsOf(rows []map[string]string) map[string][]any {
	out := map[string][]any{}
	for _, r := range rows {
		for name, v := range r {
			if y, err := strconv.ParseFloat(v, 64); err == nil {
				out[name] = append(out[name], y)
			} else if v == "" {
				out[name] = append(out[name], nil)
			} else {
				out[name] = append(out[name], v)
			}
		}
	}
	return out
}

func BenchmarkForecast(b *testing.B) {
	s := open(b)
	srv := s.start(b, nil)
	rows := s.of("S1", "I0")
	history, _ := json.Marshal(map[string]any{"history": rows})
	text := csvText(rows)
	inJSON, _ := json.Marshal(map[string]any{"history": text})
	long := csvText(earlier(rows, 1215-560))
	t, _ := json.Marshal(columnsOf(earlier(rows, 1215-560)))
	inColumns := []byte(`{"model":"lightgbm","history":` + string(t) + `}`)
	inText, _ := json.Marshal(map[string]any{"model": "lightgbm", "history": long})
	inRecords, _ := json.Marshal(map[string]any{"model": "lightgbm", "history": earlier(rows, 1215-560)})
	for name, body := range map[string][]byte{
		"1215 days, member, columns": inColumns, "1215 days, member, csv": inText, "1215 days, member, records": inRecords,
		"1215 days, columns": []byte(`{"history":` + string(t) + `}`), "drivers": []byte(`{"series":[{"store":"S1","item":"I0"}],"drivers":true}`),
		"stored": []byte(`{"series":[{"store":"S1","item":"I0"}]}`), "plan": []byte(`{"plan":[{"store":"S1","item":"I0","date":"` + rows[561]["date"] + `","promo":1}]}`),
		"member plan": []byte(`{"model":"lightgbm","plan":[{"store":"S1","item":"I0","date":"` + rows[561]["date"] + `","promo":1}]}`), "records": history, "csv": inJSON,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if code, out := call(b, srv, "POST", "/v1/forecast", "application/json", body); code != 200 {
					b.Fatalf("%d %s", code, out)
				}
			}
		})
	}
}

// Totals are those of the forecast step, and only of sums that the answer has whole.
func TestTotals(t *testing.T) {
	t.Parallel()
	s := open(t)
	srv := s.start(t, nil)
	f, err := os.Open(filepath.Join(s.folder, "run", "forecast", "forecast_totals.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	at := map[string]int{}
	for c, name := range records[0] {
		at[name] = c
	}
	for _, r := range records[1:] {
		want[r[at["level"]]+","+r[at["value"]]+","+r[at["date"]]] = r
	}
	for body, sums := range map[string]int{
		`{"totals":true}`: 1 + 3 + 2,
		`{"totals":true,"series":[{"store":"S0","item":"I0"},{"store":"S0","item":"I1"}]}`: 1,
		`{"totals":true,"horizon":3}`: 6,
	} {
		code, out := call(t, srv, http.MethodPost, "/v1/forecast", "application/json", []byte(body))
		var a struct {
			Totals []struct {
				Level, Value string
				Dates        []string
				Forecast     []float64
				Quantiles    map[string][]float64
			}
		}
		if err := json.Unmarshal(out, &a); err != nil || code != http.StatusOK || len(a.Totals) != sums {
			t.Fatalf("%s: %d, %d totals, want %d: %.300s", body, code, len(a.Totals), sums, out)
		}
		for _, one := range a.Totals {
			for h, d := range one.Dates {
				r := want[one.Level+","+one.Value+","+d]
				if r == nil {
					t.Fatalf("no total %s %s %s", one.Level, one.Value, d)
				}
				for name, got := range map[string]float64{"forecast": one.Forecast[h], "q025": one.Quantiles["0.025"][h], "q975": one.Quantiles["0.975"][h]} {
					y, err := strconv.ParseFloat(r[at[name]], 64)
					if err != nil || math.Abs(y-got) > 1e-6*(1+math.Abs(y)) {
						t.Errorf("%s %s %s: %s is %v, the forecast step says %v", one.Level, one.Value, d, name, got, y)
					}
				}
			}
		}
	}
	for _, body := range []string{`{"totals":true,"series":[{"store":"S0","item":"I0"}]}`, `{"totals":true,"model":"lightgbm"}`} {
		if code, out := call(t, srv, http.MethodPost, "/v1/forecast", "application/json", []byte(body)); code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %.200s", body, code, out)
		}
	}
}
