package dl

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// memoryFile keeps b in an anonymous file. The descriptor stays open: the loader maps it by that path.
func memoryFile(name string, b []byte) (string, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("memfd_create: %w", err)
	}
	for rest := b; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err != nil {
			return "", os.NewSyscallError("write", err)
		}
		rest = rest[n:]
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd), nil
}
