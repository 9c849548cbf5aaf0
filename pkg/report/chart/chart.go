// Package chart draws what predictions are worth as PNG pictures.
package chart

import (
	"cmp"
	"image/color"
	"io"
	"math"
	"slices"
	"strings"

	"salescast/pkg/metric"
)

// Data is what pictures are drawn from; it is only read.
type Data struct {
	// Sample is of the predictions that Evaluation has the scores of.
	Sample     *Sample
	Evaluation *metric.Evaluation
	// Primary is the model that the pictures are about, Baseline the one it is held against.
	Primary, Baseline string
	// Target is the name of what is sold, as it stands in the data.
	Target string
	// Importance has, per model that knows it, what its features gained.
	Importance []Importance
}

// Importance is what the features of one model gained in all its splits.
type Importance struct {
	Model    string
	Features []Feature
}

// Feature is one column of a design matrix and its total gain.
type Feature struct {
	Name string  `json:"name"`
	Gain float64 `json:"gain"`
}

// Picture is one PNG. Draw may be called several times and gives the same bytes.
type Picture struct {
	Name string
	Draw func(w io.Writer) error
}

// Pictures lists what can be drawn of d, in the order in which it is best looked at.
func (d *Data) Pictures() []Picture {
	ps := []Picture{{"metrics.png", d.drawMetrics}, {"total.png", d.drawTotal}, {"series.png", d.drawSeries}}
	if d.model(d.Baseline) >= 0 {
		ps = append(ps, Picture{"series_error.png", d.drawSeriesError})
	}
	ps = append(ps, Picture{"horizon.png", d.drawHorizon}, Picture{"residuals.png", d.drawResiduals})
	if len(d.Evaluation.Levels) > 0 {
		ps = append(ps, Picture{"calibration.png", d.drawCalibration})
	}
	if len(d.Importance) > 0 {
		ps = append(ps, Picture{"importance.png", d.drawImportance})
	}
	return ps
}

// models returns the indices of the models: the primary first, the baseline last, by error between them.
func (d *Data) models() []int {
	rank := func(m int) int {
		switch d.Evaluation.Models[m] {
		case d.Primary:
			return 0
		case d.Baseline:
			return 2
		}
		return 1
	}
	out := make([]int, len(d.Evaluation.Models))
	for i := range out {
		out[i] = i
	}
	slices.SortFunc(out, func(a, b int) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(d.Evaluation.Overall[a].WAPE, d.Evaluation.Overall[b].WAPE), cmp.Compare(a, b))
	})
	return out
}

// label is a model's name in prose.
func label(model string) string { return strings.ReplaceAll(model, "_", " ") }

func (d *Data) model(name string) int { return slices.Index(d.Evaluation.Models, name) }

// point is one scored prediction.
type point struct {
	row              int
	actual, forecast float64
}

// scored returns the sampled rows of model m with an actual and a forecast.
func (d *Data) scored(m int) []point {
	var out []point
	p := d.Sample.Rows
	for i := range p.Rows() {
		if int(p.Model[i]) == m && !math.IsNaN(p.Actual[i]) && !math.IsNaN(p.Forecast[i]) {
			out = append(out, point{i, p.Actual[i], p.Forecast[i]})
		}
	}
	return out
}

var (
	ink      = color.NRGBA{0x1f, 0x2d, 0x3a, 255}
	soft     = color.NRGBA{0x5b, 0x6b, 0x79, 255}
	hairline = color.NRGBA{0xe3, 0xe8, 0xec, 255}
	paper    = color.NRGBA{0xff, 0xff, 0xff, 255}
	actual   = color.NRGBA{0x2c, 0x3e, 0x50, 255}
	naive    = color.NRGBA{0x9a, 0xa5, 0xb1, 255}
	accent   = color.NRGBA{0x2a, 0x93, 0x6c, 255}
)

// hue is the colour of a model. The greens and teals of common palettes are darkened so that thin lines can be read on white.
func (d *Data) hue(model string) color.NRGBA {
	switch model {
	case d.Baseline:
		return naive
	case d.Primary, "ensemble":
		return accent
	case "xgboost":
		return color.NRGBA{0xff, 0x6b, 0x6b, 255}
	case "lightgbm":
		return color.NRGBA{0x3a, 0xc0, 0xc8, 255}
	case "prophet":
		return color.NRGBA{0x45, 0x8f, 0xd1, 255}
	}
	others := []color.NRGBA{{0xe0, 0x9f, 0x3e, 255}, {0x8e, 0x7c, 0xc3, 255}, {0xc0, 0x6c, 0x84, 255}, {0x6c, 0x8e, 0x4e, 255}}
	return others[max(d.model(model), 0)%len(others)]
}

// fade returns c with an opacity from 0 to 1.
func fade(c color.NRGBA, opacity float64) color.NRGBA {
	c.A = uint8(255 * opacity)
	return c
}
