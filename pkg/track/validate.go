package track

import (
	"errors"
	"fmt"
	"math"
	"path"
	"strings"
)

// ErrUnavailable is a tracker that is configured and cannot be reached, is too slow, or is full: trying again later may help.
var ErrUnavailable = errors.New("tracking is unavailable")

// ErrInvalid is a record that the contract forbids: a bad name, an infinity, a value that is too long.
var ErrInvalid = errors.New("the record is invalid")

// ErrConflict is a parameter that already has another value.
var ErrConflict = errors.New("the parameter has another value already")

// Limits of what every supported tracker keeps whole.
const (
	MaxName       = 250
	MaxKey        = 64
	MaxParamValue = 6000
	MaxTagValue   = 5000
	MaxDigest     = 36
)

// Validate returns an error that wraps ErrInvalid where the Spec breaks the contract.
func (s Spec) Validate() error {
	if err := ValidateKey(s.Key); err != nil {
		return err
	}
	if s.Parent != "" {
		if err := ValidateKey(s.Parent); err != nil {
			return err
		}
		if s.Parent == s.Key {
			return fmt.Errorf("%w: run %q is its own parent", ErrInvalid, s.Key)
		}
	}
	switch {
	case s.Experiment == "":
		return fmt.Errorf("%w: run %q has no experiment", ErrInvalid, s.Key)
	case s.Name == "":
		return fmt.Errorf("%w: run %q has no name", ErrInvalid, s.Key)
	case s.Start.IsZero():
		return fmt.Errorf("%w: run %q has no start time", ErrInvalid, s.Key)
	}
	return ValidateTags(s.Tags)
}

// ValidateKey checks the key of a run or a version.
func ValidateKey(key string) error {
	if key == "" || len(key) > MaxKey || key == "." || key == ".." {
		return fmt.Errorf("%w: run key %q: want 1 to %d of A-Z a-z 0-9 . _ -", ErrInvalid, key, MaxKey)
	}
	for _, c := range []byte(key) {
		if !alphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return fmt.Errorf("%w: run key %q has %q: want A-Z a-z 0-9 . _ -", ErrInvalid, key, c)
		}
	}
	return nil
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func validName(what, name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("%w: %s name of %d bytes: want 1 to %d", ErrInvalid, what, len(name), MaxName)
	}
	for _, c := range []byte(name) {
		if !alphanumeric(c) && !strings.ContainsRune("_.-/ ", rune(c)) {
			return fmt.Errorf("%w: %s name %q has %q: want A-Z a-z 0-9 _ . - / and space", ErrInvalid, what, name, c)
		}
	}
	return cleanPath(what, name)
}

func cleanPath(what, name string) error {
	if name == "" || name == "." || path.IsAbs(name) || path.Clean(name) != name || name == ".." || strings.HasPrefix(name, "../") {
		return fmt.Errorf("%w: %s name %q is not a clean relative path", ErrInvalid, what, name)
	}
	return nil
}

// ValidateParams checks names and lengths.
func ValidateParams(p map[string]string) error {
	for name, value := range p {
		if err := validName("parameter", name); err != nil {
			return err
		}
		if len(value) > MaxParamValue {
			return fmt.Errorf("%w: parameter %q has %d bytes: the most is %d", ErrInvalid, name, len(value), MaxParamValue)
		}
	}
	return nil
}

// ValidateTags checks names and lengths.
func ValidateTags(t map[string]string) error {
	for name, value := range t {
		if err := validName("tag", name); err != nil {
			return err
		}
		if len(value) > MaxTagValue {
			return fmt.Errorf("%w: tag %q has %d bytes: the most is %d", ErrInvalid, name, len(value), MaxTagValue)
		}
	}
	return nil
}

// ValidateMetrics checks names, values and times.
func ValidateMetrics(m []Metric) error {
	for _, p := range m {
		if err := validName("metric", p.Name); err != nil {
			return err
		}
		if math.IsInf(p.Value, 0) {
			return fmt.Errorf("%w: metric %q is infinite at step %d", ErrInvalid, p.Name, p.Step)
		}
		if p.At.IsZero() {
			return fmt.Errorf("%w: metric %q has no time at step %d", ErrInvalid, p.Name, p.Step)
		}
	}
	return nil
}

// Validate returns an error that wraps ErrInvalid where the Dataset breaks the contract.
func (d Dataset) Validate() error {
	switch {
	case d.Name == "" || len(d.Name) > 500:
		return fmt.Errorf("%w: dataset name of %d bytes: want 1 to 500", ErrInvalid, len(d.Name))
	case d.Digest == "" || len(d.Digest) > MaxDigest:
		return fmt.Errorf("%w: digest of dataset %q has %d bytes: want 1 to %d", ErrInvalid, d.Name, len(d.Digest), MaxDigest)
	}
	return nil
}

// ValidateArtifact checks the name and size of an artifact.
func ValidateArtifact(name string, size int64) error {
	if err := cleanPath("artifact", name); err != nil {
		return err
	}
	// MLflow decodes a percent sign once too often and keeps another name, and refuses a hash.
	if strings.ContainsAny(name, "\\%#\x00") || len(name) > 1000 {
		return fmt.Errorf("%w: artifact name %q has a backslash, a %%, a #, a NUL or more than 1000 bytes", ErrInvalid, name)
	}
	if size < 0 {
		return fmt.Errorf("%w: artifact %q has a negative size", ErrInvalid, name)
	}
	return nil
}

// Validate returns an error that wraps ErrInvalid where the LoggedModel breaks the contract.
func (m LoggedModel) Validate() error {
	if m.Name == "" || len(m.Name) > MaxName || strings.ContainsAny(m.Name, `/:.%"'`) {
		return fmt.Errorf(`%w: model name %q: want 1 to %d bytes without / : . %% " '`, ErrInvalid, m.Name, MaxName)
	}
	if err := cleanPath("model folder", m.Path); err != nil {
		return err
	}
	if err := ValidateParams(m.Params); err != nil {
		return err
	}
	return ValidateMetrics(m.Metrics)
}

// ValidateEnd checks that a status ends a run.
func ValidateEnd(s Status) error {
	switch s {
	case Finished, Failed, Killed:
		return nil
	case Running:
	}
	return fmt.Errorf("%w: status %q does not end a run", ErrInvalid, s)
}

// Validate returns an error that wraps ErrInvalid where the NewVersion breaks the contract.
func (v NewVersion) Validate() error {
	if err := ValidateModelName(v.Model); err != nil {
		return err
	}
	if err := ValidateKey(v.Key); err != nil {
		return err
	}
	if v.Source == "" {
		return fmt.Errorf("%w: a version of model %q has no source", ErrInvalid, v.Model)
	}
	return ValidateTags(v.Tags)
}

// ValidateModelName checks the name of a registered model.
func ValidateModelName(model string) error {
	if model == "" || len(model) > MaxName || strings.ContainsAny(model, `/:.%"'`) || model != strings.TrimSpace(model) {
		return fmt.Errorf(`%w: model name %q: want 1 to %d bytes without / : . %% " '`, ErrInvalid, model, MaxName)
	}
	return nil
}

// ValidateAlias checks the name of an alias; "latest" and v<number> are reserved.
func ValidateAlias(alias string) error {
	reserved := alias == "latest" || len(alias) > 1 && alias[0] == 'v' && strings.Trim(alias[1:], "0123456789") == ""
	if err := validName("alias", alias); err != nil {
		return err
	}
	if reserved || strings.ContainsAny(alias, "/ ") {
		return fmt.Errorf("%w: alias %q: want a word other than latest and v<number>", ErrInvalid, alias)
	}
	return nil
}
