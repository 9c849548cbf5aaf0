package roles_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/table"
	"salescast/pkg/table/roles"
)

// of looks at a table of these lines.
func of(t *testing.T, text string, given roles.Given) (*roles.Guess, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sales.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := table.LocalFiles(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return roles.Of(t.Context(), files, table.Dialect{}, given)
}

// rows writes a header, and a line for each store, item and day: a store sells every item.
func rows(header string, days int, line func(store, item string, day calendar.Day, n int) string) string {
	var b strings.Builder
	b.WriteString(header + "\n")
	n := 0
	for _, store := range []string{"1", "2"} {
		for _, item := range []string{"a", "b", "c"} {
			for d := range days {
				b.WriteString(line(store, item, calendar.DateOf(2024, 1, 1)+calendar.Day(d), n) + "\n")
				n++
			}
		}
	}
	return b.String()
}

func said(g *roles.Guess) string {
	var out []string
	for _, c := range g.Columns {
		out = append(out, c.Name+" "+string(c.Role))
	}
	return strings.Join(out, "; ")
}

func TestRoles(t *testing.T) {
	t.Parallel()
	sale := func(n int) int { return 10 + n*7%13 }
	for _, c := range []struct{ name, text, want string }{
		{
			"what varies in time is no key, what the keys decide is an attribute, what numbers the rows is ignored",
			rows("row,store,city,item,date,sales,promo,price", 90, func(s, i string, d calendar.Day, n int) string {
				return fmt.Sprintf("%d,%s,%s,%s,%v,%d,%s,%d.%d", n+1, s, map[string]string{"1": "Bonn", "2": "Bonn"}[s]+"", i, d, sale(n), []string{"no", "no", "yes"}[n%3], 1+n%3, n%7)
			}),
			"row ignored; store key; city ignored; item key; date time; sales target; promo past only; price past only",
		},
		{
			"an attribute of a key",
			rows("store,region,item,date,sales", 90, func(s, i string, d calendar.Day, n int) string {
				return fmt.Sprintf("%s,%s,%s,%v,%d", s, map[string]string{"a": "north", "b": "north", "c": "south"}[i], i, d, sale(n))
			}),
			"store key; region attribute; item key; date time; sales target",
		},
		{
			"what the date alone decides is known",
			rows("store,item,date,weekend,month,temperature,sales", 120, func(s, i string, d calendar.Day, n int) string {
				_, m, _ := d.Date()
				return fmt.Sprintf("%s,%s,%v,%t,%d,%d,%d", s, i, d, d.Weekday() > 4, m, int(d)*7919%31, sale(n))
			}),
			"store key; item key; date time; weekend known in future; month known in future; temperature past only; sales target",
		},
		{
			"what the table knows past the last sale is a plan",
			rows("store,item,date,sales,promo", 90, func(s, i string, d calendar.Day, n int) string {
				y := strconv.Itoa(sale(n))
				if d >= calendar.DateOf(2024, 1, 1)+80 {
					y = ""
				}
				return fmt.Sprintf("%s,%s,%v,%s,%d", s, i, d, y, n*n%5/4)
			}),
			"store key; item key; date time; sales target; promo known in future",
		},
		{
			"texts that are yes in some tongue are still names",
			rows("x,item,date,qty", 60, func(s, i string, d calendar.Day, n int) string {
				return fmt.Sprintf("%s,%s,%v,%d", map[string]string{"1": "x", "2": "y"}[s], i, d, sale(n))
			}),
			"x key; item key; date time; qty target",
		},
		{
			"an index of pandas, and one series",
			func() string {
				var b strings.Builder
				b.WriteString(",date,sales\n")
				for d := range 60 {
					fmt.Fprintf(&b, "%d,%v,%d\n", d, calendar.DateOf(2024, 1, 1)+calendar.Day(d), sale(d))
				}
				return b.String()
			}(),
			"date time; sales target",
		},
		{
			"one store and one item today are keys by their names",
			func() string {
				var b strings.Builder
				b.WriteString("store;item;datum;menge\n")
				for d := range 60 {
					fmt.Fprintf(&b, "A;x;%v;%d,5\n", calendar.DateOf(2024, 1, 1)+calendar.Day(d), sale(d))
				}
				return b.String()
			}(),
			"store key; item key; datum time; menge target",
		},
	} {
		g, err := of(t, c.text, roles.Given{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := said(g); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		for _, c := range g.Columns {
			if c.Why == "" {
				t.Errorf("nothing says why %s is %s", c.Name, c.Role)
			}
		}
	}
}

// What rows leave open is asked, and the answer is taken.
func TestQuestions(t *testing.T) {
	t.Parallel()
	two := rows("store,item,date,in,out", 60, func(s, i string, d calendar.Day, n int) string {
		return fmt.Sprintf("%s,%s,%v,%d,%d", s, i, d, n*5%11, n*3%17)
	})
	_, err := of(t, two, roles.Given{})
	q, ok := errors.AsType[*table.Question](err)
	if !ok || !strings.Contains(q.Msg, "in, out") || !strings.Contains(q.Hint, "--target") {
		t.Errorf("two columns may be sales: %v", err)
	}
	g, err := of(t, two, roles.Given{Target: "out"})
	if err != nil || said(g) != "store key; item key; date time; in past only; out target" {
		t.Errorf("the target is out: %v, %v", g, err)
	}
	hours := rows("store,item,time,sales", 200, func(s, i string, d calendar.Day, n int) string {
		return fmt.Sprintf("%s,%s,%v %02d:00,%d", s, i, calendar.DateOf(2024, 1, 1)+(d-calendar.DateOf(2024, 1, 1))/10, 9+n%10, n%7)
	})
	if q, ok := errors.AsType[*table.Question](func() error { _, err := of(t, hours, roles.Given{}); return err }()); !ok || !strings.Contains(q.Hint, "--receipts") {
		t.Errorf("hours: %v", q)
	}
	if g, err := of(t, hours, roles.Given{Receipts: true}); err != nil || !g.Receipts || said(g) != "store key; item key; time time; sales target" {
		t.Errorf("hours to be summed: %v, %v", g, err)
	}
	if _, err := of(t, two, roles.Given{Target: "sold"}); err == nil || !strings.Contains(err.Error(), "sold") {
		t.Errorf("a target that is not there: %v", err)
	}
	_, err = of(t, "store,sales\na,1\nb,2\n", roles.Given{})
	if bad, ok := errors.AsType[*table.SyntaxError](err); !ok || !strings.Contains(bad.Msg, "no column has dates") {
		t.Errorf("a table without dates: %v", err)
	}
	_, err = of(t, "store,date,sales\na,03/02/2024,1\na,04/02/2024,2\na,05/02/2024,2\n", roles.Given{})
	if q, ok := errors.AsType[*table.Question](err); !ok || !strings.Contains(q.Error(), "03/02/2024") {
		t.Errorf("days and months that can be either: %v", err)
	}
}
