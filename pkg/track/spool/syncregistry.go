package spool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"salescast/pkg/track"
)

// RegistryReplay says how versions come to another registry.
type RegistryReplay struct {
	// Target names the other registry, such as its URL: a note beside the log says how much of it that target has.
	Target string
	// Guarded are aliases that are not taken from versions of others.
	Guarded []string
	// Numbered are tags whose values are version numbers of the same model: the other registry has numbers of its own.
	Numbered []string
}

// ReplayedVersions says what ReplayRegistry did.
type ReplayedVersions struct {
	// Versions counts those that the target has now of all that are here, Aliases those that were moved.
	Versions, Aliases int
	// Left says, in sentences, what was left as it is at the target, and which versions wait for their runs.
	Left []string
}

// ReplayRegistry makes the versions of a registry at another one, with their tags, and moves the aliases there; doing it twice is doing it
// once. An alias never moves back to an older version there, and a guarded one is not taken from a version of others. A version whose run
// the target does not know waits for it. Of a registry in a folder, which has a note of what the target has, nothing is sent again.
func ReplayRegistry(ctx context.Context, from *Registry, to track.Registry, o RegistryReplay) (out ReplayedVersions, err error) {
	note := ""
	if from.spool != nil {
		unlock, err := from.spool.hold(ctx, "replay-registry")
		if err != nil {
			return out, err
		}
		defer unlock()
		note = filepath.Join(from.spool.dir, "registry.synced.json")
	}
	if err := from.look(ctx, func() error { return nil }); err != nil {
		return out, wrap(err, "read the registry to send")
	}
	var had synced
	if b, err := os.ReadFile(note); err == nil && json.Unmarshal(b, &had) == nil && had.Target == o.Target && had.Bytes == from.log.end() {
		return out, nil
	}
	waiting := false
	for _, model := range slices.Sorted(maps.Keys(from.models)) {
		p := registryPlayer{to: to, options: o, out: &out, name: model, from: from.models[model], number: map[string]string{}}
		if err := p.play(ctx); err != nil {
			return out, wrap(err, "replay model %q", model)
		}
		waiting = waiting || len(p.number) < len(p.from.versions)
	}
	if waiting || note == "" || len(from.models) == 0 {
		return out, nil
	}
	b, err := json.Marshal(synced{Target: o.Target, Bytes: from.log.end(), Ended: true})
	if err != nil {
		return out, err
	}
	if err := os.WriteFile(note+".new", append(b, '\n'), 0o600); err != nil {
		return out, full(err)
	}
	return out, full(os.Rename(note+".new", note))
}

// registryPlayer plays one model.
type registryPlayer struct {
	to      track.Registry
	options RegistryReplay
	out     *ReplayedVersions
	name    string
	from    *model
	// number is what the target calls our versions.
	number map[string]string
}

func (p *registryPlayer) play(ctx context.Context) error {
	tags := map[string]map[string]string{} // that the target has, by its numbers
	for _, v := range p.from.versions {
		made, err := p.to.Create(ctx, track.NewVersion{
			Model: p.name, Key: v.Key, Source: v.Source, RunID: v.RunID, Experiment: v.Experiment, Description: v.Description, Tags: p.renumbered(v.Tags),
		})
		if errors.Is(err, fs.ErrNotExist) {
			p.left("version %s of %s waits: its run %s is not there yet; sync the workspace that made it", v.Version, p.name, v.RunID)
			continue
		}
		if err != nil {
			return err
		}
		p.number[v.Version], tags[made.Version] = made.Version, made.Tags
		p.out.Versions++
	}
	for _, v := range p.from.versions {
		number, ok := p.number[v.Version]
		if !ok {
			continue
		}
		// What was there before may have been judged again there: only what it lacks is added.
		lacks := p.renumbered(v.Tags)
		maps.DeleteFunc(lacks, func(k, value string) bool { _, has := tags[number][k]; return has || value == "" })
		if len(lacks) == 0 {
			continue
		}
		if err := p.to.SetTags(ctx, p.name, number, lacks); err != nil {
			return err
		}
	}
	for _, alias := range slices.Sorted(maps.Keys(p.from.aliases)) {
		if err := p.alias(ctx, alias); err != nil {
			return err
		}
	}
	return nil
}

// renumbered are tags in the numbers of the target; one whose version is not there yet is left out.
func (p *registryPlayer) renumbered(tags map[string]string) map[string]string {
	out := maps.Clone(tags)
	for _, k := range p.options.Numbered {
		if v := out[k]; v != "" {
			if out[k] = p.number[v]; out[k] == "" {
				delete(out, k)
			}
		}
	}
	return out
}

func (p *registryPlayer) alias(ctx context.Context, alias string) error {
	want, ok := p.number[p.from.aliases[alias]]
	if !ok {
		return nil
	}
	now, err := p.to.ByAlias(ctx, p.name, alias)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case now.Version == want:
		return nil
	case !p.ours(now.Version) && slices.Contains(p.options.Guarded, alias):
		p.left("%s of %s stays version %s there, which is not from here: register again to have version %s compared with it", alias, p.name, now.Version, want)
		return nil
	case track.Earlier(want, now.Version):
		p.left("%s of %s stays version %s there and does not go back to version %s", alias, p.name, now.Version, want)
		return nil
	}
	p.out.Aliases++
	return p.to.SetAlias(ctx, p.name, alias, want)
}

func (p *registryPlayer) ours(version string) bool {
	for _, n := range p.number {
		if n == version {
			return true
		}
	}
	return false
}

func (p *registryPlayer) left(format string, args ...any) {
	p.out.Left = append(p.out.Left, fmt.Sprintf(format, args...))
}
