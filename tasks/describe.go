package tasks

import (
	"fmt"
	"strings"

	"salescast/pkg/metric"
)

// noteTag is the description of a run, in Markdown, that MLflow shows on its page.
const noteTag = "mlflow.note.content"

// purpose says what a step is for.
func purpose(step string) string {
	name, model, _ := strings.Cut(step, "/")
	switch name {
	case "data":
		return "Makes up sales of a chain of shops, with what is known of every day."
	case "validate":
		return "Reads and checks the sales. Its panel is what every later step reads."
	case "featurize":
		return "Computes the features that models see of each day, from what is known before the day's forecast."
	case "tune":
		return "Searches the parameters of the trees of `" + model + "` by its forecasts from the validation origins."
	case "train":
		return "Fits `" + model + "` anew at every forecast origin of the backtest, and once more at the end of the data."
	case "ensemble":
		return "Weighs the models by their forecasts of days that they had not seen, and calibrates the quantiles."
	case "evaluate":
		return "Scores every model and the ensemble out of sample, over all forecast origins."
	case "register":
		return "Registers the models, and lets a candidate replace the champion only where it is better out of sample."
	case "forecast":
		return "Forecasts the days after the end of the data."
	case "monitor":
		return "Measures a model on the sales after those that it learned from, and compares it with its backtest."
	case "report":
		return "Writes the report, `index.html`."
	}
	return ""
}

// scoreTable is how good each model was on the past, in Markdown.
func scoreTable(d *metric.Document) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Out of sample: %d series, %d steps ahead, forecast origins: %d.\n\n", d.Series, d.Horizon, len(d.Origins))
	b.WriteString("| model | WAPE | RMSSE | bias | coverage of 95 % |\n|---|--:|--:|--:|--:|\n")
	figure := func(v metric.Value, format string, times float64) string {
		if !v.Defined() {
			return "-"
		}
		return fmt.Sprintf(format, float64(v)*times)
	}
	for _, m := range d.Models {
		s := m.Overall
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", m.Model, figure(s.WAPE, "%.4f", 1), figure(s.RMSSE, "%.3f", 1),
			figure(s.Bias, "%+.1f %%", 100), figure(s.Coverage95, "%.1f %%", 100))
	}
	if knew := d.Foresight.Knew(); knew != "" {
		fmt.Fprintf(&b, "\nAt each origin the models knew the sales%s.\n", knew)
	}
	if worth := d.Worth(); worth != "" {
		fmt.Fprintf(&b, "\n%s\n", worth)
	}
	return b.String()
}
