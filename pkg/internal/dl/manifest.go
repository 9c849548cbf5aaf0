package dl

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"runtime"
)

// The libraries, by the names that Open takes and the manifest of a folder uses.
const (
	XGBoost  = "xgboost"
	LightGBM = "lightgbm"
	OpenMP   = "libgomp"
	// The C++ runtime is embedded for machines that have none; the machine's own is preferred.
	libGCC = "libgcc_s"
	libCXX = "libstdc++"
)

// ManifestFile describes a folder of libraries; each stands beside it as <file>.zst or, unpacked, as <file>.
const ManifestFile = "engines.json"

// maxManifest bounds the manifest read from a folder.
const maxManifest = 1 << 20

// Manifest lists the libraries of a folder.
type Manifest struct {
	Libraries []Entry `json:"libraries"`
}

// Entry is one shared library: SHA256 and Size are those of the unpacked file.
type Entry struct {
	Name    string `json:"name"`
	File    string `json:"file"`
	Version string `json:"version,omitempty"`
	SHA256  string `json:"sha256"`
	Size    int64  `json:"size"`
}

// Platform names the folder of a platform's libraries, such as "linux_amd64".
func Platform() string { return runtime.GOOS + "_" + runtime.GOARCH }

func readManifest(dir fs.FS) (Manifest, error) {
	var m Manifest
	b, err := readBounded(dir, ManifestFile, maxManifest)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	return m, nil
}

func (m Manifest) entry(name string) (Entry, bool) {
	for _, e := range m.Libraries {
		if e.Name == name {
			return e, true
		}
	}
	return Entry{}, false
}
