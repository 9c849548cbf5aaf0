package tasks

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
)

// peakRSS is the largest resident size of this process so far, in bytes, and 0 where the system does not tell. getrusage would be
// shorter, but counts what a large parent had when it forked.
func peakRSS() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		f := bytes.Fields(sc.Bytes())
		if len(f) == 3 && string(f[0]) == "VmHWM:" {
			kib, err := strconv.ParseInt(string(f[1]), 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}
