package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// grace is how long services have to end by themselves.
const grace = 10 * time.Second

// stack keeps services running. Its methods are called by one goroutine.
type stack struct {
	out      io.Writer
	dir      string
	settings *settings
	services []*service
	exits    chan exit
}

// exit is the end of a service's process.
type exit struct {
	service *service
	err     error
}

func (st *stack) find(name string) *service {
	i := slices.IndexFunc(st.services, func(s *service) bool { return s.name == name })
	return st.services[i]
}

// look starts a service that is due, and asks one that is not healthy yet whether it is.
func (st *stack) look(ctx context.Context, s *service) error {
	switch {
	case s.cmd == nil:
		if s.needs != "" && !st.find(s.needs).ready || time.Now().Before(s.startAt) {
			return nil
		}
		return st.start(ctx, s)
	case s.ready:
		return nil
	case s.healthy != nil && !s.healthy(ctx):
		return nil
	}
	s.ready, s.crashes = true, 0
	if s.after != nil && !s.done {
		if err := s.after(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		s.done = true
	}
	if s.healthy != nil {
		fmt.Fprintf(st.out, "  %s is healthy\n", s.name)
	}
	return nil
}

func (st *stack) start(ctx context.Context, s *service) error {
	if s.prepare != nil {
		if err := s.prepare(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		s.prepare = nil
	}
	log, err := os.OpenFile(st.log(s), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), s.args[0], s.args[1:]...) //nolint:gosec // what make installed; stop ends it
	s.cmd.Env, s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.env, s.dir, log, log
	// In a group of its own, the terminal's Ctrl-C does not reach it: it is ended in order, and with all its children.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w; make stack installs it", s.name, err)
	}
	cmd := s.cmd
	go func() { st.exits <- exit{s, cmd.Wait()} }()
	return nil
}

func (st *stack) log(s *service) string { return filepath.Join(st.dir, "logs", s.name+".log") }

// ended notes that a service's process is gone, and when to start it again. It is an error if it never gets to work.
func (st *stack) ended(e exit) error {
	s := e.service
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // what it may have left in its group
	wasReady := s.ready
	s.cmd, s.ready = nil, false
	s.crashes++
	switch {
	case s.late && !wasReady:
		s.startAt = time.Now().Add(5 * time.Second)
		if s.crashes == 1 {
			fmt.Fprintf(st.out, "  %s waits for the first champion in the registry, which the DAG sales_forecast_training makes\n", s.name)
		}
		return nil
	case s.crashes > 3:
		b, _ := os.ReadFile(st.log(s))
		return fmt.Errorf("%s ended %d times, last with %w; the end of %s:\n%s", s.name, s.crashes, e.err, st.log(s), b[max(0, len(b)-2000):])
	}
	fmt.Fprintf(st.out, "  %s ended (%v) and is started again\n", s.name, e.err)
	s.startAt = time.Now().Add(2 * time.Second)
	return nil
}

// waiting are the services that are to be healthy before people are told to come in.
func (st *stack) waiting() []string {
	var names []string
	for _, s := range st.services {
		if !s.ready && !s.late {
			names = append(names, s.name)
		}
	}
	return names
}

func (st *stack) ready() bool { return len(st.waiting()) == 0 }

func (st *stack) announce() {
	s := st.settings
	fmt.Fprintf(st.out, `
Airflow   %s   user admin, password AIRFLOW_ADMIN_PASSWORD
MLflow    %s
MinIO     %s   user MINIO_ROOT_USER, password MINIO_ROOT_PASSWORD; S3 at %s, bucket %s
serve     %s   bearer token SALESCAST_SERVE_TOKEN
page      %s

What is named in capitals is in .env or, made up here, in %s.
Start a first run in Airflow: unpause and trigger sales_forecast_training. Ctrl-C ends everything.
`, s.url("AIRFLOW_PORT"), s.url("MLFLOW_PORT"), s.url("MINIO_CONSOLE_PORT"), s.url("MINIO_PORT"), bucket, s.url("SERVE_PORT"), s.url("PAGE_PORT"), s.credentials)
}

// stop ends every service, the last one first, and whatever they started. It returns what it could not end.
func (st *stack) stop() []string {
	fmt.Fprintln(st.out, "stopping")
	running := 0
	for _, s := range slices.Backward(st.services) {
		if s.cmd != nil {
			running++
			_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM)
		}
	}
	deadline := time.After(grace)
	for running > 0 {
		select {
		case e := <-st.exits:
			running--
			e.service.gone = true
		case <-deadline:
			deadline = nil
			for _, s := range st.services {
				if s.cmd != nil && !s.gone {
					fmt.Fprintf(st.out, "  %s does not end and is killed\n", s.name)
					_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
				}
			}
		}
	}
	// What left its group, such as a task and the binary that it runs, was handed to this process when its parent ended.
	var left []string
	for range 100 {
		for _, pid := range children(os.Getpid()) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
		left = left[:0]
		for _, pid := range children(os.Getpid()) {
			left = append(left, strconv.Itoa(pid))
		}
		if len(left) == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return left
}

// becomeReaper has the kernel hand orphans of the services to this process instead of to the first one of the system.
func becomeReaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the reaper of orphans: %w", err)
	}
	return nil
}

// children returns the processes, zombies too, whose parent is pid.
func children(pid int) []int {
	var found []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid: the name may have spaces and parentheses.
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(pid) {
			continue
		}
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			found = append(found, child)
		}
	}
	return found
}
