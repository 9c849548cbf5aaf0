package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/metric"
)

// count writes a whole number with thousands apart.
func count[N int | int32 | int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	neg := strings.TrimPrefix(s, "-")
	out := ""
	for len(neg) > 3 {
		out = "," + neg[len(neg)-3:] + out
		neg = neg[:len(neg)-3]
	}
	out = neg + out
	if n < 0 {
		out = "−" + out
	}
	return out
}

// amount writes a quantity as people count it: whole from 100 on, with up to two decimals below.
func amount(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v) || a >= scientific:
		return decimal(v, 0)
	case a >= 100:
		return count(int64(math.Round(v)))
	case a >= 10:
		return decimal(v, 1)
	}
	return decimal(v, 2)
}

// scientific is the magnitude from which on numbers are written with an exponent.
const scientific = 1e15

// decimal writes v with so many places; a dash where it is not a number.
func decimal(v float64, places int) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case math.Abs(v) >= scientific:
		return strings.Replace(strconv.FormatFloat(v, 'e', 2, 64), "-", "−", 1)
	}
	s := strconv.FormatFloat(v, 'f', places, 64)
	if strings.Trim(s, "-0.") == "" {
		s = strings.TrimPrefix(s, "-")
	}
	return strings.Replace(s, "-", "−", 1)
}

// percent writes a share; a dash where it is not defined.
func percent(v metric.Value, places int) string {
	if !v.Defined() {
		return "–"
	}
	return decimal(100*float64(v), places) + "\u00a0%"
}

func score(v metric.Value) string {
	if !v.Defined() {
		return "–"
	}
	return decimal(float64(v), 3)
}

// signed writes a percentage with its sign and one decimal.
func signed(v metric.Value) string {
	s := percent(v, 1)
	if v > 0 && strings.Trim(s, "0.\u00a0%") != "" {
		return "+" + s
	}
	return s
}

func day(d calendar.Day) string { return d.Time().Format("2 January 2006") }

func shortDay(d calendar.Day) string { return d.Time().Format("2 Jan 2006") }

// display is a model's name in prose.
func display(model string) string { return strings.ReplaceAll(model, "_", " ") }

// repeating says what the baseline does.
func repeating(f calendar.Frequency) string {
	if f.Unit == calendar.Daily {
		return "repeating last week"
	}
	if f.Unit == calendar.Yearly {
		return "repeating the last year"
	}
	return "repeating last year"
}

func units(f calendar.Frequency) string {
	switch f.Unit {
	case calendar.Weekly:
		return "week"
	case calendar.Monthly:
		return "month"
	case calendar.Quarterly:
		return "quarter"
	case calendar.Yearly:
		return "year"
	case calendar.Daily:
		return "day"
	}
	return "step"
}

func plural[N int | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if what == "series" {
		return count(n) + " series"
	}
	return count(n) + " " + what + "s"
}

func (p *Page) scoresOf(model string) (metric.Scores, bool) {
	m := slices.Index(p.Evaluation.Models, model)
	if m < 0 {
		return metric.Scores{}, false
	}
	return p.Evaluation.Overall[m], true
}

func (p *Page) subtitle() string {
	parts := []string{plural(p.all.series, "series")}
	if p.all.observed {
		parts = append(parts, "sales known to "+day(p.Panel.Frequency.Day(p.all.end)))
	}
	if p.all.planned {
		parts = append(parts, fmt.Sprintf("forecast to %s, %s ahead", day(p.all.last), plural(p.all.horizon, units(p.Panel.Frequency))))
	}
	return strings.Join(parts, " · ")
}

// verdict says in plain sentences what the scores mean, the most important first.
func (p *Page) verdict() (sentences []string, good string) {
	own, _ := p.scoresOf(p.Primary)
	base, has := p.scoresOf(p.Baseline)
	again := repeating(p.Panel.Frequency)
	good = "unsure"
	switch gain := 1 - own.WAPE/base.WAPE; {
	case !own.WAPE.Defined():
		return []string{"The forecast could not be checked: no sale was observed after any test origin."}, "unsure"
	case !has || !base.WAPE.Defined() || !gain.Defined():
		sentences = append(sentences, fmt.Sprintf("The forecast errs by %s of what is sold; there is no baseline to hold it against.", percent(own.WAPE, 1)))
	case own.WAPE > base.WAPE:
		good = "bad"
		sentences = append(sentences, fmt.Sprintf("The forecast is %s worse than %s. Do not plan with it before you know why.", percent(-gain, 0), again))
	case p.Comparison != nil && p.Comparison.Better():
		good = "good"
		sentences = append(sentences, fmt.Sprintf("The forecast is %s better than %s.", percent(gain, 0), again))
	default:
		sentences = append(sentences, fmt.Sprintf("The forecast is %s better than %s, but on this evidence that may be luck.", percent(gain, 0), again))
	}
	if has && base.WAPE.Defined() {
		sentences = append(sentences, fmt.Sprintf("Of every 100 units sold it missed %s; %s missed %s.", decimal(100*float64(own.WAPE), 0), again, decimal(100*float64(base.WAPE), 0)))
	}
	if s := coverageSentence(own); s != "" {
		sentences = append(sentences, s)
	}
	switch b := own.Bias; {
	case !b.Defined():
	case math.Abs(float64(b)) < 0.005:
		sentences = append(sentences, "Over all series it forecasts neither too much nor too little.")
	case b > 0:
		sentences = append(sentences, fmt.Sprintf("Over all series it forecasts %s too much.", percent(b, 1)))
	default:
		sentences = append(sentences, fmt.Sprintf("Over all series it forecasts %s too little.", percent(-b, 1)))
	}
	return sentences, good
}

// judged is the number of predictions from which on a share near 95 % can be told from one that is not.
const judged = 200

// tooNarrow is the coverage of a 95 % interval below which it is said to be too narrow.
const tooNarrow = 0.92

func coverageSentence(s metric.Scores) string {
	if !s.Coverage95.Defined() {
		return ""
	}
	out := fmt.Sprintf("Of its 95\u00a0%% intervals, %s held", percent(s.Coverage95, 1))
	switch {
	case s.Rows < judged:
		return out + "."
	case s.Coverage95 < tooNarrow:
		return out + ": they are too narrow, so keep more in hand than they say."
	case s.Coverage95 > 0.98:
		return out + ": they are wider than they need to be."
	}
	return out + ", as they should."
}

// tile is one headline figure.
type tile struct{ Label, Value, Note string }

func (p *Page) tiles() []tile {
	own, _ := p.scoresOf(p.Primary)
	base, has := p.scoresOf(p.Baseline)
	ts := []tile{{"Error (WAPE)", percent(own.WAPE, 1), ""}, {"Bias", signed(own.Bias), "forecast minus sold"}, {"95\u00a0% intervals held", percent(own.Coverage95, 1), "95\u00a0% were promised"}}
	if has {
		ts[0].Note = percent(base.WAPE, 1) + " by " + repeating(p.Panel.Frequency)
	}
	if !p.all.planned {
		return ts
	}
	next, h := p.all.total, p.all.horizon
	t := tile{Label: "Forecast, next " + plural(h, units(p.Panel.Frequency)), Value: amount(next)}
	if last, ok := p.all.soldLately(h); ok && last > 0 {
		t.Note = fmt.Sprintf("%s against the last %d: %s", signed(metric.Value(next/last-1)), h, amount(last))
	}
	return append([]tile{t}, ts...)
}

// tested says what the scores are of.
func (p *Page) tested() string {
	if len(p.Evaluation.Origins) == 0 {
		return "The history is too short to test the forecast on: there are no scores."
	}
	unit := units(p.Panel.Frequency)
	when, ahead := "at one past date", "the next "+unit
	if n := len(p.Evaluation.Origins); n > 1 {
		when = fmt.Sprintf("at %s past dates", count(n))
	}
	if h := p.Evaluation.Horizons; h > 1 {
		ahead = fmt.Sprintf("the next %s %ss", count(h), unit)
	}
	return fmt.Sprintf("Every figure is out of sample: %s the models knew only the sales up to that day%s, and forecast %s. The yardstick, seasonal naive, is %s.",
		when, p.Foresight.Knew(), ahead, repeating(p.Panel.Frequency))
}

// bands says why intervals at past dates are not as wide as those ahead.
func (p *Page) bands() string {
	if len(p.Backtest.Levels) == 0 || p.Forecast == nil || len(p.Forecast.Levels) == 0 {
		return ""
	}
	window := plural(p.Evaluation.Horizons, units(p.Panel.Frequency))
	return fmt.Sprintf("An interval is as wide as the errors were before its own date: that of a past date comes from the last windows of %s before that date, "+
		"at most %d of them, and the one ahead from the last before the end of the data. Where the earlier windows were harder, as at Christmas, the past has the wider band.",
		window, backtest.ValidationOrigins)
}

// totals says how often the intervals of sums held.
func (p *Page) totals() string {
	var held []string
	for _, t := range p.TotalScores {
		if t.Rows == 0 || !t.Coverage95.Defined() {
			continue
		}
		of := plural(t.Rows, "total") + " by " + t.Level
		if t.Level == metric.AllSeries {
			of = plural(t.Rows, "total") + " of all series"
		}
		held = append(held, percent(t.Coverage95, 1)+" of "+of)
	}
	if len(held) == 0 {
		return ""
	}
	return "Totals have intervals of their own, from the errors of earlier totals; at the past dates those of 95\u00a0% held " + strings.Join(held, ", ") + "."
}

// worth says what the primary model would miss less if the whole plan was known.
func (p *Page) worth() string {
	m := slices.Index(p.Evaluation.Models, p.Primary)
	if m < 0 {
		return ""
	}
	return p.Foresight.Worth(p.Evaluation.Overall[m])
}

// againstTruth says how far the forecast of generated data is from the expectation that its sales were drawn from.
func (p *Page) againstTruth() string {
	t := p.Truth
	if t == nil {
		return ""
	}
	return fmt.Sprintf("These sales were generated, so what was to be expected of them is known. Over %s at the past dates, sales differ by chance from the truth by %s of it, which no model can foresee; "+
		"the forecast differs from the truth by %s: %s of that chance. Against the sales themselves it errs %s times as much as the truth does.",
		plural(t.Rows, "sale"), percent(t.Sampling, 1), percent(t.Model, 1), decimalOr(t.Ratio, 2), decimalOr(t.Excess, 3))
}

// compared says how sure it is that the primary model is better than the baseline.
func (p *Page) compared() string {
	c := p.Comparison
	if c == nil {
		return ""
	}
	points := func(v metric.Value) string { return strings.TrimSuffix(signed(v), "\u00a0%") }
	out := fmt.Sprintf("On the same %s, the WAPE of %s differs from that of %s by %s points", plural(c.Rows, "sale"), display(p.Primary), display(p.Baseline), points(c.Difference))
	if c.BySeries.Low.Defined() && c.ByDate.Low.Defined() {
		out += fmt.Sprintf(" (95\u00a0%% confidence: %s to %s over series, %s to %s over dates)", points(c.BySeries.Low), points(c.BySeries.High), points(c.ByDate.Low), points(c.ByDate.High))
	}
	return out + fmt.Sprintf("; it errs less in %s of %s.", count(c.Wins), plural(c.Series, "series"))
}

// read says what became of the rows.
func (q Quality) read() string {
	if q.Rows == 0 {
		return ""
	}
	out := plural(q.Rows, "row") + " were read"
	switch {
	case q.Quarantined > 0:
		out += fmt.Sprintf("; %s set aside and not used (quarantine.parquet has them)", were(q.Quarantined))
	case q.LeftOut == 0:
		out += " and all of them used"
	}
	if q.LeftOut > 0 {
		out += fmt.Sprintf("; %s before the first sale of their series and left out", were(q.LeftOut))
	}
	if q.Filled > 0 {
		out += fmt.Sprintf("; %s filled in where a step had no row, and never scored", were(q.Filled))
	}
	return out + "."
}

func were(n int64) string {
	if n == 1 {
		return "1 was"
	}
	return count(n) + " were"
}
