package tasks

// ResultSchema names the version of Result's JSON form.
const ResultSchema = "salescast.result/v1"

// Status is how a step ended.
type Status string

// The statuses of a Result.
const (
	Done    Status = "done"
	Cached  Status = "cached"
	Skipped Status = "skipped"
	Refused Status = "refused"
	Drift   Status = "drift"
	Failed  Status = "failed"
)

// Result is what a step answers; its JSON form is an API and at most 16 KiB.
type Result struct {
	Schema    string  `json:"schema"`
	Step      string  `json:"step"`
	Status    Status  `json:"status"`
	Workspace string  `json:"workspace"`
	Manifest  string  `json:"manifest,omitempty"`
	MLflow    *MLflow `json:"mlflow,omitempty"`
	// Metrics and Rows are keyed by stable names; Timings are seconds by phase.
	Metrics      map[string]float64 `json:"metrics,omitempty"`
	Rows         map[string]int64   `json:"rows,omitempty"`
	Timings      map[string]float64 `json:"timings,omitempty"`
	PeakRSSBytes int64              `json:"peak_rss_bytes,omitempty"`
	// Models are the members that later steps train, once the data have been seen.
	Models   []string     `json:"models,omitempty"`
	Warnings []string     `json:"warnings"`
	Error    *ResultError `json:"error,omitempty"`
}

// MLflow says where the step was recorded.
type MLflow struct {
	RunID string `json:"run_id"`
	URL   string `json:"url,omitempty"`
}

// ResultError is why a step failed.
type ResultError struct {
	// Code is the exit code's name, such as "data" or "input_missing".
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}
