// Command accuracy runs salescast on every configuration of a folder and prints how good its forecasts of the past were: every model's
// scores, and then the ensemble's relative to the best of its members and, for the data sets that peers.json knows, to the best of the
// peers in each figure, on the same origins (StatsForecast's AutoETS, DOT and seasonal naive, MLForecast with both engines, Prophet, means).
//
//	accuracy BINARY FOLDER WORKSPACES
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"

	"salescast/pkg/metric"
)

//go:embed peers.json
var peersJSON []byte

// scores are those that peers were measured by.
type scores struct{ WAPE, WQL, MSIS float64 }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("want BINARY FOLDER WORKSPACES, got %d arguments", len(args))
	}
	configs, err := filepath.Glob(filepath.Join(args[1], "*.yaml"))
	if err != nil || len(configs) == 0 {
		return fmt.Errorf("there is no *.yaml in %s", args[1])
	}
	var peers map[string]scores
	if err := json.Unmarshal(peersJSON, &peers); err != nil {
		return fmt.Errorf("read peers.json: %w", err)
	}
	var ratios []string
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "data\tmodel\tWAPE\tRMSSE\tMASE\tWQL\tMSIS\t95 %\tbias\tCPU s")
	for _, c := range configs {
		name := strings.TrimSuffix(filepath.Base(c), ".yaml")
		workspace := filepath.Join(args[2], name)
		d, cpu, err := measure(ctx, args[0], c, workspace)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		ratios = append(ratios, ratio(name, d, peers))
		for _, m := range d.Models {
			s := m.Overall
			fmt.Fprintf(w, "%s\t%s\t%.4f\t%.4f\t%.4f\t%.4f\t%.3f\t%.1f\t%+.1f %%\t%.1f\n",
				name, m.Model, s.WAPE, s.RMSSE, s.MASE, s.WQL, s.MSIS, 100*s.Coverage95, 100*s.Bias, cpu)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Println("\nThe ensemble's figures over the best peer's; its WAPE over that of its best member")
	fmt.Fprintln(w, "data\tWAPE\tWQL\tMSIS\t95 %\tbest member\tWAPE over it")
	for _, r := range ratios {
		fmt.Fprintln(w, r)
	}
	return w.Flush()
}

// ratio is one row of the second table; a dash stands where no peer was measured.
func ratio(name string, d *metric.Document, peers map[string]scores) string {
	var own metric.Scores
	best, least := "", metric.Value(math.Inf(1))
	for _, m := range d.Models {
		switch s := m.Overall; {
		case m.Model == d.Primary:
			own = s
		case s.WAPE < least:
			best, least = m.Model, s.WAPE
		}
	}
	over := func(v metric.Value, peer float64) string {
		if peer == 0 {
			return "-"
		}
		return fmt.Sprintf("%.3f", float64(v)/peer)
	}
	p := peers[name]
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%.1f\t%s\t%.3f", name, over(own.WAPE, p.WAPE), over(own.WQL, p.WQL), over(own.MSIS, p.MSIS), 100*own.Coverage95, best, own.WAPE/least)
}

// measure runs the whole pipeline anew and reads its scores; cpu is in seconds, of all steps.
func measure(ctx context.Context, binary, config, workspace string) (d *metric.Document, cpu float64, err error) {
	cmd := exec.CommandContext(ctx, binary, "run", "--force", "-c", config, "-w", workspace)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return nil, 0, fmt.Errorf("%w: %s", err, said.String())
	}
	b, err := os.ReadFile(filepath.Join(workspace, "evaluate", "metrics.json"))
	if err != nil {
		return nil, 0, err
	}
	d = &metric.Document{}
	if err := json.Unmarshal(b, d); err != nil {
		return nil, 0, fmt.Errorf("read metrics.json: %w", err)
	}
	return d, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), nil
}
