package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"salescast/pkg/doctor"
	"salescast/pkg/redact"
	"salescast/tasks"
)

// app is what a command may touch of the process: it is injected, so that tests run commands without one.
type app struct {
	out, err                 io.Writer
	outTerminal, errTerminal bool
	// errSize is the size of the terminal at err, nil or zeros where that is not known.
	errSize func() (columns, rows int)
	getenv  func(string) string
	environ func() []string
	now     func() time.Time

	global globalOptions
	log    zerolog.Logger
	// guessed is a configuration that was made for data without one; "" elsewhere.
	guessed string
	// people read the log, beside the bars.
	people bool
	bars   progress
	// started is set when the command line was understood.
	started bool
	// summary replaces the text of a result.
	summary string
	// answered is set when a result was printed.
	answered bool
}

// globalOptions are the flags of every command.
type globalOptions struct {
	config      string
	workspace   string
	output      string
	resultFile  string
	logLevel    string
	logFormat   string
	threads     int
	memoryLimit string
	set         []string
}

// run executes one command line.
func (a *app) run(ctx context.Context, args []string) error {
	root := a.rootCommand() //nolint:contextcheck // cobra hands the context to the commands
	root.SetArgs(args)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(ctx)
	if a.bars != nil {
		a.bars.close()
	}
	if err != nil && !a.started {
		if _, ok := errors.AsType[*tasks.Error](err); !ok {
			err = &tasks.Error{Kind: tasks.KindUsage, Op: "read the command line", Err: err, Hint: fmt.Sprintf("%q shows how it is used", cmd.CommandPath()+" --help")}
		}
	}
	if err != nil {
		a.complain(cmd, err)
	}
	return err
}

// complain says an error once: as the result where a program listens, and as text or, with --log-format json, a line of the log.
func (a *app) complain(cmd *cobra.Command, err error) {
	if a.global.output == outputJSON && !a.answered {
		res := failedResult(cmd.Name(), err)
		if perr := a.answer(res); perr != nil {
			fmt.Fprintf(a.err, "salescast: %s\n", redact.String(perr.Error()))
		}
	}
	h := tasks.HintOf(err)
	if a.started && a.global.logFormat == "json" { // asked for, so that whoever reads it sees a level
		e := a.log.Error()
		if k := tasks.KindOf(err); k == tasks.KindRefused || k == tasks.KindDrift || k == tasks.KindNothing { // an answer, which Airflow takes for one
			e = a.log.Warn()
		}
		if h != "" {
			e = e.Str("hint", h)
		}
		e.Msg(err.Error())
		return
	}
	fmt.Fprintf(a.err, "salescast: %s\n", redact.String(err.Error()))
	if h != "" {
		fmt.Fprintf(a.err, "hint: %s\n", redact.String(h))
	}
}

// keepOrder has cobra list commands as they were added; it reads that from a variable of its own.
var keepOrder = sync.OnceFunc(func() { cobra.EnableCommandSorting = false })

func (a *app) rootCommand() *cobra.Command {
	keepOrder()
	root := &cobra.Command{
		Use:   "salescast",
		Short: "Forecast sales, and know how good the forecast is",
		Long: `salescast forecasts sales: it checks the data, trains models, measures them on the past as
they would have been used, and forecasts with intervals that hold what they promise.

Every step reads its inputs from a workspace, a folder or an s3:// URL, and writes its own folder
there. A step that was done with the same inputs and options answers from what is there.

` + exitStatus(),
		Example:       "  salescast run examples/bakery\n  salescast validate -c salescast.yaml -w runs/today --output json",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.start(cmd)
		},
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetHelpCommand(&cobra.Command{Hidden: true, Use: "no-help-command"})
	f := root.PersistentFlags()
	f.SortFlags = false
	f.StringVarP(&a.global.config, "config", "c", "", "configuration `file`, or the folder of one (default ./"+configName+" if it is there)")
	f.StringVarP(&a.global.workspace, "workspace", "w", a.getenv("SALESCAST_WORKSPACE"), "`URL` of the workspace: a folder or s3://bucket/prefix (env SALESCAST_WORKSPACE)")
	f.StringArrayVar(&a.global.set, "set", nil, "set a `key=value` of the configuration, such as forecast.horizon=14; may be repeated")
	f.StringVarP(&a.global.output, "output", "o", outputText, "`form` of the result on standard output: text or json")
	f.StringVar(&a.global.resultFile, "result-file", "", "also write the JSON result to this `path`, whole or not at all; a link is followed, a device or a pipe written into")
	f.StringVar(&a.global.logLevel, "log-level", or(a.getenv("SALESCAST_LOG_LEVEL"), "info"), "least `level` to log: debug, info, warn or error")
	f.StringVar(&a.global.logFormat, "log-format", "auto", "`form` of the log: console, json, or auto (for people on a terminal, else json)")
	f.IntVar(&a.global.threads, "threads", 0, "threads to use (default: the CPUs that this machine or container has)")
	f.StringVar(&a.global.memoryLimit, "memory-limit", a.getenv("GOMEMLIMIT"), "soft limit of memory, such as 2GiB (default: nine tenths of the container's)")
	root.AddGroup(&cobra.Group{ID: "steps", Title: "Steps, in their order:"}, &cobra.Group{ID: "more", Title: "Around them:"})
	for _, c := range a.stepCommands() {
		c.GroupID = "steps"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{a.configCommand(), a.runsCommand(), a.modelsCommand(), a.getCommand(), a.pruneCommand(), a.syncCommand(), a.airflowCommand(), a.serveCommand(), a.probeModelCommand(), a.doctorCommand(), a.versionCommand()} {
		c.GroupID = "more"
		root.AddCommand(c)
	}
	root.InitDefaultCompletionCmd()
	root.SetCompletionCommandGroupID("more")
	root.SetFlagErrorFunc(noSuchFlag)
	a.completions(root)
	return root
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// start checks the global flags and sets up logs, progress, threads and memory.
func (a *app) start(cmd *cobra.Command) error {
	a.started = true
	g := &a.global
	usage := func(flag string, err error) error {
		return &tasks.Error{Kind: tasks.KindUsage, Op: "flag --" + flag, Err: err}
	}
	if g.output != outputText && g.output != outputJSON {
		bad := g.output
		g.output = outputText
		return usage("output", fmt.Errorf("unknown form %q; it is text or json", bad))
	}
	level, err := zerolog.ParseLevel(g.logLevel)
	if err != nil || g.logLevel == "" {
		return usage("log-level", fmt.Errorf("unknown level %q; it is debug, info, warn or error", g.logLevel))
	}
	form := logJSON
	switch g.logFormat {
	case "auto":
		if _, lasts := cmd.Annotations[lastsAnnotation]; a.errTerminal && lasts {
			form = logConsole
		} else if a.errTerminal {
			form = logPeople
		}
	case logConsole, logJSON:
		form = g.logFormat
	default:
		return usage("log-format", fmt.Errorf("unknown form %q; it is auto, console or json", g.logFormat))
	}
	if g.threads < 0 {
		return usage("threads", fmt.Errorf("%d is negative", g.threads))
	}
	if g.threads > 0 {
		runtime.GOMAXPROCS(g.threads)
	}
	g.threads = runtime.GOMAXPROCS(0)
	limit, err := memoryLimit(g.memoryLimit, os.DirFS("/"))
	if err != nil {
		return usage("memory-limit", err)
	}
	if limit > 0 {
		debug.SetMemoryLimit(limit)
	}
	if a.errTerminal {
		a.bars = newBars(a.err, a.errSize)
	} else {
		a.bars = &lines{out: a.err, log: &a.log, now: a.now, every: g.logFormat == logJSON}
	}
	a.people = form == logPeople
	a.log = newLog(a.bars.writer(), form, a.getenv("NO_COLOR") != "", a.now).Level(level)
	return nil
}

// The forms of a log: what people read while they wait, lines with the time and all fields, and a JSON object in each line.
const (
	logPeople  = "people"
	logConsole = "console"
	logJSON    = "json"
)

// lastsAnnotation marks a command that goes on until it is stopped: when a line was written is told even on a terminal.
const lastsAnnotation = "salescast/lasts"

// newLog writes the log in a form, without secrets.
func newLog(w io.Writer, form string, plain bool, now func() time.Time) zerolog.Logger {
	switch form {
	case logPeople:
		w = peopleWriter(w, plain)
	case logConsole:
		w = zerolog.ConsoleWriter{Out: w, NoColor: plain, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(redact.Lines(w)).Hook(zerolog.HookFunc(func(e *zerolog.Event, _ zerolog.Level, _ string) {
		e.Time(zerolog.TimestampFieldName, now())
	}))
}

// memoryLimit reads a size such as 500MiB; "" is nine tenths of the control group's limit, and 0 where there is none.
func memoryLimit(s string, root fs.FS) (int64, error) {
	if s == "off" {
		return math.MaxInt64, nil
	}
	if s != "" {
		return parseBytes(s)
	}
	if n, ok := doctor.MemoryLimit(root); ok {
		return n / 10 * 9, nil
	}
	return 0, nil
}

func parseBytes(s string) (int64, error) {
	number, unit := s, int64(1)
	for i, suffix := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v, ok := strings.CutSuffix(s, suffix); ok {
			number, unit = v, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(number, "B")), 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is not a size such as 500MiB or 2GiB", s)
	}
	return n * unit, nil
}

// loadConfig reads the configuration with the flags of cmd that stand for a key.
func (a *app) loadConfig(cmd *cobra.Command) (*config, error) {
	l := layers{file: a.global.config, text: a.guessed, getenv: a.getenv}
	for _, s := range a.global.set {
		k, v, ok := strings.Cut(s, "=")
		if !ok {
			return nil, &tasks.Error{Kind: tasks.KindUsage, Op: "flag --set", Err: fmt.Errorf("%q is not key=value", s)}
		}
		l.flags = append(l.flags, flagValue{k, v, "--set " + k})
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if key := f.Annotations[keyAnnotation]; len(key) == 1 {
			l.flags = append(l.flags, flagValue{key[0], f.Value.String(), "--" + f.Name})
		}
	})
	return loadConfig(l)
}

// keyAnnotation marks a flag that stands for a key of the configuration.
const keyAnnotation = "salescast/key"

// settingFlag adds a flag that stands for a key; its help is the key's.
func settingFlag(cmd *cobra.Command, name, key string) {
	s, err := settingOf(key)
	if err != nil {
		panic(err) // a key that the table lacks
	}
	cmd.Flags().String(name, "", s.doc+" (key "+key+")")
	if err := cmd.Flags().SetAnnotation(name, keyAnnotation, []string{key}); err != nil {
		panic(err)
	}
}
