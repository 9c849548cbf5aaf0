package serve_test

import (
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"
)

type seriesList struct {
	Model  string
	Total  int
	Series []struct {
		ID          map[string]string
		First, Last string
		Dates       []string
		Sales       []*float64
		Known       map[string][]float64 `json:"known_future"`
	}
}

func TestSeriesAreListed(t *testing.T) {
	t.Parallel()
	s := open(t)
	srv := s.start(t, nil)
	list := func(query string) (l seriesList) {
		t.Helper()
		code, out := call(t, srv, http.MethodGet, "/v1/models/shop/ensemble/series"+query, "", nil)
		if err := json.Unmarshal(out, &l); err != nil || code != http.StatusOK {
			t.Fatalf("%s: %d %s", query, code, out)
		}
		return l
	}
	all := list("")
	if all.Total != 6 || len(all.Series) != 6 || all.Model != "ensemble" {
		t.Fatalf("%+v", all)
	}
	for i, one := range all.Series {
		if one.ID["store"] != "S"+strconv.Itoa(i/2) || one.ID["item"] != "I"+strconv.Itoa(i%2) || one.First != "2023-01-02" || one.Last != "2024-07-14" || one.Dates != nil {
			t.Errorf("series %d: %+v", i, one)
		}
	}
	if page := list("?offset=4&limit=1"); page.Total != 6 || len(page.Series) != 1 || page.Series[0].ID["store"] != "S2" {
		t.Errorf("a page: %+v", page)
	}
	if past := list("?offset=9"); past.Total != 6 || len(past.Series) != 0 {
		t.Errorf("past the end: %+v", past)
	}
	if none := list("?store=S9"); none.Total != 0 || none.Series == nil {
		t.Errorf("no series: %+v", none)
	}
	one := list("?store=S1&item=I0&days=28")
	if one.Total != 1 || len(one.Series[0].Sales) != 28 {
		t.Fatalf("%+v", one)
	}
	rows := s.of("S1", "I0")
	for i, day := range one.Series[0].Dates {
		row := rows[560-28+i]
		if got := one.Series[0].Sales[i]; got == nil || day != row["date"] || strconv.FormatFloat(*got, 'f', -1, 64) != row["sales"] {
			t.Errorf("day %s: %v, want %s %s", day, got, row["date"], row["sales"])
		}
		if price, err := strconv.ParseFloat(row["price"], 64); err != nil || one.Series[0].Known["price"][i] != price {
			t.Errorf("day %s: price %v, want %s", day, one.Series[0].Known["price"][i], row["price"])
		}
	}
	if whole := list("?store=S1&item=I0&days=100000"); len(whole.Series[0].Sales) != 560 {
		t.Errorf("%d days of the whole history", len(whole.Series[0].Sales))
	}
	for query, status := range map[string]int{"?limit=0": 400, "?limit=10001": 400, "?days=x": 400, "?offset=-1": 400, "?limit=1000&days=1000": 400, "?city=x": 400} {
		if code, out := call(t, srv, http.MethodGet, "/v1/models/shop/ensemble/series"+query, "", nil); code != status {
			t.Errorf("%s: %d %s", query, code, out)
		}
	}
	if code, _ := call(t, srv, http.MethodGet, "/v1/models/shop/nothing/series", "", nil); code != http.StatusNotFound {
		t.Errorf("a model that is not there: %d", code)
	}
}

// What appended rows do not say of the plan is as stored: so a week of sales alone continues a known series.
func TestAppendedRowsTakeTheStoredPlan(t *testing.T) {
	t.Parallel()
	s := open(t)
	srv := s.start(t, nil)
	var bare []map[string]string
	for _, row := range s.of("S2", "I1")[553:560] {
		bare = append(bare, map[string]string{"store": row["store"], "item": row["item"], "date": row["date"], "sales": row["sales"]})
	}
	a := ask(t, srv, map[string]any{"history": bare, "append": true})
	s.compare(t, "a week without its plan", a, 1)
	if len(a.Warnings) != 0 {
		t.Errorf("warnings: %q", a.Warnings)
	}
}

// Rows that begin days after the stored history, within the stored plan or beyond it, are read as if all had been sent.
func TestAppendedRowsAfterAGap(t *testing.T) {
	t.Parallel()
	s := open(t)
	srv := s.start(t, nil)
	rows := s.of("S2", "I0")
	last, err := time.Parse(time.DateOnly, rows[len(rows)-1]["date"])
	if err != nil {
		t.Fatal(err)
	}
	var within, beyond []map[string]string
	for i := range 3 {
		row := maps.Clone(rows[563+i])
		row["sales"] = "40"
		within = append(within, row)
		beyond = append(beyond, map[string]string{"store": "S2", "item": "I0", "date": last.AddDate(0, 0, 4+i).Format(time.DateOnly), "sales": "40", "promo": "0", "price": "4"})
	}
	for what, later := range map[string][]map[string]string{"within the plan": within, "beyond it": beyond} {
		between := slices.DeleteFunc(slices.Clone(rows[560:]), func(row map[string]string) bool { return row["date"] >= later[0]["date"] })
		appended := ask(t, srv, map[string]any{"history": later, "append": true, "horizon": 5})
		whole := ask(t, srv, map[string]any{"history": slices.Concat(rows[:560], between, later), "horizon": 5})
		a, b := appended.Series[0], whole.Series[0]
		if a.Origin != later[2]["date"] || a.Origin != b.Origin || !slices.Equal(a.Dates, b.Dates) {
			t.Errorf("%s: from %s and %s", what, a.Origin, b.Origin)
		}
		for h := range a.Forecast {
			if math.Abs(a.Forecast[h]-b.Forecast[h]) > 1e-6 || math.Abs(a.Quantiles["0.975"][h]-b.Quantiles["0.975"][h]) > 1e-6 {
				t.Errorf("%s, day %d: %v appended, %v as a whole", what, h, a.Forecast[h], b.Forecast[h])
			}
		}
	}
}

// A change of a few days is laid over what is usual where nobody sent a plan: of a new series, and of a known one beyond its stored plan.
func TestWhatIfWithoutAPlan(t *testing.T) {
	t.Parallel()
	s := open(t)
	srv := s.start(t, nil)
	fresh := []map[string]string{}
	for _, row := range s.of("S1", "I1")[400:560] {
		row = maps.Clone(row)
		row["store"] = "new"
		fresh = append(fresh, row)
	}
	week := []map[string]string{}
	for i := range 7 {
		week = append(week, map[string]string{"store": "S1", "item": "I1", "date": "2024-07-" + strconv.Itoa(15+i), "sales": "40"})
	}
	for _, c := range []struct {
		name, store, day string
		history          []map[string]string
		more             bool
	}{{"new series", "new", "2024-07-17", fresh, false}, {"continued series", "S1", "2024-07-24", week, true}} {
		body := map[string]any{"history": c.history, "append": c.more}
		plain := ask(t, srv, body)
		body["changes"] = []map[string]any{{"store": c.store, "item": "I1", "date": c.day, "promo": 1}}
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		code, out := call(t, srv, http.MethodPost, "/v1/whatif", "application/json", b)
		var a struct{ Base, Changed forecastAnswer }
		if err := json.Unmarshal(out, &a); err != nil || code != http.StatusOK {
			t.Fatalf("%s: %d %s", c.name, code, out)
		}
		if !slices.Equal(a.Base.Series[0].Forecast, plain.Series[0].Forecast) {
			t.Errorf("%s: the base is %v, the forecast %v", c.name, a.Base.Series[0].Forecast, plain.Series[0].Forecast)
		}
		h := slices.Index(plain.Series[0].Dates, c.day)
		if h < 0 || a.Changed.Series[0].Forecast[h] <= plain.Series[0].Forecast[h] {
			t.Errorf("%s: a promotion on %s changes %v to %v", c.name, c.day, plain.Series[0].Forecast, a.Changed.Series[0].Forecast)
		}
	}
}
