package mlflow

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"salescast/pkg/track"
)

// Registry is a track.Registry on an MLflow server.
type Registry struct {
	t *Tracker

	mu sync.Mutex
	// known are the names of models that are there; nil before they were asked for.
	known map[string]bool
}

// NewRegistry returns the registry of the server that a tracker speaks to.
func NewRegistry(t *Tracker) *Registry { return &Registry{t: t} }

func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	if isCode(err, codeMissing) {
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return fmt.Errorf(format+" in MLflow: %w", append(args, err)...)
}

func (v versionRecord) version() track.Version {
	out := track.Version{Model: v.Name, Version: v.Version, Source: v.Source, RunID: v.RunID, Created: time.UnixMilli(int64(v.Created)), Aliases: v.Aliases}
	slices.Sort(out.Aliases)
	if len(v.Tags) > 0 {
		out.Tags = map[string]string{}
	}
	for _, t := range v.Tags {
		out.Tags[t.Key] = t.Value
	}
	return out
}

// Create adds a version. A Source of runs:/<run>/<folder> names a logged model of that run where the server has them.
func (r *Registry) Create(ctx context.Context, n track.NewVersion) (track.Version, error) {
	if err := cmp.Or(ctx.Err(), n.Validate()); err != nil {
		return track.Version{}, wrap(err, "register model %q", n.Model)
	}
	made, err := r.ensure(ctx, n.Model)
	if err != nil {
		return track.Version{}, wrap(err, "register model %q", n.Model)
	}
	v, err := r.create(ctx, n, made)
	if err != nil {
		return track.Version{}, wrap(err, "register a version of model %q", n.Model)
	}
	return v.version(), nil
}

// ensure makes a model where it is new, and says whether it was.
func (r *Registry) ensure(ctx context.Context, model string) (made bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		names, err := r.Models(ctx)
		if err != nil {
			return false, err
		}
		r.known = map[string]bool{}
		for _, n := range names {
			r.known[n] = true
		}
	}
	if r.known[model] {
		return false, nil
	}
	err = r.t.client.post(ctx, "registered-models/create", createRegistered{model}, nil)
	if err != nil && !isCode(err, codeExists) {
		return false, err
	}
	r.known[model] = true
	return err == nil, nil
}

// create makes a version, or finds it, unless the model is new.
func (r *Registry) create(ctx context.Context, n track.NewVersion, isNew bool) (v versionRecord, err error) {
	if !isNew {
		if v, found, err := r.byKey(ctx, n); found || err != nil {
			return v, err
		}
	}
	tags := map[string]string{TagKey: n.Key}
	maps.Copy(tags, n.Tags)
	in := createVersion{Name: n.Model, Source: n.Source, RunID: n.RunID, Description: n.Description, Tags: pairs(tags)}
	if err := r.locate(ctx, &in, n.Experiment); err != nil {
		return v, err
	}
	var a versionAnswer
	err = r.t.client.create(ctx, request{method: http.MethodPost, path: api("model-versions/create"), in: in, out: &a}, func(ctx context.Context) (bool, error) {
		v, found, err := r.byKey(ctx, n)
		a.Version = v
		return found, err
	})
	return a.Version, err
}

func (r *Registry) byKey(ctx context.Context, n track.NewVersion) (versionRecord, bool, error) {
	all, err := r.search(ctx, fmt.Sprintf("name='%s' and tags.`%s`='%s'", n.Model, TagKey, n.Key))
	if err != nil || len(all) == 0 {
		return versionRecord{}, false, err
	}
	return all[len(all)-1], true, nil // the oldest
}

// runOf returns a run by its id or, in an experiment, by its key.
func (r *Registry) runOf(ctx context.Context, id, experiment string) (runRecord, error) {
	var a runAnswer
	err := r.t.client.get(ctx, "runs/get", url.Values{"run_id": {id}}, &a)
	if !isCode(err, codeMissing) || experiment == "" {
		return a.Run, err
	}
	e, lerr := r.t.lookExperiment(ctx, experiment)
	if isCode(lerr, codeMissing) {
		return a.Run, err
	}
	if lerr != nil {
		return a.Run, lerr
	}
	found, lerr := r.t.find(ctx, e.ID, id)
	if lerr != nil || len(found) == 0 {
		return a.Run, cmp.Or(lerr, err)
	}
	return r.runOf(ctx, found[0].Info.RunID, "") // a search does not tell of outputs
}

// locate turns runs:/<run>/<folder> into the address from which the server's own clients load.
func (r *Registry) locate(ctx context.Context, in *createVersion, experiment string) error {
	id, folder, ok := strings.Cut(strings.TrimPrefix(in.Source, "runs:/"), "/")
	if !strings.HasPrefix(in.Source, "runs:/") || !ok {
		return nil
	}
	run, err := r.runOf(ctx, id, experiment)
	if err != nil {
		return err
	}
	if in.RunID == id {
		in.RunID = run.Info.RunID
	}
	has, err := r.t.loggedModels(ctx, run.Info.ExperimentID)
	if err != nil {
		return err
	}
	if len(run.Outputs.Models) == 1 { // there is nothing to choose from
		in.ModelID = run.Outputs.Models[0].ModelID
		in.Source = "models:/" + in.ModelID
		return nil
	}
	if has {
		for _, o := range run.Outputs.Models {
			m, err := r.t.findModel(ctx, run.Info.ExperimentID, fmt.Sprintf("model_id = '%s' AND tags.`%s` = '%s'", o.ModelID, TagModelPath, folder))
			if err != nil {
				return err
			}
			if m.ModelID != "" {
				in.Source, in.ModelID = "models:/"+m.ModelID, m.ModelID
				return nil
			}
		}
	}
	in.Source = strings.TrimSuffix(run.Info.ArtifactURI, "/") + "/" + folder
	return nil
}

// search returns versions, the newest first.
func (r *Registry) search(ctx context.Context, filter string) ([]versionRecord, error) {
	var out []versionRecord
	token := ""
	for {
		var a versionsAnswer
		q := url.Values{"filter": {filter}, "max_results": {"1000"}}
		if token != "" {
			q.Set("page_token", token)
		}
		if err := r.t.client.get(ctx, "model-versions/search", q, &a); err != nil {
			return nil, err
		}
		out = append(out, a.Versions...)
		if token = a.NextToken; token == "" {
			break
		}
	}
	slices.SortFunc(out, func(a, b versionRecord) int { return cmp.Compare(number(b.Version), number(a.Version)) })
	return out, nil
}

func number(version string) int {
	n, err := strconv.Atoi(version)
	if err != nil {
		return 0
	}
	return n
}

// Version returns one version of a model.
func (r *Registry) Version(ctx context.Context, model, version string) (track.Version, error) {
	var a versionAnswer
	err := r.t.client.get(ctx, "model-versions/get", url.Values{"name": {model}, "version": {version}}, &a)
	return a.Version.version(), wrap(err, "look up version %s of model %q", version, model)
}

// ByAlias returns the version an alias names.
func (r *Registry) ByAlias(ctx context.Context, model, alias string) (track.Version, error) {
	var a versionAnswer
	err := r.t.client.get(ctx, "registered-models/alias", url.Values{"name": {model}, "alias": {alias}}, &a)
	if isCode(err, codeInvalid) {
		err = fmt.Errorf("%w: model %q has no alias %q", fs.ErrNotExist, model, alias)
	}
	return a.Version.version(), wrap(err, "look up alias %q of model %q", alias, model)
}

// ReadFile implements [track.Files]: the artifacts that the version was made of, through the server or directly.
func (r *Registry) ReadFile(ctx context.Context, v track.Version, name string, limit int64) (b []byte, err error) {
	if err := cmp.Or(ctx.Err(), track.ValidateArtifact(name, 0)); err != nil {
		return nil, wrap(err, "read %s of model %q", name, v.Model)
	}
	var at downloadAnswer
	err = r.t.client.get(ctx, "model-versions/get-download-uri", url.Values{"name": {v.Model}, "version": {v.Version}}, &at)
	if err == nil {
		err = r.t.download(ctx, at.URI, name, func(body io.Reader) (err error) {
			if b, err = io.ReadAll(io.LimitReader(body, limit+1)); err == nil && int64(len(b)) > limit {
				err = fmt.Errorf("it has more than the %d bytes that are expected", limit)
			}
			return err
		})
	}
	return b, wrap(err, "read %s of version %s of model %q", name, v.Version, v.Model)
}

// Versions returns all versions of a model, the newest first.
func (r *Registry) Versions(ctx context.Context, model string) ([]track.Version, error) {
	if err := track.ValidateModelName(model); err != nil {
		return nil, wrap(err, "list versions of model %q", model)
	}
	var m registeredAnswer
	if err := r.t.client.get(ctx, "registered-models/get", url.Values{"name": {model}}, &m); err != nil {
		return nil, wrap(err, "list versions of model %q", model)
	}
	all, err := r.search(ctx, fmt.Sprintf("name='%s'", model))
	if err != nil {
		return nil, wrap(err, "list versions of model %q", model)
	}
	out := make([]track.Version, 0, len(all))
	for _, v := range all {
		v.Aliases = nil // not all servers fill them here
		for _, a := range m.Model.Aliases {
			if a.Version == v.Version {
				v.Aliases = append(v.Aliases, a.Alias)
			}
		}
		out = append(out, v.version())
	}
	return out, nil
}

// Models returns the names of all models, sorted.
func (r *Registry) Models(ctx context.Context) ([]string, error) {
	var out []string
	token := ""
	for {
		var a registeredModelsAnswer
		q := url.Values{"max_results": {"1000"}}
		if token != "" {
			q.Set("page_token", token)
		}
		if err := r.t.client.get(ctx, "registered-models/search", q, &a); err != nil {
			return nil, wrap(err, "list models")
		}
		for _, m := range a.Models {
			out = append(out, m.Name)
		}
		if token = a.NextToken; token == "" {
			slices.Sort(out)
			return out, nil
		}
	}
}

// SetAlias makes an alias name a version, and no other.
func (r *Registry) SetAlias(ctx context.Context, model, alias, version string) error {
	if err := cmp.Or(ctx.Err(), track.ValidateModelName(model), track.ValidateAlias(alias)); err != nil {
		return wrap(err, "set alias of model %q", model)
	}
	err := r.t.client.post(ctx, "registered-models/alias", setAlias{Name: model, Alias: alias, Version: version}, nil)
	return wrap(err, "set alias %q of model %q", alias, model)
}

// DeleteAlias takes an alias away.
func (r *Registry) DeleteAlias(ctx context.Context, model, alias string) error {
	err := r.t.client.do(ctx, request{method: http.MethodDelete, path: api("registered-models/alias"), in: setAlias{Name: model, Alias: alias}})
	if isCode(err, codeInvalid, codeMissing) {
		return nil
	}
	return wrap(err, "delete alias %q of model %q", alias, model)
}

// SetTags adds tags to a version, replacing those of the same names.
func (r *Registry) SetTags(ctx context.Context, model, version string, tags map[string]string) error {
	if err := cmp.Or(ctx.Err(), track.ValidateTags(tags)); err != nil {
		return wrap(err, "tag version %s of model %q", version, model)
	}
	for _, t := range pairs(tags) {
		if err := r.t.client.post(ctx, "model-versions/set-tag", setVersionTag{model, version, t}, nil); err != nil {
			return wrap(err, "tag version %s of model %q", version, model)
		}
	}
	return nil
}

// SetStage moves a version to a stage, which MLflow has deprecated in favour of aliases; what else is in that stage is archived, but for
// the stage None.
func (r *Registry) SetStage(ctx context.Context, model, version, stage string) error {
	in := setStage{Name: model, Version: version, Stage: stage, Archive: stage != "None"}
	return wrap(r.t.client.post(ctx, "model-versions/transition-stage", in, nil), "move version %s of model %q to stage %s", version, model, stage)
}
