package mlflow

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"salescast/pkg/track"
)

const (
	statusReady = "LOGGED_MODEL_READY"
	mlmodel     = "MLmodel"
)

// Model makes a logged model of a folder among the run's artifacts. On MLflow 2, which has none, the run gets the badge of a model.
func (r *run) Model(ctx context.Context, m track.LoggedModel) error {
	what := fmt.Sprintf("model %q", m.Name)
	if err := cmp.Or(ctx.Err(), m.Validate()); err != nil {
		return r.fail(what, err)
	}
	has, err := r.t.loggedModels(ctx, r.info.ExperimentID)
	if err != nil {
		return r.fail(what, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.flush(ctx); err != nil {
		return r.fail(what, err)
	}
	if !has {
		r.addMetrics(m.Metrics, "")
		return r.fail(what, r.badge(ctx, m))
	}
	info, err := r.logged(ctx, m)
	if err != nil {
		return r.fail(what, err)
	}
	r.addMetrics(m.Metrics, info.ModelID)
	return r.fail(what, cmp.Or(r.link(ctx, info.ModelID), r.flush(ctx)))
}

// logged makes the model, fills its folder, and says that it is ready; or finds it so.
func (r *run) logged(ctx context.Context, m track.LoggedModel) (modelInfo, error) {
	sum := sha256.Sum256([]byte(r.spec.Key + "\x00" + m.Name))
	key := hex.EncodeToString(sum[:16])
	info, err := r.t.findModel(ctx, r.info.ExperimentID, "tags.`"+TagKey+"` = '"+key+"'")
	if err != nil {
		return info, err
	}
	if info.ModelID == "" {
		var a modelAnswer
		in := createModel{
			ExperimentID: r.info.ExperimentID, Name: m.Name, SourceRunID: r.info.RunID, Params: pairs(m.Params),
			Tags: pairs(map[string]string{TagKey: key, TagModelPath: m.Path}),
		}
		err := r.t.client.create(ctx, request{method: http.MethodPost, path: api("logged-models"), in: in, out: &a}, func(ctx context.Context) (bool, error) {
			i, err := r.t.findModel(ctx, r.info.ExperimentID, "tags.`"+TagKey+"` = '"+key+"'")
			a.Model.Info = i
			return i.ModelID != "", err
		})
		if err != nil {
			return info, err
		}
		info = a.Model.Info
	}
	if info.Status == statusReady {
		return info, nil
	}
	if err := r.fill(ctx, m, info); err != nil {
		return info, err
	}
	return info, r.t.client.do(ctx, request{method: http.MethodPatch, path: api("logged-models/" + info.ModelID), in: finishModel{info.ModelID, statusReady}})
}

// findModel returns the first model that passes a filter, or one without id.
func (t *Tracker) findModel(ctx context.Context, exp, filter string) (modelInfo, error) {
	var a modelsAnswer
	if err := t.client.post(ctx, "logged-models/search", searchModels{ExperimentIDs: []string{exp}, Filter: filter}, &a); err != nil {
		return modelInfo{}, err
	}
	if len(a.Models) == 0 {
		return modelInfo{}, nil
	}
	slices.SortFunc(a.Models, func(a, b modelRecord) int { return strings.Compare(a.Info.ModelID, b.Info.ModelID) })
	return a.Models[0].Info, nil
}

// fill copies the folder of the run into that of the model, MLmodel last: a folder without it is no model.
func (r *run) fill(ctx context.Context, m track.LoggedModel, info modelInfo) error {
	files, err := r.files(ctx, m.Path)
	if err != nil {
		return err
	}
	last := slices.IndexFunc(files, func(f fileInfo) bool { return f.Path == path.Join(m.Path, mlmodel) })
	if last < 0 {
		return fmt.Errorf("%w: the folder %q has no file %s among the %d artifacts of the run", track.ErrInvalid, m.Path, mlmodel, len(files))
	}
	head := files[last]
	files = append(slices.Delete(files, last, last+1), head)
	for _, f := range files {
		if err := r.copyFile(ctx, f, within(m.Path, f.Path), info); err != nil {
			return fmt.Errorf("copy %s: %w", f.Path, err)
		}
	}
	return nil
}

func (r *run) copyFile(ctx context.Context, f fileInfo, name string, info modelInfo) (err error) {
	if name == mlmodel {
		return r.copyMLmodel(ctx, f, info)
	}
	if b := r.recent.get(f); b != nil {
		body, _, err := replayable(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return err
		}
		body.name = name
		return r.t.upload(ctx, info.ArtifactURI, name, body)
	}
	tmp, err := os.CreateTemp("", "salescast-model-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tmp.Close(), os.Remove(tmp.Name())) }()
	var size int64
	err = r.t.download(ctx, r.info.ArtifactURI, f.Path, func(body io.Reader) error {
		if err := cmp.Or(tmp.Truncate(0), rewind(tmp)); err != nil {
			return err
		}
		size, err = io.Copy(tmp, body)
		return err
	})
	if err != nil {
		return err
	}
	if err := rewind(tmp); err != nil {
		return err
	}
	body, done, err := replayable(tmp, size)
	if err != nil {
		return err
	}
	body.name = name
	return errors.Join(r.t.upload(ctx, info.ArtifactURI, name, body), done())
}

func rewind(f *os.File) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// copyMLmodel also says in the file which model and run it belongs to, as Python's client does.
func (r *run) copyMLmodel(ctx context.Context, f fileInfo, info modelInfo) error {
	const limit = 1 << 20
	text := slices.Clone(r.recent.get(f))
	if text == nil {
		err := r.t.download(ctx, r.info.ArtifactURI, f.Path, func(body io.Reader) (err error) {
			text, err = io.ReadAll(io.LimitReader(body, limit))
			return err
		})
		if err != nil {
			return err
		}
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	for _, kv := range []keyValue{{"model_id", info.ModelID}, {"run_id", r.info.RunID}} {
		if !bytes.HasPrefix(text, []byte(kv.Key+":")) && !bytes.Contains(text, []byte("\n"+kv.Key+":")) {
			text = fmt.Appendf(text, "%s: %s\n", kv.Key, kv.Value)
		}
	}
	body, _, err := replayable(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return err
	}
	body.name = mlmodel
	return r.t.upload(ctx, info.ArtifactURI, mlmodel, body)
}

// link lists the model among the outputs of the run. A link that is there already is refused; it is looked for first.
func (r *run) link(ctx context.Context, model string) error {
	linked := func() (bool, error) {
		now, err := r.read(ctx)
		return slices.ContainsFunc(now.Outputs.Models, func(o modelOutput) bool { return o.ModelID == model }), err
	}
	if there, err := linked(); there || err != nil {
		return err
	}
	err := r.t.client.post(ctx, "runs/outputs", logOutputs{RunID: r.info.RunID, Models: []modelOutput{{ModelID: model}}}, nil)
	if isCode(err, codeBad) {
		if there, rerr := linked(); there || rerr != nil {
			return rerr
		}
	}
	return err
}

// badge records a model the way MLflow 2 does.
func (r *run) badge(ctx context.Context, m track.LoggedModel) error {
	type flavor struct{}
	flavors := map[string]flavor{}
	for _, f := range m.Flavors {
		flavors[f] = flavor{}
	}
	b, err := json.Marshal(struct {
		RunID    string            `json:"run_id"`
		Path     string            `json:"artifact_path"`
		Created  string            `json:"utc_time_created"`
		Flavors  map[string]flavor `json:"flavors"`
		ModelKey string            `json:"model_uuid"`
	}{r.info.RunID, m.Path, r.spec.Start.UTC().Format(time.DateTime + ".000000"), flavors, r.spec.Key})
	if err != nil {
		return err
	}
	return r.t.client.post(ctx, "runs/log-model", logModel{RunID: r.info.RunID, ModelJSON: string(b)}, nil)
}
