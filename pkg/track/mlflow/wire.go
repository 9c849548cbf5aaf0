package mlflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// The bodies of requests and answers. Numbers in requests are int64 or value, never a bare float; every other value is a string.

type keyValue struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type metric struct {
	Key       string  `json:"key"`
	Value     value   `json:"value"`
	Timestamp integer `json:"timestamp"`
	Step      integer `json:"step"`
	ModelID   string  `json:"model_id,omitempty"`
}

// value is a metric's value; NaN is a string on the wire.
type value float64

func (v value) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(v)) {
		return []byte(`"NaN"`), nil
	}
	return json.Marshal(float64(v))
}

func (v *value) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(bytes.Trim(b, `"`)), 64)
	if err != nil {
		return fmt.Errorf("metric value %s: %w", b, err)
	}
	*v = value(f)
	return nil
}

// integer is read from a number or a string of digits, as servers differ.
type integer int64

func (i *integer) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseInt(string(bytes.Trim(b, `"`)), 10, 64)
	if err != nil {
		return fmt.Errorf("integer %s: %w", b, err)
	}
	*i = integer(n)
	return nil
}

type experiment struct {
	ID               string `json:"experiment_id"`
	Name             string `json:"name"`
	ArtifactLocation string `json:"artifact_location"`
	Stage            string `json:"lifecycle_stage"`
}

type experimentAnswer struct {
	Experiment experiment `json:"experiment"`
}

type createExperiment struct {
	Name string `json:"name"`
}

type experimentID struct {
	ID string `json:"experiment_id"`
}

type runInfo struct {
	RunID        string  `json:"run_id"`
	RunName      string  `json:"run_name"`
	ExperimentID string  `json:"experiment_id"`
	Status       string  `json:"status"`
	StartTime    integer `json:"start_time"`
	EndTime      integer `json:"end_time"`
	ArtifactURI  string  `json:"artifact_uri"`
	Stage        string  `json:"lifecycle_stage"`
}

type runData struct {
	Metrics []metric   `json:"metrics"`
	Params  []keyValue `json:"params"`
	Tags    []keyValue `json:"tags"`
}

type runInputs struct {
	Datasets []datasetInput `json:"dataset_inputs"`
}

type runOutputs struct {
	Models []modelOutput `json:"model_outputs"`
}

type runRecord struct {
	Info    runInfo    `json:"info"`
	Data    runData    `json:"data"`
	Inputs  runInputs  `json:"inputs"`
	Outputs runOutputs `json:"outputs"`
}

func (r runRecord) tag(key string) string {
	for _, t := range r.Data.Tags {
		if t.Key == key {
			return t.Value
		}
	}
	return ""
}

type runAnswer struct {
	Run runRecord `json:"run"`
}

type runsAnswer struct {
	Runs []runRecord `json:"runs"`
}

type createRun struct {
	ExperimentID string     `json:"experiment_id"`
	RunName      string     `json:"run_name"`
	StartTime    int64      `json:"start_time"`
	Tags         []keyValue `json:"tags"`
}

type updateRun struct {
	RunID   string `json:"run_id"`
	Status  string `json:"status"`
	EndTime int64  `json:"end_time,omitempty"`
}

type runID struct {
	RunID string `json:"run_id"`
}

type setTag struct {
	RunID string `json:"run_id"`
	keyValue
}

type searchRuns struct {
	ExperimentIDs []string `json:"experiment_ids"`
	Filter        string   `json:"filter"`
	MaxResults    int      `json:"max_results"`
	ViewType      string   `json:"run_view_type"`
}

type logBatch struct {
	RunID   string     `json:"run_id"`
	Metrics []metric   `json:"metrics,omitempty"`
	Params  []keyValue `json:"params,omitempty"`
	Tags    []keyValue `json:"tags,omitempty"`
}

type historyAnswer struct {
	Metrics   []metric `json:"metrics"`
	NextToken string   `json:"next_page_token"`
}

type dataset struct {
	Name       string `json:"name"`
	Digest     string `json:"digest"`
	SourceType string `json:"source_type"`
	Source     string `json:"source"`
	Schema     string `json:"schema,omitempty"`
	Profile    string `json:"profile,omitempty"`
}

type datasetInput struct {
	Tags    []keyValue `json:"tags"`
	Dataset dataset    `json:"dataset"`
}

type logInputs struct {
	RunID    string         `json:"run_id"`
	Datasets []datasetInput `json:"datasets"`
}

type modelOutput struct {
	ModelID string  `json:"model_id"`
	Step    integer `json:"step"`
}

type logOutputs struct {
	RunID  string        `json:"run_id"`
	Models []modelOutput `json:"models"`
}

type logModel struct {
	RunID     string `json:"run_id"`
	ModelJSON string `json:"model_json"`
}

type createModel struct {
	ExperimentID string     `json:"experiment_id"`
	Name         string     `json:"name"`
	SourceRunID  string     `json:"source_run_id"`
	Params       []keyValue `json:"params,omitempty"`
	Tags         []keyValue `json:"tags"`
}

type modelInfo struct {
	ModelID     string `json:"model_id"`
	Name        string `json:"name"`
	ArtifactURI string `json:"artifact_uri"`
	Status      string `json:"status"`
}

type modelRecord struct {
	Info modelInfo `json:"info"`
}

type modelAnswer struct {
	Model modelRecord `json:"model"`
}

type modelsAnswer struct {
	Models []modelRecord `json:"models"`
}

type searchModels struct {
	ExperimentIDs []string `json:"experiment_ids"`
	Filter        string   `json:"filter"`
}

type finishModel struct {
	ModelID string `json:"model_id"`
	Status  string `json:"status"`
}

type fileInfo struct {
	Path  string  `json:"path"`
	IsDir bool    `json:"is_dir"`
	Size  integer `json:"file_size"`
}

type filesAnswer struct {
	RootURI   string     `json:"root_uri"`
	Files     []fileInfo `json:"files"`
	NextToken string     `json:"next_page_token"`
}

type createRegistered struct {
	Name string `json:"name"`
}

type aliasRecord struct {
	Alias   string `json:"alias"`
	Version string `json:"version"`
}

type registeredModel struct {
	Name    string        `json:"name"`
	Aliases []aliasRecord `json:"aliases"`
}

type registeredAnswer struct {
	Model registeredModel `json:"registered_model"`
}

type registeredModelsAnswer struct {
	Models    []registeredModel `json:"registered_models"`
	NextToken string            `json:"next_page_token"`
}

type setStage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Stage   string `json:"stage"`
	Archive bool   `json:"archive_existing_versions"`
}

type createVersion struct {
	Name        string     `json:"name"`
	Source      string     `json:"source"`
	RunID       string     `json:"run_id,omitempty"`
	ModelID     string     `json:"model_id,omitempty"`
	Description string     `json:"description,omitempty"`
	Tags        []keyValue `json:"tags"`
}

type versionRecord struct {
	Name    string     `json:"name"`
	Version string     `json:"version"`
	Created integer    `json:"creation_timestamp"`
	Source  string     `json:"source"`
	RunID   string     `json:"run_id"`
	Tags    []keyValue `json:"tags"`
	Aliases []string   `json:"aliases"`
}

type versionAnswer struct {
	Version versionRecord `json:"model_version"`
}

type downloadAnswer struct {
	URI string `json:"artifact_uri"`
}

type versionsAnswer struct {
	Versions  []versionRecord `json:"model_versions"`
	NextToken string          `json:"next_page_token"`
}

type setAlias struct {
	Name    string `json:"name"`
	Alias   string `json:"alias"`
	Version string `json:"version,omitempty"`
}

type setVersionTag struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	keyValue
}
