package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"salescast/pkg/internal/outage"
	"salescast/pkg/track"
)

const (
	// callLimit bounds one call: a server waits up to 20 s for its database before it answers 503.
	callLimit = time.Minute
	// fileLimit bounds one call that carries a file.
	fileLimit = 15 * time.Minute
	// lastTry bounds a call to a server that has not answered for all our patience; a little more than it waits for its database.
	lastTry = 25 * time.Second
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 64 << 20
	maxError  = 16 << 10
)

// client speaks HTTP. It retries what may be repeated; create asks before it repeats.
type client struct {
	http    *http.Client
	base    *url.URL
	auth    string
	outage  outage.Outage
	confirm time.Duration
}

// apiError is a refusal by the server.
type apiError struct {
	Status  int
	Code    string
	Message string
	After   time.Duration
}

func (e *apiError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("MLflow answers %d: %s", e.Status, e.Message)
	}
	return fmt.Sprintf("MLflow answers %d %s: %s", e.Status, e.Code, e.Message)
}

func isCode(err error, codes ...string) bool {
	var e *apiError
	if !errors.As(err, &e) {
		return false
	}
	return slices.Contains(codes, e.Code)
}

// Codes of refusals.
const (
	codeExists  = "RESOURCE_ALREADY_EXISTS"
	codeMissing = "RESOURCE_DOES_NOT_EXIST"
	codeInvalid = "INVALID_PARAMETER_VALUE"
	codeBad     = "BAD_REQUEST"
)

// file is the body of an upload; open gives it from its start, once for each attempt.
type file struct {
	open func() (io.Reader, error)
	size int64
	name string
}

// request is one call. path is relative to the server's address, its segments not yet escaped.
type request struct {
	method string
	path   string
	query  url.Values
	in     any
	file   *file
	// out receives the answer's JSON; sink the answer's bytes.
	out  any
	sink func(io.Reader) error
}

func api(path string) string { return "api/2.0/mlflow/" + path }

// get asks for something by query.
func (c *client) get(ctx context.Context, path string, query url.Values, out any) error {
	return c.do(ctx, request{method: http.MethodGet, path: api(path), query: query, out: out})
}

// post sends something that may be sent twice.
func (c *client) post(ctx context.Context, path string, in, out any) error {
	return c.do(ctx, request{method: http.MethodPost, path: api(path), in: in, out: out})
}

// do calls until it succeeds, is refused, or patience ends.
func (c *client) do(ctx context.Context, r request) error {
	w := c.wait()
	for {
		err := c.once(ctx, r)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if retry, known := c.classify(r, err); !retry || !c.next(ctx, w, err) {
			return known
		}
	}
}

// create makes something that must be made once: after an answer that was lost it looks with find, for longer than the server may
// still be at work, before it sends again.
func (c *client) create(ctx context.Context, r request, find func(context.Context) (bool, error)) error {
	w := c.wait()
	for {
		err := c.once(ctx, r)
		if err == nil || ctx.Err() != nil {
			return err
		}
		retry, known := c.classify(r, err)
		if !retry {
			return known
		}
		if !notSent(err) {
			found, err := c.await(ctx, find)
			if err != nil || found {
				return err
			}
		}
		if !c.next(ctx, w, err) {
			return known
		}
	}
}

// await looks for what may have been made, with growing pauses.
func (c *client) await(ctx context.Context, find func(context.Context) (bool, error)) (bool, error) {
	until := time.Now().Add(c.confirm) //nolint:forbidigo // measures waiting, is never recorded
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		found, err := find(ctx)
		if err != nil || found {
			return found, err
		}
		if time.Until(until) <= 0 {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(min(pause, time.Until(until))):
		}
	}
}

// waiting is the pauses of one call that is repeated.
type waiting struct {
	began  time.Time
	pause  time.Duration
	faults int
}

// maxFaults bounds the repeats after an answer of 500: a fault of the server rarely mends itself.
const maxFaults = 3

func (c *client) wait() *waiting {
	return &waiting{began: time.Now(), pause: 500 * time.Millisecond} //nolint:forbidigo // measures waiting, is never recorded
}

// next pauses, and answers false where patience, which is that of all calls together, or the context is at its end.
func (c *client) next(ctx context.Context, w *waiting, err error) bool {
	until := c.outage.Failed(w.began, time.Now()) //nolint:forbidigo // measures waiting, is never recorded
	pause := w.pause/2 + rand.N(w.pause)
	w.pause = min(2*w.pause, 30*time.Second)
	if e, ok := errors.AsType[*apiError](err); ok {
		pause = max(pause, e.After)
		if e.Status == http.StatusInternalServerError {
			if w.faults++; w.faults > maxFaults {
				return false
			}
		}
	}
	if time.Until(until) < pause {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// once makes one attempt.
func (c *client) once(ctx context.Context, r request) error {
	limit := callLimit
	if r.file != nil || r.sink != nil {
		limit = fileLimit
	}
	if c.outage.Over(time.Now()) { //nolint:forbidigo // measures waiting, is never recorded
		limit = min(limit, lastTry)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := c.build(ctx, r)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode < http.StatusInternalServerError {
		c.outage.Passed()
	}
	if resp.StatusCode/100 != 2 {
		return refusal(resp)
	}
	if r.sink != nil {
		return r.sink(resp.Body)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return err
	}
	if len(b) > maxAnswer {
		return fmt.Errorf("the answer of %s has more than %d bytes", r.path, maxAnswer)
	}
	if r.out == nil {
		return nil
	}
	if err := json.Unmarshal(b, r.out); err != nil {
		return fmt.Errorf("the answer of %s is not what MLflow sends (is %s the address of an MLflow server?): %w", r.path, c.base.Redacted(), err)
	}
	return nil
}

func (c *client) build(ctx context.Context, r request) (*http.Request, error) {
	u := *c.base
	segments := strings.Split(r.path, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	u.RawPath = strings.TrimSuffix(c.base.EscapedPath(), "/") + "/" + strings.Join(segments, "/")
	u.Path = strings.TrimSuffix(c.base.Path, "/") + "/" + r.path
	u.RawQuery = r.query.Encode()
	var body io.Reader
	kind := "application/json"
	switch {
	case r.file != nil:
		var err error
		if body, err = r.file.open(); err != nil {
			return nil, err
		}
		if r.file.size == 0 {
			body = http.NoBody
		}
		if kind = mime.TypeByExtension("." + r.file.name[strings.LastIndexByte(r.file.name, '.')+1:]); kind == "" {
			kind = "application/octet-stream"
		}
	case r.in != nil:
		b, err := json.Marshal(r.in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if r.file != nil {
		req.ContentLength = r.file.size
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("User-Agent", "salescast")
	if c.auth != "" {
		req.Header.Set("Authorization", c.auth)
	}
	return req, nil
}

// refusal reads an answer that is no success: JSON, HTML or text.
func refusal(resp *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxError))
	if err != nil {
		return err
	}
	e := &apiError{Status: resp.StatusCode}
	var said struct {
		Code    string `json:"error_code"`
		Message string `json:"message"`
		Detail  any    `json:"detail"`
	}
	if json.Unmarshal(b, &said) == nil {
		e.Code, e.Message = said.Code, said.Message
		if e.Message == "" && said.Detail != nil {
			e.Message = fmt.Sprint(said.Detail)
		}
	} else {
		e.Message = strings.TrimSpace(string(b))
	}
	if len(e.Message) > 1000 {
		e.Message = strings.ToValidUTF8(e.Message[:1000], "") + " ..."
	}
	if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && after > 0 {
		e.After = time.Duration(min(after, 60)) * time.Second
	}
	return e
}

// classify gives an error its place in the contract, and says whether the same call may succeed in a moment.
func (c *client) classify(r request, err error) (retry bool, known error) {
	var e *apiError
	if !errors.As(err, &e) {
		return c.classifyNetwork(err)
	}
	if r.sink != nil && missingFile(e) {
		return false, fmt.Errorf("%w: %w", fs.ErrNotExist, e)
	}
	switch e.Status {
	case http.StatusUnauthorized:
		return false, fmt.Errorf("%w: %s wants to know who we are: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
			fs.ErrPermission, c.base.Redacted())
	case http.StatusForbidden:
		if strings.Contains(e.Message, "Host header") || strings.Contains(e.Message, "DNS rebinding") {
			return false, fmt.Errorf("%w: the MLflow server refuses the host name %q: start it with MLFLOW_SERVER_ALLOWED_HOSTS='%s,%s:*,localhost,localhost:*' (%s)",
				fs.ErrPermission, c.base.Host, c.base.Hostname(), c.base.Hostname(), e.Message)
		}
		return false, fmt.Errorf("%w: the MLflow user may not do this at %s: %w", fs.ErrPermission, c.base.Redacted(), e)
	case http.StatusServiceUnavailable:
		if strings.Contains(r.path, "mlflow-artifacts/") && e.Code == "" && e.Message != "" {
			return false, fmt.Errorf("the MLflow server does not serve artifacts: start it with --serve-artifacts: %w", e)
		}
		return true, fmt.Errorf("%w: %w", track.ErrUnavailable, e)
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true, fmt.Errorf("%w: %w", track.ErrUnavailable, e)
	}
	return false, err
}

// missingFile says that a file that was asked for is not there. A server that passes artifacts on answers 500 with what its storage said.
func missingFile(e *apiError) bool {
	switch e.Status {
	case http.StatusNotFound:
		return true
	case http.StatusInternalServerError:
		for _, said := range []string{"404", "NoSuchKey", "No such file", "not found", "does not exist"} {
			if strings.Contains(e.Message, said) {
				return true
			}
		}
	}
	return false
}

func (c *client) classifyNetwork(err error) (retry bool, known error) {
	var u *url.Error
	if !errors.As(err, &u) {
		return false, err
	}
	if strings.Contains(err.Error(), "x509:") || strings.Contains(err.Error(), "HTTP response to HTTPS client") {
		return false, fmt.Errorf("TLS with %s: name the authority in MLFLOW_TRACKING_SERVER_CERT_PATH, or write http:// in MLFLOW_TRACKING_URI: %w",
			c.base.Redacted(), err)
	}
	return true, fmt.Errorf("%w: %s cannot be reached: check that it runs and MLFLOW_TRACKING_URI: %w", track.ErrUnavailable, c.base.Redacted(), u.Err)
}

// notSent says that the server cannot have seen the request.
func notSent(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial"
}
