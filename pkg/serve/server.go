package serve

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"salescast/pkg/artifact"
	"salescast/pkg/bundle"
	"salescast/pkg/track"
)

// Options are what a server is made of.
type Options struct {
	// Models are addresses, optionally with a name of their own before "=": a workspace or a bundle's folder, models:/NAME@ALIAS or
	// models:/NAME/VERSION.
	Models    []string
	OpenStore func(address string) (artifact.Store, error)
	// Registry may be nil where no model is registered.
	Registry track.Registry
	Loaders  bundle.Loaders
	// Probe opens a model outside of this process before it takes over from one that is served, and answers the state that it read, as
	// [ProbeModel] does; nil is no probe. An error keeps the older at work.
	Probe func(ctx context.Context, address string) (state string, err error)
	// Poll is how often newer models are looked for; 0 is never.
	Poll time.Duration
	// Token, unless empty, must be sent as "Authorization: Bearer TOKEN" with every request but /ping and /health.
	Token   string
	Log     zerolog.Logger
	Now     func() time.Time
	Version string
	// Zero limits are defaults: 32 MiB of body, 500,000 rows, 30 s, 64 requests at once.
	MaxBody     int64
	MaxRows     int
	Timeout     time.Duration
	Concurrency int
	// Drain is how long requests may take after the server is told to stop; 0 is 10 s.
	Drain time.Duration
}

const maxColumns = 500

// Server answers HTTP requests. Close it after its handler has answered the last one.
type Server struct {
	o        Options
	models   *catalogue
	slots    chan struct{}
	token    [sha256.Size]byte
	metrics  *metrics
	handler  http.Handler
	buffers  sync.Pool
	intakes  sync.Pool
	openAPI  []byte
	sections []route
}

// New loads every model. Any that cannot be loaded is an error.
func New(ctx context.Context, o Options) (*Server, error) {
	if o.MaxBody <= 0 {
		o.MaxBody = 32 << 20
	}
	if o.MaxRows <= 0 {
		o.MaxRows = 500_000
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 64
	}
	if o.Drain <= 0 {
		o.Drain = 10 * time.Second
	}
	s := &Server{o: o, slots: make(chan struct{}, o.Concurrency), token: sha256.Sum256([]byte(o.Token))}
	s.intakes.New = func() any { return new(intake) }
	s.buffers.New = func() any { b := make([]byte, 0, 16<<10); return &b }
	var err error
	if s.models, err = newCatalogue(&s.o); err != nil {
		return nil, err
	}
	if err := s.models.refresh(ctx, true); err != nil {
		return nil, errors.Join(err, s.models.close())
	}
	s.metrics = newMetrics(s.models)
	s.sections = s.routes()
	if s.openAPI, err = s.describe(); err != nil {
		return nil, errors.Join(err, s.models.close())
	}
	s.handler = s.mux()
	return s, nil
}

// Close frees the models.
func (s *Server) Close() error { return s.models.close() }

// Handler answers every route.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve answers on l until ctx ends, and then the requests at work. It looks for newer models meanwhile.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	h := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: s.o.Timeout + 10*time.Second, WriteTimeout: s.o.Timeout + 20*time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	var polling sync.WaitGroup
	defer polling.Wait()
	polled, stop := context.WithCancel(ctx)
	defer stop()
	polling.Go(func() { s.models.poll(polled, s.o.Poll) })
	done := make(chan error, 1)
	go func() { done <- h.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Drain)
	defer cancel()
	err := h.Shutdown(last)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were cut off: %w", err), h.Close())
	}
	if serr := <-done; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}

// handlerFunc answers one route: what it returns is written as JSON.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

func (s *Server) mux() http.Handler {
	mux := http.NewServeMux()
	methods := map[string]map[string]http.Handler{}
	for _, r := range s.sections {
		if methods[r.path] == nil {
			methods[r.path] = map[string]http.Handler{}
		}
		methods[r.path][r.method] = s.wrap(r)
	}
	for path, by := range methods {
		mux.Handle(path, s.byMethod(path, by))
	}
	mux.Handle("/", s.wrap(route{path: "other", open: true, do: func(http.ResponseWriter, *http.Request) error {
		return &problem{http.StatusNotFound, codeNotFound, "there is nothing at this path", "GET /openapi.json lists what there is"}
	}}))
	return mux
}

// byMethod picks the handler of a request's method; HEAD is GET.
func (s *Server) byMethod(path string, by map[string]http.Handler) http.Handler {
	allow := strings.Join(slices.Sorted(maps.Keys(by)), ", ")
	refuse := s.wrap(route{path: path, open: true, do: func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Allow", allow)
		return &problem{http.StatusMethodNotAllowed, codeMethod, "this route does not have that method", "use " + allow}
	}})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		h, ok := by[method]
		if !ok {
			h = refuse
		}
		h.ServeHTTP(w, r)
	})
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += n
	return n, err
}

// wrap puts around a route what all have: the token, limits, one line of log, figures, and errors that tell no secrets.
func (s *Server) wrap(rt route) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &recorder{ResponseWriter: rw}
		began := s.o.Now()
		w.Header().Set("X-Content-Type-Options", "nosniff")
		err := s.guard(w, r, rt)
		if err != nil {
			s.refuse(w, r, rt, err)
		}
		if w.status != 0 {
			_ = http.NewResponseController(rw).Flush() // the client need not wait for what follows; one that has gone needs no answer
		}
		took := s.o.Now().Sub(began)
		s.metrics.observe(rt.path, r.Method, w.status, took)
		e := s.o.Log.Info()
		if rt.quiet && err == nil {
			e = s.o.Log.Debug()
		}
		e.Str("method", r.Method).Str("route", rt.path).Int("status", w.status).Int("bytes", w.bytes).Dur("took", took).Str("remote", host(r.RemoteAddr)).Msg("request")
	})
}

func (s *Server) guard(w *recorder, r *http.Request, rt route) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // it is the very value
				panic(p)
			}
			s.o.Log.Error().Interface("panic", p).Bytes("stack", debug.Stack()).Str("route", rt.path).Msg("a request crashed")
			err = errors.New("crashed")
		}
	}()
	if s.o.Token != "" && !rt.open && !s.authorized(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return &problem{http.StatusUnauthorized, codeUnauthorized, "the token is missing or wrong", "send the header Authorization: Bearer TOKEN"}
	}
	ctx := r.Context()
	if rt.work {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		default:
			w.Header().Set("Retry-After", "1")
			return &problem{http.StatusServiceUnavailable, codeBusy, fmt.Sprintf("%d requests are at work already", cap(s.slots)), "try again in a moment"}
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.o.Timeout)
		defer cancel()
	}
	r = r.WithContext(ctx)
	r.Body = http.MaxBytesReader(w, r.Body, s.o.MaxBody)
	err = rt.do(w, r)
	if err != nil && ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &problem{http.StatusServiceUnavailable, codeTimeout, fmt.Sprintf("the answer took longer than %s", s.o.Timeout), "ask for fewer series at once"}
	}
	return err
}

func (s *Server) authorized(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(sum[:], s.token[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

func host(remote string) string {
	h, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return h
}

// refuse answers with an error, in the form that the route's clients know.
func (s *Server) refuse(w *recorder, r *http.Request, rt route, err error) {
	p := problemOf(err)
	if p.Status == http.StatusInternalServerError && r.Context().Err() == nil {
		s.o.Log.Error().Err(err).Str("route", rt.path).Msg("request failed")
	}
	if w.status != 0 {
		return // the answer has begun
	}
	var body any = map[string]any{"error": p}
	if rt.mlflow {
		code := "INVALID_PARAMETER_VALUE"
		switch {
		case p.Status >= 500:
			code = "INTERNAL_ERROR"
		case p.Code == codeBadRequest:
			code = "BAD_REQUEST"
		}
		body = map[string]string{"error_code": code, "message": strings.TrimSuffix(p.Message+"; "+p.Hint, "; ")}
		if p.Status == http.StatusUnprocessableEntity {
			p.Status = http.StatusBadRequest
		}
	}
	writeJSON(w, p.Status, body)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"the answer could not be written"}}`)
	}
	write(w, status, append(b, '\n'))
}

func write(w http.ResponseWriter, status int, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that has gone needs no answer
}

// mediaType returns the content type of a request without its parameters; none is JSON.
func mediaType(r *http.Request) (string, map[string]string, error) {
	t := r.Header.Get("Content-Type")
	if t == "" {
		return "application/json", nil, nil
	}
	kind, params, err := mime.ParseMediaType(t)
	if err != nil {
		return "", nil, &problem{http.StatusUnsupportedMediaType, codeMediaType, "the content type cannot be read", "send application/json"}
	}
	return kind, params, nil
}
