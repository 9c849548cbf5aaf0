package tasks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"salescast/pkg/artifact"
	"salescast/pkg/bundle"
	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/pkg/track"
)

const (
	// inputName is the contract of the data that a model reads, beside its bundle.
	inputName = bundle.InputName
	// modelScheme begins the address of a registered model.
	modelScheme = "models:/"
	// tagBundle is the tag of a model version with the address of its bundle.
	tagBundle = "salescast.bundle"
	// tagSource is the tag with the data.source that a model was made from, "" for what Generate made.
	tagSource = "salescast.source"
)

// inputContract is what the data of the validate step was held against, without where it lay.
func inputContract(validate *Opened, names panelNames, f calendar.Frequency) (DataOptions, error) {
	o, err := optionsOfValidate(validate)
	if err != nil {
		return DataOptions{}, err
	}
	o.Data.Source, o.Data.Time, o.Data.Target, o.Data.Frequency = "", names.time, names.target, f.String()
	return o.Data, nil
}

func optionsOfValidate(validate *Opened) (o ValidateOptions, err error) {
	b, err := json.Marshal(validate.Manifest.Options)
	if err == nil {
		err = json.Unmarshal(b, &o)
	}
	if err != nil {
		return o, fmt.Errorf("read the options of validate: %w", err)
	}
	return o, nil
}

// Model is a bundle outside the steps of the workspace at hand.
type Model struct {
	// URL is where it lies.
	URL string
	// Manifest is its bundle.json, Digest that file's SHA-256.
	Manifest bundle.Manifest
	Digest   string

	reader bundle.Reader
	tags   map[string]string // of a registered version
}

// OpenModel finds a model by its address: a workspace, the folder of a bundle (both on disk or s3://), models:/NAME@ALIAS or
// models:/NAME/VERSION. A model that is not there is KindInputMissing.
func OpenModel(ctx context.Context, env Env, address string) (*Model, error) {
	m := &Model{URL: address}
	rest, registered := strings.CutPrefix(address, modelScheme)
	var err error
	if registered {
		var v track.Version
		if v, err = FindVersion(ctx, env.Registry, rest); err != nil {
			return nil, err
		}
		m.tags = v.Tags
		m.reader, m.URL, err = versionReader(ctx, env, v)
	} else {
		m.reader, err = addressReader(ctx, env, address)
	}
	if err != nil {
		return nil, err
	}
	b, err := m.reader.ReadFile(ctx, bundle.Name, maxSmall)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{
			Kind: KindInputMissing, Op: "open model", Err: fmt.Errorf("neither a finished ensemble nor %s is at %s: %w", bundle.Name, m.URL, fs.ErrNotExist),
			Hint: "name a workspace, the folder of a model, models:/NAME@ALIAS or models:/NAME/VERSION",
		}
	}
	if err != nil {
		return nil, err
	}
	m.Digest = hexSum(b)
	if err := json.Unmarshal(b, &m.Manifest); err != nil {
		return nil, &Error{Kind: KindData, Op: "read " + bundle.Name + " at " + m.URL, Err: err}
	}
	return m, nil
}

// addressReader reads the ensemble of a workspace, or a bundle's folder.
func addressReader(ctx context.Context, env Env, address string) (bundle.Reader, error) {
	if env.Open == nil {
		return nil, errors.New("open model: no stores are set up")
	}
	store, err := env.Open(address)
	if err != nil {
		return nil, err
	}
	in, err := OpenStep(ctx, store, "ensemble")
	if err == nil {
		return in, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return folder{store}, nil
}

// versionReader reads the files of a registered version: in the workspace that made it, which is near at hand, and where that is gone or out
// of reach from the registry, if it keeps files. at is where they lie.
func versionReader(ctx context.Context, env Env, v track.Version) (r bundle.Reader, at string, err error) {
	at = v.Tags[tagBundle]
	away := fmt.Errorf("version %s of %s was not registered by salescast: it has no tag %s", v.Version, v.Model, tagBundle)
	hint := `register one with "salescast register"`
	if at != "" && env.Open != nil {
		store, err := env.Open(at)
		if err == nil {
			_, err = store.Stat(ctx, bundle.MLmodelName)
		}
		if err == nil {
			return folder{store}, at, nil
		}
		away = fmt.Errorf("version %s of %s cannot be read at %s: %w", v.Version, v.Model, at, err)
		hint = "bring the workspace back; a registry on an MLflow server keeps the files of its versions"
	}
	files, keeps := env.Registry.(track.Files)
	if !keeps || ctx.Err() != nil {
		if k := KindOf(away); k == KindInputMissing || k == KindUnexpected {
			away = &Error{Kind: KindInputMissing, Op: "open model " + v.Model, Err: away, Hint: hint}
		}
		return nil, at, away
	}
	if at != "" {
		env.Log.Info().Str("model", v.Model).Str("version", v.Version).AnErr("because", away).Msg("the model is read from the registry")
	}
	return versionFiles{files, v}, modelScheme + v.Model + "/" + v.Version, nil
}

// versionFiles reads what a registry keeps of a version.
type versionFiles struct {
	track.Files
	version track.Version
}

func (f versionFiles) ReadFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	return f.Files.ReadFile(ctx, f.version, name, limit)
}

// Data is the contract of the data that the model reads; its Source is empty.
func (m *Model) Data(ctx context.Context) (DataOptions, error) {
	var o DataOptions
	b, err := m.reader.ReadFile(ctx, inputName, maxSmall)
	if err != nil {
		return o, err
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return o, &Error{Kind: KindData, Op: "read " + inputName + " at " + m.URL, Err: err}
	}
	return o, nil
}

// Source is the data.source that the model was made from, "" for what Generate made. A folder that is neither a workspace nor a
// registered version does not tell, which is KindUsage.
func (m *Model) Source(ctx context.Context, env Env) (string, error) {
	if source, ok := m.tags[tagSource]; ok {
		return source, nil
	}
	if m.tags == nil {
		store, err := env.Open(m.URL)
		if err != nil {
			return "", err
		}
		validate, err := OpenStep(ctx, store, validateStep)
		if err == nil {
			o, err := optionsOfValidate(validate)
			return o.Data.Source, err
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", &Error{Kind: KindUsage, Op: "find the data of the model at " + m.URL, Err: errors.New("it does not tell what it was made from"), Hint: "set data.source"}
}

// fits says whether data of a schema has the columns that the model reads.
func (m *Model) fits(ctx context.Context, s columnar.PanelSchema) error {
	want, err := m.Data(ctx)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		role       string
		have, want []string
	}{
		{"keys", s.Keys, want.Keys}, {"static", s.Static, want.Static}, {"known_future", s.KnownFuture, want.KnownFuture}, {"past_only", s.PastOnly, want.PastOnly},
	} {
		if !slices.Equal(slices.Sorted(slices.Values(c.have)), slices.Sorted(slices.Values(c.want))) {
			return &Error{
				Kind: KindConfig, Op: "forecast with the model at " + m.URL, Err: fmt.Errorf("data.%s is %v, and the model was made with %v", c.role, c.have, c.want),
				Hint: "describe the data as the model's " + inputName + " does",
			}
		}
	}
	return nil
}

// FindVersion looks up NAME@ALIAS or NAME/VERSION.
func FindVersion(ctx context.Context, registry track.Registry, name string) (v track.Version, err error) {
	model, alias, byAlias := strings.Cut(name, "@")
	if byAlias {
		v, err = registry.ByAlias(ctx, model, alias)
	} else {
		model, version, ok := strings.Cut(name, "/")
		if !ok {
			return v, &Error{Kind: KindUsage, Op: "find model", Err: fmt.Errorf("%q names no version", name), Hint: "write models:/NAME@champion or models:/NAME/VERSION"}
		}
		v, err = registry.Version(ctx, model, version)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = &Error{Kind: KindInputMissing, Op: "find model", Err: err, Hint: `"salescast models list" shows what is registered; "salescast register" adds a version`}
	}
	return v, err
}

// folder reads the files of a store as those of a bundle.
type folder struct{ artifact.Store }

func (f folder) ReadFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	r, _, err := f.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.URL(name), err)
	}
	if n > limit {
		return nil, &Error{Kind: KindData, Op: "read " + f.URL(name), Err: fmt.Errorf("it has more than the %d bytes that are expected", limit)}
	}
	return b.Bytes(), nil
}
