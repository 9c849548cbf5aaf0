package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// probeLimit is how long a model may take to be opened on trial.
const probeLimit = 15 * time.Minute

var errMoved = errors.New("another model came while this one was tried")

// probe opens a model on trial, in another process, where this one serves any: engines are not Go, and what they do with a model that is
// not what it seems, or the memory that it takes, shall not end the models at work.
func (c *catalogue) probe(ctx context.Context, s *slot, f *found) error {
	if c.o.Probe == nil || !slices.ContainsFunc(c.slots, func(s *slot) bool { return s.loaded != nil }) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	state, err := c.o.Probe(ctx, s.address.of(f))
	if err != nil {
		return fmt.Errorf("try it in a process of its own: %w", err)
	}
	if state != f.state {
		return errMoved
	}
	return nil
}

// of is the address of what was found: of an alias, that of the version.
func (a address) of(f *found) string {
	if a.model != "" {
		return registryScheme + a.model + "/" + f.version
	}
	return a.folder
}

// ProbeModel opens a model and forecasts with all that it has, as a server does before it takes it over, and answers the state of the
// files that it read.
func ProbeModel(ctx context.Context, o Options, address string) (state string, err error) {
	a, err := parseAddress(address)
	if err != nil {
		return "", err
	}
	f, err := o.find(ctx, a, 0)
	if err != nil {
		return "", err
	}
	c := &catalogue{o: &o}
	l, err := c.load(ctx, f)
	if err != nil {
		return "", err
	}
	return f.state, l.close()
}
