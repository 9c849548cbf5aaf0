package track

import (
	"context"
	"io"
	"time"
)

// Off is a Tracker that records nothing, for those who want no record at all. It checks nothing either.
type Off struct{}

// Start returns a run that records nothing.
func (Off) Start(context.Context, Spec) (Run, error) { return offRun{}, nil }

// Close does nothing.
func (Off) Close(context.Context) error { return nil }

type offRun struct{}

func (offRun) ID() string                                               { return "" }
func (offRun) URL() string                                              { return "" }
func (offRun) Params(context.Context, map[string]string) error          { return nil }
func (offRun) Metrics(context.Context, []Metric) error                  { return nil }
func (offRun) Tags(context.Context, map[string]string) error            { return nil }
func (offRun) Dataset(context.Context, Dataset) error                   { return nil }
func (offRun) Artifact(context.Context, string, io.Reader, int64) error { return nil }
func (offRun) Model(context.Context, LoggedModel) error                 { return nil }
func (offRun) Flush(context.Context) error                              { return nil }
func (offRun) End(context.Context, Status, time.Time) error             { return nil }
