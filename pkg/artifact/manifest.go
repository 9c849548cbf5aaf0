package artifact

import (
	"time"
)

// ManifestSchema names the version of the manifest's format.
const ManifestSchema = "salescast.manifest/v1"

// ManifestName is the logical name of a step's manifest inside its folder.
const ManifestName = "manifest.json"

// Manifest is what makes a set of objects a finished step: it is written last, its presence is the commit, its digests the proof.
// Two runs of the same step gave "the same bytes" when their manifests are equal but for Attempt, RunID, Started and Finished.
type Manifest struct {
	Schema string `json:"schema"`
	// Step is the folder of the step in the workspace, such as "validate" or "train/xgboost".
	Step string `json:"step"`
	// Attempt is the unique prefix under the step's folder at which the files lie.
	Attempt string `json:"attempt"`
	// Files are sorted by Name.
	Files []File `json:"files"`
	// Inputs are the manifests this step read, sorted by Step.
	Inputs []Input `json:"inputs"`
	// OptionsDigest is the SHA-256, hex, of the step's options as canonical JSON; Options are those options.
	OptionsDigest string         `json:"options_digest"`
	Options       map[string]any `json:"options,omitempty"`
	Seed          uint64         `json:"seed"`
	// Binary is the version of salescast that wrote it.
	Binary string           `json:"binary"`
	RunID  string           `json:"run_id,omitempty"`
	Rows   map[string]int64 `json:"rows,omitempty"`
	// Metrics are the step's headline figures.
	Metrics  map[string]float64 `json:"metrics,omitempty"`
	Warnings []string           `json:"warnings,omitempty"`
	Started  time.Time          `json:"started"`
	Finished time.Time          `json:"finished"`
}

// File is one artifact of a step.
type File struct {
	// Name is the logical name under the step's folder: "metrics.json".
	Name string `json:"name"`
	// Object is the name in the store, relative to the step's folder: "attempts/<attempt>/metrics.json".
	Object string `json:"object"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Rows is the number of rows of a table, 0 for anything else.
	Rows int64 `json:"rows,omitempty"`
}

// Input is a manifest, or a source file, that a step read.
type Input struct {
	// Step is the folder of the input step, or the URL of a source file.
	Step   string `json:"step"`
	Digest string `json:"digest"`
}
