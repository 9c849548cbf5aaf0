//go:build engines

package dl

import (
	"embed"
	"io/fs"
)

//go:embed embedded/linux_amd64
var embedded embed.FS

// embeddedFiles returns the libraries inside the binary.
func embeddedFiles() fs.FS {
	dir, err := fs.Sub(embedded, "embedded/linux_amd64")
	if err != nil { // only a malformed constant path can fail
		panic(err)
	}
	return dir
}
