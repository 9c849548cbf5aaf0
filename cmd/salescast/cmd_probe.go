package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"salescast/pkg/artifact"
	"salescast/pkg/serve"
	"salescast/tasks"
)

// probeCommand is the process in which a server opens a model before it takes it over.
const probeCommand = "probe-model"

// probed is what it writes to standard output.
type probed struct {
	State string     `json:"state,omitempty"`
	Error string     `json:"error,omitempty"`
	Kind  tasks.Kind `json:"kind,omitempty"`
}

// maxProbed bounds what a server reads of it.
const maxProbed = 64 << 10

func (a *app) probeModelCommand() *cobra.Command {
	return &cobra.Command{
		Use:    probeCommand + " ADDRESS",
		Short:  "Open a model as a server does, and say whether it can be served",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			state, err := a.probeModel(cmd, args[0])
			said := probed{State: state}
			if err != nil {
				said = probed{Error: err.Error(), Kind: tasks.KindOf(err)}
			}
			return errors.Join(err, json.NewEncoder(a.out).Encode(said))
		},
	}
}

func (a *app) probeModel(cmd *cobra.Command, address string) (state string, err error) {
	learners := a.engines()
	defer learners.Close()
	o := serve.Options{Log: a.log, Now: a.now, Loaders: learners.Open, OpenStore: a.onlyStore}
	if strings.HasPrefix(address, "models:/") {
		if o.Registry, err = a.serveRegistry(cmd); err != nil {
			return "", err
		}
	}
	return serve.ProbeModel(cmd.Context(), o, address)
}

func (a *app) onlyStore(at string) (artifact.Store, error) {
	s, _, err := a.openStore(at)
	return s, err
}

// probeIn asks a process of its own, with the flags that say where stores and registry are.
func (a *app) probeIn(ctx context.Context, address string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	g := a.global
	args := []string{os.Args[0], "--log-level", "error", "--threads", strconv.Itoa(max(g.threads, 1))}
	for flag, v := range map[string]string{"--config": g.config, "--workspace": g.workspace, "--memory-limit": g.memoryLimit} {
		if v != "" {
			args = append(args, flag, v)
		}
	}
	for _, s := range g.set {
		args = append(args, "--set", s)
	}
	c := exec.CommandContext(ctx, self) //nolint:gosec // it is this very program
	c.Args = append(args, probeCommand, "--", address)
	c.WaitDelay = time.Second
	out := &bytes.Buffer{}
	c.Stdout = &limited{out, maxProbed}
	err = c.Run()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return readProbe(out.Bytes(), err)
}

// readProbe makes of what the process wrote, and how it ended, the state that it read.
func readProbe(out []byte, ended error) (string, error) {
	var said probed
	if err := json.Unmarshal(out, &said); err != nil || said.Error == "" && ended != nil {
		return "", &tasks.Error{Kind: tasks.KindData, Op: "open the model", Err: fmt.Errorf("the process ended without a word: %w", cmp.Or(ended, err))}
	}
	if said.Error != "" {
		return "", &tasks.Error{Kind: said.Kind, Op: "open the model", Err: said.failure()}
	}
	return said.State, nil
}

// failure is the error that the process met: what may be well the next time stays that.
func (p probed) failure() error {
	if p.Kind == tasks.KindTryAgain {
		return fmt.Errorf("%s: %w", p.Error, artifact.ErrUnavailable)
	}
	return errors.New(p.Error)
}

// limited drops what goes beyond a limit.
type limited struct {
	io.Writer
	left int
}

func (l *limited) Write(b []byte) (int, error) {
	keep := b[:min(len(b), l.left)]
	l.left -= len(keep)
	if _, err := l.Writer.Write(keep); err != nil {
		return 0, err
	}
	return len(b), nil
}
