package metric

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Schema names the version of Document's JSON form. New fields may come; readers ignore those they do not know.
const Schema = "salescast.metrics/v1"

// Document is an Evaluation as other programs read it.
type Document struct {
	Schema    string             `json:"schema"`
	Primary   string             `json:"primary"`
	Baseline  string             `json:"baseline"`
	Frequency calendar.Frequency `json:"frequency"`
	// Season is the lag of the scale of MASE and MSIS.
	Season  int            `json:"season"`
	Series  int            `json:"series"`
	Horizon int            `json:"horizon"`
	Origins []calendar.Day `json:"origins"`
	Levels  []float64      `json:"levels"`
	Models  []ModelScores  `json:"models"`
	// Compared is the primary model against each other one.
	Compared []Against `json:"compared"`
	// Totals are the sums of the primary model's forecasts, level by level; empty where they were not calibrated.
	Totals []TotalScores `json:"totals,omitempty"`
	// Foresight is what was known of the future; nil where there is no known-future column.
	Foresight *Foresight `json:"foresight,omitempty"`
	// Truth holds the primary model against the expectation of generated data; nil for all other data.
	Truth *TruthScores `json:"truth,omitempty"`
	// Coverage says how the primary model's intervals kept their word; nil where it has none of 80 % and 95 %.
	Coverage *Coverage `json:"coverage,omitempty"`
}

// ModelScores are those of one model.
type ModelScores struct {
	Model       string          `json:"model"`
	Overall     Scores          `json:"overall"`
	ByHorizon   []HorizonScores `json:"by_horizon"`
	ByOrigin    []OriginScores  `json:"by_origin"`
	Calibration []LevelShare    `json:"calibration"`
}

// HorizonScores are those of one step ahead.
type HorizonScores struct {
	Horizon int `json:"horizon"`
	Scores
}

// OriginScores are those of one forecast origin.
type OriginScores struct {
	Cutoff calendar.Day `json:"cutoff"`
	Scores
}

// LevelShare has the shares of sales below, and at or below, the quantile of a level.
type LevelShare struct {
	Level     float64 `json:"level"`
	Below     Value   `json:"below"`
	AtOrBelow Value   `json:"at_or_below"`
}

// Against is a Comparison with the model that it is with.
type Against struct {
	Reference string `json:"reference"`
	Comparison
}

// Document lays out ev; Compared is for the caller to fill.
func (ev *Evaluation) Document(f calendar.Frequency, primary, baseline string) *Document {
	d := &Document{
		Schema: Schema, Primary: primary, Baseline: baseline, Frequency: f, Season: f.Season(), Series: ev.Series, Horizon: ev.Horizons,
		Origins: ev.Origins, Levels: ev.Levels, Models: []ModelScores{}, Compared: []Against{},
	}
	for m, name := range ev.Models {
		s := ModelScores{Model: name, Overall: ev.Overall[m]}
		for h, v := range ev.ByHorizon[m] {
			s.ByHorizon = append(s.ByHorizon, HorizonScores{h + 1, v})
		}
		for o, v := range ev.ByOrigin[m] {
			s.ByOrigin = append(s.ByOrigin, OriginScores{ev.Origins[o], v})
		}
		for j, v := range ev.AtOrBelow[m] {
			s.Calibration = append(s.Calibration, LevelShare{ev.Levels[j], ev.Below[m][j], v})
		}
		d.Models = append(d.Models, s)
	}
	return d
}

// WriteSeriesCSV writes one row per series and model: the keys, model, rows, missing, and the scores in the order of Columns. A score
// that is not defined is empty.
func (ev *Evaluation) WriteSeriesCSV(w io.Writer, keys []panel.Key) error {
	c := csv.NewWriter(w)
	var head []string
	for _, k := range keys {
		head = append(head, k.Name)
	}
	if err := c.Write(append(append(head, "model", "rows", "missing"), Columns()...)); err != nil {
		return fmt.Errorf("writing scores by series: %w", err)
	}
	for s := range ev.Series {
		for m, name := range ev.Models {
			v := ev.BySeries[m][s]
			row := append(id(keys, s), name, strconv.Itoa(v.Rows), strconv.Itoa(v.Missing))
			for _, x := range v.Values() {
				field := ""
				if x.Defined() {
					field = strconv.FormatFloat(float64(x), 'g', -1, 64)
				}
				row = append(row, field)
			}
			if err := c.Write(row); err != nil {
				return fmt.Errorf("writing scores by series: %w", err)
			}
		}
	}
	c.Flush()
	if err := c.Error(); err != nil {
		return fmt.Errorf("writing scores by series: %w", err)
	}
	return nil
}
