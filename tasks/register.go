package tasks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"salescast/pkg/artifact"
	"salescast/pkg/backtest"
	"salescast/pkg/bundle"
	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/pkg/forecast"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
	"salescast/pkg/track"
)

// RegistrationSchema names the version of decisions.json.
const RegistrationSchema = "salescast.registration/v1"

// The aliases of versions: the newest candidate, and the one to forecast with.
const (
	challengerAlias = "challenger"
	championAlias   = "champion"
)

// The tags of a version, besides tagBundle.
const (
	tagOrigin   = "salescast.origin"
	tagHorizon  = "salescast.horizon"
	tagDecision = "salescast.decision"
	tagPrevious = "salescast.previous_champion"

	tagRolledTo, tagRolledFrom = "salescast.rolled_back_to", "salescast.rolled_back_from"
)

// GuardedAliases are those that a version gets by winning alone, and NumberedTags the tags that hold a version's number: what must be
// known to bring versions from one registry to another.
func GuardedAliases() []string { return []string{championAlias} }

// NumberedTags are the tags whose values are version numbers.
func NumberedTags() []string { return []string{tagPrevious, tagRolledTo, tagRolledFrom} }

// registeredName marks an attempt that a registry points to, which is no orphan.
const registeredName = "registered.json"

// maxBacktest bounds what a champion forecast at its test origins.
const maxBacktest = 1 << 30

// RegisterOptions say how models are named and when one becomes champion.
type RegisterOptions struct {
	// Models are the members to register beside the ensemble; empty are those that it was made of.
	Models []string `json:"models"`
	// Prefix begins the names of models: PREFIX_ensemble, PREFIX_xgboost.
	Prefix string `json:"prefix"`
	// Metric is one of GateMetrics, Margin the share by which it must be lower than the champion's.
	Metric string  `json:"metric"`
	Margin float64 `json:"margin"`
	// Promote is one of Promotions; "" is PromoteBetter.
	Promote string `json:"promote"`
	// Stages also moves the deprecated stages of MLflow.
	Stages bool   `json:"stages"`
	Seed   uint64 `json:"seed"`
	Force  bool   `json:"-"`
}

// When a candidate becomes champion: where the gate finds it better, or whatever the gate finds, which is written down all the same.
const (
	PromoteBetter = "better"
	PromoteAlways = "always"
)

// Promotions are the values of RegisterOptions.Promote.
func Promotions() []string { return []string{PromoteBetter, PromoteAlways} }

// Outcome is what became of a candidate.
type Outcome string

// The outcomes. Kept is a candidate that is the champion already.
const (
	Promoted         Outcome = "promoted"
	RefusedCandidate Outcome = "refused"
	Kept             Outcome = "kept"
)

// Registrations is decisions.json, the audit record of the step.
type Registrations struct {
	Schema string         `json:"schema"`
	At     time.Time      `json:"at"`
	By     string         `json:"by"`
	Models []Registration `json:"models"`
}

// Registration is what was done with one model.
type Registration struct {
	Model   string `json:"model"`
	Version string `json:"version"`
	// Bundle is where the files lie that this version will always mean.
	Bundle  string  `json:"bundle"`
	RunID   string  `json:"run_id,omitempty"`
	Outcome Outcome `json:"outcome"`
	// Against is "champion version N" or the name of the baseline.
	Against string `json:"against"`
	// PreviousChampion is the version that a promotion replaced, "" for none.
	PreviousChampion string `json:"previous_champion"`
	// Champion is the version that was champion when all was done, "" for none.
	Champion string  `json:"champion"`
	Verdict  Verdict `json:"verdict"`
}

// Stager is a registry that also has MLflow's deprecated stages.
type Stager interface {
	// SetStage moves a version to None, Staging, Production or Archived; others in that stage are archived.
	SetStage(ctx context.Context, model, version, stage string) error
}

// Register makes a version of the ensemble, and of every member, in the model registry: alias challenger at once,
// and champion where it is better out of sample than the champion on the same origins and sales, or than the seasonal naive forecast
// where there is no champion yet, or one of generated sales and the candidate is of others. It writes decisions.json. Where the ensemble is
// not better the answer is Refused and the error KindRefused; the step is done all the same, and the champion stays. Promote makes every
// candidate champion, and leaves the comparison to the record.
func Register(ctx context.Context, env Env, o RegisterOptions) (*Result, error) {
	if env.Registry == nil {
		return nil, &Error{Kind: KindConfig, Op: "register", Err: errors.New("no model registry is set up")}
	}
	if len(o.Models) == 0 {
		var err error
		if o.Models, err = combined(ctx, env); err != nil {
			return nil, err
		}
	}
	spec := stepSpec{
		Name: "register", Options: o, Inputs: append([]string{"validate", "ensemble"}, trainSteps(o.Models)...), Seed: o.Seed, Force: o.Force,
		Salt:    map[string]string{"registration": RegistrationSchema},
		InPlace: func(ctx context.Context, done *Opened) (bool, error) { return inPlace(ctx, env, done) },
	}
	res, err := runStep(ctx, env, spec, func(ctx context.Context, s *Step) error {
		r := registrar{env: env, step: s, options: o}
		return r.run(ctx)
	})
	if err != nil {
		return res, err
	}
	in, err := OpenStep(ctx, env.Store, spec.Name)
	if err != nil {
		return res, err
	}
	doc, err := readRegistrations(ctx, in)
	if err != nil {
		return res, err
	}
	for _, m := range doc.Models {
		if m.Model == modelName(o.Prefix, primaryModel) && m.Outcome == RefusedCandidate {
			err = refusal(m)
			res.Status, res.Error = Refused, &ResultError{Code: string(KindRefused), Message: err.Error(), Hint: HintOf(err)}
		}
	}
	return res, err
}

// inPlace says whether the registry is where a finished step left it, or further on: it has the versions, and as champions those of then or
// later ones. After a rollback it is not, and the candidate is judged anew.
func inPlace(ctx context.Context, env Env, done *Opened) (bool, error) {
	doc, err := readRegistrations(ctx, done)
	if err != nil {
		return false, err
	}
	for _, d := range doc.Models {
		v, err := env.Registry.Version(ctx, d.Model, d.Version)
		if errors.Is(err, fs.ErrNotExist) {
			v, err = track.Version{}, nil
		}
		if err == nil && v.Tags[tagBundle] != d.Bundle {
			env.Log.Info().Str("model", d.Model).Str("version", d.Version).Msg("the registry has another version, or none: registering again")
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if d.Champion == "" {
			continue
		}
		champion, err := env.Registry.ByAlias(ctx, d.Model, championAlias)
		if errors.Is(err, fs.ErrNotExist) {
			champion, err = track.Version{Version: "0"}, nil
		}
		if err != nil {
			return false, err
		}
		if track.Earlier(champion.Version, d.Champion) {
			env.Log.Info().Str("model", d.Model).Str("champion", champion.Version).Str("then", d.Champion).Msg("an earlier version is champion now: the candidate is judged again")
			return false, nil
		}
	}
	return true, nil
}

func readRegistrations(ctx context.Context, in *Opened) (*Registrations, error) {
	doc := &Registrations{}
	if err := in.readJSON(ctx, "decisions.json", doc); err != nil {
		return nil, err
	}
	return doc, nil
}

func modelName(prefix, member string) string { return prefix + "_" + member }

// registrar is one run of the step.
type registrar struct {
	env     Env
	step    *Step
	options RegisterOptions
	panel   *panel.Panel
	schema  columnar.PanelSchema
	// source is the data.source, "" for generated sales.
	source string
	// baseline has the seasonal naive forecasts.
	baseline metric.Contender
}

func (r *registrar) run(ctx context.Context) (err error) {
	r.step.Phase("read", 0)
	if r.panel, r.schema, err = readPanel(ctx, r.step.Input(validateStep)); err != nil {
		return err
	}
	validated, err := optionsOfValidate(r.step.Input(validateStep))
	if err != nil {
		return err
	}
	r.source = validated.Data.Source
	ensemble := r.step.Input("ensemble")
	all, err := readPredictions(ctx, ensemble, "backtest.parquet")
	if err != nil {
		return err
	}
	r.baseline = metric.Contender{Predictions: all, Model: baselineModel}
	doc := Registrations{Schema: RegistrationSchema, At: r.env.Now().UTC(), By: r.env.Tags["mlflow.user"]}
	known, err := r.env.Registry.Models(ctx)
	if err != nil {
		return err
	}
	r.step.Phase("register", int64(len(r.options.Models)+1))
	for _, name := range append([]string{primaryModel}, r.options.Models...) {
		in, pr := ensemble, all
		if name != primaryModel {
			in = r.step.Input("train/" + name)
			if pr, err = readPredictions(ctx, in, "backtest.parquet"); err != nil {
				return err
			}
		}
		isKnown := slices.Contains(known, modelName(r.options.Prefix, name))
		d, err := r.register(ctx, in, metric.Contender{Predictions: pr, Model: name}, isKnown, doc.At, doc.By)
		if err != nil {
			return fmt.Errorf("register %s: %w", modelName(r.options.Prefix, name), err)
		}
		doc.Models = append(doc.Models, d)
		for k, v := range map[string]metric.Value{name + "_candidate_" + d.Verdict.Metric: d.Verdict.Candidate, name + "_reference_" + d.Verdict.Metric: d.Verdict.Reference} {
			if v.Defined() {
				r.step.Metric(k, float64(v))
			}
		}
		r.env.Log.Info().Str("model", d.Model).Str("version", d.Version).Str("outcome", string(d.Outcome)).Str("against", d.Against).Msg(d.Verdict.Reason)
		r.step.Add(1)
	}
	return r.step.WriteJSON(ctx, "decisions.json", doc)
}

// register judges one model, makes its version, which carries the record of the decision from the first, and moves the aliases: champion
// last, when all else is written down.
func (r *registrar) register(ctx context.Context, in *Opened, candidate metric.Contender, isKnown bool, at time.Time, by string) (Registration, error) {
	name, reg := modelName(r.options.Prefix, candidate.Model), r.env.Registry
	d := Registration{Model: name, RunID: in.Manifest.RunID, Bundle: r.env.Store.URL(path.Join(in.Manifest.Step, attempts, in.Manifest.Attempt))}
	champion := track.Version{}
	if isKnown {
		var err error
		if champion, err = reg.ByAlias(ctx, name, championAlias); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return d, err
		}
	}
	if err := r.judge(ctx, &d, champion, candidate); err != nil {
		return d, err
	}
	said := audit(d, at, by)
	v, err := r.create(ctx, in, d, said)
	if err != nil {
		return d, err
	}
	d.Version = v.Version
	if d.Outcome != RefusedCandidate {
		d.Champion = v.Version
	}
	// A version that was there before has the record of then.
	maps.DeleteFunc(said, func(k, value string) bool { return v.Tags[k] == value })
	if len(said) > 0 && d.Outcome != Kept {
		if err := reg.SetTags(ctx, name, v.Version, said); err != nil {
			return d, err
		}
	}
	if err := reg.SetAlias(ctx, name, challengerAlias, v.Version); err != nil || d.Outcome == Kept {
		return d, err
	}
	if err := r.stage(ctx, d); err != nil || d.Outcome == RefusedCandidate {
		return d, err
	}
	return d, setAlias(ctx, reg, name, championAlias, v.Version)
}

// judge compares a candidate with the champion, the zero Version where there is none, or the baseline, and fills in what comes of it.
func (r *registrar) judge(ctx context.Context, d *Registration, champion track.Version, candidate metric.Contender) (err error) {
	d.PreviousChampion = champion.Version
	if champion.Tags[tagBundle] == d.Bundle {
		d.Against, d.Outcome, d.PreviousChampion = "itself", Kept, champion.Tags[tagPrevious]
		d.Verdict = undecided(r.options.Metric)
		d.Verdict.Reason = "it is the champion already"
		return nil
	}
	reference, note := r.baseline, ""
	switch madeFrom, known := champion.Tags[tagSource]; {
	case champion.Version == "":
		d.Against = baselineModel
	case known && madeFrom == "" && r.source != "":
		// Generated sales show how all of this works: their champion is nobody's, and no measure for the sales of a shop.
		d.Against, note = baselineModel, "champion version "+champion.Version+" is of generated sales"
	default:
		d.Against = "champion version " + champion.Version
		if reference, note, err = r.champion(ctx, champion, candidate); err != nil {
			return &Error{
				Kind: KindInputMissing, Op: "compare with " + d.Against, Err: err,
				Hint: `its files are needed for a comparison; bring them back, or make another version champion with "salescast models rollback"`,
			}
		}
	}
	if d.Verdict, err = (gate{r.options.Metric, r.options.Margin, r.options.Seed}).judge(r.panel, candidate, reference); err != nil {
		return err
	}
	if note != "" {
		d.Verdict.Reason += "; " + note
	}
	switch {
	case d.Verdict.Better:
		d.Outcome = Promoted
	case r.options.Promote == PromoteAlways:
		d.Outcome = Promoted
		d.Verdict.Reason += "; promoted all the same, because register.promote is " + PromoteAlways
	default:
		d.Outcome, d.Champion, d.PreviousChampion = RefusedCandidate, champion.Version, ""
	}
	return nil
}

// setAlias moves an alias and reads it back.
func setAlias(ctx context.Context, reg track.Registry, model, alias, version string) error {
	if err := reg.SetAlias(ctx, model, alias, version); err != nil {
		return err
	}
	now, err := reg.ByAlias(ctx, model, alias)
	if err != nil {
		return err
	}
	if now.Version != version {
		return fmt.Errorf("alias %s of %s is at version %s and not at %s: somebody else moved it at the same time; run the step again: %w", alias, model, now.Version, version, artifact.ErrChanged)
	}
	return nil
}

// create makes the version, or finds it: a candidate is one attempt of a step, whose files never change.
func (r *registrar) create(ctx context.Context, in *Opened, d Registration, said map[string]string) (track.Version, error) {
	m, name := in.Manifest, d.Model
	mark, err := json.Marshal(map[string]string{"model": name})
	if err != nil {
		return track.Version{}, err
	}
	if _, err := r.env.Store.Put(ctx, path.Join(m.Step, attempts, m.Attempt, registeredName), strings.NewReader(string(mark)+"\n")); err != nil {
		return track.Version{}, fmt.Errorf("mark %s as registered: %w", d.Bundle, err)
	}
	end, _ := r.panel.End()
	n := track.NewVersion{
		Model: name, Key: hexSum([]byte(d.Bundle))[:32], Source: d.Bundle, RunID: m.RunID, Experiment: r.env.Experiment, Description: "made by salescast " + m.Step + " in " + r.env.Store.URL(""),
		Tags: map[string]string{
			tagBundle: d.Bundle, tagOrigin: r.panel.Frequency.Day(end).String(), tagHorizon: fmt.Sprint(m.Options["horizon"]), tagSource: r.source,
			"salescast.workspace": r.env.Store.URL(""), "salescast.step": m.Step, "salescast.version": m.Binary,
		},
	}
	if d.Outcome != Kept {
		maps.Copy(n.Tags, said)
	}
	if m.RunID != "" {
		n.Source = "runs:/" + m.RunID + "/" + modelFolder
	}
	v, err := r.env.Registry.Create(ctx, n)
	if errors.Is(err, fs.ErrNotExist) {
		err = &Error{
			Kind: KindInputMissing, Op: "register " + name, Err: err,
			Hint: fmt.Sprintf(`the registry does not know the run of %s; bring it to MLflow with "salescast sync", or redo it with %q`, m.Step, "salescast "+commandOf(m.Step)+" --force"),
		}
	}
	return v, err
}

// champion has what the champion forecast, or forecasts now, at the candidate's test origins: out of sample too, because nothing after
// an origin was known to what is used there. Origins before its own that it was not tested on are left out, and where it is of other
// series, or reads other columns, those that it was not tested on; note says so.
func (r *registrar) champion(ctx context.Context, v track.Version, candidate metric.Contender) (out metric.Contender, note string, err error) {
	out.Model = candidate.Model
	files, at, err := versionReader(ctx, r.env, v)
	if err != nil {
		return out, "", err
	}
	past, err := pastOf(ctx, files, at, candidate.Model)
	if err != nil {
		return out, "", err
	}
	origin, err := calendar.ParseDay(v.Tags[tagOrigin])
	if err != nil {
		return out, "", fmt.Errorf("tag %s of version %s: %w", tagOrigin, v.Version, err)
	}
	horizon, err := strconv.Atoi(v.Tags[tagHorizon])
	if err != nil {
		return out, "", fmt.Errorf("tag %s of version %s: %w", tagHorizon, v.Version, err)
	}
	tested := distinctDays(past.Cutoff)
	var later []calendar.Day
	for _, o := range distinctDays(candidate.Predictions.Cutoff) {
		if !slices.Contains(tested, o) && o >= origin {
			later = append(later, o)
		}
	}
	out.Predictions = past
	if len(later) == 0 {
		return out, "", nil
	}
	if onto(candidate.Predictions, past).Rows() == 0 {
		return out, "the champion is of other series", nil
	}
	if err := (&Model{URL: at, reader: files}).fits(ctx, r.schema); KindOf(err) == KindConfig {
		return out, errors.Unwrap(err).Error(), nil
	} else if err != nil {
		return out, "", err
	}
	fresh, err := r.forecastFrom(ctx, files, candidate.Model, later, horizon)
	if err != nil {
		return out, "", err
	}
	// Series are known by their keys, and the champion may have been tested on fewer of them.
	out.Predictions, err = backtest.Merge(onto(fresh, past), fresh)
	return out, "", err
}

// pastOf is what a model at rest forecast at its own test origins.
func pastOf(ctx context.Context, files bundle.Reader, at, name string) (*backtest.Predictions, error) {
	raw, err := files.ReadFile(ctx, backtestName, maxBacktest)
	if err != nil {
		return nil, err
	}
	past, err := columnar.ReadPredictions(ctx, bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read %s at %s: %w", backtestName, at, err)
	}
	return pointsOf(metric.Contender{Predictions: past, Model: name}, name)
}

// onto returns the rows of p whose series q has too, with q's series.
func onto(q, p *backtest.Predictions) *backtest.Predictions {
	series := map[string]int32{}
	for s, id := range seriesIDs(q) {
		series[id] = int32(s)
	}
	ids := seriesIDs(p)
	out := p.Filter(func(i int) bool { _, ok := series[ids[p.Series[i]]]; return ok })
	out.Keys = q.Keys
	for i := range out.Series {
		out.Series[i] = series[ids[out.Series[i]]]
	}
	return out
}

// forecastFrom asks a model at rest for forecasts of the panel from origins that it has not seen beyond.
func (r *registrar) forecastFrom(ctx context.Context, files bundle.Reader, name string, origins []calendar.Day, horizon int) (p *backtest.Predictions, err error) {
	var m forecast.Model
	if name == primaryModel {
		m, err = bundle.Open(ctx, files, r.env.Learners.Open)
	} else {
		m, err = bundle.OpenMember(ctx, files, "", r.env.Learners.Open)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	promised, err := promisedBy(ctx, r.step.Input("ensemble"))
	if err != nil {
		return nil, err
	}
	end, _ := r.panel.End()
	known := newForesight(r.panel, end, horizon, promised) // what the candidate's own figures rest on
	var made []*forecast.Prediction
	for _, o := range origins {
		step, ok := r.panel.Frequency.Step(o)
		if !ok {
			continue
		}
		f, err := m.Forecast(ctx, forecast.Request{Panel: known.at(step).Panel(), Origin: step, Horizon: horizon})
		if err != nil {
			return nil, fmt.Errorf("forecast from %s: %w", o, err)
		}
		f.Levels, f.Quantiles = nil, nil
		made = append(made, f)
	}
	return backtest.Collect(r.panel, name, made), nil
}

// stage moves the stages of MLflow as the aliases: champion is Production, a challenger that was refused Staging.
func (r *registrar) stage(ctx context.Context, d Registration) error {
	if !r.options.Stages {
		return nil
	}
	st, ok := r.env.Registry.(Stager)
	if !ok {
		r.step.Warn("stages are of MLflow alone; the local registry has aliases")
		return nil
	}
	if d.Outcome == RefusedCandidate {
		return st.SetStage(ctx, d.Model, d.Version, "Staging")
	}
	return st.SetStage(ctx, d.Model, d.Version, "Production")
}

// audit are the tags that say what was decided, when, by whom and why.
func audit(d Registration, at time.Time, by string) map[string]string {
	number := func(v metric.Value) string { return strconv.FormatFloat(float64(v), 'g', -1, 64) }
	tags := map[string]string{
		tagDecision: string(d.Outcome), tagPrevious: d.PreviousChampion, "salescast.decided_at": at.Format(time.RFC3339), "salescast.decided_by": by,
		"salescast.against": d.Against, "salescast.reason": cut(d.Verdict.Reason, track.MaxTagValue), "salescast.metric": d.Verdict.Metric,
		"salescast.candidate_" + d.Verdict.Metric: number(d.Verdict.Candidate), "salescast.reference_" + d.Verdict.Metric: number(d.Verdict.Reference),
	}
	if c := d.Verdict.Comparison; c != nil {
		tags["salescast.wape_difference"] = number(c.Difference)
		tags["salescast.wape_difference_interval"] = number(c.BySeries.Low) + " " + number(c.BySeries.High)
	}
	return tags
}

// Rollback makes a version champion: that of to, or the one that the champion replaced. It returns the champion before and the one now.
func Rollback(ctx context.Context, reg track.Registry, model, to, by string, at time.Time) (from, now string, err error) {
	champion, err := reg.ByAlias(ctx, model, championAlias)
	if err != nil && (to == "" || !errors.Is(err, fs.ErrNotExist)) {
		return "", "", &Error{Kind: KindOf(err), Op: "roll back", Err: err, Hint: `"salescast models list" shows what is registered; --to names a version`}
	}
	if from = champion.Version; to == "" {
		to = champion.Tags[tagPrevious]
	}
	switch to {
	case "":
		return from, "", &Error{Kind: KindNothing, Op: "roll back " + model, Err: fmt.Errorf("version %s replaced no other", from), Hint: "name the version to go to with --to"}
	case from:
		return from, "", &Error{Kind: KindNothing, Op: "roll back " + model, Err: fmt.Errorf("version %s is the champion already", from)}
	}
	if _, err := reg.Version(ctx, model, to); err != nil {
		return from, "", err
	}
	when := map[string]string{"salescast.rolled_back_at": at.UTC().Format(time.RFC3339), "salescast.rolled_back_by": by}
	for version, way := range map[string]string{from: tagRolledTo, to: tagRolledFrom} {
		if version == "" {
			continue
		}
		tags := map[string]string{way: from}
		if version == from {
			tags[way] = to
		}
		maps.Copy(tags, when)
		if err := reg.SetTags(ctx, model, version, tags); err != nil {
			return from, "", err
		}
	}
	return from, to, setAlias(ctx, reg, model, championAlias, to)
}
