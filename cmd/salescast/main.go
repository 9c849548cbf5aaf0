// Command salescast forecasts sales: it checks the data, trains models, measures them honestly on the past, and forecasts with intervals.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
	_ "time/tzdata" // data.timezone means the same on a machine without zones

	"golang.org/x/term"
)

// patience is how long a stopped command may take to leave by itself.
const patience = 2500 * time.Millisecond

func main() { os.Exit(process(os.Stderr)) }

// process runs the command of this process: its arguments, streams, environment and signals.
func process(stderr io.Writer) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var code atomic.Int32
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if os.Getenv("SALESCAST_STDIN_LIFELINE") == "1" {
		go func() { // ends with the process: the parent holds the other end of standard input
			_, _ = io.Copy(io.Discard, os.Stdin)
			signals <- syscall.SIGTERM
		}()
	}
	go func() { // ends with the process
		for s := range signals {
			n, _ := s.(syscall.Signal)
			if !code.CompareAndSwap(0, 128+int32(n)) {
				os.Exit(int(code.Load())) // a second signal does not wait
			}
			cancel()
			time.AfterFunc(patience, func() { os.Exit(int(code.Load())) })
		}
	}()
	a := &app{
		out: os.Stdout, err: stderr, getenv: os.Getenv, environ: os.Environ, now: time.Now,
		errTerminal: term.IsTerminal(int(os.Stderr.Fd())), outTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		errSize: func() (columns, rows int) { return terminalSize(os.Stderr) },
	}
	err := a.run(ctx, os.Args[1:])
	if c := code.Load(); c != 0 && (err == nil || errors.Is(err, context.Canceled) || ctx.Err() != nil) {
		return int(c)
	}
	return exitCode(err)
}

// terminalSize is zeros where f is no terminal.
func terminalSize(f *os.File) (columns, rows int) {
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, 0
	}
	return columns, rows
}
