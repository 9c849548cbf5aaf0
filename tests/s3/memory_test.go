package s3test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"salescast/pkg/artifact"
	"salescast/pkg/artifact/s3"
	"salescast/tests/servers"
)

const endpointOfChild = "SALESCAST_TEST_S3_ENDPOINT"

// zeros gives n bytes that no memory holds.
func zeros(n int64) io.Reader { return io.LimitReader(zero{}, n) }

type zero struct{}

func (zero) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// 1 GiB goes in and out again in less than 64 MB: measured in a process of its own.
func TestMemory(t *testing.T) {
	t.Parallel()
	const size, limit = 1 << 30, 64_000_000
	if endpoint := os.Getenv(endpointOfChild); endpoint != "" {
		at, err := artifact.ParseLocation(os.Getenv(endpointOfChild + "_AT"))
		must(t, err)
		s := store(t, s3.Config{Endpoint: endpoint, AccessKey: servers.AccessKey, SecretKey: servers.SecretKey}, at)
		_, err = s.Create(t.Context(), "big", zeros(size))
		must(t, err)
		r, i, err := s.Get(t.Context(), "big")
		must(t, err)
		n, err := io.Copy(io.Discard, r)
		must(t, err, r.Close())
		if n != size || i.Size != size {
			t.Errorf("%d bytes came back of %d", n, i.Size)
		}
		return
	}
	server := servers.MinIO(t)
	at := bucket(t, server)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestMemory$")
	cmd.Env = append(os.Environ(), endpointOfChild+"="+server.URL, endpointOfChild+"_AT="+at.String())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, cmd.Start())
	peak := int64(0)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		if rss := peakRSS(cmd.Process.Pid); rss > peak {
			peak = rss
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			t.Logf("peak RSS %d bytes", peak)
			if peak == 0 || peak > limit {
				t.Errorf("peak RSS is %d bytes, want at most %d", peak, limit)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// peakRSS is VmHWM of a process, 0 when it is gone.
func peakRSS(pid int) int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]), " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return kb * 1024
}
