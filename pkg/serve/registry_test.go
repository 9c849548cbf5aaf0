package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"salescast/pkg/bundle"
	"salescast/pkg/serve"
	"salescast/pkg/track"
	"salescast/pkg/track/spool"
)

// The champion of a registry in a folder is served; when the alias moves, the server follows it without a restart and without a request
// that fails, and a champion that cannot be loaded leaves the one before at work.
func TestServeFollowsTheAlias(t *testing.T) {
	t.Parallel()
	s := open(t)
	kept, err := spool.Open(filepath.Join(t.TempDir(), "registry"), 0)
	if err != nil {
		t.Fatal(err)
	}
	registry := spool.NewRegistry(kept, time.Now)
	t.Cleanup(func() {
		if err := registry.Close(); err != nil {
			t.Error(err)
		}
		if err := kept.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	first := filepath.Join(s.folder, "run")
	second := filepath.Join(t.TempDir(), "run")
	if err := os.CopyFS(second, os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	for i, source := range []string{first, second, t.TempDir()} {
		if _, err := registry.Create(t.Context(), track.NewVersion{Model: "sales", Key: strconv.Itoa(i), Source: source}); err != nil {
			t.Fatal(err)
		}
	}
	champion := func(version string) {
		t.Helper()
		if err := registry.SetAlias(t.Context(), "sales", "champion", version); err != nil {
			t.Fatal(err)
		}
	}
	champion("1")
	srv := s.start(t, func(o *serve.Options) {
		o.Models, o.Registry, o.Poll = []string{"models:/sales@champion"}, registry, 20*time.Millisecond
	})
	url := listen(t, srv)
	s.compare(t, "version 1", over(t, url), 6)
	await(t, url, `"version":"1"`)
	champion("2")
	await(t, url, `"version":"2"`)
	s.compare(t, "version 2", over(t, url), 6)
	champion("3")
	await(t, url, `"failures":[{`)
	await(t, url, `"version":"2"`)
	s.compare(t, "version 2 still", over(t, url), 6)
	champion("1")
	await(t, url, `"version":"1"`)
	var list struct{ Models []struct{ Created time.Time } }
	if err := json.Unmarshal(fetch(t, http.MethodGet, url+"/v1/models", ""), &list); err != nil {
		t.Fatal(err)
	}
	for _, m := range list.Models {
		if age := time.Since(m.Created); age < 0 || age > time.Hour {
			t.Errorf("the version was created at %v", m.Created)
		}
	}
}

// keeper is a registry that keeps the files of its versions in a folder.
type keeper struct {
	track.Registry
	folder string
	// away is the name of a file that cannot be read for a while.
	away *atomic.Value
}

func (k keeper) ReadFile(_ context.Context, _ track.Version, name string, limit int64) ([]byte, error) {
	if k.away != nil && k.away.Load() == name {
		return nil, fmt.Errorf("read %s: %w", name, track.ErrUnavailable)
	}
	b, err := os.ReadFile(filepath.Join(k.folder, name))
	if err == nil && int64(len(b)) > limit {
		err = errors.New("it is too large")
	}
	return b, err
}

// A version whose workspace is gone is served from the files that the registry keeps.
func TestServeFromRegistry(t *testing.T) {
	t.Parallel()
	s := open(t)
	kept, err := spool.Open(filepath.Join(t.TempDir(), "registry"), 0)
	if err != nil {
		t.Fatal(err)
	}
	registry := keeper{spool.NewRegistry(kept, time.Now), filepath.Join(s.folder, "run", "ensemble"), nil}
	gone := filepath.Join(t.TempDir(), "gone")
	if _, err := registry.Create(t.Context(), track.NewVersion{Model: "sales", Key: "1", Source: gone, Tags: map[string]string{"salescast.bundle": gone}}); err != nil {
		t.Fatal(err)
	}
	srv := s.start(t, func(o *serve.Options) { o.Models, o.Registry = []string{"models:/sales/1"}, registry })
	s.compare(t, "a version without its workspace", over(t, listen(t, srv)), 6)
	if err := kept.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A new champion that cannot be read for a while, from its first file on or from the middle, is served once it can.
func TestServeTriesAgain(t *testing.T) {
	t.Parallel()
	s := open(t)
	kept, err := spool.Open(filepath.Join(t.TempDir(), "registry"), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kept.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	registry := keeper{spool.NewRegistry(kept, time.Now), filepath.Join(s.folder, "run", "ensemble"), &atomic.Value{}}
	gone := filepath.Join(t.TempDir(), "gone")
	for i, source := range []string{filepath.Join(s.folder, "run"), gone + "2", gone + "3"} {
		if _, err := registry.Create(t.Context(), track.NewVersion{Model: "sales", Key: strconv.Itoa(i), Source: source, Tags: map[string]string{"salescast.bundle": source}}); err != nil {
			t.Fatal(err)
		}
	}
	champion := func(version string) {
		t.Helper()
		if err := registry.SetAlias(t.Context(), "sales", "champion", version); err != nil {
			t.Fatal(err)
		}
	}
	champion("1")
	srv := s.start(t, func(o *serve.Options) {
		o.Models, o.Registry, o.Poll = []string{"models:/sales@champion"}, registry, 20*time.Millisecond
	})
	url := listen(t, srv)
	await(t, url, `"version":"1"`)
	for i, file := range []string{bundle.Name, bundle.HistoryName} {
		registry.away.Store(file)
		version := strconv.Itoa(i + 2)
		champion(version)
		await(t, url, "read "+file)
		await(t, url, `"version":"`+strconv.Itoa(i+1)+`"`)
		registry.away.Store("")
		await(t, url, `"version":"`+version+`"`)
		await(t, url, `"failures":[]`)
		s.compare(t, "version "+version, over(t, url), 6)
	}
}

// listen serves on a free port until the test ends.
func listen(t *testing.T, srv *serve.Server) string {
	t.Helper()
	var c net.ListenConfig
	l, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(ctx, l) // ended by stop
	}()
	t.Cleanup(func() { stop(); <-ended })
	return "http://" + l.Addr().String()
}

func fetch(t *testing.T, method, url, body string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", url, res.StatusCode, b.Bytes(), err)
	}
	return b.Bytes()
}

func over(t *testing.T, url string) (a forecastAnswer) {
	t.Helper()
	if err := json.Unmarshal(fetch(t, http.MethodPost, url+"/v1/forecast", "{}"), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// await asks for the models until the answer has text; forecasts go on meanwhile.
func await(t *testing.T, url, text string) {
	t.Helper()
	var out []byte
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if out = fetch(t, http.MethodGet, url+"/v1/models", ""); bytes.Contains(out, []byte(text)) {
			return
		}
		over(t, url)
	}
	t.Fatalf("no %s in %s", text, out)
}
