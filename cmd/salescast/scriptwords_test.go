package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"salescast/pkg/artifact"
)

// cmdExits runs a program and wants one exit code: "exits 65 salescast validate". Its output is in exits.out and exits.err. Options
// before the program: "-after 300ms TERM" sends a signal; "-at STEP TERM" sends it when the step has begun, before it did anything else;
// "-fsize 4096" bounds the files it may write, in KiB; "-bound" takes from root the right to write where permissions forbid it.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE [-after DURATION TERM|INT|KILL] [-at STEP TERM|INT|KILL] [-fsize KIB] [-bound] PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	args = args[1:]
	var after time.Duration
	var sig os.Signal
	at := ""
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}
	for strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-after":
			after, err = time.ParseDuration(args[1])
			ts.Check(err)
			sig = signals[args[2]]
			args = args[3:]
		case "-at":
			at, sig = args[1], signals[args[2]]
			args = append([]string{args[3] + "-held", "--log-level=debug", "--log-format=json"}, args[4:]...)
		case "-bound":
			args = args[1:]
			if os.Geteuid() == 0 {
				args = append([]string{"setpriv", "--bounding-set=-dac_override,-dac_read_search"}, args...)
			}
		case "-fsize":
			args = append([]string{"sh", "-c", "ulimit -f " + args[1] + ` && exec "$0" "$@"`}, args[2:]...)
		default:
			ts.Fatalf("exits: unknown option %s", args[0])
		}
	}
	program, err := exec.LookPath(args[0])
	if err != nil {
		program = filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], args[0])
	}
	cmd := exec.CommandContext(context.Background(), program, args[1:]...) // it is ended by the signals that the script sends
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &errs, ts.MkAbs(".")
	names := []string{"PATH", "HOME", "TMPDIR", "SALESCAST_ENGINE_DIR", "SALESCAST_WORKSPACE", "SALESCAST_STDIN_LIFELINE", "NO_COLOR", "GOCOVERDIR"}
	for _, s := range settings() {
		names = append(names, s.env())
	}
	for _, k := range names {
		if v := ts.Getenv(k); v != "" {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
	}
	if at != "" {
		r, w, err := os.Pipe()
		ts.Check(err)
		defer r.Close()
		cmd.ExtraFiles = []*os.File{w}
		cmd.Env = append(cmd.Env, heldStep+"="+at)
		ts.Check(cmd.Start())
		ts.Check(w.Close())
		if n, _ := r.Read(make([]byte, 1)); n != 1 {
			_ = cmd.Wait()
			ts.Fatalf("it ended before step %s began:\n%s", at, tail(errs.String()))
		}
	} else {
		ts.Check(cmd.Start())
	}
	began := time.Now()
	if sig != nil {
		timer := time.AfterFunc(after, func() { _ = cmd.Process.Signal(sig) })
		defer timer.Stop()
	}
	werr := cmd.Wait()
	took := time.Since(began)
	ts.Check(os.WriteFile(ts.MkAbs("exits.out"), out.Bytes(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("exits.err"), errs.Bytes(), 0o600))
	ts.Logf("[stdout]\n%s[stderr]\n%s", tail(out.String()), tail(errs.String()))
	code := 0
	if e, ok := errors.AsType[*exec.ExitError](werr); ok {
		if code = e.ExitCode(); code == -1 {
			code = 128 + int(e.Sys().(syscall.WaitStatus).Signal())
		}
	} else {
		ts.Check(werr)
	}
	if code != want {
		ts.Fatalf("exit status %d, want %d", code, want)
	}
	if sig != nil && took > after+3*time.Second {
		ts.Fatalf("it left %v after the signal, want less than 3 s", took-after)
	}
}

// heldStep names the step at whose first phase salescast-held waits for a signal.
const heldStep = "SALESCAST_TEST_HELD_STEP"

// heldMain is salescast, but that it waits for a signal where a step begins: it says so on file 3 and goes on when the signal is there.
func heldMain() {
	h := &held{step: os.Getenv(heldStep), signals: make(chan os.Signal, 1)}
	signal.Notify(h.signals, syscall.SIGTERM, syscall.SIGINT)
	os.Exit(process(h))
}

type held struct {
	step    string
	signals chan os.Signal
	once    sync.Once
}

func (h *held) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(`"step":"`+h.step+`","phase":"`)) {
		h.once.Do(func() {
			_, _ = os.NewFile(3, "waiting").Write([]byte("w"))
			<-h.signals
		})
	}
	return os.Stderr.Write(p)
}

func tail(s string) string {
	if len(s) > 4000 {
		return "..." + s[len(s)-4000:]
	}
	return s
}

// cmdJSON reads a value out of a JSON file by keys with dots: "json exits.out status cached". A value "*" is any that is there.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: [!] json FILE KEY VALUE")
	}
	var v any
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	d.UseNumber()
	ts.Check(d.Decode(&v))
	for k := range strings.SplitSeq(args[1], ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[k]
		case []any:
			i, err := strconv.Atoi(k)
			if err != nil || i >= len(at) {
				v = nil
			} else {
				v = at[i]
			}
		default:
			v = nil
		}
	}
	got := fmt.Sprint(v)
	if same := got == args[2] || args[2] == "*" && v != nil; same == neg {
		ts.Fatalf("%s in %s is %q, want %t that it is %q", args[1], args[0], got, !neg, args[2])
	}
}

// cmdRepeat writes a text many times: "repeat FILE COUNT TEXT", where {i} in the text is the number, {day} a date that
// goes on for 1,000 days and begins again, {s} how often it began again, and \n a line feed. It appends.
func cmdRepeat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: repeat FILE COUNT TEXT")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	ts.Check(err)
	var b bytes.Buffer
	day := time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		r := strings.NewReplacer("{i}", strconv.Itoa(i), "{s}", strconv.Itoa(i/1000), "{day}", day.AddDate(0, 0, i%1000).Format(time.DateOnly), `\n`, "\n", `\t`, "\t", `\r`, "\r")
		b.WriteString(r.Replace(args[2]))
	}
	_, err = f.Write(b.Bytes())
	ts.Check(err)
	ts.Check(f.Close())
}

// cmdContent compares two workspaces: "content A B" wants every step of A in B with the same content digest, and the other way round,
// every file as the manifest says, no temporary file, and logical names that read what the manifest names.
func cmdContent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: content WORKSPACE WORKSPACE")
	}
	a, b := contents(ts, args[0]), contents(ts, args[1])
	if len(a) == 0 {
		ts.Fatalf("%s has no finished step", args[0])
	}
	for step, digest := range a {
		if b[step] != digest {
			ts.Fatalf("step %s differs: %s in %s, %s in %s", step, digest, args[0], b[step], args[1])
		}
	}
	if len(a) != len(b) {
		ts.Fatalf("%s has %d steps, %s %d", args[0], len(a), args[1], len(b))
	}
}

func contents(ts *testscript.TestScript, workspace string) map[string]string {
	digests := map[string]string{}
	root := ts.MkAbs(workspace)
	ts.Check(filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != artifact.ManifestName || strings.Contains(p, "/attempts/") || strings.Contains(p, "/.salescast/") {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		m, err := artifact.ReadManifest(f)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		for _, file := range m.Files {
			object, err := os.ReadFile(filepath.Join(filepath.Dir(p), file.Object))
			if err != nil {
				return err
			}
			alias, err := os.ReadFile(filepath.Join(filepath.Dir(p), file.Name))
			if err != nil {
				return err
			}
			if int64(len(object)) != file.Size || !slices.Equal(object, alias) {
				return fmt.Errorf("%s: %s is not what its manifest says", p, file.Name)
			}
		}
		digests[m.Step] = m.ContentDigest()
		return nil
	}))
	return digests
}
