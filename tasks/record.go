package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"salescast/pkg/artifact"
	"salescast/pkg/track"
)

// startRun begins the step's record. An error here is the tracker's word that nothing may run unrecorded.
func (s *Step) startRun(ctx context.Context, m artifact.Manifest) error {
	if s.env.Tracker == nil {
		return nil
	}
	tags := maps.Clone(s.env.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	tags["salescast.step"], tags["salescast.workspace"], tags["salescast.version"] = m.Step, s.env.Store.URL(""), m.Binary
	tags[noteTag] = purpose(m.Step)
	// A step that is tried again continues its run; one that is redone has another.
	id := []string{s.env.Store.URL(""), m.Step, m.Key}
	if s.spec.Force {
		id = append(id, m.Attempt)
	}
	s.key = hexSum([]byte(strings.Join(id, "\n")))[:32]
	run, err := s.env.Tracker.Start(ctx, track.Spec{
		Experiment: s.env.Experiment, Name: m.Step, Key: s.key, Parent: s.env.Parent, Start: m.Started, Tags: tags,
	})
	if err != nil {
		return fmt.Errorf("start the run of %s: %w", m.Step, err)
	}
	s.run = run
	params := map[string]string{"seed": strconv.FormatUint(m.Seed, 10)}
	flatten(params, "", m.Options)
	for k, v := range m.Salt {
		params["version."+k] = v
	}
	s.recorded("params", run.Params(ctx, params))
	for _, in := range m.Inputs {
		d := track.Dataset{Name: in.Step, Digest: cut(in.Digest, 32), URI: s.inputURL(in.Step), Context: datasetContext(m.Step)}
		if o, ok := s.inputs[in.Step]; ok {
			for _, f := range o.Manifest.Files {
				d.Rows += f.Rows
			}
		}
		s.recorded("dataset", run.Dataset(ctx, d))
	}
	return nil
}

// datasetContext is what a step uses its inputs for, in MLflow's words.
func datasetContext(step string) string {
	switch {
	case strings.HasPrefix(step, "train/"), step == "ensemble":
		return "training"
	case step == "validate":
		return "validation"
	case step == "evaluate":
		return "evaluation"
	default:
		return step
	}
}

func (s *Step) inputURL(step string) string {
	if _, ok := s.inputs[step]; ok {
		return s.env.Store.URL(step)
	}
	return step // a source carries its own address
}

// flatten writes nested options as dotted names, and lists as JSON.
func flatten(to map[string]string, prefix string, options map[string]any) {
	for k, v := range options {
		name := prefix + k
		switch v := v.(type) {
		case map[string]any:
			flatten(to, name+".", v)
		case string:
			to[name] = cut(v, track.MaxParamValue)
		default:
			b, err := json.Marshal(v)
			if err != nil { // it came out of JSON
				panic(err)
			}
			to[name] = cut(string(b), track.MaxParamValue)
		}
	}
}

// cut is s without what is beyond n bytes, in whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// record sends what the finished step has to show: figures, the manifest, and files small enough for a tracker.
func (s *Step) record(ctx context.Context, m artifact.Manifest) {
	if s.env.Tracker == nil {
		return
	}
	at := s.env.Now()
	var points []track.Metric
	add := func(name string, v float64) {
		points = append(points, track.Metric{Name: name, Value: v, At: at})
	}
	s.mu.Lock()
	for _, k := range slices.Sorted(maps.Keys(s.metrics)) {
		add(k, s.metrics[k])
	}
	for _, k := range s.undefined {
		add(k, math.NaN())
	}
	for _, k := range slices.Sorted(maps.Keys(s.rows)) {
		add("rows."+k, float64(s.rows[k]))
	}
	s.mu.Unlock()
	add("peak_rss_bytes", float64(peakRSS()))
	add("seconds", at.Sub(m.Started).Seconds())
	s.recorded("metrics", s.run.Metrics(ctx, points))
	if w := m.Warnings; len(w) > 0 {
		s.recorded("description", s.run.Tags(ctx, map[string]string{noteTag: cut(purpose(m.Step)+"\n\nWarnings:\n\n* "+strings.Join(w, "\n* "), track.MaxTagValue)}))
	}

	s.recordModel(ctx, m)
	total := int64(0)
	for _, f := range append(slices.Clone(m.Files), artifact.File{Name: artifact.ManifestName, Object: artifact.ManifestName}) {
		limit := int64(maxTracked)
		if ext := path.Ext(f.Name); ext == ".html" || ext == ".png" {
			limit = maxShown
		}
		if f.Size > limit || total+f.Size > maxTrackedSum || path.Ext(f.Name) == ".parquet" || s.model.has(f.Name) {
			continue
		}
		total += f.Size
		s.recorded("artifact "+f.Name, s.recordFile(ctx, m.Step, f, f.Name))
	}
}

// modelFolder is where a run keeps its model directory.
const modelFolder = "model"

// loggedModel says which of the step's files are a model directory of MLflow.
type loggedModel struct {
	track.LoggedModel
	names func(name string) bool
}

func (m *loggedModel) has(name string) bool { return m != nil && m.names(name) }

// LogModel declares that the files for which names is true, MLmodel among them, are a model; it is recorded with the run.
func (s *Step) LogModel(name string, flavors []string, names func(name string) bool) {
	s.model = &loggedModel{track.LoggedModel{Name: name, Path: modelFolder, Flavors: flavors}, names}
}

// recordModel keeps the model's files with the run, whatever their size: a registry hands them out.
func (s *Step) recordModel(ctx context.Context, m artifact.Manifest) {
	if s.model == nil {
		return
	}
	for _, f := range m.Files {
		if s.model.has(f.Name) {
			s.recorded("model file "+f.Name, s.recordFile(ctx, m.Step, f, path.Join(modelFolder, f.Name)))
		}
	}
	s.recorded("model "+s.model.Name, s.run.Model(ctx, s.model.LoggedModel))
}

func (s *Step) recordFile(ctx context.Context, step string, f artifact.File, name string) error {
	r, i, err := s.env.Store.Get(ctx, path.Join(step, f.Object))
	if err != nil {
		return err
	}
	defer r.Close()
	return s.run.Artifact(ctx, name, r, i.Size)
}

// recorded says a failure that is of the record and not of the work. The tracker itself answers for lost data when it is closed.
func (s *Step) recorded(what string, err error) {
	if err != nil {
		s.env.Log.Warn().Str("step", s.spec.Name).Err(err).Msg("not recorded: " + what)
	}
}

// noRun is the record of a step that nobody wants recorded.
type noRun struct{}

func (noRun) ID() string                                               { return "" }
func (noRun) URL() string                                              { return "" }
func (noRun) Params(context.Context, map[string]string) error          { return nil }
func (noRun) Metrics(context.Context, []track.Metric) error            { return nil }
func (noRun) Tags(context.Context, map[string]string) error            { return nil }
func (noRun) Dataset(context.Context, track.Dataset) error             { return nil }
func (noRun) Artifact(context.Context, string, io.Reader, int64) error { return nil }
func (noRun) Model(context.Context, track.LoggedModel) error           { return nil }
func (noRun) Flush(context.Context) error                              { return nil }
func (noRun) End(context.Context, track.Status, time.Time) error       { return nil }
