package doctor

import (
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// The files of control groups: version 2 is tried first, then version 1. Limits may stand at any level above a process; the smallest holds.

// CPUQuota returns the number of CPUs that the control group of this process allows; ok is false where it sets no limit. root is the
// file system "/".
func CPUQuota(root fs.FS) (cpus float64, ok bool) {
	smallest := func(c float64) {
		if !ok || c < cpus {
			cpus, ok = c, true
		}
	}
	for _, dir := range groups(root, "") {
		if quota, period, found := strings.Cut(read(root, dir, "cpu.max"), " "); found {
			if q, p := number(quota), number(period); q > 0 && p > 0 {
				smallest(float64(q) / float64(p))
			}
		}
	}
	for _, dir := range groups(root, "cpu") {
		if q, p := number(read(root, dir, "cpu.cfs_quota_us")), number(read(root, dir, "cpu.cfs_period_us")); q > 0 && p > 0 {
			smallest(float64(q) / float64(p))
		}
	}
	return cpus, ok
}

// unlimited is what version 1 says where it means no limit: the largest page-aligned number, near 2^63.
const unlimited = 1 << 62

// MemoryLimit returns the bytes that the control group of this process may use; ok is false where it sets no limit.
func MemoryLimit(root fs.FS) (bytes int64, ok bool) {
	for controller, file := range map[string]string{"": "memory.max", "memory": "memory.limit_in_bytes"} {
		for _, dir := range groups(root, controller) {
			if n := number(read(root, dir, file)); n > 0 && n < unlimited && (!ok || n < bytes) {
				bytes, ok = n, true
			}
		}
	}
	return bytes, ok
}

// groups returns the folders of the control groups of this process for a version 1 controller, or "" for version 2, from its own group up
// to the root. Inside a container the path that the kernel gives may not be mounted: then only the root is there.
func groups(root fs.FS, controller string) []string {
	base := path.Join("sys/fs/cgroup", controller)
	own := "/"
	for line := range strings.Lines(read(root, "proc/self", "cgroup")) { // hierarchy:controllers:path
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for c := range strings.SplitSeq(parts[1], ",") {
			if c == controller {
				own = path.Clean("/" + parts[2])
			}
		}
	}
	dirs := []string{}
	for ; own != "/"; own = path.Dir(own) {
		dirs = append(dirs, path.Join(base, own))
	}
	return append(dirs, base)
}

// read returns the first bytes of a file of the kernel, "" if it is not there.
func read(root fs.FS, dir, name string) string {
	f, err := root.Open(path.Join(dir, name))
	if err != nil {
		return ""
	}
	defer f.Close()
	const limit = 1 << 16
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// number parses a whole number; "max", -1 and anything else that sets no limit give 0 or less.
func number(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
