package drift_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"salescast/pkg/drift"
	"salescast/pkg/metric"
)

func report() drift.Report {
	nan := metric.Value(math.NaN())
	r := drift.Report{
		Schema: drift.Schema, Model: "models:/<script>alert(1)</script>@champion", Learned: 17_000, From: 17_057, To: 17_070, Steps: 14, Series: 60, NewSeries: 2,
		Limits: drift.Limits{WAPE: 0.25, Bias: 0.1, Coverage: 0.1, KS: 0.1, PSI: 0.2},
		Then:   drift.Measured{Model: scores(0.2, -0.02, 0.95), Baseline: scores(0.3, 0, math.NaN())},
		Columns: []drift.Shift{
			{Column: "a & b", Rows: 840, KS: 0.31, PSI: 0.05, PastKS: 0.12, PastPSI: 0.1, Precedents: 30},
			{Column: "empty", Rows: 840, Missing: 1, PastMissing: 1, KS: nan, PSI: 0, PastKS: nan, PastPSI: nan},
		},
	}
	for _, wape := range []float64{0.21, 0.3} {
		r.Blocks = append(r.Blocks, drift.Block{Cutoff: r.Learned, Measured: drift.Measured{Model: scores(wape, -0.02, 0.95), Baseline: scores(0.3, 0, math.NaN())}})
	}
	r.Now = r.Blocks[1].Measured
	return r
}

// What the figures mean: that a model errs more is drift, that a column moved is not.
func TestJudge(t *testing.T) {
	t.Parallel()
	r := report()
	r.Judge([]metric.Scores{scores(0.19, 0, 0.95), scores(0.21, 0, 0.95)})
	if !r.Drift || len(r.Findings) != 2 || r.Findings[0].Check != "wape" || r.Findings[1].Column != "a & b" {
		t.Errorf("%+v", r.Findings)
	}
	r.Now.Model.WAPE = 0.2
	r.Judge(nil)
	if r.Drift || len(r.Findings) != 1 || r.Findings[0].Severity != drift.Watch {
		t.Errorf("a column that moved: %+v", r.Findings)
	}
	r.Columns = nil
	if r.Judge(nil); r.Drift || r.Findings == nil || len(r.Findings) != 0 {
		t.Errorf("nothing: %+v", r.Findings)
	}
}

// The page is well-formed, says what the report does, and takes no name for markup; the JSON reads back the same.
func TestReportIsWritten(t *testing.T) {
	t.Parallel()
	r := report()
	r.Judge(nil)
	var page bytes.Buffer
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a &amp; b", "0.3000", "95.0 %", "-2.0 %", "–", "train again", "WAPE is 0.3000 and was 0.2000", "style=\"width:100%\"", "2016-07-18"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, bad := range []string{"<script", "NaN", "ZgotmplZ"} {
		if strings.Contains(page.String(), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	d := xml.NewDecoder(bytes.NewReader(page.Bytes()))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}

	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again drift.Report
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	c, err := json.Marshal(again)
	if err != nil || !bytes.Equal(b, c) || again.Learned != r.Learned || !reflect.DeepEqual(again.Findings, r.Findings) {
		t.Errorf("%s, then %s: %v", b, c, err)
	}
}

// Whatever the figures are, the page is whole and short: no bar is wider than its column, no number longer than it can be read.
func TestReportIsBounded(t *testing.T) {
	t.Parallel()
	odd := []float64{0, 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 4e16}
	width := regexp.MustCompile(`style="width:([^%"]*)%`)
	for _, a := range odd {
		for _, b := range odd {
			r := report()
			r.Then.Model, r.Blocks[0].Model = scores(a, b, a), scores(b, a, b)
			r.Blocks[1].Model, r.Blocks[1].Baseline = scores(a, a, b), scores(b, b, a)
			r.Now = r.Blocks[1].Measured
			r.Columns[0].KS, r.Columns[0].PSI, r.Columns[0].Missing = metric.Value(a), metric.Value(b), metric.Value(a)
			if math.Abs(a) < 1 && math.Abs(b) <= 1 {
				r.Judge(nil)
			}
			var page bytes.Buffer
			if err := r.WriteHTML(&page); err != nil {
				t.Fatal(err)
			}
			if _, err := json.Marshal(r); err != nil {
				t.Fatal(err)
			}
			text := page.String()
			for _, bad := range []string{"NaN", "Inf", "ZgotmplZ"} {
				if strings.Contains(text, bad) {
					t.Errorf("%v and %v: the page has %q", a, b, bad)
				}
			}
			for _, m := range width.FindAllStringSubmatch(text, -1) {
				if n, err := strconv.Atoi(m[1]); err != nil || n < 0 || n > 100 {
					t.Errorf("%v and %v: a bar is %s %% wide", a, b, m[1])
				}
			}
			if len(text) > 20_000 {
				t.Errorf("%v and %v: the page has %d bytes", a, b, len(text))
			}
		}
	}
}
