package artifact

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
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
	// Key is the SHA-256, hex, of everything the result depends on: step, binary, options, seed, inputs and Salt. A step that is asked
	// for the same Key again has its answer already.
	Key string `json:"key"`
	// Salt are the versions of engines and formats that took part in Key.
	Salt map[string]string `json:"salt,omitempty"`
	// OptionsDigest is the SHA-256, hex, of the step's options as canonical JSON; Options are those options.
	OptionsDigest string `json:"options_digest"`
	// Options came out of JSON: numbers are json.Number.
	Options map[string]any `json:"options,omitempty"`
	Seed    uint64         `json:"seed"`
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

// maxManifest bounds what is read as a manifest.
const maxManifest = 16 << 20

// ReadManifest decodes a manifest. An unknown schema, an unclean name and a file without a digest are errors.
func ReadManifest(r io.Reader) (Manifest, error) {
	var m Manifest
	b, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err != nil {
		return m, fmt.Errorf("read manifest: %w", err)
	}
	if len(b) > maxManifest {
		return m, fmt.Errorf("read manifest: it is larger than %d bytes", maxManifest)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // so that options are encoded as they were
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("decode manifest: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return m, errors.New("decode manifest: something follows the object")
	}
	if m.Schema != ManifestSchema {
		return m, fmt.Errorf("decode manifest: schema %q, this binary reads %q", m.Schema, ManifestSchema)
	}
	for _, f := range m.Files {
		if err := CheckName(f.Name); err != nil {
			return m, fmt.Errorf("decode manifest: %w", err)
		}
		if err := CheckName(f.Object); err != nil {
			return m, fmt.Errorf("decode manifest: %w", err)
		}
		if d, err := hex.DecodeString(f.SHA256); err != nil || len(d) != sha256.Size || f.Size < 0 {
			return m, fmt.Errorf("decode manifest: file %s has no valid digest or size", f.Name)
		}
	}
	return m, nil
}

// Encode is the manifest's file: indented JSON and a line feed.
func (m Manifest) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest of %s: %w", m.Step, err)
	}
	return append(b, '\n'), nil
}

// ContentDigest is the SHA-256, hex, of what the step made and from what. It leaves out the attempt, the run and the times, so that
// redoing a step with the same outcome does not make the steps after it stale.
func (m Manifest) ContentDigest() string {
	m.Attempt, m.RunID = "", ""
	m.Started, m.Finished = time.Time{}, time.Time{}
	m.Files = slices.Clone(m.Files)
	for i := range m.Files {
		m.Files[i].Object = ""
	}
	b, err := json.Marshal(m)
	if err != nil { // a manifest holds nothing that JSON cannot: Options came out of JSON, Metrics are finite
		panic(err)
	}
	d := sha256.Sum256(b)
	return hex.EncodeToString(d[:])
}
