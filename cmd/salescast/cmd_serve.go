package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"salescast/pkg/artifact"
	"salescast/pkg/regress"
	"salescast/pkg/serve"
	"salescast/pkg/track"
	"salescast/tasks"
)

// tokenEnv is the variable that holds the server's token.
const tokenEnv = "SALESCAST_SERVE_TOKEN"

// maxToken bounds a token file.
const maxToken = 4096

// serveFlags are what the command line says of a server.
type serveFlags struct {
	models      []string
	listen      string
	tokenFile   string
	insecure    bool
	poll        time.Duration
	timeout     time.Duration
	concurrency int
	maxBody     string
	maxRows     int
}

func (a *app) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use: "serve",

		Annotations: map[string]string{lastsAnnotation: ""},

		Short: "Answer requests for forecasts over HTTP",
		Long: `Answer requests for forecasts over HTTP, from the bundles of one or more models.

A model is the workspace that its ensemble was made in, or models:/NAME@ALIAS or models:/NAME/VERSION
in the model registry; NAME= before it gives it another name. Every member of an ensemble is served
by its name too. A newer version is taken over without a pause as soon as it is there; one that
cannot be loaded leaves the older one at work, and /v1/models and the log say so.

Clients send the token of ` + tokenEnv + ` or --token-file as "Authorization: Bearer TOKEN". Without one the
server listens on loopback addresses only, unless --insecure. GET /openapi.json describes the routes.

Reads bundles. Writes nothing. SIGTERM ends it when the requests at work are answered.`,
		Example: "  salescast serve --model runs/bakery\n  salescast serve --model models:/sales_forecast_ensemble@champion --listen 0.0.0.0:8080 --token-file /run/secrets/token",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.serve(cmd, f) },
	}
	fl := cmd.Flags()
	fl.StringArrayVarP(&f.models, "model", "m", nil, "`address` of a model: a workspace, models:/NAME@ALIAS or models:/NAME/VERSION; may be repeated (default: the workspace of -w)")
	fl.StringVar(&f.listen, "listen", "127.0.0.1:8080", "`address` to listen on")
	fl.StringVar(&f.tokenFile, "token-file", "", "`file` that holds the token (env "+tokenEnv+")")
	fl.BoolVar(&f.insecure, "insecure", false, "listen beyond loopback without a token")
	fl.DurationVar(&f.poll, "poll", 15*time.Second, "how often newer models are looked for; 0 is never")
	fl.DurationVar(&f.timeout, "timeout", 30*time.Second, "the longest that an answer may take")
	fl.IntVar(&f.concurrency, "concurrency", 64, "how many requests may be at work at once")
	fl.StringVar(&f.maxBody, "max-body", "32MiB", "the largest `size` of a request")
	fl.IntVar(&f.maxRows, "max-rows", 500_000, "the most rows of a request")
	return cmd
}

func (a *app) serve(cmd *cobra.Command, f serveFlags) error {
	ctx := cmd.Context()
	o, err := a.serveOptions(cmd, f)
	if err != nil {
		return err
	}
	learners := a.engines()
	defer learners.Close()
	o.Loaders = learners.Open
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", f.listen)
	if err != nil {
		return &tasks.Error{Kind: tasks.KindUnavailable, Op: "listen on " + f.listen, Err: err, Hint: "choose another address with --listen"}
	}
	defer l.Close()
	began := a.now()
	s, err := serve.New(ctx, o)
	if err != nil {
		return serveError(err)
	}
	a.log.Info().Str("url", "http://"+l.Addr().String()).Dur("took", a.now().Sub(began)).Msg("ready")
	err = s.Serve(ctx, l)
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	return err
}

func (a *app) serveOptions(cmd *cobra.Command, f serveFlags) (serve.Options, error) {
	usage := func(flag string, err error) error {
		return &tasks.Error{Kind: tasks.KindUsage, Op: "flag --" + flag, Err: err}
	}
	o := serve.Options{
		Models: f.models, Poll: f.poll, Log: a.log, Now: a.now, Version: version().Version, Timeout: f.timeout, Concurrency: f.concurrency, MaxRows: f.maxRows,
		Drain:     patience - 500*time.Millisecond,
		OpenStore: a.onlyStore, Probe: a.probeIn,
	}
	if len(o.Models) == 0 && a.global.workspace != "" {
		o.Models = []string{a.global.workspace}
	}
	if len(o.Models) == 0 {
		return o, &tasks.Error{Kind: tasks.KindUsage, Op: "serve", Err: errors.New("no model is given"), Hint: "say which, such as --model runs/bakery"}
	}
	var err error
	if o.MaxBody, err = parseBytes(f.maxBody); err != nil {
		return o, usage("max-body", err)
	}
	if f.poll < 0 || f.timeout <= 0 || f.concurrency <= 0 || f.maxRows <= 0 {
		return o, usage("timeout, --concurrency, --max-rows", errors.New("they must be positive"))
	}
	if o.Token, err = a.serveToken(f.tokenFile); err != nil {
		return o, err
	}
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return o, usage("listen", fmt.Errorf("%w; write HOST:PORT", err))
	}
	if ip := net.ParseIP(host); o.Token == "" && !f.insecure && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return o, &tasks.Error{
			Kind: tasks.KindUsage, Op: "listen on " + f.listen, Err: errors.New("anybody there could ask, and no token is set"),
			Hint: "set " + tokenEnv + " or --token-file, or say --insecure",
		}
	}
	for _, m := range o.Models {
		if strings.Contains(m, "models:/") && o.Registry == nil {
			if o.Registry, err = a.serveRegistry(cmd); err != nil {
				return o, err
			}
		}
	}
	return o, nil
}

// serveToken reads the token from the file or the environment.
func (a *app) serveToken(file string) (string, error) {
	if file == "" {
		return a.getenv(tokenEnv), nil
	}
	fail := func(err error) (string, error) {
		return "", &tasks.Error{Kind: tasks.KindConfig, Op: "read the token file", Err: err}
	}
	f, err := os.Open(file)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxToken))
	if err != nil {
		return fail(err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return fail(fmt.Errorf("%s is empty", file))
	}
	return token, nil
}

// serveRegistry is that of MLflow, or of register.folder, or of the workspace's own record.
func (a *app) serveRegistry(cmd *cobra.Command) (track.Registry, error) {
	c, err := a.loadConfig(cmd)
	if err != nil {
		return nil, err
	}
	if c.Register.Folder != "" && a.getenv("MLFLOW_TRACKING_URI") == "" {
		return a.localRegistry(nil, c)
	}
	var at artifact.Location
	if a.global.workspace != "" {
		if _, at, err = a.openStore(a.global.workspace); err != nil {
			return nil, err
		}
	} else if a.getenv("MLFLOW_TRACKING_URI") == "" {
		return nil, &tasks.Error{Kind: tasks.KindConfig, Op: "open the model registry", Err: errNoServer, Hint: "set it to the address of the server, or name a workspace with -w"}
	}
	if uri := a.getenv("MLFLOW_TRACKING_URI"); uri != "" {
		return a.serverRegistry(uri)
	}
	_, registry, err := a.openTracker(at, c)
	return registry, err
}

// serveError says which kind of failure kept the server from starting.
func serveError(err error) error {
	if missing, ok := errors.AsType[*regress.UnavailableError](err); ok {
		return &tasks.Error{Kind: tasks.KindUnavailable, Op: "serve", Err: err, Hint: missing.Hint}
	}
	switch {
	case tasks.KindOf(err) != tasks.KindUnexpected:
		return err
	case errors.Is(err, fs.ErrNotExist):
		return &tasks.Error{Kind: tasks.KindInputMissing, Op: "serve", Err: err, Hint: `make the model first: "salescast run", or name another with --model`}
	case errors.Is(err, fs.ErrPermission):
		return &tasks.Error{Kind: tasks.KindPermission, Op: "serve", Err: err}
	case errors.Is(err, artifact.ErrUnavailable), errors.Is(err, track.ErrUnavailable):
		return &tasks.Error{Kind: tasks.KindTryAgain, Op: "serve", Err: err}
	case errors.Is(err, context.Canceled):
		return err
	}
	return err
}
