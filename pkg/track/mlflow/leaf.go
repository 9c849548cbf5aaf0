package mlflow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"salescast/pkg/track"
)

// Leaves are runs of which one parent has many, such as the trials of a search: they cost four calls each. What others do run by run is
// done once for all of a parent: what the server has of them is asked before the first, and what it has in the end when the tracker
// closes.

// family is the leaves of one parent.
type family struct {
	exp, parent string // the parent's key
	id          string // the parent's run, "" while it is not there
	known       map[string]runRecord

	mu    sync.Mutex
	ended []*run
}

// leaf begins or continues a leaf. t.mu is held.
func (t *Tracker) leaf(ctx context.Context, exp string, s track.Spec) (*run, error) {
	f := t.families[exp+"/"+s.Parent]
	if f == nil {
		id, err := t.parent(ctx, exp, s.Parent)
		if err != nil {
			return nil, err
		}
		children, err := t.search(ctx, exp, "tags.`"+TagParentKey+"` = '"+s.Parent+"'")
		if err != nil {
			return nil, err
		}
		f = &family{exp: exp, parent: s.Parent, id: id, known: map[string]runRecord{}}
		for _, c := range slices.Backward(children) { // the first of a key counts
			f.known[c.tag(TagKey)] = c
		}
		t.families[exp+"/"+s.Parent] = f
	}
	if old, there := f.known[s.Key]; there {
		r := newRun(t, s, old)
		r.family = f
		return r, r.reopen(ctx, s.Tags)
	}
	tags := maps.Clone(s.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	tags[TagKey], tags[TagParentKey] = s.Key, s.Parent
	if f.id != "" {
		tags[tagParent] = f.id
	}
	made, err := t.create(ctx, exp, s, tags)
	if err != nil {
		return nil, err
	}
	r := newRun(t, s, made)
	r.maps(tags)
	r.family = f
	return r, nil
}

// flushAll sends everything in one call where it fits, and answers false where it must go part by part.
func (r *run) flushAll(ctx context.Context) (bool, error) {
	if len(r.params) > maxPairs || len(r.tags) > maxPairs || len(r.params)+len(r.tags)+len(r.points) > maxMetrics || len(r.datasets) > 0 {
		return false, nil
	}
	if len(r.params)+len(r.tags)+len(r.points) == 0 {
		return true, nil
	}
	err := r.t.client.post(ctx, "runs/log-batch", logBatch{RunID: r.info.RunID, Params: pairs(r.params), Tags: pairs(r.tags), Metrics: r.points}, nil)
	if isCode(err, codeInvalid, codeBad) {
		return false, nil
	}
	if err == nil {
		clear(r.params)
		clear(r.tags)
		r.points = nil
	}
	return true, err
}

// endLeaf is End without what is left to the tracker's Close; curves are read back now. r.mu is held.
func (r *run) endLeaf(ctx context.Context, s track.Status, end int64) error {
	if err := r.t.client.post(ctx, "runs/update", updateRun{RunID: r.info.RunID, Status: string(s), EndTime: end}, nil); err != nil {
		return r.fail("the end", err)
	}
	r.info.Status = string(s)
	r.family.mu.Lock()
	r.family.ended = append(r.family.ended, r)
	r.family.mu.Unlock()
	var lost []string
	for _, name := range slices.Sorted(maps.Keys(r.seen)) {
		if len(r.seen[name]) < 2 {
			continue // a single point comes with the run
		}
		n, err := r.lostPoints(ctx, name, nil)
		if err != nil {
			return r.fail("everything", err)
		}
		if n > 0 {
			lost = append(lost, fmt.Sprintf("%d points of metric %q", n, name))
		}
	}
	if len(lost) > 0 {
		return r.fail("everything", fmt.Errorf("%w: missing are %s", ErrLost, strings.Join(lost, ", ")))
	}
	return nil
}

// verifyLeaves compares what the server has of the leaves that ended with what it was sent. t.mu is held.
func (t *Tracker) verifyLeaves(ctx context.Context) error {
	var errs []error
	for _, k := range slices.Sorted(maps.Keys(t.families)) {
		f := t.families[k]
		f.mu.Lock()
		ended := f.ended
		f.ended = nil
		f.mu.Unlock()
		if len(ended) == 0 {
			continue
		}
		now, err := t.search(ctx, f.exp, "tags.`"+TagParentKey+"` = '"+f.parent+"'")
		if err != nil {
			errs = append(errs, fmt.Errorf("read back the runs inside %s: %w", f.parent, err))
			continue
		}
		have := map[string]runRecord{}
		for _, r := range now {
			have[r.Info.RunID] = r
		}
		for _, r := range ended {
			r.mu.Lock()
			record, there := have[r.info.RunID]
			if !there { // one answer holds a thousand
				record, err = r.read(ctx)
			}
			if err == nil {
				err = r.compare(ctx, record, track.Status(r.info.Status), nil)
			}
			r.mu.Unlock()
			errs = append(errs, r.fail("everything", err))
		}
	}
	return errors.Join(errs...)
}
