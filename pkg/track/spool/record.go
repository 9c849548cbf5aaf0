package spool

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"salescast/pkg/track"
)

// The operations of a run's log.
const (
	opStart    = "start"
	opParams   = "params"
	opMetrics  = "metrics"
	opTags     = "tags"
	opDataset  = "dataset"
	opArtifact = "artifact"
	opModel    = "model"
	opEnd      = "end"
)

type startBody struct {
	Experiment string            `json:"experiment"`
	Name       string            `json:"name"`
	Key        string            `json:"key"`
	Parent     string            `json:"parent,omitempty"`
	Start      int64             `json:"start"`
	Tags       map[string]string `json:"tags,omitempty"`
	Leaf       bool              `json:"leaf,omitempty"`
}

type metricBody struct {
	Name  string `json:"name"`
	Value number `json:"value"`
	Step  int64  `json:"step"`
	At    int64  `json:"at"`
}

type datasetBody struct {
	Name    string   `json:"name"`
	Digest  string   `json:"digest"`
	URI     string   `json:"uri,omitempty"`
	Context string   `json:"context,omitempty"`
	Rows    int64    `json:"rows,omitempty"`
	Columns []string `json:"columns,omitempty"`
}

type artifactBody struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

type modelBody struct {
	Name    string            `json:"name"`
	Path    string            `json:"path"`
	Flavors []string          `json:"flavors,omitempty"`
	Params  map[string]string `json:"params,omitempty"`
	Metrics []metricBody      `json:"metrics,omitempty"`
}

type endBody struct {
	Status track.Status `json:"status"`
	At     int64        `json:"at"`
}

// number is a float64 whose NaN is the JSON string "NaN".
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) {
		return []byte(`"NaN"`), nil
	}
	return json.Marshal(float64(n))
}

func (n *number) UnmarshalJSON(b []byte) error {
	if string(b) == `"NaN"` {
		*n = number(math.NaN())
		return nil
	}
	var v float64
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*n = number(v)
	return nil
}

func startOf(s track.Spec) startBody {
	return startBody{Experiment: s.Experiment, Name: s.Name, Key: s.Key, Parent: s.Parent, Start: s.Start.UnixMilli(), Tags: s.Tags, Leaf: s.Leaf}
}

func (b startBody) spec() track.Spec {
	return track.Spec{Experiment: b.Experiment, Name: b.Name, Key: b.Key, Parent: b.Parent, Start: time.UnixMilli(b.Start), Tags: b.Tags, Leaf: b.Leaf}
}

func metricsOf(m []track.Metric) []metricBody {
	out := make([]metricBody, len(m))
	for i, p := range m {
		out[i] = metricBody{Name: p.Name, Value: number(p.Value), Step: p.Step, At: p.At.UnixMilli()}
	}
	return out
}

func metricsFrom(m []metricBody) []track.Metric {
	out := make([]track.Metric, len(m))
	for i, p := range m {
		out[i] = track.Metric{Name: p.Name, Value: float64(p.Value), Step: p.Step, At: time.UnixMilli(p.At)}
	}
	return out
}

func modelOf(m track.LoggedModel) modelBody {
	return modelBody{Name: m.Name, Path: m.Path, Flavors: m.Flavors, Params: m.Params, Metrics: metricsOf(m.Metrics)}
}

func (b modelBody) model() track.LoggedModel {
	return track.LoggedModel{Name: b.Name, Path: b.Path, Flavors: b.Flavors, Params: b.Params, Metrics: metricsFrom(b.Metrics)}
}

func decode[T any](l line) (T, error) {
	var v T
	if err := json.Unmarshal(l.Body, &v); err != nil {
		return v, fmt.Errorf("decode %s: %w", l.Op, err)
	}
	return v, nil
}

func (b endBody) at() time.Time { return time.UnixMilli(b.At) }
