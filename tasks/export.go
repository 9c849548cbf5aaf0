package tasks

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salescast/pkg/artifact"
	"salescast/pkg/bundle"
	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/member"
	"salescast/pkg/forecast/prophet"
	"salescast/pkg/panel"
)

// ExportOptions say which model of which series goes where.
type ExportOptions struct {
	// Model is an address as [OpenModel] takes it, Member the name of a member: prophet, whose models stand for a series each.
	Model, Member string
	// Series has the value of every key of one series.
	Series map[string]string
	// Out is the address of a folder that is empty or not there.
	Out string
}

// Exported is a model that was written for others.
type Exported struct {
	Out    string            `json:"out"`
	Member string            `json:"member"`
	Series map[string]string `json:"series"`
	// Origin is the last day that the model knows, Regressors what it must be told of every day that it predicts.
	Origin     calendar.Day `json:"origin"`
	Horizon    int          `json:"horizon"`
	Regressors []string     `json:"regressors"`
}

const opExport = "export model"

// Export fits the member's model of one series to the history that the ensemble keeps, as its forecast does, and writes it as a model of
// MLflow that Python opens with mlflow.prophet. A series or a history that is not there is KindInputMissing; another member, a key that
// does not exist and a folder with files in it are KindUsage.
func Export(ctx context.Context, env Env, o ExportOptions) (_ *Exported, err error) {
	if o.Member != string(member.Prophet) {
		return nil, &Error{
			Kind: KindUsage, Op: opExport, Err: fmt.Errorf("%q has no model per series that Python opens; prophet has", o.Member),
			Hint: `of the others, register the ensemble: "salescast register" writes a model of MLflow for each member with weight`,
		}
	}
	out, err := emptyFolder(ctx, env, o.Out)
	if err != nil {
		return nil, err
	}
	m, err := OpenModel(ctx, env, o.Model)
	if err != nil {
		return nil, err
	}
	b, err := bundle.Open(ctx, m.reader, env.Learners.Open)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	country, err := m.prophetCountry(ctx, env, b)
	if err != nil {
		return nil, err
	}
	r, err := m.exportRequest(ctx, env, b)
	if err != nil {
		return nil, err
	}
	s, err := seriesNamed(r.Panel, o.Series)
	if err != nil {
		return nil, err
	}
	fitted, next, err := member.ProphetForecaster(member.Settings{Country: country}).FitSeries(ctx, r, s)
	if err != nil {
		return nil, err
	}
	if fitted == nil {
		return nil, &Error{
			Kind: KindData, Op: opExport, Err: fmt.Errorf("series %v has too few sales for a Prophet model; the member forecasts it like its kin", r.Panel.ID(s)),
			Hint: "name a series with 10 sales or more",
		}
	}
	done := &Exported{Out: o.Out, Member: o.Member, Series: o.Series, Origin: r.Panel.Frequency.Day(r.Origin), Horizon: r.Horizon, Regressors: []string{}}
	for _, x := range fitted.Regressors() {
		done.Regressors = append(done.Regressors, x.Name)
	}
	return done, bundle.WriteProphet(ctx, out, fitted, planTable(done.Regressors, next))
}

// emptyFolder opens a folder to write to.
func emptyFolder(ctx context.Context, env Env, address string) (folderWriter, error) {
	store, err := env.Open(address)
	if err != nil {
		return folderWriter{}, err
	}
	for f, err := range store.List(ctx, "") {
		if err == nil {
			err = &Error{Kind: KindUsage, Op: opExport, Err: fmt.Errorf("%s is not empty: it has %s", address, f.Name), Hint: "name a new folder"}
		}
		return folderWriter{}, err
	}
	return folderWriter{store}, nil
}

// folderWriter writes files that were not there.
type folderWriter struct{ artifact.Store }

func (f folderWriter) WriteFile(ctx context.Context, name string, b []byte) error {
	_, err := f.Create(ctx, name, bytes.NewReader(b))
	return err
}

// prophetCountry is whose public holidays the member is told. Where it has no weight, its models are those that it would be fitted with.
func (m *Model) prophetCountry(ctx context.Context, env Env, b *bundle.Bundle) (string, error) {
	for _, one := range b.Members() {
		if fitted, ok := one.Model.(*member.Model); ok && fitted.Kind == member.Prophet {
			return fitted.Country, nil
		}
	}
	env.Log.Warn().Msg("prophet has no part in the forecast of this ensemble: its model is fitted as it would be")
	data, err := m.Data(ctx)
	return data.Country, err
}

// exportRequest is what the ensemble is asked where the data ends that it was fitted on.
func (m *Model) exportRequest(ctx context.Context, env Env, b *bundle.Bundle) (r forecast.Request, err error) {
	if !slices.ContainsFunc(b.Manifest.Files, func(f bundle.File) bool { return f.Name == bundle.HistoryName }) {
		return r, &Error{
			Kind: KindInputMissing, Op: opExport, Err: fmt.Errorf("the model at %s keeps no history to fit to", m.URL),
			Hint: "name the ensemble's version, such as models:/sales_forecast_ensemble@champion, or a workspace",
		}
	}
	p, err := b.History(ctx)
	if err != nil {
		return r, err
	}
	origin, ok := p.End()
	if !ok {
		return r, &Error{Kind: KindData, Op: opExport, Err: errors.New("the panel has no observed sale"), Hint: "name a model that was fitted to sales"}
	}
	p, assumed := forecast.CompletePlan(p, origin, b.Manifest.Horizon, nil)
	for _, a := range assumed {
		env.Log.Warn().Str("column", a.Name).Int("steps", a.Steps).Msg("the plan ends before the horizon: what is usual is assumed")
	}
	return forecast.Request{Panel: p, Origin: origin, Horizon: b.Manifest.Horizon}, nil
}

// seriesNamed finds a series by the values of all its keys.
func seriesNamed(p *panel.Panel, values map[string]string) (int, error) {
	keys := make([]string, len(p.Keys))
	want := make([]string, len(p.Keys))
	for k := range p.Keys {
		keys[k] = p.Keys[k].Name
		want[k] = values[keys[k]]
	}
	if given := slices.Sorted(maps.Keys(values)); !slices.Equal(given, slices.Sorted(slices.Values(keys))) {
		form := make([]string, len(keys))
		for k := range keys {
			form[k] = keys[k] + "=..."
		}
		return 0, &Error{
			Kind: KindUsage, Op: "find series", Err: fmt.Errorf("the keys of a series are %s, not %s", strings.Join(keys, ", "), strings.Join(given, ", ")),
			Hint: "write --series " + strings.Join(form, ","),
		}
	}
	name := func(id []string) string { return strings.Join(id, "/") }
	type near struct {
		id       []string
		distance int
	}
	var all []near
	for s := range p.Series() {
		id := p.ID(s)
		if slices.Equal(id, want) {
			return s, nil
		}
		all = append(all, near{id, editDistance(strings.ToLower(name(want)), strings.ToLower(name(id)))})
	}
	slices.SortStableFunc(all, func(a, b near) int { return cmp.Compare(a.distance, b.distance) })
	var offers []string
	for _, n := range all[:min(3, len(all))] {
		pairs := make([]string, len(keys))
		for k := range keys {
			pairs[k] = keys[k] + "=" + n.id[k]
		}
		offers = append(offers, strings.Join(pairs, ","))
	}
	return 0, &Error{
		Kind: KindInputMissing, Op: "find series", Err: fmt.Errorf("there is no series %s among %d", name(want), p.Series()),
		Hint: "the nearest are " + strings.Join(offers, "; "),
	}
}

// planTable are the rows that the member forecasts from, as Prophet is asked them.
func planTable(regressors []string, x prophet.Times) bundle.Table {
	t := bundle.Table{Inputs: append([]string{"ds"}, regressors...)}
	for i, at := range x.At {
		row := []any{calendar.Day(at).String()}
		for _, c := range x.Regressors {
			row = append(row, c[i])
		}
		t.Example = append(t.Example, row)
	}
	return t
}
