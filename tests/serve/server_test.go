package servetest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bakery is the program, and a workspace that it made of the bakery's sales up to day end; what was sold in the half year after is not in it.
type bakery struct {
	folder, binary, workspace string
	end                       time.Time
	head                      []string
	rows                      [][]string // of all days, by series and date
	train                     sync.Once  // makes the workspace
	trouble                   error
}

const (
	heldOut = 182
	steps   = 28
)

var theBakery = sync.OnceValues(makeBakery)

func TestMain(m *testing.M) {
	code := m.Run()
	if b, err := theBakery(); err == nil {
		_ = os.RemoveAll(b.folder)
	}
	os.Exit(code)
}

// open is the bakery without a workspace.
func open(t *testing.T) *bakery {
	t.Helper()
	b, err := theBakery()
	must(t, err)
	return b
}

// trained is the bakery with its workspace.
func trained(t *testing.T) *bakery {
	t.Helper()
	b := open(t)
	b.train.Do(func() { b.trouble = b.run("train.csv", b.workspace, "", b.upTo(b.end)) })
	must(t, b.trouble)
	return b
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func makeBakery() (*bakery, error) {
	folder, err := os.MkdirTemp("", "serve-*")
	if err != nil {
		return nil, err
	}
	b := &bakery{folder: folder, binary: filepath.Join(folder, "salescast"), workspace: filepath.Join(folder, "bakery")}
	if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", b.binary, "salescast/cmd/salescast").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w: %s", err, out)
	}
	if err := b.read(); err != nil {
		return nil, err
	}
	return b, nil
}

// read takes the example's sales; its plan after the last sale is left out.
func (b *bakery) read() error {
	f, err := os.Open(filepath.Join("..", "..", "examples", "bakery", "bakery_daily.csv.gz"))
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		return err
	}
	b.head = rows[0]
	for _, r := range rows[1:] {
		if r[3] == "" {
			continue
		}
		b.rows = append(b.rows, r)
		d, err := time.Parse(time.DateOnly, r[2])
		if err != nil {
			return err
		}
		if last := d.AddDate(0, 0, -heldOut); last.After(b.end) {
			b.end = last
		}
	}
	return nil
}

// upTo are the rows up to a day with their sales, and the plan of the days after.
func (b *bakery) upTo(end time.Time) [][]string {
	last, until := end.Format(time.DateOnly), end.AddDate(0, 0, steps).Format(time.DateOnly)
	out := [][]string{b.head}
	for _, r := range b.rows {
		switch {
		case r[2] <= last:
			out = append(out, r)
		case r[2] <= until:
			out = append(out, append([]string{r[0], r[1], r[2], ""}, append(append([]string{}, r[4:8]...), "", "")...))
		}
	}
	return out
}

// run makes a workspace of rows; more is added to the settings.
func (b *bakery) run(name, workspace, more string, rows [][]string, env ...string) error {
	return b.runSet(name, workspace, more, []string{"models=lightgbm,xgboost,smoothing"}, rows, env...)
}

// runSet is run with settings of the command line.
func (b *bakery) runSet(name, workspace, more string, set []string, rows [][]string, env ...string) error {
	source := filepath.Join(b.folder, name)
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	if err := errors.Join(w.WriteAll(rows), os.WriteFile(source, text.Bytes(), 0o600)); err != nil {
		return err
	}
	config := filepath.Join(b.folder, name+".yaml")
	settings := fmt.Sprintf("data:\n  source: %s\n  keys: [store, item]\n  time: date\n  target: sales\n  frequency: D\n  known_future: [promo, holiday, holiday_next2, school_holiday]\n  past_only: [rain, temperature]\n  missing: zero\n  country: DE\nforecast:\n  horizon: %d\nbacktest:\n  origins: 1\nseed: 42\n", source, steps)
	if err := os.WriteFile(config, []byte(settings+more), 0o600); err != nil {
		return err
	}
	args := []string{"run", config, "-w", workspace}
	for _, s := range set {
		args = append(args, "--set", s)
	}
	cmd := exec.CommandContext(context.Background(), b.binary, args...)
	cmd.Env = append(b.env(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run: %w: %s", err, out)
	}
	return nil
}

// env is what the program needs to find the engines, and nothing else of this machine's.
func (b *bakery) env() []string {
	return []string{"HOME=" + b.folder, "PATH=/usr/bin:/bin", "SALESCAST_STATE_DIR=" + filepath.Join(b.folder, "state"), "SALESCAST_ENGINE_DIR=" + os.Getenv("SALESCAST_ENGINE_DIR")}
}

// server is a running "salescast serve".
type server struct {
	url string
	cmd *exec.Cmd
	log *logged
	// took is the time from its start until it was ready.
	took time.Duration
}

// logged keeps what a program says.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serve starts the program on a free port until the test ends.
func (b *bakery) serve(t *testing.T, env []string, args ...string) *server {
	t.Helper()
	s := &server{log: &logged{}}
	s.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), b.binary, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	s.cmd.Env, s.cmd.Stderr = append(b.env(), env...), s.log
	began := time.Now()
	must(t, s.cmd.Start())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.cmd.Wait() }()
	t.Cleanup(func() { _ = s.cmd.Process.Signal(syscall.SIGTERM); <-ended })
	for s.url == "" {
		select {
		case <-ended:
			t.Fatalf("serve ended:\n%s", s.log)
		case <-time.After(5 * time.Millisecond):
		}
		for line := range strings.Lines(s.log.String()) {
			var l struct{ Message, URL string }
			if json.Unmarshal([]byte(line), &l) == nil && l.Message == "ready" {
				s.url, s.took = l.URL, time.Since(began)
			}
		}
	}
	return s
}

// ask asks for a forecast and decodes the answer, which must be 200.
func (s *server) ask(t *testing.T, body map[string]any, to *answer) {
	t.Helper()
	raw, err := json.Marshal(body)
	must(t, err)
	code, out := s.post(t, "/v1/forecast", "application/json", raw)
	if code != http.StatusOK {
		t.Fatalf("%d %.500s", code, out)
	}
	must(t, json.Unmarshal(out, to))
}

func (s *server) post(t *testing.T, path, kind string, body []byte) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, bytes.NewReader(body))
	must(t, err)
	r.Header.Set("Content-Type", kind)
	return do(t, r)
}

func (s *server) get(t *testing.T, path string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	must(t, err)
	code, out := do(t, r)
	if code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, code, out)
	}
	return out
}

func do(t *testing.T, r *http.Request) (int, []byte) {
	t.Helper()
	res, err := http.DefaultClient.Do(r)
	must(t, err)
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, out
}

// answer is that of /v1/forecast.
type answer struct {
	Series []seriesAnswer `json:"series"`
}

type seriesAnswer struct {
	ID        map[string]string    `json:"id"`
	Origin    string               `json:"origin"`
	Dates     []string             `json:"dates"`
	Forecast  []float64            `json:"forecast"`
	Quantiles map[string][]float64 `json:"quantiles"`
}

// columns are rows as an object of columns; an empty cell is null.
func columns(head []string, rows [][]string) map[string][]any {
	out := map[string][]any{}
	for c, name := range head {
		for _, r := range rows {
			var v any
			switch {
			case c < 3:
				v = r[c]
			case r[c] != "":
				v = json.Number(r[c])
			}
			out[name] = append(out[name], v)
		}
	}
	return out
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	must(t, err)
	return v
}
