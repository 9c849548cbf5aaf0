package serve_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
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
