// Command accuracy runs salescast on every configuration of a folder and prints how good its forecasts of the past were.
//
//	accuracy BINARY FOLDER WORKSPACES
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"

	"salescast/pkg/metric"
)

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
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "data\tmodel\tWAPE\tRMSSE\tMASE\tWQL\tMSIS\t95 %\tbias\tCPU s")
	for _, c := range configs {
		name := strings.TrimSuffix(filepath.Base(c), ".yaml")
		workspace := filepath.Join(args[2], name)
		d, cpu, err := measure(ctx, args[0], c, workspace)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, m := range d.Models {
			s := m.Overall
			fmt.Fprintf(w, "%s\t%s\t%.4f\t%.4f\t%.4f\t%.4f\t%.3f\t%.1f\t%+.1f %%\t%.1f\n",
				name, m.Model, s.WAPE, s.RMSSE, s.MASE, s.WQL, s.MSIS, 100*s.Coverage95, 100*s.Bias, cpu)
		}
	}
	return w.Flush()
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
