package feature

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"salescast/pkg/calendar"
)

// catalogue lays out the columns of a plan, family by family.
type catalogue struct {
	plan    *Plan
	family  string // whose columns are being laid out
	columns []Column
	names   map[string]bool
}

func (c *catalogue) build() error {
	c.names = make(map[string]bool)
	steps := []struct {
		family string
		lay    func() error
	}{
		{Level, c.level},
		{Lag, c.lags},
		{Rolling, c.rolling},
		{Season, c.season},
		{Year, c.year},
		{Trend, c.trend},
		{Profile, c.profile},
		{Analog, c.analog},
		{Calendar, c.calendar},
		{Date, c.date},
		{Cyclical, c.cyclical},
		{Holiday, c.holiday},
		{Step, c.step},
		{Identity, c.identity},
		{Promotion, c.promotion},
	}
	for _, s := range steps {
		if !slices.Contains(c.plan.spec.Families, s.family) {
			continue
		}
		c.family = s.family
		if err := s.lay(); err != nil {
			return err
		}
	}
	return nil
}

// add appends a column; one that another family has brought already belongs to both.
func (c *catalogue) add(col Column) {
	if !c.names[col.Name] {
		c.names[col.Name] = true
		c.columns = append(c.columns, col)
	}
	for i := range c.columns {
		if f := &c.columns[i].Families; c.columns[i].Name == col.Name && !slices.Contains(*f, c.family) {
			*f = append(*f, c.family)
		}
	}
}

// own makes the name of a column of the data's own, which must not be taken for one of ours.
func (c *catalogue) own(name string) string {
	for c.names[name] {
		name = "x_" + name
	}
	return name
}

// past is a read of sales from a steps to b steps relative to the origin.
func past(a, b int) []Read { return []Read{{What: Sales, Anchor: Origin, From: a, To: b}} }

// always is a read of all sales up to the origin.
func always() []Read { return []Read{{What: Sales, Anchor: Origin, Always: true}} }

func name(prefix string, n int) string { return prefix + strconv.Itoa(n) }

func (c *catalogue) addMean(w int) {
	c.add(Column{
		Name: name("sales_mean", w), Group: "level", About: fmt.Sprintf("mean of the last %d steps", w),
		Scaled: true, MayBeMissing: true, Reads: past(1-w, 0), fill: meanOp(w),
	})
}

func (c *catalogue) addStd(w int) {
	c.add(Column{
		Name: name("sales_std", w), Group: "level", About: fmt.Sprintf("sample standard deviation of the last %d steps", w),
		Scaled: true, MayBeMissing: true, Reads: past(1-w, 0), fill: stdOp(w),
	})
}

func (c *catalogue) addLag(k int) {
	c.add(Column{
		Name: name("sales_lag", k), Group: "level", About: fmt.Sprintf("sale %d steps before the step after the origin", k),
		Scaled: true, MayBeMissing: true, Reads: past(1-k, 1-k), fill: lagOp(k),
	})
}

func (c *catalogue) addYearLag(by int, suffix string) {
	year := c.plan.grid.year
	c.add(Column{
		Name: "sales_year_lag" + suffix, Group: "season", About: fmt.Sprintf("sale %d steps before the target", year-by), Scaled: true, MayBeMissing: true,
		Reads: []Read{{What: Sales, Anchor: Target, From: by - year, To: by - year, Limit: "origin"}}, fill: yearLagOp(by),
	})
}

func (c *catalogue) level() error {
	g := &c.plan.grid
	for _, w := range g.windows {
		c.addMean(w)
	}
	c.add(Column{Name: "sales_mean_all", Group: "level", About: "mean of all steps up to the origin", Scaled: true, MayBeMissing: true, Reads: always(), fill: meanAllOp})
	for k, alpha := range g.alphas {
		c.add(Column{
			Name: name("sales_ewm", int(math.Round(alpha*100))), Group: "level", About: fmt.Sprintf("exponentially weighted mean at the origin, weight %g", alpha),
			Scaled: true, MayBeMissing: true, Reads: always(), fill: ewmOp(k),
		})
	}
	c.addStd(g.base)
	c.add(Column{
		Name: name("sales_zeros", g.base), Group: "level", About: fmt.Sprintf("share of zeros in the last %d steps", g.base),
		MayBeMissing: true, Reads: past(1-g.base, 0), fill: zerosOp(g.base),
	})
	for _, k := range g.lags {
		c.addLag(k)
	}
	return nil
}

func (c *catalogue) lags() error {
	for _, k := range c.plan.spec.Lags {
		c.addLag(k)
	}
	c.addYearLag(0, "")
	return nil
}

func (c *catalogue) rolling() error {
	kinds := map[string]orderKind{"min": rollMin, "max": rollMax, "median": rollMedian}
	for _, w := range c.plan.spec.Windows {
		if w < 1 {
			return fmt.Errorf("rolling window of %d steps; a window has at least 1", w)
		}
		for _, s := range c.plan.spec.Stats {
			switch s {
			case "mean":
				c.addMean(w)
			case "std":
				c.addStd(w)
			case "min", "max", "median":
				o := orderStat{kind: kinds[s], window: w}
				c.add(Column{
					Name: name("sales_"+s, w), Group: "level", About: fmt.Sprintf("%s of the last %d steps", s, w),
					Scaled: true, MayBeMissing: true, Reads: past(1-w, 0), fill: orderOp(o), stat: &o,
				})
			default:
				return fmt.Errorf("unknown rolling statistic %q; there are mean, std, min, max, median", s)
			}
		}
	}
	return nil
}

func (c *catalogue) season() error {
	p := c.plan.grid.season
	if p == 1 {
		return nil
	}
	add := func(name, about string, n int, fill op) {
		c.add(Column{
			Name: name, Group: "weekday", About: about, Scaled: true, MayBeMissing: true, needs: needsSeason, fill: fill,
			Reads: []Read{{What: Sales, Anchor: Origin, From: 1 - p*n, To: 0}},
		})
	}
	add("sales_season_lag1", "the latest known sale on the target's weekday", 1, seasonLagOp(0))
	add("sales_season_lag2", "the latest known sale but one on the target's weekday", 2, seasonLagOp(1))
	add("sales_season_mean4", "mean of the latest 4 known weeks on the target's weekday", 4, seasonMeanOp(4))
	add("sales_season_mean8", "mean of the latest 8 known weeks on the target's weekday", 8, seasonMeanOp(8))
	add("sales_season_median8", "median of the latest 8 known weeks on the target's weekday", 8, seasonMedianOp)
	return nil
}

func (c *catalogue) year() error {
	g := &c.plan.grid
	near := func(k int) Read {
		return Read{What: Sales, Anchor: Target, From: -k*g.year - g.near, To: -k*g.year + g.near, Limit: "origin"}
	}
	level := func(k int) Read {
		return Read{What: Sales, Anchor: Origin, From: -k*g.year - g.base + 1, To: -k * g.year}
	}
	add := func(name, about string, scaled bool, fill op, reads ...Read) {
		c.add(Column{Name: name, Group: "season", About: about, Scaled: scaled, MayBeMissing: true, needs: needsYear, fill: fill, Reads: reads})
	}
	add("sales_year_mean", "mean around the target's date last year", true, yearNearOp, near(1))
	add("sales_year_level", "level before the origin's date last year", true, yearLevelOp, level(1))
	add("sales_year_ratio", "sales_year_mean against sales_year_level", false, yearRatioOp, near(1), level(1))
	add("sales_years_ratio", "the same ratio over the last 3 years together", false, yearsRatioOp, near(3), level(3), near(1), level(1))
	c.addYearLag(0, "")
	if g.beside {
		c.addYearLag(-1, "_before")
		c.addYearLag(1, "_after")
	}
	c.add(Column{
		Name: "panel_year_ratio", Group: "season", About: "sales_year_ratio of the whole panel's total", MayBeMissing: true, needs: needsPool, fill: panelYearOp,
		Reads: []Read{
			{What: Sales, Anchor: Target, From: -g.year - g.panelNear, To: -g.year + g.panelNear, Limit: "origin", Group: true},
			{What: Sales, Anchor: Origin, From: -g.year - g.base + 1, To: -g.year, Group: true},
		},
	})
	return nil
}

func (c *catalogue) trend() error {
	g := &c.plan.grid
	for _, k := range c.plan.groupKeys() {
		of, about := "panel", "panel"
		if k > 0 {
			of = c.plan.keyAt(k).Name
			about = "series' " + of
		}
		c.add(Column{
			Name: c.own(of + "_trend"), Group: "trend", MayBeMissing: true, needs: needsPool, fill: trendOp(k),
			About: fmt.Sprintf("total of the %s in the last %d steps against the last %d, per step", about, g.windows[0], 2*g.base),
			Reads: []Read{{What: Sales, Anchor: Origin, From: 1 - 2*g.base, To: 0, Group: true}},
		})
	}
	return nil
}

// prices are the price-like known-future covariates that the spec uses.
func (c *catalogue) prices() []int {
	var out []int
	for i, v := range c.plan.schema.Covariates {
		if v.Known && v.Kind == Price && slices.Contains(c.plan.spec.Covariates, v.Name) {
			out = append(out, i)
		}
	}
	return out
}

func (c *catalogue) profile() error {
	g := &c.plan.grid
	if !g.profileAlways && len(c.prices()) == 0 {
		return nil
	}
	reads := past(1-g.season*g.profile, 0)
	c.add(Column{
		Name: "sales_profile", Group: "weekday", About: fmt.Sprintf("weighted mean of the latest %d known steps in the target's phase of the season", g.profile),
		Scaled: true, MayBeMissing: true, needs: needsProfile, fill: profileOp, Reads: reads,
	})
	c.add(Column{
		Name: "sales_profile_ratio", Group: "weekday", About: fmt.Sprintf("sales_profile against the mean of the last %d steps", g.profileLevel),
		MayBeMissing: true, needs: needsProfile, fill: profileRatioOp, Reads: append(reads, past(1-g.profileLevel, 0)...),
	})
	return nil
}

func (c *catalogue) analog() error {
	g := &c.plan.grid
	if len(c.prices()) == 0 {
		return nil
	}
	reads := past(1-g.season*g.profile, 0)
	for _, v := range c.plan.schema.Covariates {
		if v.Known && slices.Contains(c.plan.spec.Covariates, v.Name) {
			reads = append(reads, Read{What: v.Name, Anchor: Origin, From: 1 - g.season*g.profile, To: 0}, Read{What: v.Name, Anchor: Target})
		}
	}
	add := func(name, about string, scaled bool, fill op) {
		c.add(Column{Name: name, Group: "price", About: about, Scaled: scaled, MayBeMissing: true, needs: needsProfile | needsAnalog, fill: fill, Reads: reads})
	}
	add("sales_analog", "sales_profile weighted by the likeness of prices and promotions to the target's", true, analogOp)
	add("sales_analog_ratio", "sales_analog against sales_profile", false, analogRatioOp)
	return nil
}

func (c *catalogue) addDate(name, group, about string, d dateColumn) {
	whole := d < monthSin || d > weekdayCos
	c.add(Column{Name: name, Group: group, About: about, Whole: whole, dates: d, fill: dateOp(d)})
}

func (c *catalogue) daily() bool { return c.plan.grid.season > 1 }

func (c *catalogue) calendar() error {
	c.addDate("day_of_year", "season", "day of the year, 1 to 366", dayOfYear)
	c.addDate("month", "season", "month, 1 to 12", month)
	c.addDate("since_easter", "holiday", "days from the nearest Easter Sunday, -60 to 60", sinceEaster)
	if c.daily() {
		c.addDate("weekday", "weekday", "day of the week, Monday = 0", weekday)
		c.addDate("day_of_month", "season", "day of the month", dayOfMonth)
	} else {
		c.addDate("week_of_month", "season", "week of the month, 0 to 4", weekOfMonth)
	}
	return nil
}

func (c *catalogue) date() error {
	c.addDate("year", "trend", "year", year)
	c.addDate("month", "season", "month, 1 to 12", month)
	c.addDate("quarter", "season", "quarter, 1 to 4", quarter)
	c.addDate("week_of_year", "season", "ISO week, 1 to 53", weekOfYear)
	c.addDate("day_of_month", "season", "day of the month", dayOfMonth)
	c.addDate("weekday", "weekday", "day of the week, Monday = 0", weekday)
	if c.daily() {
		c.addDate("is_weekend", "weekday", "1 on Saturday and Sunday", isWeekend)
	}
	return nil
}

func (c *catalogue) cyclical() error {
	c.addDate("month_sin", "season", "sine of the month", monthSin)
	c.addDate("month_cos", "season", "cosine of the month", monthCos)
	if c.daily() {
		c.addDate("day_sin", "season", "sine of the day of the month", daySin)
		c.addDate("day_cos", "season", "cosine of the day of the month", dayCos)
		c.addDate("weekday_sin", "weekday", "sine of the weekday", weekdaySin)
		c.addDate("weekday_cos", "weekday", "cosine of the weekday", weekdayCos)
	}
	return nil
}

func (c *catalogue) holiday() error {
	country := c.plan.schema.Country
	if country == "" {
		return nil
	}
	if _, err := calendar.Holidays(country); err != nil {
		return err
	}
	c.addDate("public_holidays", "holiday", "public holidays of "+country+" in the step", holidays)
	c.addDate("to_holiday", "holiday", "days to the next public holiday, at most 60", toHoliday)
	c.addDate("since_holiday", "holiday", "days since the last public holiday, at most 60", sinceHoliday)
	return nil
}

func (c *catalogue) step() error {
	c.add(Column{Name: "horizon", Group: "level", About: "steps from the origin to the target", Whole: true, fill: horizonOp})
	c.add(Column{Name: "log_scale", Group: "level", About: "logarithm of the row's scale", Reads: always(), fill: logScaleOp})
	c.add(Column{Name: "age", Group: "trend", About: "steps from the first sale to the origin, at most a year", Whole: true, Reads: always(), fill: ageOp})
	return nil
}

func (c *catalogue) identity() error {
	n := len(c.plan.schema.Keys) + len(c.plan.schema.Static)
	for i := range n {
		k := c.plan.keyAt(i + 1)
		c.add(Column{Name: c.own(k.Name + "_code"), Group: "identity", About: "code of the " + k.Name, Categorical: true, MayBeMissing: true, fill: codeOp(i)})
	}
	return nil
}

func (c *catalogue) promotion() error {
	g, d := &c.plan.grid, &c.plan.schema
	for _, v := range c.plan.spec.Covariates {
		k := slices.IndexFunc(d.Covariates, func(x Covariate) bool { return x.Name == v })
		if k < 0 {
			return fmt.Errorf("the data has no covariate %q", v)
		}
		x := d.Covariates[k]
		group := groupOf(x)
		name := c.own(v)
		at := Read{What: v, Anchor: Target}
		mean := Read{What: v, Anchor: Origin, From: 1 - g.covariates, To: 0}
		add := func(name, about string, fill op, reads ...Read) {
			c.add(Column{Name: name, Group: group, About: about, MayBeMissing: true, fill: fill, Reads: reads})
		}
		add(name, v+" at the target", valueOp(k, 0), at)
		add(name+"_over_mean", fmt.Sprintf("%s at the target less its mean over the last %d steps", v, g.covariates), againstMeanOp(k, g.covariates), at, mean)
		for _, by := range c.plan.spec.Neighbours {
			suffix, about := "_after"+strconv.Itoa(by), "after"
			if by < 0 {
				suffix, about = "_before"+strconv.Itoa(-by), "before"
			}
			add(name+suffix, fmt.Sprintf("%s %d steps %s the target", v, max(by, -by), about), valueOp(k, by),
				Read{What: v, Anchor: Target, From: by, To: by, Limit: "plan"})
		}
		if x.Varies && len(d.Keys) > 0 && len(d.Keys[0].Levels) < d.Series {
			c.add(Column{
				Name: name + "_" + d.Keys[0].Name + "_over", Group: group, MayBeMissing: true, needs: needsPool, fill: againstGroupOp(k),
				About: fmt.Sprintf("mean of %s over the series of the %s at the target, less the series' own", v, d.Keys[0].Name),
				Reads: []Read{at, {What: v, Anchor: Target, Group: true}},
			})
		}
		if x.Kind == Price {
			add(name+"_log_over_mean", fmt.Sprintf("logarithm of %s at the target against its mean over the last %d steps", v, g.covariates),
				logAgainstMeanOp(k, g.covariates), at, mean)
		}
	}
	prices := c.prices()
	for i, a := range prices {
		for _, b := range prices[:i] {
			va, vb := d.Covariates[a].Name, d.Covariates[b].Name
			c.add(Column{
				Name: c.own(va + "_log_over_" + vb), Group: "price", MayBeMissing: true, fill: logRatioOp(a, b),
				About: fmt.Sprintf("logarithm of %s against %s at the target", va, vb), Reads: []Read{{What: va, Anchor: Target}, {What: vb, Anchor: Target}},
			})
		}
	}
	return nil
}

// groupOf is for people: how a report should call what a covariate brings.
func groupOf(c Covariate) string {
	n := strings.ToLower(c.Name)
	switch {
	case c.Kind == Price:
		return "price"
	case strings.Contains(n, "holiday") || strings.Contains(n, "event") || strings.Contains(n, "easter") || strings.Contains(n, "christmas"):
		return "holiday"
	}
	return "promotion"
}
