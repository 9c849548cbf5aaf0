package artifact

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the length of the longest name, in bytes, that every store takes.
const MaxName = 1024

// maxElement is the length of the longest part between slashes: the limit of the file systems in use.
const maxElement = 255

// CheckName returns an error that wraps fs.ErrInvalid unless name is clean: relative, slash-separated, valid UTF-8 without control
// characters and backslashes, with no empty, "." or ".." element, and within the lengths that every store takes.
func CheckName(name string) error {
	reason := ""
	switch {
	case name == "":
		reason = "it is empty"
	case len(name) > MaxName:
		reason = fmt.Sprintf("it is longer than %d bytes", MaxName)
	case !utf8.ValidString(name):
		reason = "it is not UTF-8"
	case strings.ContainsFunc(name, func(r rune) bool { return r == '\\' || unicode.IsControl(r) }):
		reason = "it has a backslash or a control character"
	case name[0] == '/' || path.Clean(name) != name || name == "." || name == ".." || strings.HasPrefix(name, "../"):
		reason = "it is not a clean relative path"
	}
	if reason == "" {
		for e := range strings.SplitSeq(name, "/") {
			if len(e) > maxElement {
				reason = fmt.Sprintf("one of its elements is longer than %d bytes", maxElement)
			}
		}
	}
	if reason != "" {
		return fmt.Errorf("object name %q: %s: %w", name, reason, fs.ErrInvalid)
	}
	return nil
}

// CheckPrefix is CheckName for what List takes: "" and a trailing slash are allowed.
func CheckPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return CheckName(strings.TrimSuffix(prefix, "/"))
}

// The schemes of a Location.
const (
	SchemeFile = "file"
	SchemeS3   = "s3"
)

// Location is the parsed address of a store's root.
type Location struct {
	// Scheme is SchemeFile or SchemeS3.
	Scheme string
	// Bucket is set on S3.
	Bucket string
	// Path is a local path as the system writes it, or, on S3, the key prefix without slashes at its ends ("" for the whole bucket).
	Path string
}

// ParseLocation reads a local path, a file:// URL or s3://bucket/prefix. A URL with user information, a query or a fragment is
// refused, because secrets and settings do not belong in addresses.
func ParseLocation(s string) (Location, error) {
	if s == "" {
		return Location{}, errors.New("parse location: it is empty; give a folder or s3://bucket/prefix")
	}
	scheme, _, found := strings.Cut(s, "://")
	if !found {
		return Location{Scheme: SchemeFile, Path: filepath.Clean(s)}, nil
	}
	u, err := url.Parse(s)
	if err != nil {
		// The error of url.Parse repeats its input, which may hold a password.
		return Location{}, errors.New("parse location: it is not a valid URL; give a folder or s3://bucket/prefix")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return Location{}, fmt.Errorf("parse location %s://%s%s: credentials, queries and fragments are not allowed; credentials come from the environment", u.Scheme, u.Host, u.Path)
	}
	switch strings.ToLower(scheme) {
	case SchemeFile:
		if u.Host != "" && u.Host != "localhost" || u.Path == "" {
			return Location{}, fmt.Errorf("parse location %q: write file:///absolute/path", s)
		}
		return Location{Scheme: SchemeFile, Path: filepath.Clean(filepath.FromSlash(u.Path))}, nil
	case SchemeS3:
		prefix := strings.Trim(u.Path, "/")
		if u.Host == "" || u.Port() != "" {
			return Location{}, fmt.Errorf("parse location %q: write s3://bucket/prefix", s)
		}
		if err := CheckPrefix(prefix); err != nil {
			return Location{}, fmt.Errorf("parse location %q: %w", s, err)
		}
		return Location{Scheme: SchemeS3, Bucket: u.Host, Path: prefix}, nil
	}
	return Location{}, fmt.Errorf("parse location %q: unknown scheme %q; give a folder or s3://bucket/prefix", s, scheme)
}

// String is the address in the form that ParseLocation reads.
func (l Location) String() string {
	if l.Scheme == SchemeS3 {
		return SchemeS3 + "://" + path.Join(l.Bucket, l.Path)
	}
	return l.Path
}

// Join returns the location of a name below l.
func (l Location) Join(name string) Location {
	if l.Scheme == SchemeS3 {
		l.Path = path.Join(l.Path, name)
	} else {
		l.Path = filepath.Join(l.Path, filepath.FromSlash(name))
	}
	return l
}
