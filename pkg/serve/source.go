package serve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"salescast/pkg/artifact"
	"salescast/pkg/bundle"
	"salescast/pkg/track"
)

// ensembleName is the folder of the bundle in a workspace, and the name of the model that combines the others.
const ensembleName = "ensemble"

// maxManifest bounds the description of a bundle.
const maxManifest = 64 << 20

// bundleTag names the folder of a registered version's bundle where its source is another form of the model.
const bundleTag = "salescast.bundle"

// registryScheme begins the address of a registered model.
const registryScheme = "models:/"

// address is where a model comes from: a folder, or a version in the registry.
type address struct {
	name string
	// folder is the address of a workspace or of a bundle's folder; empty for a registered model.
	folder                string
	model, alias, version string
}

// parseAddress reads [NAME=]FOLDER, [NAME=]s3://..., models:/MODEL@ALIAS or models:/MODEL/VERSION.
func parseAddress(s string) (address, error) {
	name, rest, ok := strings.Cut(s, "=")
	if !ok || strings.ContainsAny(name, "/:@") {
		name, rest = "", s
	}
	a := address{name: name}
	if ref, ok := strings.CutPrefix(rest, registryScheme); ok {
		ref = strings.TrimLeft(ref, "/")
		switch model, alias, ok := strings.Cut(ref, "@"); {
		case ok:
			a.model, a.alias = model, alias
		default:
			a.model, a.version, _ = strings.Cut(ref, "/")
		}
		if a.model == "" || a.alias == "" && a.version == "" {
			return a, fmt.Errorf("model %q: write models:/NAME@ALIAS or models:/NAME/VERSION", s)
		}
		if a.name == "" {
			a.name = a.model
		}
		return a, nil
	}
	at, err := artifact.ParseLocation(rest)
	if err != nil {
		return a, fmt.Errorf("model %q: %w", s, err)
	}
	a.folder = rest
	if a.name == "" {
		p := strings.TrimSuffix(at.Path, "/")
		if path.Base(p) == ensembleName && path.Dir(p) != "." {
			p = path.Dir(p)
		}
		if a.name = path.Base(p); a.name == "." || a.name == "/" || a.name == "" {
			a.name = "default"
		}
	}
	return a, nil
}

// found is a bundle's folder as it is now.
type found struct {
	*folder
	// version is what people call it; state changes whenever there is something new to load.
	version, state string
	aliases        []string
	// away is why the folder is out of reach, where the registry's own files are read instead; nil elsewhere.
	away error
	// created is when the version was registered, or else the bundle was written; zero where neither is known.
	created time.Time
}

// find looks an address up without reading the bundle. limit bounds the call of the registry and that of the store; 0 leaves them the
// patience of their clients.
func (o *Options) find(ctx context.Context, a address, limit time.Duration) (*found, error) {
	out := &found{}
	at := a.folder
	var v track.Version
	if a.model != "" {
		var err error
		if v, err = o.lookUp(ctx, a, limit); err != nil {
			return nil, err
		}
		at, out.version, out.aliases = v.Source, v.Version, v.Aliases
		if tagged := v.Tags[bundleTag]; tagged != "" {
			at = tagged
		}
		out.state = v.Version + " " + v.Source + " "
	}
	f, etag, err := o.openAt(ctx, at, limit)
	if kept, ok := o.Registry.(track.Files); ok && err != nil && a.model != "" && ctx.Err() == nil {
		o.Log.Debug().Err(err).Str("model", a.model).Msg("the model is read from the registry")
		out.away = fmt.Errorf("open the bundle at %s: %w", at, err)
		f, err = &folder{kept: func(ctx context.Context, name string, limit int64) ([]byte, error) {
			return kept.ReadFile(ctx, v, name, limit)
		}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the bundle at %s: %w", at, err)
	}
	out.folder, out.created = f, v.Created
	if out.created.IsZero() {
		out.created = f.manifest.Finished
	}
	if v.Tags[bundleTag] == "" { // what a tag names never changes
		out.state += etag
	}
	if out.version == "" {
		out.version = f.manifest.Attempt
	}
	return out, nil
}

// reachable says, within limit, whether what is to be loaded can be read at all: a registry need not keep the files of a version whose folder
// is out of reach.
func (f *found) reachable(ctx context.Context, limit time.Duration) error {
	if f.away == nil {
		return nil
	}
	ctx, cancel := within(ctx, limit)
	defer cancel()
	if _, err := f.ReadFile(ctx, bundle.Name, maxManifest); err != nil {
		return fmt.Errorf("%w; nor does the registry give its files: %w", f.away, err)
	}
	return nil
}

// lookUp finds a version in the registry.
func (o *Options) lookUp(ctx context.Context, a address, limit time.Duration) (v track.Version, err error) {
	if o.Registry == nil {
		return v, errors.New("there is no model registry; give the folder of a workspace")
	}
	ctx, cancel := within(ctx, limit)
	defer cancel()
	if a.alias != "" {
		v, err = o.Registry.ByAlias(ctx, a.model, a.alias)
	} else {
		v, err = o.Registry.Version(ctx, a.model, a.version)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return v, fmt.Errorf("look up %s: %w", a.model, err)
	case err != nil:
		return v, fmt.Errorf("the registry cannot be asked for %s: %w", a.model, err)
	}
	return v, nil
}

// within bounds a context; 0 is no bound.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, limit)
}

// openAt opens the folder of a bundle at an address.
func (o *Options) openAt(ctx context.Context, at string, limit time.Duration) (*folder, string, error) {
	ctx, cancel := within(ctx, limit)
	defer cancel()
	store, err := o.OpenStore(at)
	if err != nil {
		return nil, "", err
	}
	return openFolder(ctx, store)
}

// folder is a bundle's folder in a store, with the manifest of the step that wrote it. It is a [bundle.Reader].
type folder struct {
	store    artifact.Store
	prefix   string // of the step's folder; "" where the store's root is that folder
	manifest artifact.Manifest
	// bare folders have no manifest: the bundle itself says the digests of its files.
	bare bool
	// kept reads what a registry keeps of a version, where the folder itself is out of reach.
	kept func(ctx context.Context, name string, limit int64) ([]byte, error)
}

// openFolder reads the manifest of a workspace's ensemble, or of the folder itself; one attempt's folder has none.
func openFolder(ctx context.Context, store artifact.Store) (*folder, string, error) {
	for _, prefix := range []string{ensembleName, ""} {
		r, info, err := store.Get(ctx, path.Join(prefix, artifact.ManifestName))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		m, err := artifact.ReadManifest(r)
		if cerr := r.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, "", err
		}
		return &folder{store: store, prefix: prefix, manifest: m}, info.ETag + " " + m.Attempt, nil
	}
	info, err := store.Stat(ctx, bundle.Name)
	if err == nil {
		return &folder{store: store, bare: true}, info.ETag, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	return nil, "", fmt.Errorf("there is no finished ensemble: %w", fs.ErrNotExist)
}

// ReadFile reads a file of the bundle and compares it with the manifest.
func (f *folder) ReadFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	if f.kept != nil {
		return f.kept(ctx, name, limit)
	}
	if f.bare {
		return f.read(ctx, name, limit)
	}
	for _, file := range f.manifest.Files {
		if file.Name != name {
			continue
		}
		if file.Size > limit {
			return nil, fmt.Errorf("read %s: it has %d bytes, at most %d are expected", name, file.Size, limit)
		}
		b, err := f.read(ctx, path.Join(f.prefix, file.Object), file.Size)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != file.SHA256 {
			return nil, fmt.Errorf("read %s: its SHA-256 is not that of the manifest", name)
		}
		return b, nil
	}
	return nil, fmt.Errorf("read %s: the folder has no such file: %w", name, fs.ErrNotExist)
}

func (f *folder) read(ctx context.Context, name string, limit int64) ([]byte, error) {
	r, _, err := f.store.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return b, err
}

// maxMetrics bounds what is shown of an evaluation.
const maxMetrics = 4 << 20

// metrics returns the file evaluate/metrics.json of the workspace, nil where there is none.
func (f *folder) metrics(ctx context.Context) json.RawMessage {
	if f.prefix == "" {
		return nil
	}
	b, err := f.read(ctx, "evaluate/metrics.json", maxMetrics)
	if err != nil || !json.Valid(b) {
		return nil
	}
	return b
}
