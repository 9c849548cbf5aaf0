package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"salescast/pkg/artifact"
	"salescast/pkg/track"
)

// catalogue is what is served: one slot per address, whose bundle is exchanged whole.
type catalogue struct {
	o     *Options
	slots []*slot
	// loading is held while bundles are opened, mu for a moment while they are exchanged.
	loading sync.Mutex
	mu      sync.RWMutex
	closing sync.WaitGroup
	closed  bool
}

// slot is an address and what was loaded from it last.
type slot struct {
	address address
	loaded  *loaded
	// failure is why the newest could not be loaded; what was loaded before is served on.
	failure string
	// since is when it first could not, failed when last.
	since, failed time.Time
	// refused is the state that failed and would fail again; "" where it may be well the next time.
	refused string
}

// loaded is an opened bundle with its models.
type loaded struct {
	*opened
	views   []*view
	version string
	aliases []string
	state   string
	at      time.Time
	created time.Time
	metrics json.RawMessage
}

func newCatalogue(o *Options) (*catalogue, error) {
	c := &catalogue{o: o}
	for _, m := range o.Models {
		a, err := parseAddress(m)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(c.slots, func(s *slot) bool { return s.address.name == a.name }) {
			return nil, fmt.Errorf("two models are named %q; write NAME=%s", a.name, m)
		}
		c.slots = append(c.slots, &slot{address: a})
	}
	if len(c.slots) == 0 {
		return nil, errors.New("no model is given")
	}
	return c, nil
}

// refresh loads what is newer than what is served, everything when forced. The errors are those of slots that could not be loaded;
// they serve on what they had.
func (c *catalogue) refresh(ctx context.Context, force bool) error {
	c.loading.Lock()
	defer c.loading.Unlock()
	errs := make([]error, 0, len(c.slots))
	for _, s := range c.slots {
		err := c.refreshSlot(ctx, s, force)
		if err != nil {
			err = fmt.Errorf("load %s: %w", s.address.name, err)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// lookLimit is how long registry and store may take to say whether there is a newer model. Where there is none yet, it is worth waiting.
const lookLimit = 5 * time.Second

func (c *catalogue) refreshSlot(ctx context.Context, s *slot, force bool) error {
	limit := lookLimit
	if s.loaded == nil {
		limit = 0
	}
	f, err := c.o.find(ctx, s.address, limit)
	if err != nil {
		return c.fail(ctx, s, "", err)
	}
	if !force && (s.loaded != nil && s.loaded.state == f.state || s.refused == f.state) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if s.loaded != nil && s.loaded.state == f.state {
			if s.failure != "" {
				c.o.Log.Info().Str("model", s.address.name).Str("version", s.loaded.version).Time("failed_since", s.since).Msg("the model is the newest again")
			}
			s.failure, s.loaded.aliases = "", f.aliases
		}
		return nil
	}
	if err := f.reachable(ctx, limit); err != nil {
		return c.fail(ctx, s, "", err)
	}
	began := c.o.Now()
	err = c.probe(ctx, s, f)
	var l *loaded
	if err == nil {
		l, err = c.load(ctx, f)
	}
	debug.FreeOSMemory() // what decoding needed is many times what is kept, and the next load may be weeks away
	if err != nil {
		state := f.state
		if errors.Is(err, artifact.ErrUnavailable) || errors.Is(err, track.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errMoved) {
			state = "" // the same may be there when it is looked for again
		}
		return c.fail(ctx, s, state, err)
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return l.close()
	}
	old := s.loaded
	s.loaded, s.failure, s.refused = l, "", ""
	c.mu.Unlock()
	c.o.Log.Info().Str("model", s.address.name).Str("version", l.version).Dur("took", c.o.Now().Sub(began)).Int("series", l.history.Series()).Msg("model loaded")
	if old != nil {
		c.closing.Go(func() {
			if err := old.close(); err != nil {
				c.o.Log.Warn().Err(err).Str("model", s.address.name).Msg("the replaced model was not closed")
			}
		})
	}
	return nil
}

func (c *catalogue) load(ctx context.Context, f *found) (*loaded, error) {
	o, err := openBundle(ctx, f, c.o.Loaders)
	if err != nil {
		return nil, err
	}
	l := &loaded{opened: o, version: f.version, aliases: f.aliases, state: f.state, at: c.o.Now(), created: f.created, metrics: f.metrics(ctx)}
	if l.views, err = o.views(ctx); err != nil {
		return nil, errors.Join(err, o.close())
	}
	return l, nil
}

// fail keeps what is served and remembers why there is nothing newer.
func (c *catalogue) fail(ctx context.Context, s *slot, state string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.failure == "" || s.refused != state {
		s.since = c.o.Now()
	}
	if s.failure != err.Error() {
		c.o.Log.Error().Err(err).Str("model", s.address.name).Bool("serving_older", s.loaded != nil).Time("since", s.since).Msg("model not loaded")
	}
	s.failure, s.failed, s.refused = err.Error(), c.o.Now(), state
	return err
}

// acquire finds a model by name and keeps its bundle open until release is called. Names are SLOT/MODEL; SLOT alone is its ensemble;
// MODEL alone will do where only one slot has it; "" is the ensemble of the first.
func (c *catalogue) acquire(name string) (v *view, release func(), err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var known []string
	var hits []*view
	for _, s := range c.slots {
		if s.loaded == nil {
			continue
		}
		for _, v := range s.loaded.views {
			full := s.address.name + "/" + v.name
			known = append(known, full)
			switch {
			case name == full, name == s.address.name && v.member < 0, name == "" && v.member < 0 && s == c.slots[0]:
				v.users.Add(1)
				return v, v.users.Done, nil
			case name == v.name:
				hits = append(hits, v)
			}
		}
	}
	if len(hits) == 1 {
		hits[0].users.Add(1)
		return hits[0], hits[0].users.Done, nil
	}
	p := &problem{Status: 404, Code: codeUnknownModel, Message: fmt.Sprintf("there is no model %q", clip(name))}
	if len(hits) > 1 {
		p.Message = fmt.Sprintf("several models are named %q", clip(name))
	}
	return nil, nil, p.hint("the models are %s", strings.Join(known, ", "))
}

// close ends with all bundles closed.
func (c *catalogue) close() error {
	c.loading.Lock()
	defer c.loading.Unlock()
	c.mu.Lock()
	c.closed = true
	var errs []error
	for _, s := range c.slots {
		if s.loaded != nil {
			l := s.loaded
			s.loaded = nil
			c.mu.Unlock()
			errs = append(errs, l.close())
			c.mu.Lock()
		}
	}
	c.mu.Unlock()
	c.closing.Wait()
	return errors.Join(errs...)
}

// poll refreshes until ctx ends.
func (c *catalogue) poll(ctx context.Context, every time.Duration) {
	if every <= 0 {
		return
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			_ = c.refresh(ctx, false) // it is logged, and /v1/models tells it
		}
	}
}
