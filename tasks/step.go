package tasks

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"salescast/pkg/artifact"
	"salescast/pkg/redact"
	"salescast/pkg/track"
)

const (
	// attempts is the folder below a step's that has one folder for each attempt at it.
	attempts = "attempts"
	// goodbye bounds what is still done after a step was told to stop: removing its files and ending its run.
	goodbye = 1500 * time.Millisecond
	// maxWarnings bounds the warnings of a step; the rest are counted.
	maxWarnings = 50
	// maxWarning bounds one warning, in bytes.
	maxWarning = 400
	// maxTracked bounds a file that is also recorded with the run, and their sum.
	maxTracked    = 1 << 20
	maxTrackedSum = 8 << 20
	// maxShown bounds a page or a picture, which MLflow shows: a report carries its charts.
	maxShown = 6 << 20
)

// stepSpec says what a step depends on.
type stepSpec struct {
	// Name is the step's folder: "validate", "train/xgboost".
	Name string
	// Options marshals to JSON; fields tagged json:"-" do not count for caching.
	Options any
	// Inputs are the folders of steps whose manifests are read; a missing one is KindInputMissing.
	Inputs []string
	// Sources are digests of what is read from outside the workspace.
	Sources []artifact.Input
	Seed    uint64
	// Force redoes a step whose answer is there.
	Force bool
	// Salt are versions of engines and formats that change the result.
	Salt map[string]string
	// InPlace says whether what the finished step did outside of the workspace still stands; nil is a step that did nothing there.
	InPlace func(ctx context.Context, done *Opened) (bool, error)
}

// Step is a step at work. Its methods may be called from several goroutines.
type Step struct {
	env     Env
	spec    stepSpec
	attempt string
	inputs  map[string]*Opened
	run     track.Run
	// key is that of run.
	key string
	// prior is the ETag of the manifest that this attempt will replace, "" if there is none; old is that manifest if it can be read.
	prior string
	old   *artifact.Manifest

	mu        sync.Mutex
	files     map[string]artifact.File
	open      map[*Output]bool
	rows      map[string]int64
	metrics   map[string]float64
	undefined []string
	warnings  []string
	unwarned  int
	scratches []string
	phases    phases
	// model is the model directory among the files, if there is one.
	model *loggedModel
}

// runStep answers from the manifest that is there when it has the same Key, and otherwise runs body and commits what it wrote: all files
// go under a fresh attempt prefix, the manifest that names them is written last. On any failure nothing of the attempt remains but,
// after a kill, orphans that no manifest names. The result is set also when the error is not nil.
func runStep(ctx context.Context, env Env, spec stepSpec, body func(ctx context.Context, s *Step) error) (*Result, error) {
	began := env.Now()
	s, done, err := newStep(ctx, env, spec)
	if done != nil {
		s.relink(ctx, done.Manifest, nil)
		return s.cached(done.Manifest, began), nil
	}
	if err == nil {
		done, err = s.attemptOnce(ctx, began, body)
	}
	if err != nil {
		res := s.result(Failed, began)
		res.Error = &ResultError{Code: string(KindOf(err)), Message: err.Error(), Hint: HintOf(err)}
		return res, err
	}
	if done != nil { // another process made the same thing meanwhile
		return s.cached(done.Manifest, began), nil
	}
	res := s.result(Done, began)
	res.Manifest = env.Store.URL(path.Join(spec.Name, artifact.ManifestName))
	return res, nil
}

// newStep opens the inputs and computes the Key. The Opened is not nil when the step's answer is already there.
func newStep(ctx context.Context, env Env, spec stepSpec) (*Step, *Opened, error) {
	s := &Step{
		env: env, spec: spec, inputs: map[string]*Opened{}, run: noRun{},
		files: map[string]artifact.File{}, open: map[*Output]bool{}, rows: map[string]int64{}, metrics: map[string]float64{},
		phases: phases{now: env.Now, seconds: map[string]float64{}},
	}
	if err := artifact.CheckName(spec.Name); err != nil {
		return s, nil, fmt.Errorf("start step: %w", err)
	}
	for _, in := range spec.Inputs {
		o, err := OpenStep(ctx, env.Store, in)
		if err != nil {
			return s, nil, err
		}
		s.inputs[in] = o
	}
	m, err := s.draft()
	if err != nil {
		return s, nil, err
	}
	old, err := OpenStep(ctx, env.Store, spec.Name)
	switch KindOf(err) {
	case "":
		s.prior, s.old = old.etag, &old.Manifest
	case KindInputMissing: // never made
		return s, nil, nil
	case KindData: // damaged
		i, serr := env.Store.Stat(ctx, path.Join(spec.Name, artifact.ManifestName))
		if serr != nil {
			return s, nil, serr
		}
		s.prior = i.ETag
		env.Log.Warn().Str("step", spec.Name).Err(err).Msg("the manifest of the finished step is damaged; redoing it")
		return s, nil, nil
	default:
		return s, nil, err
	}
	if spec.Force || old.Manifest.Key != m.Key {
		return s, nil, nil
	}
	ok, err := old.present(ctx)
	if err != nil {
		return s, nil, err
	}
	if !ok {
		env.Log.Warn().Str("step", spec.Name).Msg("files of the finished step are missing; redoing it")
		return s, nil, nil
	}
	if spec.InPlace != nil {
		if ok, err = spec.InPlace(ctx, old); err != nil || !ok {
			return s, nil, err
		}
	}
	return s, old, nil
}

// draft is the manifest as far as it is known before the work.
func (s *Step) draft() (artifact.Manifest, error) {
	m := artifact.Manifest{Schema: artifact.ManifestSchema, Step: s.spec.Name, Seed: s.spec.Seed, Binary: s.env.Version, Salt: s.spec.Salt, Inputs: []artifact.Input{}}
	b, err := json.Marshal(s.spec.Options)
	if err != nil {
		return m, fmt.Errorf("encode options of %s: %w", s.spec.Name, err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&m.Options); err != nil {
		return m, fmt.Errorf("options of %s are not an object: %w", s.spec.Name, err)
	}
	if b, err = json.Marshal(m.Options); err != nil { // keys in order
		return m, fmt.Errorf("encode options of %s: %w", s.spec.Name, err)
	}
	m.OptionsDigest = hexSum(b)
	for name, o := range s.inputs {
		m.Inputs = append(m.Inputs, artifact.Input{Step: name, Digest: o.Manifest.ContentDigest()})
	}
	m.Inputs = append(m.Inputs, s.spec.Sources...)
	slices.SortFunc(m.Inputs, func(a, b artifact.Input) int { return strings.Compare(a.Step, b.Step) })
	if b, err = json.Marshal(m); err != nil {
		return m, fmt.Errorf("encode manifest of %s: %w", s.spec.Name, err)
	}
	m.Key = hexSum(b)
	return m, nil
}

func hexSum(b []byte) string {
	d := sha256.Sum256(b)
	return hex.EncodeToString(d[:])
}

// attemptOnce does the work between the start and the end of the run. The Opened is not nil when another process committed the same
// Key first; the work is then dropped in favour of it.
func (s *Step) attemptOnce(ctx context.Context, began time.Time, body func(context.Context, *Step) error) (winner *Opened, err error) {
	m, err := s.draft()
	if err != nil {
		return nil, err
	}
	m.Started = began.UTC()
	s.attempt = newAttempt(began)
	m.Attempt = s.attempt
	if err := s.startRun(ctx, m); err != nil {
		return nil, err
	}
	status := track.Failed // also what a panic leaves
	machine := sample(ctx, s.env.Now)
	defer func() {
		points := machine.finish()
		gctx := ctx // a step that was not stopped gives its tracker all the time it wants
		if ctx.Err() != nil {
			var cancel context.CancelFunc
			gctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), goodbye)
			defer cancel()
		}
		s.phases.end()
		if status != track.Finished || winner != nil {
			s.discard(gctx)
		}
		s.recorded("system metrics", s.run.Metrics(gctx, points))
		s.recorded("end", s.run.End(gctx, status, s.env.Now()))
		for _, d := range s.scratches {
			if rerr := os.RemoveAll(d); rerr != nil {
				s.Warn("scratch folder %s remains: %v", d, rerr)
			}
		}
	}()
	if err = body(ctx, s); err == nil {
		err = s.unclosed()
	}
	if err == nil {
		err = ctx.Err() // a body that was stopped and did not notice is not trusted with a commit
	}
	if err == nil {
		m.RunID = s.run.ID()
		winner, err = s.commit(ctx, &m)
	}
	if err != nil {
		if KindOf(err) == KindInterrupted {
			status = track.Killed
		}
		return nil, err
	}
	status = track.Finished
	if winner == nil {
		s.record(ctx, m)
	}
	return winner, nil
}

func newAttempt(at time.Time) string {
	return at.UTC().Format("20060102T150405Z") + "-" + strings.ToLower(rand.Text()[:8])
}

// commit writes the manifest: created the first time, compared and swapped after that.
func (s *Step) commit(ctx context.Context, m *artifact.Manifest) (*Opened, error) {
	s.mu.Lock()
	m.Files = slices.AppendSeq([]artifact.File{}, maps.Values(s.files))
	slices.SortFunc(m.Files, func(a, b artifact.File) int { return strings.Compare(a.Name, b.Name) })
	m.Rows, m.Metrics, m.Warnings = s.rows, s.metrics, s.allWarnings()
	s.mu.Unlock()
	m.Finished = s.env.Now().UTC()
	b, err := m.Encode()
	if err != nil {
		return nil, err
	}
	name := path.Join(s.spec.Name, artifact.ManifestName)
	if s.prior == "" {
		_, err = s.env.Store.Create(ctx, name, bytes.NewReader(b))
	} else {
		_, err = s.env.Store.Replace(ctx, name, s.prior, bytes.NewReader(b))
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, artifact.ErrChanged) {
		if other, oerr := OpenStep(ctx, s.env.Store, s.spec.Name); oerr == nil && other.Manifest.Key == m.Key {
			if ok, perr := other.present(ctx); perr == nil && ok {
				return other, nil
			}
		}
		err = &Error{
			Kind: KindTryAgain, Op: "commit " + s.spec.Name, Err: artifact.ErrChanged,
			Hint: "another process finished this step with other options or inputs meanwhile; let one process at a time work on a workspace",
		}
	}
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", s.spec.Name, err)
	}
	s.relink(ctx, *m, s.old)
	return nil, nil
}

// relink makes the step's files stand under their logical names on a store that can, and removes names that are no longer written.
// The manifest is the truth; these names are for people, so a failure is only said.
func (s *Step) relink(ctx context.Context, m artifact.Manifest, old *artifact.Manifest) {
	l, ok := s.env.Store.(artifact.Linker)
	if !ok {
		return
	}
	stale := map[string]bool{}
	if old != nil {
		for _, f := range old.Files {
			stale[f.Name] = true
		}
	}
	for _, f := range m.Files {
		delete(stale, f.Name)
		object, alias := path.Join(m.Step, f.Object), path.Join(m.Step, f.Name)
		to, err := s.env.Store.Stat(ctx, object)
		if err == nil {
			if at, aerr := s.env.Store.Stat(ctx, alias); aerr == nil && at.ETag == to.ETag {
				continue
			}
			err = l.Link(ctx, object, alias)
		}
		s.recorded("link "+alias, err)
	}
	for _, name := range slices.Sorted(maps.Keys(stale)) {
		s.recorded("unlink "+name, s.env.Store.Delete(ctx, path.Join(m.Step, name)))
	}
}

// discard removes what the attempt wrote.
func (s *Step) discard(ctx context.Context) {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	for _, o := range open {
		o.Abort()
	}
	for i, err := range s.env.Store.List(ctx, path.Join(s.spec.Name, attempts, s.attempt)+"/") {
		if err == nil {
			err = s.env.Store.Delete(ctx, i.Name)
		}
		if err != nil {
			s.env.Log.Warn().Err(err).Str("step", s.spec.Name).Str("attempt", s.attempt).Msg("files of the failed attempt remain; salescast prune removes them")
			return
		}
	}
}

func (s *Step) unclosed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for o := range s.open {
		return fmt.Errorf("%s: output %s was left open", s.spec.Name, o.file.Name)
	}
	return nil
}

// cached is the answer that an earlier run gave.
func (s *Step) cached(m artifact.Manifest, began time.Time) *Result {
	s.mu.Lock()
	s.rows, s.metrics, s.warnings, s.unwarned = m.Rows, m.Metrics, slices.Clone(m.Warnings), 0
	s.mu.Unlock()
	r := s.result(Cached, began)
	r.Manifest = s.env.Store.URL(path.Join(m.Step, artifact.ManifestName))
	if m.RunID != "" {
		r.MLflow = &MLflow{RunID: m.RunID}
	}
	return r
}

func (s *Step) result(status Status, began time.Time) *Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Result{
		Schema: ResultSchema, Step: s.spec.Name, Status: status, Workspace: s.env.Store.URL(""),
		Metrics: s.metrics, Rows: s.rows, Timings: s.phases.seconds, PeakRSSBytes: peakRSS(), Warnings: s.allWarnings(),
	}
	r.Timings["total"] = s.phases.round(s.env.Now().Sub(began))
	if id := s.run.ID(); id != "" {
		r.MLflow = &MLflow{RunID: id, URL: s.run.URL()}
	}
	if r.Warnings == nil {
		r.Warnings = []string{}
	}
	return r
}

// allWarnings needs mu.
func (s *Step) allWarnings() []string {
	all := slices.Clone(s.warnings)
	if s.unwarned > 0 {
		all = append(all, fmt.Sprintf("and %d more warnings; the log has them all", s.unwarned))
	}
	return all
}

// Input returns the opened manifest of one of the spec's Inputs. It panics for any other step, because what is not declared there
// would not be part of the Key.
func (s *Step) Input(step string) *Opened {
	o, ok := s.inputs[step]
	if !ok {
		panic(fmt.Sprintf("%s reads %s, which is not among its inputs", s.spec.Name, step))
	}
	return o
}

// Run is the record of this step. It is never nil.
func (s *Step) Run() track.Run { return s.run }

// Scratch makes a local folder for files that need random access; it is removed when the step ends.
func (s *Step) Scratch() (string, error) {
	if s.env.Scratch != "" {
		if err := os.MkdirAll(s.env.Scratch, 0o750); err != nil {
			return "", fmt.Errorf("make scratch folder: %w", err)
		}
	}
	d, err := os.MkdirTemp(s.env.Scratch, "salescast-")
	if err != nil {
		return "", fmt.Errorf("make scratch folder: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scratches = append(s.scratches, d)
	return d, nil
}

// Metric sets a figure in the manifest, the result and the run. What is not a finite number has no place in JSON: NaN goes to the run
// alone, and an infinity is a warning.
func (s *Step) Metric(name string, v float64) {
	if math.IsInf(v, 0) {
		s.Warn("metric %s is infinite and was left out", name)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if math.IsNaN(v) {
		delete(s.metrics, name)
		s.undefined = append(s.undefined, name)
		return
	}
	s.metrics[name] = v
}

// Rows sets how many rows of a kind the step read or wrote.
func (s *Step) Rows(name string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[name] = n
}

// Warn says something that a person should know: in the log, the result and the manifest.
func (s *Step) Warn(format string, a ...any) {
	w := fmt.Sprintf(format, a...)
	w = redact.String(w)
	s.env.Log.Warn().Str("step", s.spec.Name).Msg(w)
	if len(w) > maxWarning {
		w = cut(w, maxWarning) + "…"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case slices.Contains(s.warnings, w):
	case len(s.warnings) < maxWarnings:
		s.warnings = append(s.warnings, w)
	default:
		s.unwarned++
	}
}

// Phase begins a named part of the step, with a number of units, 0 if unknown; the part before it ends.
func (s *Step) Phase(name string, total int64) {
	s.phases.begin(name)
	s.env.Log.Debug().Str("step", s.spec.Name).Str("phase", name).Int64("total", total).Msg("phase")
	if s.env.Progress != nil {
		s.env.Progress.Phase(s.spec.Name+" "+name, total)
	}
}

// Add says that n more units of the phase are done.
func (s *Step) Add(n int64) {
	if s.env.Progress != nil {
		s.env.Progress.Add(n)
	}
}

// WriteFile writes a small file.
func (s *Step) WriteFile(ctx context.Context, name string, b []byte) error {
	return s.write(ctx, name, 0, func(out io.Writer) error {
		_, err := out.Write(b)
		return err
	})
}

// write makes a file of the step, of that many rows, of what fill writes; it is dropped where fill fails.
func (s *Step) write(ctx context.Context, name string, rows int, fill func(io.Writer) error) error {
	out, err := s.Create(ctx, name)
	if err != nil {
		return err
	}
	defer out.Abort()
	if err := fill(out); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	out.Rows(int64(rows))
	return out.Close()
}

// WriteJSON writes v indented, map keys in order, with a line feed at the end.
func (s *Step) WriteJSON(ctx context.Context, name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path.Join(s.spec.Name, name), err)
	}
	return s.WriteFile(ctx, name, append(b, '\n'))
}

// Output is a file of the attempt while it is written. It is streamed to the store; memory is bounded. It is used from one goroutine.
type Output struct {
	step *Step
	file artifact.File
	buf  *bufio.Writer
	pipe *io.PipeWriter
	hash hash.Hash
	// stored gives the store's answer, once.
	stored chan error
	closed bool
}

var errAborted = errors.New("the output was dropped")

// Create begins a file of the step under its logical name. The name may be created once in an attempt, unless it was aborted.
func (s *Step) Create(ctx context.Context, name string) (*Output, error) {
	if err := artifact.CheckName(name); err != nil {
		return nil, fmt.Errorf("create %s: %w", s.spec.Name, err)
	}
	if name == artifact.ManifestName || strings.HasPrefix(name, attempts+"/") {
		return nil, fmt.Errorf("create %s: the name is reserved: %w", path.Join(s.spec.Name, name), fs.ErrInvalid)
	}
	r, w := io.Pipe()
	o := &Output{
		step: s, file: artifact.File{Name: name, Object: path.Join(attempts, s.attempt, name)},
		pipe: w, hash: sha256.New(), stored: make(chan error, 1),
	}
	o.buf = bufio.NewWriterSize(w, 128<<10)
	s.mu.Lock()
	_, twice := s.files[name]
	for other := range s.open {
		twice = twice || other.file.Name == name
	}
	if !twice {
		s.open[o] = true
	}
	s.mu.Unlock()
	if twice {
		return nil, fmt.Errorf("create %s: it was created before: %w", path.Join(s.spec.Name, name), fs.ErrExist)
	}
	go func() { // ends when Close or Abort closes the pipe; both wait for it
		_, err := s.env.Store.Put(ctx, path.Join(s.spec.Name, o.file.Object), r)
		r.CloseWithError(cmp.Or(err, io.ErrClosedPipe)) // a writer must not wait for a store that gave up
		o.stored <- err
	}()
	return o, nil
}

// Write hashes and streams.
func (o *Output) Write(p []byte) (int, error) {
	n, err := o.buf.Write(p)
	o.hash.Write(p[:n])
	o.file.Size += int64(n)
	if err != nil {
		return n, o.failed(err)
	}
	return n, nil
}

// Rows says how many rows the table in this file has.
func (o *Output) Rows(n int64) { o.file.Rows = n }

// Close waits until the store has the whole file; only then does it belong to the step. Closing again does nothing.
func (o *Output) Close() error {
	if o.closed {
		return nil
	}
	if err := o.buf.Flush(); err != nil {
		o.Abort()
		return o.failed(err)
	}
	o.pipe.Close()
	err := <-o.stored
	o.closed = true
	o.file.SHA256 = hex.EncodeToString(o.hash.Sum(nil))
	o.step.mu.Lock()
	defer o.step.mu.Unlock()
	delete(o.step.open, o)
	if err != nil {
		return o.failed(err)
	}
	o.step.files[o.file.Name] = o.file
	return nil
}

// Abort drops the file. After Close it does nothing, so it can be deferred.
func (o *Output) Abort() {
	if o.closed {
		return
	}
	o.closed = true
	o.pipe.CloseWithError(errAborted)
	<-o.stored //nolint:errcheck // it is that the output was aborted
	o.step.mu.Lock()
	defer o.step.mu.Unlock()
	delete(o.step.open, o)
}

func (o *Output) failed(err error) error {
	return fmt.Errorf("write %s: %w", path.Join(o.step.spec.Name, o.file.Name), err)
}

// phases measures the parts of a step; a name that comes back adds up.
type phases struct {
	mu      sync.Mutex
	now     func() time.Time
	name    string
	since   time.Time
	seconds map[string]float64
}

func (p *phases) begin(name string) {
	p.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.since = name, p.now()
}

func (p *phases) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.name != "" {
		p.seconds[p.name] = p.round(time.Duration(p.seconds[p.name]*float64(time.Second)) + p.now().Sub(p.since))
		p.name = ""
	}
}

// round is to the millisecond, which is what people read.
func (p *phases) round(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }
