package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"salescast/tasks"
)

func TestRunOnTerminals(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{120, 30}, {80, 24}, {0, 0}} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			tty, sent := pty(t, size[0], size[1])
			a := testApp(&bytes.Buffer{}, &bytes.Buffer{})
			a.err, a.errTerminal, a.global = tty, true, globalOptions{output: outputText, logLevel: "info", logFormat: "auto"}
			a.getenv = func(name string) string { return map[string]string{"NO_COLOR": "1"}[name] }
			a.errSize = func() (int, int) { return terminalSize(tty) }
			must(t, a.start(&cobra.Command{}))
			a.bars.Phase("train/lightgbm fit", 10)
			a.bars.Add(5)
			time.Sleep(1500 * time.Millisecond) // some pictures of the bar, the later ones with the time left
			a.tell(&tasks.Result{Step: "train/lightgbm", Status: tasks.Done, Timings: map[string]float64{"total": 21.317}}, 3, 12)
			a.log.Warn().Str("step", "train/lightgbm").Str("file", "x.csv").Msg("something is odd")
			a.log.Info().Msg("nothing is odd")
			a.bars.close()
			all := sent()
			for _, want := range []string{"train lightgbm fit", "50 %", "s left"} {
				if !strings.Contains(all, want) {
					t.Errorf("%q was not drawn:\n%q", want, all)
				}
			}
			columns := size[0]
			if columns == 0 {
				columns = unsized
			}
			for line := range strings.SplitSeq(escapes.ReplaceAllString(all, "\n"), "\n") {
				if n := utf8.RuneCountInString(strings.TrimRight(line, "\r")); n > columns {
					t.Errorf("a line of %d columns on a terminal of %d: %q", n, columns, line)
				}
			}
			want := []string{
				"train lightgbm        done         21 s    3/12",
				"warning: train lightgbm: something is odd file=x.csv",
				"nothing is odd",
			}
			if got := played(all, columns, 24); strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("the screen keeps\n%s", strings.Join(got, "\n"))
			}
		})
	}
}

func TestRunElsewhere(t *testing.T) {
	t.Parallel()
	var errs bytes.Buffer
	a := testApp(&bytes.Buffer{}, &errs)
	a.global = globalOptions{output: outputText, logLevel: "info", logFormat: "auto"}
	must(t, a.start(&cobra.Command{}))
	a.tell(&tasks.Result{Step: "train/lightgbm", Status: tasks.Done, Timings: map[string]float64{"total": 21.317}}, 3, 12)
	want := `{"level":"info","step":"train/lightgbm","status":"done","seconds":21.317,"time":"2026-01-02T03:04:05Z","message":"step"}`
	if got := strings.TrimSpace(errs.String()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestRemaining(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0 s left", 1200 * time.Millisecond: "2 s left", 59 * time.Second: "59 s left", 61 * time.Second: "2 min left", 90 * time.Minute: "1.5 h left",
	} {
		if got := remaining(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
