package spool

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"salescast/pkg/artifact"
	"salescast/pkg/track"
)

// The operations of the registry's log.
const (
	opVersion     = "version"
	opAlias       = "alias"
	opDeleteAlias = "delete_alias"
	opVersionTags = "version_tags"
)

type versionBody struct {
	Model       string            `json:"model"`
	Version     string            `json:"version"`
	Key         string            `json:"key"`
	Source      string            `json:"source"`
	RunID       string            `json:"run_id,omitempty"`
	Experiment  string            `json:"experiment,omitempty"`
	Description string            `json:"description,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Created     int64             `json:"created"`
}

type aliasBody struct {
	Model   string `json:"model"`
	Alias   string `json:"alias"`
	Version string `json:"version,omitempty"`
}

type versionTagsBody struct {
	Model   string            `json:"model"`
	Version string            `json:"version"`
	Tags    map[string]string `json:"tags"`
}

// registryName is the file, or the object, of a registry.
const registryName = "registry.jsonl"

// registryLog is where the operations on a registry are kept, for all processes that share it; journal and objectLog are.
type registryLog interface {
	update(ctx context.Context, durable bool, decide func() ([]entry, error)) error
	// end is the size of the log as far as it is known here.
	end() int64
	close() error
}

// Registry is a track.Registry in the registry.jsonl of a spool or of a store. Versions are numbered from 1.
type Registry struct {
	log    registryLog
	now    func() time.Time
	models map[string]*model
	// spool is nil for the registry of a store.
	spool *Spool
}

type model struct {
	versions []versionBody
	byKey    map[string]int
	aliases  map[string]string
}

// NewRegistry opens the registry of a spool; now stamps new versions.
func NewRegistry(s *Spool, now func() time.Time) *Registry {
	r := &Registry{now: now, spool: s}
	r.log = &journal{path: filepath.Join(s.dir, registryName), space: s.space, reset: r.reset, apply: r.apply}
	return r
}

// NewStoreRegistry opens the registry of a store, which machines without a common disk may share; now stamps new versions.
func NewStoreRegistry(store artifact.Store, now func() time.Time) *Registry {
	r := &Registry{now: now, models: map[string]*model{}}
	r.log = &objectLog{store: store, name: registryName, reset: r.reset, apply: r.apply}
	return r
}

func (r *Registry) reset() { r.models = map[string]*model{} }

// Close lets go of the file.
func (r *Registry) Close() error { return r.log.close() }

func (r *Registry) apply(l line) error {
	switch l.Op {
	case opVersion:
		b, err := decode[versionBody](l)
		if err != nil {
			return err
		}
		m := r.models[b.Model]
		if m == nil {
			m = &model{byKey: map[string]int{}, aliases: map[string]string{}}
			r.models[b.Model] = m
		}
		m.byKey[b.Key] = len(m.versions)
		m.versions = append(m.versions, b)
		return nil
	case opAlias, opDeleteAlias:
		b, err := decode[aliasBody](l)
		if err != nil {
			return err
		}
		m, err := r.model(b.Model)
		if err != nil {
			return err
		}
		delete(m.aliases, b.Alias)
		if l.Op == opAlias {
			m.aliases[b.Alias] = b.Version
		}
		return nil
	case opVersionTags:
		b, err := decode[versionTagsBody](l)
		if err != nil {
			return err
		}
		_, v, err := r.version(b.Model, b.Version)
		if err != nil {
			return err
		}
		if v.Tags == nil {
			v.Tags = map[string]string{}
		}
		maps.Copy(v.Tags, b.Tags)
		return nil
	}
	return fmt.Errorf("the operation %q is unknown: a newer version wrote this registry, use that one", l.Op)
}

func (r *Registry) model(name string) (*model, error) {
	m := r.models[name]
	if m == nil {
		return nil, fmt.Errorf("%w: no model %q is registered", fs.ErrNotExist, name)
	}
	return m, nil
}

func (r *Registry) version(name, version string) (*model, *versionBody, error) {
	m, err := r.model(name)
	if err != nil {
		return nil, nil, err
	}
	for i := range m.versions {
		if m.versions[i].Version == version {
			return m, &m.versions[i], nil
		}
	}
	return nil, nil, fmt.Errorf("%w: model %q has no version %q", fs.ErrNotExist, name, version)
}

// view makes the answer; it shares no memory with the state.
func (m *model) view(v versionBody) track.Version {
	out := track.Version{
		Model: v.Model, Version: v.Version, Source: v.Source, RunID: v.RunID,
		Created: time.UnixMilli(v.Created), Tags: maps.Clone(v.Tags),
	}
	for alias, version := range m.aliases {
		if version == v.Version {
			out.Aliases = append(out.Aliases, alias)
		}
	}
	slices.Sort(out.Aliases)
	return out
}

// Create adds a version.
func (r *Registry) Create(ctx context.Context, n track.NewVersion) (track.Version, error) {
	if err := n.Validate(); err != nil {
		return track.Version{}, fmt.Errorf("register model %q: %w", n.Model, err)
	}
	var out track.Version
	err := r.log.update(ctx, true, func() ([]entry, error) {
		m := r.models[n.Model]
		if m != nil {
			if i, there := m.byKey[n.Key]; there {
				out = m.view(m.versions[i])
				return nil, nil
			}
		} else {
			m = &model{}
		}
		b := versionBody{
			Model: n.Model, Version: strconv.Itoa(len(m.versions) + 1), Key: n.Key, Source: n.Source, RunID: n.RunID, Experiment: n.Experiment,
			Description: n.Description, Tags: n.Tags, Created: r.now().UnixMilli(),
		}
		out = m.view(b)
		return []entry{{opVersion, b}}, nil
	})
	return out, wrap(err, "register model %q", n.Model)
}

// Version returns one version of a model.
func (r *Registry) Version(ctx context.Context, name, version string) (track.Version, error) {
	var out track.Version
	err := r.look(ctx, func() error {
		m, v, err := r.version(name, version)
		if err == nil {
			out = m.view(*v)
		}
		return err
	})
	return out, wrap(err, "look up version %s of model %q", version, name)
}

// ByAlias returns the version an alias names.
func (r *Registry) ByAlias(ctx context.Context, name, alias string) (track.Version, error) {
	var out track.Version
	err := r.look(ctx, func() error {
		m, err := r.model(name)
		if err != nil {
			return err
		}
		version, ok := m.aliases[alias]
		if !ok {
			return fmt.Errorf("%w: model %q has no alias %q", fs.ErrNotExist, name, alias)
		}
		_, v, err := r.version(name, version)
		if err == nil {
			out = m.view(*v)
		}
		return err
	})
	return out, wrap(err, "look up alias %q of model %q", alias, name)
}

// Versions returns all versions of a model, the newest first.
func (r *Registry) Versions(ctx context.Context, name string) ([]track.Version, error) {
	var out []track.Version
	err := r.look(ctx, func() error {
		m, err := r.model(name)
		if err != nil {
			return err
		}
		for _, v := range slices.Backward(m.versions) {
			out = append(out, m.view(v))
		}
		return nil
	})
	return out, wrap(err, "list versions of model %q", name)
}

// Models returns the names of all models, sorted.
func (r *Registry) Models(ctx context.Context) ([]string, error) {
	var out []string
	err := r.look(ctx, func() error {
		out = slices.Sorted(maps.Keys(r.models))
		return nil
	})
	return out, wrap(err, "list models")
}

// SetAlias makes an alias name a version, and no other.
func (r *Registry) SetAlias(ctx context.Context, name, alias, version string) error {
	if err := cmp.Or(track.ValidateModelName(name), track.ValidateAlias(alias)); err != nil {
		return wrap(err, "set alias of model %q", name)
	}
	err := r.log.update(ctx, true, func() ([]entry, error) {
		m, _, err := r.version(name, version)
		if err != nil || m.aliases[alias] == version {
			return nil, err
		}
		return []entry{{opAlias, aliasBody{Model: name, Alias: alias, Version: version}}}, nil
	})
	return wrap(err, "set alias %q of model %q", alias, name)
}

// DeleteAlias takes an alias away.
func (r *Registry) DeleteAlias(ctx context.Context, name, alias string) error {
	err := r.log.update(ctx, true, func() ([]entry, error) {
		m, err := r.model(name)
		if err != nil {
			return nil, err
		}
		if _, there := m.aliases[alias]; !there {
			return nil, nil
		}
		return []entry{{opDeleteAlias, aliasBody{Model: name, Alias: alias}}}, nil
	})
	return wrap(err, "delete alias %q of model %q", alias, name)
}

// SetTags adds tags to a version, replacing those of the same names.
func (r *Registry) SetTags(ctx context.Context, name, version string, tags map[string]string) error {
	if err := track.ValidateTags(tags); err != nil {
		return wrap(err, "tag version %s of model %q", version, name)
	}
	err := r.log.update(ctx, true, func() ([]entry, error) {
		if _, _, err := r.version(name, version); err != nil {
			return nil, err
		}
		return []entry{{opVersionTags, versionTagsBody{Model: name, Version: version, Tags: tags}}}, nil
	})
	return wrap(err, "tag version %s of model %q", version, name)
}

// look catches up with the log and then reads.
func (r *Registry) look(ctx context.Context, read func() error) error {
	return r.log.update(ctx, false, func() ([]entry, error) { return nil, read() })
}

func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
