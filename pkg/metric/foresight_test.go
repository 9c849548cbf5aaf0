package metric_test

import (
	"strings"
	"testing"

	"salescast/pkg/metric"
)

// Every sentence of what the models knew follows from the facts.
func TestForesightSaysWhatIsTrue(t *testing.T) {
	t.Parallel()
	column := func(name string, known, least int) metric.ColumnKnown {
		return metric.ColumnKnown{Name: name, Known: known, Least: least}
	}
	for _, c := range []struct {
		name  string
		f     *metric.Foresight
		has   []string
		lacks []string
	}{
		{"nothing is planned", nil, []string{""}, []string{"plan"}},
		{"no columns", &metric.Foresight{Horizon: 28}, nil, []string{"plan"}},
		{"all of it", &metric.Foresight{Horizon: 28, Columns: []metric.ColumnKnown{column("promo", 28, 28)}}, []string{"promo", "up to the horizon"}, []string{"usual", "backtest.plan"}},
		{"none of it", &metric.Foresight{Horizon: 28, Columns: []metric.ColumnKnown{column("price", 0, 0)}}, []string{"price not at all", "usual"}, []string{"up to the horizon"}},
		{"a week", &metric.Foresight{Horizon: 28, Columns: []metric.ColumnKnown{column("price", 7, 7), column("promo", 28, 28)}}, []string{"price for 7 of 28", "promo up to the horizon"}, []string{"less"}},
		{"of some series less", &metric.Foresight{Horizon: 28, Columns: []metric.ColumnKnown{column("price", 28, 0)}}, []string{"of some series less", "usual"}, []string{"not at all"}},
		{"promised", &metric.Foresight{Horizon: 28, Promised: true, Columns: []metric.ColumnKnown{column("price", 0, 0)}}, []string{"whole plan of price", "backtest.plan"}, []string{"usual"}},
	} {
		said := c.f.Knew()
		for _, w := range c.has {
			if !strings.Contains(said, w) {
				t.Errorf("%s: %q does not say %q", c.name, said, w)
			}
		}
		for _, w := range c.lacks {
			if strings.Contains(said, w) {
				t.Errorf("%s: %q says %q", c.name, said, w)
			}
		}
	}
}

func TestWorthOfAPlan(t *testing.T) {
	t.Parallel()
	f := &metric.Foresight{Horizon: 28, Columns: []metric.ColumnKnown{{Name: "price"}, {Name: "promo", Known: 28, Least: 28}}}
	now := metric.Scores{WAPE: 0.183}
	if said := f.Worth(now); said != "" {
		t.Errorf("without planned scores: %q", said)
	}
	f.Planned = &metric.Scores{WAPE: 0.087}
	if said, want := f.Worth(now), "With price planned 28 steps ahead: 8.7 % missed instead of 18.3 %."; said != want {
		t.Errorf("%q, want %q", said, want)
	}
}
