//go:build !linux

package dl

import "errors"

func memoryFile(string, []byte) (string, error) {
	return "", errors.New("only Linux can load a library from memory")
}
