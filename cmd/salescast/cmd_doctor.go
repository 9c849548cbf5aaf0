package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"salescast/pkg/artifact"
	"salescast/pkg/doctor"
	"salescast/tasks"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check that everything salescast needs is there, and say what to do if not",
		Long: `Check the engines and where they were loaded from, the folders that are written, threads and memory, and
the workspace if one is given, in a folder or in object storage, and the MLflow server of MLFLOW_TRACKING_URI
if that is set. What is missing is said with what to do; a failure exits with 69.

Reads the environment. Leaves nothing behind.`,
		Example: "  salescast doctor\n  salescast doctor -w runs/bakery --output json\n  salescast doctor -w s3://salescast/runs/today",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.doctor(cmd.Context(), cmd)
		},
	}
}

// doctorPatience is how long the doctor waits for a service that is away.
const doctorPatience = 2 * time.Second

// diagnosis is what "doctor --output json" prints.
type diagnosis struct {
	Status   doctor.Status    `json:"status"`
	Findings []doctor.Finding `json:"findings"`
}

func (a *app) doctor(ctx context.Context, cmd *cobra.Command) error {
	engines := a.engines()
	defer engines.Close()
	checks := []doctor.Check{
		doctor.Engine(engines, "xgboost"), doctor.Engine(engines, "lightgbm"),
		doctor.Cache(engineCache()), doctor.Machine(os.DirFS("/"), a.global.threads, runtime.NumCPU()),
	}
	if w := a.global.workspace; w != "" {
		store, at, err := a.openStoreFor(w, doctorPatience)
		if tasks.KindOf(err) == tasks.KindUsage {
			return err
		}
		if at.Scheme == artifact.SchemeFile {
			checks = append(checks, doctor.Folder("workspace", at.Path))
		} else {
			checks = append(checks, doctor.Store(func() (artifact.Store, error) { return store, err }))
		}
	}
	if uri := a.getenv("MLFLOW_TRACKING_URI"); uri != "" {
		c, err := a.loadConfig(cmd)
		if err != nil {
			return err
		}
		checks = append(checks, doctor.MLflow(uri, func(ctx context.Context) (string, error) {
			server, err := a.openMLflow(uri, doctorPatience)
			if err != nil {
				return "", err
			}
			return server.Ping(ctx, or(a.getenv("MLFLOW_EXPERIMENT_NAME"), c.Tracking.Experiment))
		}))
	}
	d := diagnosis{Findings: doctor.Run(ctx, checks)}
	d.Status = doctor.Worst(d.Findings)
	var failed []string
	for _, f := range d.Findings {
		if f.Status == doctor.Failed {
			failed = append(failed, f.Check)
		}
	}
	if a.global.output == outputJSON {
		if err := a.printJSON(d); err != nil {
			return err
		}
	} else {
		for _, f := range d.Findings {
			fmt.Fprintf(a.out, "%-8s %s: %s\n", f.Status, f.Check, f.Message)
			if f.Hint != "" {
				fmt.Fprintf(a.out, "         %s\n", f.Hint)
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(failed) > 0 {
		return &tasks.Error{Kind: tasks.KindUnavailable, Op: "doctor", Err: errors.New(strings.Join(failed, ", ") + " failed")}
	}
	return nil
}
