package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/conformal"
	"salescast/pkg/feature"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/forecast/global"
	"salescast/pkg/forecast/member"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

// The schemas of the files.
const (
	Schema       = "salescast.bundle/v1"
	MemberSchema = "salescast.member/v1"
)

// The names of the files.
const (
	Name            = "bundle.json"
	CalibrationName = "calibration.json"
	TotalsName      = "totals.json"
	HistoryName     = "history.parquet"
	memberName      = "member.json"
	planName        = "plan.json"
	membersFolder   = "members"
)

const (
	maxJSON  = 64 << 20
	maxModel = 256 << 20
)

// Writer is where files go; a name is written once.
type Writer interface {
	WriteFile(ctx context.Context, name string, b []byte) error
}

// Reader is where files come from; a file larger than limit is an error.
type Reader interface {
	ReadFile(ctx context.Context, name string, limit int64) ([]byte, error)
}

// Loaders answers how a saved model of a format is opened.
type Loaders func(format string) (regress.Open, error)

// File is a file of the bundle; names are relative to the bundle's folder.
type File struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Manifest is bundle.json.
type Manifest struct {
	Schema string `json:"schema"`
	// Time and Target are the names of the columns of dates and of sales.
	Time      string             `json:"time"`
	Target    string             `json:"target"`
	Frequency calendar.Frequency `json:"frequency"`
	// Horizon is the longest that can be forecast, Origin the last day that was learned from.
	Horizon     int          `json:"horizon"`
	Origin      calendar.Day `json:"origin"`
	Levels      []float64    `json:"quantiles"`
	NonNegative bool         `json:"non_negative"`
	Members     []Share      `json:"members"`
	Files       []File       `json:"files"`
}

// Share is a member and its weight.
type Share struct {
	Name   string  `json:"name"`
	Weight float64 `json:"weight"`
	// Steps are the weights by steps ahead; nil where Weight holds for all.
	Steps []ensemble.StepWeight `json:"steps,omitempty"`
	// Folder is where the member lies in the bundle; empty is members/NAME.
	Folder string `json:"folder,omitempty"`
}

func (s Share) folder() string {
	if s.Folder != "" {
		return s.Folder
	}
	return path.Join(membersFolder, s.Name)
}

// memberFile is member.json.
type memberFile struct {
	Schema      string       `json:"schema"`
	Name        string       `json:"name"`
	Kind        member.Kind  `json:"kind"`
	NonNegative bool         `json:"non_negative"`
	Country     string       `json:"country,omitempty"`
	Trees       *global.Spec `json:"trees,omitempty"`
	Models      []modelFile  `json:"models,omitempty"`
}

type modelFile struct {
	File   string `json:"file"`
	Format string `json:"format"`
}

// calibrationFile is calibration.json.
type calibrationFile struct {
	// Series are the key values of each series, in the order of the calibration's.
	Series [][]string `json:"series"`
	*conformal.Calibration
	// SizeModels are the files of Calibration.Sizes.
	SizeModels []modelFile `json:"size_models,omitempty"`
}

// WriteMember writes a fitted member into folder, "" for none.
func WriteMember(ctx context.Context, w Writer, folder, name string, m *member.Model, nonNegative bool) error {
	f := memberFile{Schema: MemberSchema, Name: name, Kind: m.Kind, NonNegative: nonNegative, Country: m.Country}
	if m.Kind == member.Trees {
		spec := m.Trees.Spec()
		f.Trees = &spec
		var err error
		if f.Models, err = saveModels(ctx, w, folder, "model", m.Trees.Engines()); err != nil {
			return fmt.Errorf("write member %s: %w", name, err)
		}
		if err := writeJSON(ctx, w, path.Join(folder, planName), m.Trees.Plan()); err != nil {
			return err
		}
	}
	return writeJSON(ctx, w, path.Join(folder, memberName), f)
}

// WriteAlone writes a fitted member as a bundle of that member alone, without quantiles and without history: for those who forecast with
// it from a table of their own. Of m, Members, Levels and Files are filled in.
func WriteAlone(ctx context.Context, w Writer, m Manifest, name string, fitted *member.Model) error {
	d := &digesting{Writer: w}
	if err := WriteMember(ctx, d, "", name, fitted, m.NonNegative); err != nil {
		return err
	}
	m.Schema, m.Levels, m.Members, m.Files = Schema, []float64{}, []Share{{Name: name, Weight: 1, Folder: "."}}, d.files
	return writeJSON(ctx, w, Name, m)
}

// saveModels writes each model in its engine's own format, as stem-1 and so on.
func saveModels(ctx context.Context, w Writer, folder, stem string, models []regress.Model) ([]modelFile, error) {
	out := make([]modelFile, 0, len(models))
	for k, m := range models {
		file := modelFile{File: fmt.Sprintf("%s-%d%s", stem, k+1, path.Ext(m.Format())), Format: m.Format()}
		var b bytes.Buffer
		if err := m.Save(&b); err != nil {
			return nil, err
		}
		if err := w.WriteFile(ctx, path.Join(folder, file.File), b.Bytes()); err != nil {
			return nil, err
		}
		out = append(out, file)
	}
	return out, nil
}

// openModels opens what saveModels wrote.
func openModels(ctx context.Context, r Reader, folder string, files []modelFile, loaders Loaders) ([]regress.Model, error) {
	var models []regress.Model
	for _, file := range files {
		m, err := openModel(ctx, r, folder, file, loaders)
		if err != nil {
			return nil, errors.Join(err, closeAll(models))
		}
		models = append(models, m)
	}
	return models, nil
}

func closeAll(models []regress.Model) error {
	errs := make([]error, len(models))
	for i, m := range models {
		errs[i] = m.Close()
	}
	return errors.Join(errs...)
}

func writeJSON(ctx context.Context, w Writer, name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return w.WriteFile(ctx, name, append(b, '\n'))
}

// OpenMember opens what WriteMember wrote; see [AlteredError].
func OpenMember(ctx context.Context, r Reader, folder string, loaders Loaders) (*member.Model, error) {
	m, err := openMember(ctx, fetching{r}, folder, loaders)
	return m, blame(err)
}

func openMember(ctx context.Context, r Reader, folder string, loaders Loaders) (m *member.Model, err error) {
	var f memberFile
	if err := readJSON(ctx, r, path.Join(folder, memberName), &f); err != nil {
		return nil, err
	}
	if f.Schema != MemberSchema {
		return nil, fmt.Errorf("open member %s: its schema is %q, this version reads %s", folder, f.Schema, MemberSchema)
	}
	if f.Kind != member.Trees {
		return member.Native(ctx, f.Kind, member.Settings{NonNegative: f.NonNegative, Country: f.Country, Threads: runtime.GOMAXPROCS(0)})
	}
	if f.Trees == nil {
		return nil, fmt.Errorf("open member %s: it says nothing of its trees", f.Name)
	}
	b, err := r.ReadFile(ctx, path.Join(folder, planName), maxJSON)
	if err != nil {
		return nil, err
	}
	plan, err := feature.ParsePlan(b)
	if err != nil {
		return nil, fmt.Errorf("open member %s: %w", f.Name, err)
	}
	engines, err := openModels(ctx, r, folder, f.Models, loaders)
	if err != nil {
		return nil, fmt.Errorf("open member %s: %w", f.Name, err)
	}
	g, err := global.Restore(*f.Trees, plan, engines)
	if err != nil {
		return nil, errors.Join(err, closeAll(engines))
	}
	return member.FromTrees(g), nil
}

func openModel(ctx context.Context, r Reader, folder string, f modelFile, loaders Loaders) (regress.Model, error) {
	if path.Base(f.File) != f.File {
		return nil, fmt.Errorf("the model file %q is not a plain name", f.File)
	}
	load, err := loaders(f.Format)
	if err != nil {
		return nil, err
	}
	b, err := r.ReadFile(ctx, path.Join(folder, f.File), maxModel)
	if err != nil {
		return nil, err
	}
	return load(bytes.NewReader(b))
}

func readJSON(ctx context.Context, r Reader, name string, v any) error {
	b, err := r.ReadFile(ctx, name, maxJSON)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// copyMember copies the files of a member from one folder to another.
func copyMember(ctx context.Context, r Reader, from string, w Writer, to string) error {
	var f memberFile
	if err := readJSON(ctx, r, path.Join(from, memberName), &f); err != nil {
		return err
	}
	names := []string{memberName}
	if f.Kind == member.Trees {
		names = append(names, planName)
	}
	for _, m := range f.Models {
		if path.Base(m.File) != m.File {
			return fmt.Errorf("copy member %s: the model file %q is not a plain name", f.Name, m.File)
		}
		names = append(names, m.File)
	}
	for _, n := range names {
		b, err := r.ReadFile(ctx, path.Join(from, n), maxModel)
		if err != nil {
			return err
		}
		if err := w.WriteFile(ctx, path.Join(to, n), b); err != nil {
			return err
		}
	}
	return nil
}

// Source is where a fitted member lies.
type Source struct {
	Reader Reader
	Folder string
}

// Write writes a bundle of fitted members that were written by WriteMember. calibration may be nil. Of m, Members and Files are filled in.
func Write(ctx context.Context, w Writer, m Manifest, p *panel.Panel, f *ensemble.Fitted, sources map[string]Source) error {
	d := &digesting{Writer: w}
	m.Schema, m.Frequency = Schema, p.Frequency
	for _, share := range f.Weights {
		if share.Weight == 0 {
			continue
		}
		from, ok := sources[share.Member]
		if !ok {
			return fmt.Errorf("write bundle: member %s was not fitted", share.Member)
		}
		if err := copyMember(ctx, from.Reader, from.Folder, d, path.Join(membersFolder, share.Member)); err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
		if alone := f.Alone[share.Member]; alone != nil {
			if err := writeJSON(ctx, d, path.Join(membersFolder, share.Member, CalibrationName), alone); err != nil {
				return err
			}
		}
		m.Members = append(m.Members, Share{Name: share.Member, Weight: share.Weight, Steps: share.Steps})
	}
	if f.Calibration != nil {
		c := calibrationFile{Calibration: f.Calibration}
		for s := range p.Series() {
			c.Series = append(c.Series, p.ID(s))
		}
		if z := f.Calibration.Sizes; z != nil {
			var err error
			if c.SizeModels, err = saveModels(ctx, d, "", "sizes", z.Models()); err != nil {
				return fmt.Errorf("write bundle: %w", err)
			}
		}
		if err := writeJSON(ctx, d, CalibrationName, c); err != nil {
			return err
		}
	}
	if f.Totals != nil {
		if err := writeJSON(ctx, d, TotalsName, f.Totals); err != nil {
			return err
		}
	}
	history, err := encodeHistory(p, m)
	if err != nil {
		return err
	}
	if err := d.WriteFile(ctx, HistoryName, history); err != nil {
		return err
	}
	m.Files = d.files
	return writeJSON(ctx, w, Name, m)
}

// digesting remembers what it wrote.
type digesting struct {
	Writer
	files []File
}

func (d *digesting) WriteFile(ctx context.Context, name string, b []byte) error {
	sum := sha256.Sum256(b)
	d.files = append(d.files, File{Name: name, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(b))})
	return d.Writer.WriteFile(ctx, name, b)
}

// Bundle is an opened bundle; it is a [forecast.Model].
type Bundle struct {
	Manifest Manifest
	*ensemble.Model
	// Totals calibrate the sums of its forecasts; nil where the bundle has none.
	Totals []ensemble.Totals
	// alone are the calibrations of the members by themselves; nil where the bundle has none, as older ones.
	alone  []*conformal.Calibration
	reader Reader
	plan   bool
}

var _ forecast.Model = (*Bundle)(nil)

// Open opens a bundle. Every file is checked against the digest in bundle.json, and what it says against what a bundle can be: see
// [AlteredError].
func Open(ctx context.Context, r Reader, loaders Loaders) (*Bundle, error) {
	b, err := open(ctx, r, loaders)
	return b, blame(err)
}

func open(ctx context.Context, r Reader, loaders Loaders) (b *Bundle, err error) {
	out := &Bundle{}
	r = fetching{r}
	if err := readJSON(ctx, r, Name, &out.Manifest); err != nil {
		return nil, err
	}
	m := &out.Manifest
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("open bundle: %s: %w", Name, err)
	}
	out.reader = verifying{r, m.Files}
	var c calibrationFile
	if slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == CalibrationName }) {
		if err := readJSON(ctx, out.reader, CalibrationName, &c); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == TotalsName }) {
		if err := readJSON(ctx, out.reader, TotalsName, &out.Totals); err != nil {
			return nil, err
		}
	}
	if err := checkCalibrations(&c, out.Totals); err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	var members []ensemble.Member
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
			for _, o := range members {
				err = errors.Join(err, o.Model.Close())
			}
		}
	}()
	if c.Calibration != nil && c.Sizes != nil {
		models, err := openModels(ctx, out.reader, "", c.SizeModels, loaders)
		if err != nil {
			return nil, fmt.Errorf("open bundle: %w", err)
		}
		if err := c.Sizes.Restore(models); err != nil {
			return nil, errors.Join(err, closeAll(models))
		}
	}
	for _, share := range m.Members {
		o, err := openMember(ctx, out.reader, share.folder(), loaders)
		if err != nil {
			return nil, fmt.Errorf("open bundle: %w", err)
		}
		out.plan = out.plan || o.Kind == member.Trees || o.Kind == member.Prophet
		members = append(members, ensemble.Member{Weight: ensemble.Weight{Member: share.Name, Weight: share.Weight, Steps: share.Steps}, Model: o})
	}
	if out.alone, err = readAlone(ctx, out.reader, m, &c); err != nil {
		return nil, err
	}
	out.Model = ensemble.New(members, c.Calibration, c.Series, m.NonNegative)
	out.SetHorizon(m.Horizon)
	return out, nil
}

// readAlone reads the calibrations of the members, which are of the same series as that of all.
func readAlone(ctx context.Context, r Reader, m *Manifest, all *calibrationFile) ([]*conformal.Calibration, error) {
	out := make([]*conformal.Calibration, len(m.Members))
	for k, share := range m.Members {
		name := path.Join(share.folder(), CalibrationName)
		if share.Folder != "" || all.Calibration == nil || !slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == name }) {
			continue
		}
		c := &conformal.Calibration{}
		if err := readJSON(ctx, r, name, c); err != nil {
			return nil, err
		}
		if !slices.Equal(c.Levels, all.Levels) || c.Sizes != nil {
			return nil, fmt.Errorf("open bundle: %s is not of the levels of %s", name, CalibrationName)
		}
		if err := c.Check(len(all.Series)); err != nil {
			return nil, fmt.Errorf("open bundle: %s: %w", name, err)
		}
		out[k] = c
	}
	return out, nil
}

// Alone returns member k as a model of its own, with the quantiles of its own errors where the bundle knows them, else with those of all
// members together. Closing it closes nothing.
func (b *Bundle) Alone(k int) *ensemble.Model { return b.Member(k, b.alone[k]) }

// Forecast implements [forecast.Model]: of the request's panel by itself; see [Bundle.Beside] for a part of the series. It answers a *[forecast.MissingPlanError] where members use known-future covariates and
// the request's panel lacks them before the horizon.
func (b *Bundle) Forecast(ctx context.Context, r forecast.Request) (*forecast.Prediction, error) {
	if b.plan {
		if err := forecast.CheckPlan(r.Panel, r.Origin, r.Horizon); err != nil {
			return nil, err
		}
	}
	return b.Model.Forecast(ctx, r)
}

// verifying checks the digest of every file that it reads.
type verifying struct {
	Reader
	files []File
}

func (v verifying) ReadFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	i := slices.IndexFunc(v.files, func(f File) bool { return f.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("read %s: it is no file of the bundle", name)
	}
	b, err := v.Reader.ReadFile(ctx, name, limit)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != v.files[i].SHA256 {
		return nil, fmt.Errorf("read %s: its SHA-256 is not the one in %s; write the bundle again", name, Name)
	}
	return b, nil
}
