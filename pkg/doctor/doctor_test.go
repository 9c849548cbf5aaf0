package doctor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"salescast/pkg/doctor"
	"salescast/pkg/regress"
	"salescast/pkg/regress/engines"
	"salescast/pkg/regress/regresstest"
)

func TestRunGoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	got := doctor.Run(ctx, []doctor.Check{
		{Name: "panics", Run: func(context.Context) doctor.Finding { panic("oh") }},
		{Name: "warns", Run: func(context.Context) doctor.Finding { cancel(); return doctor.Finding{Status: doctor.Warning} }},
		{Name: "comes too late", Run: func(context.Context) doctor.Finding { return doctor.Finding{Status: doctor.OK} }},
	})
	if len(got) != 2 || got[0].Check != "panics" || got[0].Status != doctor.Failed || got[1].Check != "warns" {
		t.Errorf("findings are %+v", got)
	}
	if doctor.Worst(got) != doctor.Failed || doctor.Worst(got[1:]) != doctor.Warning || doctor.Worst(nil) != doctor.OK {
		t.Error("the worst of the findings is not the worst")
	}
}

func TestEngine(t *testing.T) {
	t.Parallel()
	there := engines.New(engines.Config{EngineDir: regresstest.EngineDir(t), CacheDir: t.TempDir()})
	defer there.Close()
	missing := engines.New(engines.Config{EngineDir: t.TempDir()})
	defer missing.Close()
	for name, version := range map[string]string{"xgboost": "3.2.0", "lightgbm": "4.7.0"} {
		f := doctor.Engine(there, name).Run(t.Context())
		if f.Status != doctor.OK || !strings.Contains(f.Message, version) || !strings.Contains(f.Message, "loaded from /") {
			t.Errorf("%s: %+v", name, f)
		}
		f = doctor.Engine(missing, name).Run(t.Context())
		u := (*regress.UnavailableError)(nil)
		if f.Status != doctor.Failed || f.Hint == "" || !errors.As(f.Err, &u) {
			t.Errorf("%s without its library: %+v", name, f)
		}
	}
}

func TestFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		check doctor.Check
		want  doctor.Status
	}{
		{doctor.Cache(filepath.Join(dir, "new")), doctor.OK},
		{doctor.Cache(filepath.Join(file, "below")), doctor.Warning},
		{doctor.Cache(""), doctor.Warning},
		{doctor.Folder("state", filepath.Join(dir, "state")), doctor.OK},
		{doctor.Folder("state", filepath.Join(file, "below")), doctor.Failed},
	} {
		if f := c.check.Run(t.Context()); f.Status != c.want || (f.Status != doctor.OK) != (f.Hint != "") {
			t.Errorf("%s: %+v, want %s", c.check.Name, f, c.want)
		}
	}
	left, err := os.ReadDir(filepath.Join(dir, "new"))
	if err != nil || len(left) != 0 {
		t.Errorf("the check leaves %v behind (error %v)", left, err)
	}
}

func TestControlGroups(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files   map[string]string
		cpus    float64
		memory  int64
		threads int
		want    doctor.Status
	}{
		"no groups":               {nil, 0, 0, 2, doctor.OK},
		"version 2, no limit":     {map[string]string{"sys/fs/cgroup/cpu.max": "max 100000\n", "sys/fs/cgroup/memory.max": "max\n"}, 0, 0, 2, doctor.OK},
		"version 2, in a box":     {map[string]string{"sys/fs/cgroup/cpu.max": "150000 100000\n", "sys/fs/cgroup/memory.max": "2147483648\n"}, 1.5, 2 << 30, 2, doctor.OK},
		"threads beyond quota":    {map[string]string{"sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1, 0, 2, doctor.Warning},
		"threads beyond CPUs":     {nil, 0, 0, 9, doctor.Warning},
		"too little memory":       {map[string]string{"sys/fs/cgroup/memory.max": "104857600\n"}, 0, 100 << 20, 2, doctor.Warning},
		"the smallest limit":      {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "2147483648\n", "sys/fs/cgroup/a/b/memory.max": "3221225472\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000"}, 0, 2 << 30, 2, doctor.OK},
		"version 1":               {map[string]string{"proc/self/cgroup": "4:cpu,cpuacct:/x\n5:memory:/x\n", "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "400000", "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1073741824"}, 4, 1 << 30, 2, doctor.OK},
		"version 1, no limit":     {map[string]string{"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, 0, 0, 2, doctor.OK},
		"nothing that is a limit": {map[string]string{"sys/fs/cgroup/cpu.max": "a b", "sys/fs/cgroup/memory.max": "-5", "proc/self/cgroup": "::\nx"}, 0, 0, 2, doctor.OK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := fstest.MapFS{}
			for file, text := range c.files {
				root[file] = &fstest.MapFile{Data: []byte(text)}
			}
			cpus, _ := doctor.CPUQuota(root)
			memory, _ := doctor.MemoryLimit(root)
			if cpus != c.cpus || memory != c.memory {
				t.Errorf("%v CPUs and %d bytes, want %v and %d", cpus, memory, c.cpus, c.memory)
			}
			if f := doctor.Machine(root, c.threads, 8).Run(t.Context()); f.Status != c.want || (f.Status != doctor.OK) != (f.Hint != "") {
				t.Errorf("%+v, want %s", f, c.want)
			}
		})
	}
}
