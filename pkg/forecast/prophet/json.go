package prophet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"
)

// Version is the release of Prophet whose form [Model.Save] writes.
const Version = "1.5.0"

// saved is Prophet 1.5's model_to_json. Tables and series are texts inside the text, as pandas writes them.
type saved struct {
	Growth                Growth    `json:"growth"`
	NChangepoints         int       `json:"n_changepoints"`
	SpecifiedChangepoints bool      `json:"specified_changepoints"`
	ChangepointRange      float64   `json:"changepoint_range"`
	Yearly                order     `json:"yearly_seasonality"`
	Weekly                order     `json:"weekly_seasonality"`
	Daily                 order     `json:"daily_seasonality"`
	SeasonalityMode       Mode      `json:"seasonality_mode"`
	SeasonalityPriorScale float64   `json:"seasonality_prior_scale"`
	ChangepointPriorScale float64   `json:"changepoint_prior_scale"`
	HolidaysPriorScale    float64   `json:"holidays_prior_scale"`
	MCMCSamples           int       `json:"mcmc_samples"`
	IntervalWidth         float64   `json:"interval_width"`
	UncertaintySamples    int       `json:"uncertainty_samples"`
	YScale                float64   `json:"y_scale"`
	YMin                  float64   `json:"y_min"`
	Scaling               Scaling   `json:"scaling"`
	LogisticFloor         bool      `json:"logistic_floor"`
	CountryHolidays       *string   `json:"country_holidays"`
	ComponentModes        modes     `json:"component_modes"`
	HolidaysMode          Mode      `json:"holidays_mode"`
	Changepoints          string    `json:"changepoints"`
	HistoryDates          string    `json:"history_dates"`
	TrainHolidayNames     *string   `json:"train_holiday_names"`
	Start                 float64   `json:"start"`
	TScale                float64   `json:"t_scale"`
	Holidays              *string   `json:"holidays"`
	History               string    `json:"history"`
	TrainComponentCols    string    `json:"train_component_cols"`
	ChangepointsT         []float64 `json:"changepoints_t"`
	Seasonalities         [2]any    `json:"seasonalities"`
	ExtraRegressors       [2]any    `json:"extra_regressors"`
	FitKwargs             struct{}  `json:"fit_kwargs"`
	Params                params    `json:"params"`
	Version               string    `json:"__prophet_version"`
}

type modes struct {
	Additive       []string `json:"additive"`
	Multiplicative []string `json:"multiplicative"`
}

type params struct {
	K        [][]float64 `json:"k"`
	M        [][]float64 `json:"m"`
	Delta    [][]float64 `json:"delta"`
	SigmaObs [][]float64 `json:"sigma_obs"`
	Beta     [][]float64 `json:"beta"`
	Trend    [][]float64 `json:"trend"`
}

// order is a built-in seasonality's setting: "auto" or a number of Fourier pairs.
type order int

func (o order) MarshalJSON() ([]byte, error) {
	if o < 0 {
		return []byte(`"auto"`), nil
	}
	return strconv.AppendInt(nil, int64(o), 10), nil
}

type savedSeasonality struct {
	Period        float64 `json:"period"`
	FourierOrder  int     `json:"fourier_order"`
	PriorScale    float64 `json:"prior_scale"`
	Mode          Mode    `json:"mode"`
	ConditionName *string `json:"condition_name"`
}

type savedRegressor struct {
	PriorScale    float64 `json:"prior_scale"`
	Standardize   string  `json:"standardize"`
	Mu            float64 `json:"mu"`
	Std           float64 `json:"std"`
	Mode          Mode    `json:"mode"`
	PredictorSpec *string `json:"predictor_spec"`
	Predictor     *string `json:"predictor"`
}

// stamp is pandas' ISO form of days since the epoch.
func stamp(days float64) string {
	return time.UnixMilli(int64(math.Round(days * 86400e3))).UTC().Format("2006-01-02T15:04:05.000")
}

func marshalText(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// splitText is a pandas Series in orient="split".
func splitText(name *string, index []int, data []string) (string, error) {
	return marshalText(struct {
		Name  *string  `json:"name"`
		Index []int    `json:"index"`
		Data  []string `json:"data"`
	}{name, index, data})
}

// table is a pandas DataFrame in orient="table" without its index.
type table struct {
	fields []field
	rows   []map[string]any
}

type field struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

func (t table) text() (string, error) {
	type schema struct {
		Fields  []field `json:"fields"`
		Version string  `json:"pandas_version"`
	}
	return marshalText(struct {
		Schema schema           `json:"schema"`
		Data   []map[string]any `json:"data"`
	}{schema{t.fields, "1.4.0"}, t.rows})
}

// Save writes the model as Prophet's own serialize.model_to_json does, so that model_from_json and mlflow.prophet load it.
func (m *Model) Save(w io.Writer) error {
	s := saved{
		Growth: m.opts.Growth, NChangepoints: m.opts.NChangepoints, SpecifiedChangepoints: m.opts.Changepoints != nil,
		ChangepointRange: m.opts.ChangepointRange, Yearly: order(m.opts.Yearly), Weekly: order(m.opts.Weekly), Daily: order(m.opts.Daily),
		SeasonalityMode: m.opts.SeasonalityMode, SeasonalityPriorScale: m.opts.SeasonalityPriorScale,
		ChangepointPriorScale: m.opts.ChangepointPriorScale, HolidaysPriorScale: m.opts.HolidaysPriorScale,
		IntervalWidth: m.opts.IntervalWidth, UncertaintySamples: m.opts.UncertaintySamples,
		YScale: m.yScale, YMin: m.yMin, Scaling: m.opts.Scaling, LogisticFloor: m.hasFloor(), HolidaysMode: m.opts.holidaysMode(),
		Start: m.start * 86400, TScale: m.tScale * 86400, ChangepointsT: m.changepoints, Version: Version,
		Params: params{
			K: [][]float64{{m.k}}, M: [][]float64{{m.m}}, SigmaObs: [][]float64{{m.sigma}},
			Delta: [][]float64{m.delta}, Beta: [][]float64{m.beta}, Trend: [][]float64{m.trend},
		},
	}
	s.ComponentModes = m.componentModes()
	m.savedTerms(&s)
	var errs [5]error
	s.Changepoints, s.HistoryDates, errs[0] = m.dateTexts()
	s.TrainHolidayNames, s.Holidays, errs[1] = m.holidayTexts()
	s.History, errs[2] = m.historyTable().text()
	s.TrainComponentCols, errs[3] = m.componentTable().text()
	errs[4] = json.NewEncoder(w).Encode(s)
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("save prophet model: %w", err)
	}
	return nil
}

func (m *Model) savedTerms(s *saved) {
	names, terms := []string{}, map[string]savedSeasonality{}
	for _, x := range m.seasonalities {
		t := savedSeasonality{x.Period, x.Order, x.PriorScale, x.Mode, nil}
		if x.Condition != "" {
			t.ConditionName = &x.Condition
		}
		names, terms[x.Name] = append(names, x.Name), t
	}
	s.Seasonalities = [2]any{names, terms}
	rnames, regs := []string{}, map[string]savedRegressor{}
	for i, r := range m.opts.Regressors {
		c := m.columns[slices.IndexFunc(m.columns, func(c column) bool { return c.component == r.Name })]
		rnames = append(rnames, r.Name)
		regs[r.Name] = savedRegressor{PriorScale: c.prior, Standardize: "auto", Mu: m.regressors[i].Mu, Std: m.regressors[i].Std, Mode: c.mode}
	}
	s.ExtraRegressors = [2]any{rnames, regs}
}

func (m *Model) dateTexts() (changepoints, history string, err error) {
	name := "ds"
	var index []int
	data := []string{}
	if !m.noChange {
		for _, c := range m.changepoints {
			at := m.start + c*m.tScale
			i, _ := slices.BinarySearch(m.history.At, at-1e-6)
			index, data = append(index, i), append(data, stamp(at))
		}
	}
	if changepoints, err = splitText(&name, index, data); err != nil {
		return "", "", err
	}
	index, data = nil, nil
	for i, at := range m.history.At {
		index, data = append(index, i), append(data, stamp(at))
	}
	history, err = splitText(&name, index, data)
	return changepoints, history, err
}

func (m *Model) holidayTexts() (names, holidays *string, err error) {
	if len(m.opts.Holidays) == 0 {
		return nil, nil, nil
	}
	t := table{fields: []field{{"holiday", "string"}, {"ds", "datetime"}, {"lower_window", "integer"}, {"upper_window", "integer"}, {"prior_scale", "number"}}}
	var index []int
	var data []string
	for i, h := range m.opts.Holidays {
		index, data = append(index, i), append(data, h.Name)
		ps := h.PriorScale
		if ps == 0 {
			ps = m.opts.HolidaysPriorScale
		}
		for _, d := range h.Days {
			t.rows = append(t.rows, map[string]any{"holiday": h.Name, "ds": stamp(float64(d)), "lower_window": h.Lower, "upper_window": h.Upper, "prior_scale": ps})
		}
	}
	n, err := splitText(nil, index, data)
	if err != nil {
		return nil, nil, err
	}
	h, err := t.text()
	return &n, &h, err
}

func (m *Model) historyTable() table {
	t := table{fields: []field{{"ds", "datetime"}, {"y", "number"}}}
	for _, r := range m.opts.Regressors {
		t.fields = append(t.fields, field{r.Name, "number"})
	}
	t.fields = append(t.fields, field{"floor", "number"}, field{"t", "number"}, field{"y_scaled", "number"})
	if m.opts.Growth == Logistic {
		t.fields = append(t.fields, field{"cap", "number"}, field{"cap_scaled", "number"})
	}
	ts, caps := m.scaledTime(&m.history), m.scaledCap(&m.history)
	for i, at := range m.history.At {
		f := m.floorAt(&m.history, i)
		row := map[string]any{"ds": stamp(at), "y": m.y[i], "floor": f, "t": ts[i], "y_scaled": (m.y[i] - f) / m.yScale}
		for j, r := range m.opts.Regressors {
			row[r.Name] = (m.history.Regressors[j][i] - m.regressors[j].Mu) / m.regressors[j].Std
		}
		if caps != nil {
			row["cap"], row["cap_scaled"] = m.history.Cap[i], caps[i]
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// componentModes lists the terms of each mode in Prophet's order.
func (m *Model) componentModes() modes {
	byMode := map[Mode]*[]string{Additive: {}, Multiplicative: {}}
	for _, c := range m.columns {
		if l := byMode[c.mode]; c.component != "zeros" && !slices.Contains(*l, c.component) {
			*l = append(*l, c.component)
		}
	}
	for _, mode := range []Mode{Additive, Multiplicative} {
		l := byMode[mode]
		*l = append(*l, string(mode)+"_terms", "extra_regressors_"+string(mode))
		if mode == m.opts.holidaysMode() {
			*l = append(*l, "holidays")
		}
	}
	return modes{*byMode[Additive], *byMode[Multiplicative]}
}

// componentTable says which column belongs to which component: one row per column, components by name, the two totals last where they are empty.
func (m *Model) componentTable() table {
	member := func(c column) []string {
		if c.component == "zeros" {
			return nil
		}
		out := []string{c.component, string(c.mode) + "_terms"}
		if slices.ContainsFunc(m.opts.Holidays, func(h Holiday) bool { return h.Name == c.component }) {
			out = append(out, "holidays")
		}
		if slices.ContainsFunc(m.opts.Regressors, func(r Regressor) bool { return r.Name == c.component }) {
			out = append(out, "extra_regressors_"+string(c.mode))
		}
		return out
	}
	var names []string
	for _, c := range m.columns {
		names = append(names, member(c)...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, total := range []string{"additive_terms", "multiplicative_terms"} {
		if !slices.Contains(names, total) {
			names = append(names, total)
		}
	}
	t := table{}
	for _, n := range names {
		t.fields = append(t.fields, field{n, "integer"})
	}
	for _, c := range m.columns {
		row := make(map[string]any, len(names))
		in := member(c)
		for _, n := range names {
			row[n] = 0
			if slices.Contains(in, n) {
				row[n] = 1
			}
		}
		t.rows = append(t.rows, row)
	}
	return t
}
