package spool

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"salescast/pkg/track"
	"salescast/pkg/track/tracktest"
)

// What was packed and unpacked replays as it was; what has not ended, or goes on meanwhile, stays.
func TestPack(t *testing.T) {
	t.Parallel()
	want := tracktest.NewMemory()
	must(t, work(t.Context(), want))
	s := open(t, t.TempDir(), 0)
	must(t, work(t.Context(), s))
	_, err := s.Start(t.Context(), spec("open"))
	must(t, err)
	var b bytes.Buffer
	p, err := s.Pack(t.Context(), &b)
	must(t, err)
	if p.Len() != 2 {
		t.Errorf("%d runs are packed, want those 2 that have ended", p.Len())
	}
	again, err := s.Start(t.Context(), spec("child"))
	must(t, err, again.Metrics(t.Context(), metric(7)), again.End(t.Context(), track.Finished, epoch), p.Done(t.Context(), "s3://b/1.tar"))
	keys, err := s.Keys()
	must(t, err)
	if len(keys) != 2 || keys[0] != "child" || keys[1] != "open" {
		t.Errorf("the spool keeps %v, want child, which went on, and open", keys)
	}
	p.Close()
	u, err := Unpack(t.Context(), &b, t.TempDir(), 1<<20)
	must(t, err)
	to := tracktest.NewMemory()
	_, err = Replay(t.Context(), u, to, "memory")
	must(t, err)
	for _, key := range want.Keys() {
		tracktest.Equal(t, to.Runs(key)[0], want.Runs(key)[0], true)
	}
}

// Ten who record into one spool, pack and prune it at once lose nothing and say nothing twice: each run is in one tar, whole.
func TestPackTogether(t *testing.T) {
	t.Parallel()
	const hands, each = 10, 5
	folder := t.TempDir()
	var mu sync.Mutex
	var tars [][]byte
	hand := func(h int) error {
		s, err := Open(folder, 0)
		if err != nil {
			return err
		}
		defer s.Close(context.WithoutCancel(t.Context()))
		for i := range each {
			r, err := s.Start(t.Context(), spec(fmt.Sprintf("hand%d-run%d", h, i)))
			if err != nil {
				return err
			}
			if err := errors.Join(r.Metrics(t.Context(), metric(h)), r.End(t.Context(), track.Finished, epoch)); err != nil {
				return err
			}
			var b bytes.Buffer
			p, err := s.Pack(t.Context(), &b)
			if err != nil {
				return err
			}
			if p.Len() > 0 {
				mu.Lock()
				tars = append(tars, b.Bytes())
				mu.Unlock()
				err = p.Done(t.Context(), "s3://b/x.tar")
			}
			p.Close()
			if _, perr := Prune(t.Context(), s); err != nil || perr != nil {
				return errors.Join(err, perr)
			}
		}
		return nil
	}
	var wg sync.WaitGroup
	for h := range hands {
		wg.Go(func() {
			if err := hand(h); err != nil {
				t.Errorf("hand %d: %v", h, err)
			}
		})
	}
	wg.Wait()
	seen := map[string]int{}
	for _, b := range tars {
		u, err := Unpack(t.Context(), bytes.NewReader(b), t.TempDir(), 0)
		must(t, err)
		to := tracktest.NewMemory()
		_, err = Replay(t.Context(), u, to, "memory")
		must(t, err)
		for _, key := range to.Keys() {
			seen[key] += len(to.Runs(key)[0].Metrics)
		}
	}
	for h := range hands {
		for i := range each {
			if key := fmt.Sprintf("hand%d-run%d", h, i); seen[key] != 1 {
				t.Errorf("run %s has %d records, want 1", key, seen[key])
			}
		}
	}
}

// A tar of other things writes nothing outside.
func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	for _, h := range []tar.Header{
		{Name: "runs/../../x/log.jsonl"},
		{Name: "/etc/passwd"},
		{Name: "runs/k/files/../../../x"},
		{Name: "runs/k/other"},
		{Name: "FORMAT"},
		{Name: "runs"},
		{Name: "runs/k/log.jsonl", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		must(t, w.WriteHeader(&h), w.Close())
		if _, err := Unpack(t.Context(), &b, t.TempDir(), 0); !errors.Is(err, ErrCorrupt) {
			t.Errorf("entry %q: %v, want ErrCorrupt", h.Name, err)
		}
	}
	if _, err := Unpack(t.Context(), bytes.NewReader([]byte("no tar at all, and long enough for a header......")), t.TempDir(), 0); !errors.Is(err, ErrCorrupt) {
		t.Errorf("no tar: %v, want ErrCorrupt", err)
	}
}
