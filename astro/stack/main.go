// Command stack runs on this machine, without Docker, the services that docker-compose.override.yml and Astro run: MinIO, MLflow,
// Airflow, the forecasting server and the page, all on 127.0.0.1. "make stack" installs what they need and starts it. It ends them all
// when it is interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

func main() {
	// A child dies with the thread that started it, should this program be killed: all are started from this one.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Environ(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args, environ []string, out io.Writer) error {
	flags := flag.NewFlagSet("stack", flag.ContinueOnError)
	dir := flags.String("dir", ".stack", "`folder` of all data, logs and generated credentials")
	envFile := flags.String("env", ".env", "`file` of variables; those of the environment win")
	free := flags.Bool("free-ports", false, "take another port where one is in use")
	if err := flags.Parse(args); err != nil {
		return err
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	if *dir, err = filepath.Abs(*dir); err != nil {
		return err
	}
	for _, sub := range []string{"airflow", "logs", "minio", "mlflow"} {
		if err := os.MkdirAll(filepath.Join(*dir, sub), 0o700); err != nil {
			return err
		}
	}
	s, err := readSettings(environ, *envFile, filepath.Join(*dir, "credentials"))
	if err != nil {
		return err
	}
	if err := s.choosePorts(ctx, *free); err != nil {
		return err
	}
	st := &stack{out: out, dir: *dir, settings: s, exits: make(chan exit, 16)}
	st.services, err = services(root, *dir, s)
	if err != nil {
		return err
	}
	err = st.run(ctx)
	if left := st.stop(); len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("could not end %v", left))
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	fmt.Fprintln(out, "stopped; the data are in", *dir)
	return err
}

// patience is how long the services have to be healthy at the start, on a machine that does other things too.
const patience = 10 * time.Minute

func (st *stack) run(ctx context.Context) error {
	if err := becomeReaper(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fmt.Fprintf(st.out, "starting; logs are in %s\n", filepath.Join(st.dir, "logs"))
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	announced := false
	for {
		for _, s := range st.services {
			if err := st.look(ctx, s); err != nil {
				return err
			}
		}
		if !announced && st.ready() {
			announced = true
			st.announce()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-st.exits:
			if err := st.ended(e); err != nil {
				return err
			}
		case <-deadline:
			if !announced {
				return fmt.Errorf("not healthy within %v: %v", patience, st.waiting())
			}
		case <-tick.C:
		}
	}
}
