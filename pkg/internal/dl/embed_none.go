//go:build !engines || !linux || !(amd64 || arm64)

package dl

import "io/fs"

// embeddedFiles returns the libraries inside the binary: none, as it was built without the tag "engines".
func embeddedFiles() fs.FS { return nil }
