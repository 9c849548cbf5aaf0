package main

import (
	"errors"
	"testing"

	"salescast/pkg/artifact"
	"salescast/tasks"
)

// What a process that opened a model says, or does not, is what the server makes of it.
func TestProbeAnswers(t *testing.T) {
	t.Parallel()
	killed := errors.New("signal: segmentation fault")
	for _, c := range []struct {
		out   string
		err   error
		state string
		kind  tasks.Kind
		again bool
	}{
		{out: `{"state":"etag 1"}`, state: "etag 1"},
		{err: killed, kind: tasks.KindData},
		{out: "{", err: killed, kind: tasks.KindData},
		{out: `{"state":"etag 1"}`, err: killed, kind: tasks.KindData},
		{out: `{"error":"tree 3: a split leads to node 9 of 5","kind":"data"}`, err: errors.New("exit status 65"), kind: tasks.KindData},
		{out: `{"error":"the store is away","kind":"try_again"}`, err: errors.New("exit status 75"), kind: tasks.KindTryAgain, again: true},
	} {
		state, err := readProbe([]byte(c.out), c.err)
		if state != c.state || tasks.KindOf(err) != c.kind || errors.Is(err, artifact.ErrUnavailable) != c.again {
			t.Errorf("%q and %v: state %q, error %v", c.out, c.err, state, err)
		}
	}
}
