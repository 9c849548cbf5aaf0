// Command serve measures "salescast serve" on the bakery of the examples: vegeta asks it 100 times a second for one series and 28 days, in each
// way in which a request may bring history and plan, and it tells latencies, the processor time of a request, and the server's memory.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	var b bench
	flag.StringVar(&b.salescast, "salescast", "bin/salescast", "program to measure")
	flag.StringVar(&b.vegeta, "vegeta", ".build/bin/vegeta", "vegeta, which makes the load")
	flag.StringVar(&b.workspace, "workspace", "", "workspace of the bakery; it is made where none is named")
	flag.StringVar(&b.examples, "examples", "examples/bakery", "folder of the bakery")
	flag.IntVar(&b.rate, "rate", 100, "requests a second")
	flag.DurationVar(&b.last, "for", 10*time.Second, "how long each kind of request is sent")
	flag.StringVar(&b.members, "models", "lightgbm,ensemble", "models that are asked")
	flag.Parse()
	if err := b.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type bench struct {
	salescast, vegeta, workspace, examples, members string

	rate   int
	last   time.Duration
	folder string
	url    string
	pid    int
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.folder, err = os.MkdirTemp("", "bench-serve-*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.folder)) }()
	if b.workspace == "" {
		b.workspace = filepath.Join(b.folder, "bakery")
		if out, err := exec.CommandContext(ctx, b.salescast, "run", b.examples, "-w", b.workspace).CombinedOutput(); err != nil {
			return fmt.Errorf("make the workspace: %w: %s", err, out)
		}
	}
	stop, err := b.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	bodies, err := b.bodies()
	if err != nil {
		return err
	}
	fmt.Println("| request | model | p50 | p99 | processor time of a request |\n|---|---|---|---|---|")
	if err := b.attack(ctx, "a ping, for what HTTP and the machine take", "none", map[string]any{"method": "GET", "url": b.url + "/ping"}); err != nil {
		return err
	}
	for _, body := range bodies {
		for model := range strings.SplitSeq(b.members, ",") {
			body.value["model"] = model
			target, err := b.forecastOf(body.value)
			if err != nil {
				return err
			}
			if err := b.attack(ctx, body.name, model, target); err != nil {
				return err
			}
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.pid))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "VmHWM") {
			fmt.Print(line)
		}
	}
	return nil
}

// serve starts the server and waits until it is ready.
func (b *bench) serve(ctx context.Context) (stop func(), err error) {
	cmd := exec.CommandContext(ctx, b.salescast, "serve", "--model", b.workspace, "--listen", "127.0.0.1:0")
	name := filepath.Join(b.folder, "log")
	log, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b.pid = cmd.Process.Pid
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it ends by the signal
	}
	for b.url == "" {
		said, err := os.ReadFile(name)
		if err != nil || time.Since(began) > time.Minute {
			stop()
			return nil, errors.Join(fmt.Errorf("the server did not start: %s", said), err)
		}
		for line := range bytes.Lines(said) {
			var l struct{ Message, URL string }
			if json.Unmarshal(line, &l) == nil && l.Message == "ready" {
				b.url = l.URL
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Printf("ready after %v\n\n", time.Since(began).Round(time.Millisecond))
	return stop, nil
}

type request struct {
	name  string
	value map[string]any
}

// bodies are the ways to ask for the first series.
func (b *bench) bodies() ([]request, error) {
	rows, head, err := b.rows()
	if err != nil {
		return nil, err
	}
	columns, records := map[string][]any{}, make([]map[string]any, 0, len(rows))
	lines := []string{strings.Join(head, ",")}
	for _, r := range rows {
		lines = append(lines, strings.Join(r, ","))
		record := map[string]any{}
		for c, name := range head {
			var v any = r[c]
			if c > 2 {
				if v = json.Number(r[c]); r[c] == "" {
					v = nil
				}
			}
			columns[name], record[name] = append(columns[name], v), v
		}
		records = append(records, record)
	}
	day, err := time.Parse(time.DateOnly, rows[len(rows)-1][2])
	if err != nil {
		return nil, err
	}
	id := map[string]any{head[0]: rows[0][0], head[1]: rows[0][1]}
	plan := map[string]any{head[0]: rows[0][0], head[1]: rows[0][1], "date": day.AddDate(0, 0, 3).Format(time.DateOnly), "promo": 1}
	days := fmt.Sprintf("%d days of history, ", len(rows))
	return []request{
		{"stored history and plan", map[string]any{"series": []any{id}}},
		{"stored history, changed plan", map[string]any{"plan": []any{plan}}},
		{"a week of new rows after the stored history", map[string]any{"history": records[len(records)-7:], "append": true}},
		{days + "columns", map[string]any{"history": columns}},
		{days + "CSV", map[string]any{"history": strings.Join(lines, "\n")}},
		{days + "records", map[string]any{"history": records}},
	}, nil
}

// rows are those of the first series, and the names of the columns.
func (b *bench) rows() (rows [][]string, head []string, err error) {
	f, err := os.Open(filepath.Join(b.examples, "bakery_daily.csv.gz"))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, nil, err
	}
	all, err := csv.NewReader(z).ReadAll()
	if err != nil {
		return nil, nil, err
	}
	for _, r := range all[1:] {
		if r[0] == all[1][0] && r[1] == all[1][1] {
			rows = append(rows, r)
		}
	}
	return rows, all[0], nil
}

// forecastOf is vegeta's target that asks for a forecast.
func (b *bench) forecastOf(body map[string]any) (map[string]any, error) {
	raw, err := json.Marshal(body)
	return map[string]any{"method": "POST", "url": b.url + "/v1/forecast", "header": map[string]any{"Content-Type": []string{"application/json"}}, "body": raw}, err
}

// attack sends one kind of request, first some that do not count.
func (b *bench) attack(ctx context.Context, name, model string, target map[string]any) error {
	line, err := json.Marshal(target)
	if err != nil {
		return err
	}
	targets := filepath.Join(b.folder, "targets.json")
	if err := os.WriteFile(targets, append(line, '\n'), 0o600); err != nil {
		return err
	}
	fire := func(last time.Duration) ([]byte, error) {
		out, err := exec.CommandContext(ctx, b.vegeta, "attack", "-format", "json", "-targets", targets, "-rate", strconv.Itoa(b.rate), "-duration", last.String()).Output()
		if err != nil {
			return nil, fmt.Errorf("vegeta attack: %w", err)
		}
		report := exec.CommandContext(ctx, b.vegeta, "report", "-type", "json")
		report.Stdin = bytes.NewReader(out)
		return report.Output()
	}
	if _, err := fire(time.Second); err != nil {
		return err
	}
	before, err := b.cpu()
	if err != nil {
		return err
	}
	out, err := fire(b.last)
	if err != nil {
		return err
	}
	after, err := b.cpu()
	if err != nil {
		return err
	}
	var r struct {
		Latencies struct {
			P50 time.Duration `json:"50th"`
			P99 time.Duration `json:"99th"`
		}
		Requests int
		Success  float64
		Errors   []string
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return fmt.Errorf("vegeta report: %w", err)
	}
	if r.Success != 1 {
		return fmt.Errorf("%s of %s: %v", name, model, r.Errors)
	}
	fmt.Printf("| %s | %s | %.2f ms | %.1f ms | %.2f ms |\n", name, model, ms(r.Latencies.P50), ms(r.Latencies.P99), ms(after-before)/float64(r.Requests))
	return nil
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// cpu is the processor time that the server has used.
func (b *bench) cpu() (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+2:]))
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100, nil
}
