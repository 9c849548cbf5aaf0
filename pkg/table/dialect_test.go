package table_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
	"salescast/pkg/table"
	"salescast/pkg/table/csv"
	"salescast/pkg/table/tabletest"
)

// source is a table of one column.
func source(t testing.TB, column string, cells []string, d table.Dialect) table.Source {
	t.Helper()
	text := []byte(column + "\n")
	for _, c := range cells {
		text = append(append(append(text, '"'), strings.ReplaceAll(c, `"`, `""`)...), '"', '\n')
	}
	s, err := csv.Open("f.csv", tabletest.NewReader(text), d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// told is the dialect of cells.
func told(t testing.TB, kind table.Kind, cells []string, d table.Dialect) (table.Dialect, error) {
	t.Helper()
	e := table.NewEvidence(d, []table.Column{{Name: "c", Kind: kind}})
	s := source(t, "c", cells, d)
	for b, err := range s.Blocks(t.Context(), e.Columns(s)) {
		if err != nil {
			t.Fatal(err)
		}
		e.See(b)
	}
	return e.Settle()
}

// read reads cells in a dialect, a fault as its kind.
func read(t testing.TB, kind table.Kind, cells []string, d table.Dialect) []string {
	t.Helper()
	out, err := tabletest.Dump(source(t, "c", cells, d).Blocks(t.Context(), []table.Column{{Name: "c", Kind: kind}}))
	if err != nil {
		t.Fatal(err)
	}
	values, faults, _ := strings.Cut(out, "fault ")
	lines := strings.Split(strings.TrimSpace(values), "\n")
	for i := range lines {
		_, lines[i], _ = strings.Cut(lines[i], ": ")
	}
	for f := range strings.SplitSeq(faults, "fault ") {
		var line, column, kind int
		if n, _ := fmt.Sscanf(strings.TrimPrefix(f, "line "), "%d column %d kind %d", &line, &column, &kind); n == 3 {
			lines[line-2] = fmt.Sprint("fault ", kind)
		}
	}
	return lines
}

func TestNumbersOfAllDialects(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cells, want, decimal, thousands string
	}{
		{"1 2 30", "1 2 30", ".", "none"},
		{"12.5 3", "12.5 3", ".", "none"},
		{"12,5 3", "12.5 3", ",", "none"},
		{"1.234,56 7.000 1", "1234.56 7000 1", ",", "."},
		{"1,234.56 7,000 1", "1234.56 7000 1", ".", ","},
		{"1,234,567 1,000", "1.234567e+06 1000", ".", ","},
		{"1.234.567 1.000", "1.234567e+06 1000", ",", "."},
		{"1'234 56", "1234 56", ".", "'"},
		{"1’234.5 56", "1234.5 56", ".", "'"},
		{"1_234,5 6_000", "1234.5 6000", ",", " "},
		{"1\u202f234,5 1\u00a0000", "1234.5 1000", ",", " "},
		{"0.125 7", "0.125 7", ".", "none"},
		{"1234.567 1.5", "1234.567 1.5", ".", "none"},
		{"$1.50 -$2.25 $3 US$4", "1.5 -2.25 3 4", ".", "none"},
		{"1,50_€ 2_€ EUR_3", "1.5 2 3", ",", "none"},
		{"(12.5) 12.5- −3 +4", "-12.5 -12.5 -3 4", ".", "none"},
		{"12.5% 3_%", "12.5 3", ".", "none"},
		{"NA n/a NaN null - None #N/A 1", "NaN NaN NaN NaN NaN NaN NaN 1", ".", "none"},
		{"1e3 -2.5E-1", "1000 -0.25", ".", "none"},
		{"1,5 12.5 2,5", "1.5 fault 2 2.5", ",", "none"},
		{"1.5 12,5 2.5", "1.5 fault 3 2.5", ".", "none"},
		{"1,23 1.2345.6 1.23.4 12..3", "1.23 fault 2 fault 2 fault 2", ",", "none"},
		{"1,2,3 x 12abc (5 5) --5 1.5", "fault 2 fault 2 fault 2 fault 2 fault 2 fault 2 1.5", ".", "none"},
		{"true FALSE yes x", "1 0 fault 2 fault 2", ".", "none"},
	} {
		cells := strings.Split(strings.ReplaceAll(c.cells, "_", "\x00"), " ")
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "\x00", " ")
		}
		d, err := told(t, table.Number, cells, table.Dialect{})
		if err != nil || d.Decimal != c.decimal || d.Thousands != c.thousands {
			t.Errorf("%q: decimal %q and thousands %q, %v, want %q and %q", c.cells, d.Decimal, d.Thousands, err, c.decimal, c.thousands)
			continue
		}
		if got := strings.Join(read(t, table.Number, cells, d), " "); got != c.want {
			t.Errorf("%q: got %s, want %s", c.cells, got, c.want)
		}
	}
}

// What is a number and a thousand times it is asked for, and said.
func TestAmbiguousNumbers(t *testing.T) {
	t.Parallel()
	for cells, words := range map[string][]string{
		"1.234 5": {`"1.234" is 1.234 if the point is the decimal sign, or 1234`, `{decimal: "."}`}, "12,000": {`"12,000" is 12.000 if the comma`, `{decimal: ","}`},
		"1,000 2.000": {"decimal"},
	} {
		_, err := told(t, table.Number, strings.Fields(cells), table.Dialect{})
		q, ok := errors.AsType[*table.Question](err)
		if !ok || q.Line == 0 || q.File != "f.csv" {
			t.Errorf("%s: %v", cells, err)
			continue
		}
		for _, w := range words {
			if !strings.Contains(err.Error()+q.Hint, w) {
				t.Errorf("%s: %v; %s has no %s", cells, err, q.Hint, w)
			}
		}
		for _, d := range []table.Dialect{{Decimal: "."}, {Decimal: ","}, {Thousands: "none"}} {
			if _, err := told(t, table.Number, strings.Fields(cells), d); err != nil {
				t.Errorf("%s: %+v does not decide: %v", cells, d, err)
			}
		}
	}
}

// Numbers that are written in a dialect are told and read as what they are, or asked about; never as anything else.
func TestNumbersRoundTrip(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	asked := 0
	for range 2000 {
		decimal, group := []string{".", ","}[rng.IntN(2)], []string{"", "'", " ", ".", ","}[rng.IntN(5)]
		if group == decimal {
			continue
		}
		places := rng.IntN(4)
		var cells, want []string
		for range 1 + rng.IntN(6) {
			v := math.Round(rng.ExpFloat64()*3000*1000) / 1000
			s := strconv.FormatFloat(v, 'f', places, 64)
			x, _ := strconv.ParseFloat(s, 64)
			want = append(want, fmt.Sprint(float32(x)))
			whole, fraction, _ := strings.Cut(s, ".")
			for i := len(whole) - 3; i > 0; i -= 3 {
				whole = whole[:i] + group + whole[i:]
			}
			if fraction != "" {
				whole += decimal + fraction
			}
			cells = append(cells, whole)
		}
		d, err := told(t, table.Number, cells, table.Dialect{})
		if _, ok := errors.AsType[*table.Question](err); ok {
			asked++
			continue
		}
		if got := read(t, table.Number, cells, d); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%q: got %v, want %v, by %+v", cells, got, want, d)
		}
	}
	if asked < 50 || asked > 1200 {
		t.Errorf("%d were asked about", asked)
	}
}

func TestTimesOfAllForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cells string
		form  table.TimeForm
		want  string
	}{
		{"2024-02-03|2024-02-04", table.YMD, "2024-02-03|2024-02-04"},
		{"2024/2/3|2024.02.04|20240205", table.YMD, "2024-02-03|2024-02-04|2024-02-05"},
		{"2024-02-03 00:00:00|2024-02-03T09:05|2024-02-03 09:05:07.123|2024-02-03T24:00:00", table.YMD, "2024-02-03|2024-02-03T09:05:00|2024-02-03T09:05:07|2024-02-04"},
		{"2024-02-03T00:00:00Z|2024-02-03T00:00:00+02:00|2024-02-03 00:00:00 UTC|2024-02-03T01:00:00-0500[America/New_York]", table.YMD, "2024-02-03|2024-02-03|2024-02-03|2024-02-03T01:00:00"},
		{"03/02/2024|13/02/2024", table.DMY, "2024-02-03|2024-02-13"},
		{"2/3/2024|2/13/2024", table.MDY, "2024-02-03|2024-02-13"},
		{"3.2.2024|4.2.2024", table.DMY, "2024-02-03|2024-02-04"},
		{"3.2.24|13.2.99", table.DMY, "2024-02-03|1999-02-13"},
		{"2/13/2024 9:05 AM|2/13/2024 12:00 PM|2/13/2024 12:30 am", table.MDY, "2024-02-13T09:05:00|2024-02-13T12:00:00|2024-02-13T00:30:00"},
		{"3-Feb-24|3 February 2024|Feb 3, 2024|03-Okt-2024|3. Mär 2024", table.DMY, "2024-02-03|2024-02-03|2024-02-03|2024-10-03|2024-03-03"},
		{"2024-02|202403|04/2024|May 2024|Jun-24", table.Months, "2024-02-01|2024-03-01|2024-04-01|2024-05-01|2024-06-01"},
		{"2024-W05|2020-W53|2021W01|KW 5 2024", table.Weeks, "2024-01-29|2020-12-28|2021-01-04|2024-01-29"},
		{"2024-Q1|Q2 2024|2024Q4", table.Quarters, "2024-01-01|2024-04-01|2024-10-01"},
		{"2023|2024", table.Years, "2023-01-01|2024-01-01"},
		{"45325|45325.5|45326.0", table.Excel, "2024-02-03|2024-02-03T12:00:00|2024-02-04"},
		{"1706918400|1706922000000|1706918400000000", table.Epoch, "2024-02-03|2024-02-03T01:00:00|2024-02-03"},
		{"2024-02-03|2024-02-30|03/02/2024||x|2024-13-01|1776-07-04", table.YMD, "2024-02-03|fault 5|fault 4|fault 6|fault 4|fault 5|fault 5"},
		{"13/02/2024|2024-02-03|31/02/2024|2/13/2024", table.DMY, "2024-02-13|fault 4|fault 5|fault 5"},
		{"2021-W53|2024-W05", table.Weeks, "fault 5|2024-01-29"},
		{"2024-02-03T25:00|2024-02-03T09:5|2024-02-03T09:05 CETX|2024-02-04", table.YMD, "fault 4|fault 4|fault 4|2024-02-04"},
	} {
		cells := strings.Split(c.cells, "|")
		d, err := told(t, table.Date, cells, table.Dialect{})
		if err != nil && c.form != d.Times || d.Times != c.form {
			t.Errorf("%s: form %q, %v, want %q", c.cells, d.Times, err, c.form)
			continue
		}
		if got := strings.Join(read(t, table.Date, cells, d), "|"); got != c.want {
			t.Errorf("%s: got %s, want %s", c.cells, got, c.want)
		}
	}
}

// In a zone, a time that names an instant is the clock of the zone; one that does not is as it is written.
func TestTimezone(t *testing.T) {
	t.Parallel()
	d := table.Dialect{Times: table.YMD, Timezone: "Europe/Berlin"}
	cells := []string{"2024-01-31T23:00:00Z", "2024-06-30T22:00:00Z", "2024-02-01T00:00:00+02:00", "2024-02-01 09:00:00"}
	if got := strings.Join(read(t, table.Date, cells, d), " "); got != "2024-02-01 2024-07-01 2024-01-31T23:00:00 2024-02-01T09:00:00" {
		t.Errorf("got %s", got)
	}
	for _, bad := range []table.Dialect{{Timezone: "Mars/Olympus"}, {Timezone: "Local"}, {Decimal: ";"}, {Decimal: ",", Thousands: ","}, {Separator: "ab"}, {Times: "xyz"}, {Encoding: "ebcdic"}} {
		if bad.Check() == nil {
			t.Errorf("%+v is a dialect", bad)
		}
	}
}

// Where no date decides the order of day and month, both readings of the first are said.
func TestAmbiguousDates(t *testing.T) {
	t.Parallel()
	_, err := told(t, table.Date, []string{"03/02/2024", "01-02-2024"}, table.Dialect{})
	q, ok := errors.AsType[*table.Question](err)
	if !ok || q.Line != 2 || !strings.Contains(q.Msg, "3 February 2024") || !strings.Contains(q.Msg, "2 March 2024") || !strings.Contains(q.Hint, "data.time_format to dmy") {
		t.Errorf("%v, %+v", err, q)
	}
	if d, err := told(t, table.Date, []string{"03/02/2024"}, table.Dialect{Times: table.MDY}); err != nil || d.Times != table.MDY {
		t.Errorf("what is set does not decide: %+v, %v", d, err)
	}
}

// Any form that a date is written in is told and read as that date, or asked about.
func TestTimesRoundTrip(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	layouts := []string{"2006-01-02", "2006/1/2", "20060102", "02/01/2006", "1/2/2006", "2.1.2006", "2-Jan-06", "January 2, 2006", "2006-01-02T15:04:05", "02.01.2006 15:04", "1/2/06"}
	for range 3000 {
		layout := layouts[rng.IntN(len(layouts))]
		var cells, want []string
		for range 1 + rng.IntN(8) {
			at := time.Date(2000+rng.IntN(30), time.Month(1+rng.IntN(12)), 1+rng.IntN(28), rng.IntN(24), rng.IntN(60), 0, 0, time.UTC)
			cells = append(cells, at.Format(layout))
			at, _ = time.Parse(layout, at.Format(layout))
			w := calendar.FromTime(at).String()
			if h, m, s := at.Clock(); h+m+s > 0 {
				w += at.Format("T15:04:05")
			}
			want = append(want, w)
		}
		d, err := told(t, table.Date, cells, table.Dialect{})
		if _, ok := errors.AsType[*table.Question](err); ok {
			continue
		}
		if got := read(t, table.Date, cells, d); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%q: got %v, want %v, by %+v", cells, got, want, d)
		}
	}
}

// No text crashes a reader, takes long, or reads as a number or date that strconv and time do not know.
func FuzzCell(f *testing.F) {
	for _, s := range []string{"1.234,5", "(12)-", "−3%", "2024-W05", "3-Feb-24", "1e309", "99999999999999999999", "2024-02-03T24:00:00+99:99", "١٢", "1'2", "$", "Q1"} {
		f.Add(s, uint8(0))
		f.Add(s, uint8(7))
	}
	f.Fuzz(func(t *testing.T, text string, pick uint8) {
		forms := table.TimeForms()
		d := table.Dialect{
			Decimal: []string{"", ".", ","}[pick%3], Thousands: []string{"", "none", "'", " "}[pick/3%4],
			Times: table.TimeForm(forms[int(pick)%len(forms)]), Timezone: []string{"", "Europe/Berlin"}[pick%2],
		}
		want := []table.Column{{Name: "n", Kind: table.Number, Flag: true}, {Name: "d", Kind: table.Date}, {Name: "t", Kind: table.Text, Dictionary: &panel.Dictionary{}}}
		b := table.NewBuilder("f", want, d)
		b.Begin(1, []byte(text))
		b.Row([][]byte{[]byte(text), []byte(text), []byte(text)})
		if day := b.Columns[1].Days[0]; day < calendar.DateOf(1900, 1, 1) || day > calendar.DateOf(2201, 1, 1) {
			t.Errorf("%q is the day %v", text, day)
		}
		if at := b.Columns[1].Clock; len(at) > 0 && (at[0] < 0 || at[0] >= 86400) {
			t.Errorf("%q is the second %v of a day", text, at)
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if got := b.Columns[0].Numbers[0]; err == nil && d.Decimal != "," && strings.Trim(text, "0123456789.-eE") == "" && math.Float32bits(got) != math.Float32bits(float32(v)) && v == v {
			t.Errorf("%q is read as %v, want %v", text, got, v)
		}
		e := table.NewEvidence(table.Dialect{}, want)
		s := source(t, "n", []string{text}, table.Dialect{})
		for b, err := range s.Blocks(t.Context(), e.Columns(s)) {
			if err != nil {
				return
			}
			e.See(b)
		}
		_, _ = e.Settle()
	})
}
