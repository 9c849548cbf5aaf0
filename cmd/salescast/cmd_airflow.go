package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"salescast/pkg/airflow"
	"salescast/tasks"
)

// defaultAirflow is where a local Airflow listens.
const defaultAirflow = "http://127.0.0.1:8080"

// airflowOptions are the flags of the commands below airflow.
type airflowOptions struct {
	url     string
	run     string
	every   time.Duration
	timeout time.Duration
}

// airflowRun is the answer of trigger, status and wait.
type airflowRun struct {
	airflow.Run

	Tasks []airflow.Task `json:"tasks"`
}

const airflowCredentials = `Credentials come from the environment: AIRFLOW_TOKEN, or AIRFLOW_USERNAME and AIRFLOW_PASSWORD.`

func (a *app) airflowCommand() *cobra.Command {
	o := &airflowOptions{}
	cmd := &cobra.Command{
		Use:   "airflow",
		Short: "Start runs on an Airflow server and follow them",
		Long: `Start runs of DAGs on an Airflow server, 2 or 3, and follow them, over its REST API.

` + airflowCredentials,
		Example: "  salescast airflow trigger sales_forecast_training --wait",
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&o.url, "url", or(a.getenv("AIRFLOW_URL"), defaultAirflow), "`address` of Airflow's API or web server (env AIRFLOW_URL)")
	cmd.AddCommand(a.airflowTrigger(o), a.airflowStatus(o), a.airflowWait(o), a.airflowLogs(o), a.airflowHealth(o))
	return cmd
}

func waitFlags(cmd *cobra.Command, o *airflowOptions) {
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "how `long` to wait for the run's end, such as 2h (default: as long as it takes)")
	cmd.Flags().DurationVar(&o.every, "poll", 2*time.Second, "how `often` to ask while waiting")
}

func runFlag(cmd *cobra.Command, o *airflowOptions) {
	cmd.Flags().StringVar(&o.run, "run", "", "`id` of the run (default: the newest of the DAG)")
}

func (a *app) airflowTrigger(o *airflowOptions) *cobra.Command {
	var (
		params        []string
		conf          string
		unpause, wait bool
	)
	cmd := &cobra.Command{
		Use:   "trigger DAG",
		Short: "Start a run of a DAG",
		Long: `Start a run of a DAG, with parameters. With --wait, show its tasks until it ends; a run that failed
is exit status 1.

` + airflowCredentials,
		Example: "  salescast airflow trigger sales_forecast_training --unpause --wait\n" +
			"  salescast airflow trigger sales_forecast_training --param horizon=14 --param 'models=[\"lightgbm\"]'",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			values, err := triggerConf(conf, params)
			if err != nil {
				return err
			}
			c, err := a.openAirflow(cmd.Context(), o)
			if err != nil {
				return err
			}
			if unpause {
				if err := c.Unpause(cmd.Context(), args[0]); err != nil {
					return airflowError(err)
				}
			}
			run, err := c.Trigger(cmd.Context(), args[0], o.run, values)
			if err != nil {
				return airflowError(err)
			}
			a.log.Info().Str("dag", run.DAG).Str("run", run.ID).Msg("triggered")
			if !wait {
				return a.answerRun(airflowRun{Run: run, Tasks: []airflow.Task{}})
			}
			return a.waitForRun(cmd.Context(), c, run, o)
		},
	}
	cmd.Flags().StringArrayVar(&params, "param", nil, "`name=value` of a parameter, the value as JSON or plain text; may be repeated")
	cmd.Flags().StringVar(&conf, "conf", "", "all parameters as a `JSON` object")
	cmd.Flags().StringVar(&o.run, "run-id", "", "`id` for the run (default: the server's choice)")
	cmd.Flags().BoolVar(&unpause, "unpause", false, "unpause the DAG first; the runs of a paused one wait")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for the run's end")
	waitFlags(cmd, o)
	return cmd
}

// triggerConf puts single parameters over the object.
func triggerConf(object string, params []string) (map[string]any, error) {
	conf := map[string]any{}
	if object != "" {
		if err := json.Unmarshal([]byte(object), &conf); err != nil || conf == nil {
			return nil, &tasks.Error{Kind: tasks.KindUsage, Op: "flag --conf", Err: fmt.Errorf("%q is not a JSON object", object)}
		}
	}
	for _, p := range params {
		name, text, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, &tasks.Error{Kind: tasks.KindUsage, Op: "flag --param", Err: fmt.Errorf("%q is not name=value", p)}
		}
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		conf[name] = value
	}
	return conf, nil
}

func (a *app) airflowStatus(o *airflowOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status DAG",
		Short: "Show a run and its tasks",
		Long: `Show the state of a run and of its tasks.

` + airflowCredentials,
		Example: "  salescast airflow status sales_forecast_training --output json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.openAirflow(cmd.Context(), o)
			if err != nil {
				return err
			}
			run, err := look(cmd.Context(), c, args[0], o.run)
			if err != nil {
				return err
			}
			return a.answerRun(run)
		},
	}
	runFlag(cmd, o)
	return cmd
}

func (a *app) airflowWait(o *airflowOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wait DAG",
		Short: "Wait for the end of a run",
		Long: `Wait for the end of a run and show its tasks. A run that failed is exit status 1.

` + airflowCredentials,
		Example: "  salescast airflow wait sales_forecast_training --timeout 1h",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.openAirflow(cmd.Context(), o)
			if err != nil {
				return err
			}
			run, err := c.Run(cmd.Context(), args[0], o.run)
			if err != nil {
				return airflowError(err)
			}
			return a.waitForRun(cmd.Context(), c, run, o)
		},
	}
	runFlag(cmd, o)
	waitFlags(cmd, o)
	return cmd
}

func (a *app) airflowLogs(o *airflowOptions) *cobra.Command {
	var try, index int
	cmd := &cobra.Command{
		Use:   "logs DAG TASK",
		Short: "Print the log of a task",
		Long: `Print what a task logged in its last try, or in another one. Of a mapped task without --map-index,
every index is printed.

` + airflowCredentials,
		Example: "  salescast airflow logs sales_forecast_training validate\n  salescast airflow logs sales_forecast_training train --map-index 0 --try 1",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.openAirflow(cmd.Context(), o)
			if err != nil {
				return err
			}
			run, err := look(cmd.Context(), c, args[0], o.run)
			if err != nil {
				return err
			}
			return a.printLogs(cmd.Context(), c, run, args[1], index, try)
		},
	}
	runFlag(cmd, o)
	cmd.Flags().IntVar(&try, "try", 0, "`number` of the try, from 1 (default: the last)")
	cmd.Flags().IntVar(&index, "map-index", -1, "`index` of a mapped task (default: all)")
	return cmd
}

func (a *app) printLogs(ctx context.Context, c airflow.Client, run airflowRun, task string, index, try int) error {
	type taskLog struct {
		airflow.Task

		Lines []airflow.LogLine `json:"lines"`
	}
	logs := []taskLog{}
	for _, t := range run.Tasks {
		if t.ID != task || index >= 0 && t.MapIndex != index {
			continue
		}
		n := t.Try
		if try > 0 {
			n = try
		}
		if n == 0 {
			continue // has not begun
		}
		lines, err := c.Log(ctx, t, n)
		if err != nil {
			return airflowError(err)
		}
		logs = append(logs, taskLog{t, lines})
	}
	if len(logs) == 0 {
		return &tasks.Error{
			Kind: tasks.KindInputMissing, Op: "log of " + task, Err: fmt.Errorf("run %s has no such task that has begun", run.ID),
			Hint: "salescast airflow status " + run.DAG + " lists the tasks",
		}
	}
	if a.global.output == outputJSON {
		return a.printJSON(logs)
	}
	for _, l := range logs {
		if len(logs) > 1 {
			fmt.Fprintf(a.out, "==> %s <==\n", l.Name())
		}
		for _, line := range l.Lines {
			if line.Time.IsZero() && line.Level == "" {
				fmt.Fprintln(a.out, line.Text)
				continue
			}
			fmt.Fprintf(a.out, "%s %-7s %s\n", line.Time.UTC().Format("2006-01-02T15:04:05.000Z"), line.Level, line.Text)
		}
	}
	return nil
}

func (a *app) airflowHealth(o *airflowOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Tell whether an Airflow server is well",
		Long: `Tell whether the database, the scheduler and the other parts of an Airflow server are well; if not,
the exit status is 75. It needs no credentials.`,
		Example: "  salescast airflow health --url http://127.0.0.1:8080",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.openAirflow(cmd.Context(), o)
			if err != nil {
				return err
			}
			h, err := c.Health(cmd.Context())
			if err != nil {
				return airflowError(err)
			}
			if a.global.output == outputJSON {
				err = a.printJSON(h)
			} else {
				w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
				fmt.Fprintf(w, "api\t%s\n", h.API)
				for _, part := range slices.Sorted(maps.Keys(h.Parts)) {
					fmt.Fprintf(w, "%s\t%s\n", part, or(h.Parts[part], "not there"))
				}
				err = w.Flush()
			}
			if err == nil && !h.Healthy() {
				err = &tasks.Error{Kind: tasks.KindTryAgain, Op: "health of Airflow", Err: errors.New("a part of it is not well"), Hint: "look at the log of that part"}
			}
			return err
		},
	}
}

func (a *app) openAirflow(ctx context.Context, o *airflowOptions) (airflow.Client, error) {
	c, err := airflow.Open(ctx, airflow.Options{
		URL: o.url, Token: a.getenv("AIRFLOW_TOKEN"), Username: a.getenv("AIRFLOW_USERNAME"), Password: a.getenv("AIRFLOW_PASSWORD"), Now: a.now,
	})
	return c, airflowError(err)
}

// airflowError says what kind of failure a server's answer is, and what to do.
func airflowError(err error) error {
	e, ok := errors.AsType[*airflow.Error](err)
	if !ok {
		return err
	}
	out := &tasks.Error{Kind: tasks.KindTryAgain, Op: "ask Airflow", Err: err, Hint: "check that the server runs at the address of --url, then try again"}
	switch {
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		out.Kind, out.Hint = tasks.KindPermission, "set AIRFLOW_USERNAME and AIRFLOW_PASSWORD, or AIRFLOW_TOKEN, to those of a user who may do this"
	case e.Status == http.StatusNotFound:
		out.Kind, out.Hint = tasks.KindInputMissing, "check the names of the DAG and the run, and the address of --url"
	case e.Status == http.StatusTooManyRequests:
	case e.Status >= http.StatusBadRequest && e.Status < http.StatusInternalServerError:
		out.Kind, out.Hint = tasks.KindUsage, "mend what the server says is wrong"
	}
	return out
}

// look asks for a run and its tasks, in the order in which they began.
func look(ctx context.Context, c airflow.Client, dag, id string) (airflowRun, error) {
	run, err := c.Run(ctx, dag, id)
	if err != nil {
		return airflowRun{}, airflowError(err)
	}
	all, err := c.Tasks(ctx, dag, run.ID)
	if err != nil {
		return airflowRun{}, airflowError(err)
	}
	slices.SortFunc(all, func(a, b airflow.Task) int {
		if a.Started.IsZero() != b.Started.IsZero() {
			if a.Started.IsZero() {
				return 1
			}
			return -1
		}
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID), cmp.Compare(a.MapIndex, b.MapIndex))
	})
	return airflowRun{Run: run, Tasks: all}, nil
}

// waitForRun follows a run to its end: as a table that is drawn anew on a terminal, else as a log line for each change.
func (a *app) waitForRun(ctx context.Context, c airflow.Client, run airflow.Run, o *airflowOptions) error {
	if o.every <= 0 {
		return &tasks.Error{Kind: tasks.KindUsage, Op: "flag --poll", Err: fmt.Errorf("%s is not a pause", o.every)}
	}
	waiting := ctx
	if o.timeout > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	tick := time.NewTicker(o.every)
	defer tick.Stop()
	table := &liveTable{w: a.err, size: a.errSize}
	said := map[string]string{}
	for {
		now, err := look(waiting, c, run.DAG, run.ID)
		switch {
		case waiting.Err() != nil:
		case err != nil:
			return err
		case now.Done():
			table.clear()
			if err := a.answerRun(now); err != nil {
				return err
			}
			return failedRun(now)
		case a.errTerminal:
			table.draw(runTable(now, a.now()))
		default:
			for _, t := range now.Tasks {
				if t.State != "" && said[t.Name()] != t.State {
					said[t.Name()] = t.State
					a.log.Info().Str("task", t.Name()).Str("state", t.State).Int("try", t.Try).Msg("task")
				}
			}
		}
		select {
		case <-tick.C:
		case <-waiting.Done():
			table.clear()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &tasks.Error{
				Kind: tasks.KindTryAgain, Op: "wait for run " + run.ID, Err: fmt.Errorf("it has not ended in %s", o.timeout),
				Hint: "it goes on; wait again with: salescast airflow wait " + run.DAG + " --run " + run.ID,
			}
		}
	}
}

// failedRun is nil for a run that succeeded, and else names the tasks that failed.
func failedRun(r airflowRun) error {
	if r.State == "success" {
		return nil
	}
	e := &tasks.Error{Kind: tasks.KindUnexpected, Op: fmt.Sprintf("run %s of %s", r.ID, r.DAG), Err: errors.New("failed")}
	var names []string
	for _, t := range r.Tasks {
		if t.State == "failed" {
			names = append(names, t.Name())
			e.Hint = fmt.Sprintf("salescast airflow logs %s %s --run %s", r.DAG, t.ID, r.ID)
		}
	}
	if len(names) > 0 {
		e.Err = fmt.Errorf("failed in %s", strings.Join(names, ", "))
	}
	return e
}

func (a *app) answerRun(r airflowRun) error {
	if a.global.output == outputJSON {
		return a.printJSON(r)
	}
	_, err := fmt.Fprint(a.out, runTable(r, a.now()))
	return err
}

// runTable is a run and its tasks, as text. What runs still is measured by now.
func runTable(r airflowRun, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  %s  %s\n", r.DAG, r.ID, r.State, took(r.Started, r.Ended, now))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, t := range r.Tasks {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", t.Name(), or(t.State, "-"), tries(t.Try), took(t.Started, t.Ended, now))
	}
	w.Flush()
	return b.String()
}

func tries(n int) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf("try %d", n)
}

func took(from, to, now time.Time) string {
	if from.IsZero() {
		return ""
	}
	if to.IsZero() {
		to = now
	}
	return seconds(max(0, to.Sub(from).Seconds()))
}
