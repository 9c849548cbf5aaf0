package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"salescast/pkg/airflow"
)

// pty opens a pseudo-terminal of a size: what a program writes to tty, a terminal reads from its other end.
func pty(t *testing.T, columns, rows int) (tty *os.File, sent func() string) {
	t.Helper()
	end, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	must(t, unix.IoctlSetPointerInt(int(end.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(end.Fd()), unix.TIOCGPTN)
	must(t, err)
	tty, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	must(t, unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(columns), Row: uint16(rows)}))
	read := make(chan []byte)
	go func() {
		var b bytes.Buffer
		_, _ = b.ReadFrom(end) // ends with an error when the other end is closed
		read <- b.Bytes()
	}()
	t.Cleanup(func() { _ = end.Close() })
	return tty, func() string {
		must(t, tty.Close())
		return string(<-read)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var (
	escape  = regexp.MustCompile(`^\x1b\[(\d*)([AJ])`)
	escapes = regexp.MustCompile(`\x1b\[\d*[AJ]`)
)

// played is what a terminal shows after it was sent those bytes: it wraps, it scrolls, and it knows how to go up and to erase downwards.
func played(sent string, columns, rows int) []string {
	lines, y, x := [][]rune{nil}, 0, 0
	down := func() {
		if y++; y == len(lines) {
			lines = append(lines, nil)
		}
	}
	for sent != "" {
		if m := escape.FindStringSubmatch(sent); m != nil {
			sent = sent[len(m[0]):]
			switch m[2] {
			case "A":
				n, _ := strconv.Atoi(m[1])
				y = max(y-n, len(lines)-rows, 0) // what has scrolled away is out of reach
			case "J":
				lines = lines[:y+1]
				lines[y] = lines[y][:min(x, len(lines[y]))]
			}
			continue
		}
		r := []rune(sent)[0]
		sent = sent[len(string(r)):]
		switch r {
		case '\r':
			x = 0
		case '\n':
			down()
		default:
			if x == columns {
				x = 0
				down()
			}
			for len(lines[y]) <= x {
				lines[y] = append(lines[y], ' ')
			}
			lines[y][x] = r
			x++
		}
	}
	var out []string
	for _, l := range lines {
		if s := strings.TrimRight(string(l), " "); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// manyTasks is a run whose names are longer, and whose tasks are more, than a small terminal has room for.
type manyTasks struct {
	airflow.Client

	looks int
}

func (m *manyTasks) Run(_ context.Context, dag, id string) (airflow.Run, error) {
	m.looks++
	state := "running"
	if m.looks > 5 {
		state = "success"
	}
	return airflow.Run{DAG: dag, ID: id, State: state}, nil
}

func (m *manyTasks) Tasks(context.Context, string, string) ([]airflow.Task, error) {
	var all []airflow.Task
	for i := range 12 {
		all = append(all, airflow.Task{ID: fmt.Sprintf("a_task_whose_name_is_long_%d", i), MapIndex: -1, State: "running"})
	}
	return all, nil
}

func TestLiveTableOnTerminals(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{200, 50}, {80, 24}, {40, 50}, {20, 6}, {30, 3}} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			tty, sent := pty(t, size[0], size[1])
			var out bytes.Buffer
			a := testApp(&out, &bytes.Buffer{})
			a.err, a.errTerminal, a.global.output = tty, true, outputText
			a.errSize = func() (int, int) { return terminalSize(tty) }
			fmt.Fprintln(tty, "$ before")
			err := a.waitForRun(t.Context(), &manyTasks{}, airflow.Run{DAG: "sales_forecast_training", ID: "manual__2026-11-23T18:27:30.762316+00:00"}, &airflowOptions{every: time.Millisecond})
			fmt.Fprintln(tty, "$ after")
			if got := played(sent(), size[0], size[1]); err != nil || strings.Join(got, "|") != "$ before|$ after" {
				t.Errorf("%v: the screen keeps\n%s", err, strings.Join(got, "\n"))
			}
			if !strings.Contains(out.String(), "a_task_whose_name_is_long_11  running") {
				t.Errorf("the answer is not whole:\n%s", out.String())
			}
		})
	}
}

func TestLiveTableIsCut(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	table := &liveTable{w: &b, size: func() (int, int) { return 8, 4 }}
	table.draw("1\n2345678\n23456789\n4\n5\n")
	if want := "1\n2345678\n  and …\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	b.Reset()
	table.draw("äöüäöüäö\n")
	if want := "\x1b[3A\x1b[Jäöüäöü…\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
