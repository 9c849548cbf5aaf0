package tasks

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"

	"salescast/pkg/calendar"
)

func smallDataset() GenerateOptions {
	return GenerateOptions{Stores: 2, Items: 3, Start: calendar.DateOf(2023, 11, 5), End: calendar.DateOf(2024, 1, 20), Seed: 9}
}

func TestGenerateWritesTheSameBytesWithAnyThreads(t *testing.T) {
	t.Parallel()
	var digest string
	for _, threads := range []int{1, 2, 7} {
		env := stepEnv(t)
		env.Threads = threads
		r, err := Generate(t.Context(), env, smallDataset())
		if err != nil || r.Status != Done {
			t.Fatalf("%+v, %v", r, err)
		}
		o, err := OpenStep(t.Context(), env.Store, "data")
		if err != nil {
			t.Fatal(err)
		}
		if d := o.Manifest.ContentDigest(); digest == "" {
			digest = d
		} else if d != digest {
			t.Errorf("%d threads give other content", threads)
		}
		if r, err = Generate(t.Context(), env, smallDataset()); err != nil || r.Status != Cached {
			t.Errorf("again: %+v, %v", r, err)
		}
	}
}

func TestGenerateWritesEveryTable(t *testing.T) {
	t.Parallel()
	env := stepEnv(t)
	r, err := Generate(t.Context(), env, smallDataset())
	if err != nil {
		t.Fatal(err)
	}
	const series, sold, stores, sundays = 6, 77, 2, 11
	want := map[string]int64{
		"sales": series * sold, "plan": series * planDays, "truth": series * (sold + planDays), "customer_traffic": stores * sold, "inventory": series * sundays,
	}
	for name, n := range want {
		if r.Rows[name] != n {
			t.Errorf("%d rows of %s, want %d", r.Rows[name], name, n)
		}
	}
	if r.Rows["promotions"] == 0 || r.Rows["store_events"] == 0 {
		t.Errorf("nothing is planned: %v", r.Rows)
	}
	o, err := OpenStep(t.Context(), env.Store, "data")
	if err != nil {
		t.Fatal(err)
	}
	months := []string{
		"sales/year=2023/month=11/part-0000.parquet", "sales/year=2023/month=12/part-0000.parquet", "sales/year=2024/month=01/part-0000.parquet",
		"sales/year=2024/month=02/part-0000.parquet", "sales/year=2024/month=03/part-0000.parquet", "sales/year=2024/month=04/part-0000.parquet",
	}
	if got := o.Names("sales/"); !slices.Equal(got, months) {
		t.Fatalf("sales are in %v", got)
	}
	// The columns of the sales are those that GeneratedData has a role for, all of them, and none is missing.
	d := GeneratedData()
	roles := slices.Concat(d.Keys, []string{d.Time, d.Target}, d.KnownFuture, d.PastOnly, d.Static, d.flags(), d.Ignore)
	slices.Sort(roles)
	rows, days := 0, map[calendar.Day]int{}
	for _, name := range months {
		b, err := o.ReadFile(t.Context(), name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		index := map[string]int{}
		var columns []string
		for _, c := range f.Root().Columns() {
			index[c.Name()] = c.Index()
			columns = append(columns, c.Name())
		}
		if slices.Sort(columns); !slices.Equal(columns, roles) {
			t.Errorf("%s has the columns %v, roles are %v", name, columns, roles)
		}
		for _, group := range f.RowGroups() {
			r := group.Rows()
			defer r.Close()
			for buf := make([]parquet.Row, 64); ; {
				n, err := r.ReadRows(buf)
				for _, v := range buf[:n] {
					day := calendar.Day(v[index["date"]].Int32())
					days[day]++
					if planned := day > smallDataset().End; planned != v[index["quantity_sold"]].IsNull() || planned != v[index["revenue"]].IsNull() {
						t.Fatalf("%s: the sale is %v", day, v[index["quantity_sold"]])
					}
					if got := day.String()[:7]; got[:4] != name[11:15] || got[5:] != name[22:24] {
						t.Fatalf("%s lies in %s", day, name)
					}
					rows++
				}
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if len(days) != sold+planDays || rows != series*len(days) {
		t.Errorf("%d rows on %d days", rows, len(days))
	}
}

func TestGenerateRefuses(t *testing.T) {
	t.Parallel()
	o := smallDataset()
	o.Stores = 0
	if _, err := Generate(t.Context(), stepEnv(t), o); KindOf(err) != KindUsage {
		t.Errorf("no stores: %v", err)
	}
	o = smallDataset()
	o.End = o.Start - 1
	if _, err := Generate(t.Context(), stepEnv(t), o); KindOf(err) != KindUsage {
		t.Errorf("an end before the start: %v", err)
	}
}

// What generate writes is a data set that validate has nothing to object to, with a plan that covers the longest horizon.
func TestValidateAcceptsWhatGenerateWrites(t *testing.T) {
	t.Parallel()
	env := stepEnv(t)
	o := smallDataset()
	o.Start = calendar.DateOf(2022, 1, 1)
	if _, err := Generate(t.Context(), env, o); err != nil {
		t.Fatal(err)
	}
	r, err := Validate(t.Context(), env, ValidateOptions{MaxQuarantined: 0.001, Horizon: 90, Seed: 1})
	if err != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if len(r.Warnings) > 0 {
		t.Errorf("warnings: %q", r.Warnings)
	}
}
