package tasks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"salescast/pkg/artifact"
	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/pkg/panel"
	"salescast/pkg/quality"
	"salescast/pkg/redact"
	"salescast/pkg/table"
	"salescast/pkg/table/format"
)

const (
	validateStep = "validate"
	dataStep     = "data"
	// panelChunk is about how many rows of the panel are in memory at a time.
	panelChunk = 1 << 18
	// listedSources is how many source files a manifest lists one by one; of more it keeps one digest of all.
	listedSources = 64
)

// Validate reads every row of a source, holds it against the contract, and writes panel.parquet (what later steps read),
// quarantine.parquet (rows set aside, with file, line and reason), report.json and report.html. An empty Data.Source means the sales
// that Generate left in the workspace. Data that breaks the contract is KindData; the report then stands in validate/failed/.
func Validate(ctx context.Context, env Env, o ValidateOptions) (*Result, error) {
	if redact.Holds(o.Data.Source) {
		return nil, &Error{
			Kind: KindConfig, Op: "open data.source", Err: errors.New("it holds a secret, which has no place in an address that is recorded"),
			Hint: "credentials come from the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
		}
	}
	if o.Data.Source == "" && len(o.Data.Keys) == 0 {
		o.Data = GeneratedData()
	}
	spec := stepSpec{
		Name: validateStep, Options: o, Seed: o.Seed, Force: o.Force,
		Salt: map[string]string{"panel": strconv.Itoa(columnar.PanelVersion), "report": quality.ReportSchema},
	}
	if o.Data.Source == "" {
		spec.Inputs = []string{dataStep}
	}
	v := &validation{env: env, o: o}
	var err error
	if o.Data.Source != "" {
		v.files, err = sourceFiles(ctx, env, o.Data.Source)
	}
	if err == nil {
		err = v.checkRoles()
	}
	if err == nil {
		spec.Sources, err = digestSources(ctx, v.files)
	}
	if err != nil {
		return runStep(ctx, env, stepSpec{Name: validateStep, Options: o, Force: true}, func(context.Context, *Step) error { return err })
	}
	return runStep(ctx, env, spec, v.run)
}

func sourceFiles(ctx context.Context, env Env, source string) ([]table.File, error) {
	list := env.Sources
	if list == nil {
		list = table.LocalFiles
	}
	files, err := list(ctx, source)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{Kind: KindInputMissing, Op: "validate", Err: err, Hint: "set data.source to a file, folder or glob of CSV or Parquet that exists; a relative path starts at the folder of salescast.yaml"}
	}
	return files, err
}

// digestSources hashes the files, so that an unchanged source is answered from what is there.
func digestSources(ctx context.Context, files []table.File) ([]artifact.Input, error) {
	var inputs []artifact.Input
	all := sha256.New()
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h := sha256.New()
		r, err := f.Open(ctx)
		if err != nil {
			return nil, fmt.Errorf("opening %s: %w", f.Name, err)
		}
		_, err = io.CopyBuffer(h, struct{ io.Reader }{r}, make([]byte, 1<<17))
		r.Close()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", f.Name, err)
		}
		in := artifact.Input{Step: f.Name, Digest: hex.EncodeToString(h.Sum(nil))}
		fmt.Fprintf(all, "%s %s\n", in.Digest, in.Step)
		inputs = append(inputs, in)
	}
	if len(inputs) > listedSources {
		return []artifact.Input{{Step: fmt.Sprintf("%d files from %s", len(files), files[0].Name), Digest: hex.EncodeToString(all.Sum(nil))}}, nil
	}
	return inputs, nil
}

// validation is one run of the step.
type validation struct {
	env   Env
	o     ValidateOptions
	files []table.File

	step    *Step
	found   *quality.Collector
	report  quality.Report
	builder *panel.Builder
	rejects *columnar.RejectsWriter
	failure error // of a callback that cannot return one
	dialect table.Dialect
}

func (v *validation) run(ctx context.Context, s *Step) (err error) {
	v.step = s
	if v.found, err = quality.NewCollector(v.o.Severity); err != nil {
		return &Error{Kind: KindConfig, Op: "validate", Err: err, Hint: "see validate.severity in salescast.yaml"}
	}
	if v.o.Data.Source == "" {
		v.files = workspaceFiles(s.Input(dataStep))
		if len(v.files) == 0 {
			return &Error{Kind: KindInputMissing, Op: "validate", Err: errors.New("the workspace's data step has no sales"), Hint: `run "salescast generate --force", or set data.source`}
		}
	}
	v.report = quality.Report{Schema: quality.ReportSchema, FileCount: len(v.files)}
	for _, f := range v.files[:min(len(v.files), 20)] {
		v.report.Files = append(v.report.Files, f.Name)
	}
	quarantine, err := s.Create(ctx, "quarantine.parquet")
	if err != nil {
		return err
	}
	defer quarantine.Abort()
	if v.rejects, err = columnar.NewRejectsWriter(quarantine); err != nil {
		return err
	}
	out, err := s.Create(ctx, "panel.parquet")
	if err != nil {
		return err
	}
	defer out.Abort()
	if err := v.tables(ctx, out); err != nil {
		return err
	}
	if err := v.rejects.Close(); err != nil {
		return err
	}
	quarantine.Rows(v.rejects.Rows())
	v.finishReport()
	if !v.report.Passed {
		return v.refuse(ctx)
	}
	if err := quarantine.Close(); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return v.conclude(ctx)
}

// tables reads the source and writes the panel. What is wrong with the data becomes findings; an error is of anything else.
func (v *validation) tables(ctx context.Context, out *Output) error {
	columns, err := v.columns(ctx)
	if bad, ok := errors.AsType[*table.SyntaxError](err); ok {
		v.unreadable(bad)
		return nil
	}
	if err != nil || columns == nil {
		return err
	}
	scratch, err := v.step.Scratch()
	if err != nil {
		return err
	}
	d := v.o.Data
	schema := panel.Schema{Keys: d.Keys, Static: d.Static}
	for _, c := range d.KnownFuture {
		schema.Covariates = append(schema.Covariates, panel.Attribute{Name: c, Role: panel.KnownFuture})
	}
	for _, c := range d.PastOnly {
		schema.Covariates = append(schema.Covariates, panel.Attribute{Name: c, Role: panel.PastOnly})
	}
	for _, c := range d.flags() {
		schema.Covariates = append(schema.Covariates, panel.Attribute{Name: c, Role: panel.Stockout})
	}
	v.builder, err = panel.NewBuilder(schema, panel.BuilderOptions{
		Frequency: d.Frequency, Missing: panel.Missing(d.Missing), Aggregate: panel.Aggregate(d.Aggregate), NewSeries: true, EndedAfter: d.EndedAfter, Scratch: scratch, Report: v.event,
	})
	if err != nil {
		return &Error{Kind: KindConfig, Op: "validate", Err: err, Hint: "see data in salescast.yaml"}
	}
	defer v.builder.Close()
	for i, name := range slices.Concat(d.Keys, d.Static) {
		at := slices.IndexFunc(columns, func(c table.Column) bool { return c.Name == name })
		if i < len(d.Keys) {
			columns[at].Dictionary = v.builder.KeyDictionary(i)
		} else {
			columns[at].Dictionary = v.builder.StaticDictionary(i - len(d.Keys))
		}
	}
	if err := v.read(ctx, columns); err != nil {
		if bad, ok := errors.AsType[*table.SyntaxError](err); ok {
			v.unreadable(bad)
			return nil
		}
		return err
	}
	return v.build(ctx, out)
}

func (v *validation) unreadable(bad *table.SyntaxError) {
	v.found.Add("unreadable", quality.Place{File: bad.File, Line: bad.Line, Column: bad.Column, Text: bad.Msg})
	v.found.Detail("unreadable", bad.Error(), bad.Hint)
}

// checkRoles finds what is wrong with the configuration alone.
func (v *validation) checkRoles() error {
	d := v.o.Data
	bad := func(hint, format string, a ...any) error {
		return &Error{Kind: KindConfig, Op: "validate", Err: fmt.Errorf(format, a...), Hint: hint}
	}
	switch {
	case d.Keys == nil:
		return bad("name the columns that tell the series apart, for example [store, item]; [] is for one series that needs no name", "data.keys is not set")
	case d.Time == "":
		return bad("name the column of dates", "data.time is empty")
	case d.Target == "":
		return bad("name the column of sales", "data.target is empty")
	}
	role := map[string]string{}
	for _, r := range []struct {
		name    string
		columns []string
	}{{"keys", d.Keys}, {"time", []string{d.Time}}, {"target", []string{d.Target}}, {"known_future", d.KnownFuture}, {"past_only", d.PastOnly}, {"static", d.Static}, {"stockout", d.flags()}, {"ignore", d.Ignore}} {
		for _, c := range r.columns {
			if other, twice := role[c]; twice {
				return bad("give each column one role", "column %q stands under data.%s and data.%s", c, other, r.name)
			}
			role[c] = r.name
		}
	}
	var err error
	if v.dialect, err = d.Dialect(); err != nil {
		return bad("see data.csv, data.time_format and data.timezone in docs/data.md", "%v", err)
	}
	for c := range v.o.Expected {
		if role[c] != "keys" && role[c] != "static" {
			return bad("list expected values for key and static columns", "column %q has expected values and is neither under data.keys nor data.static", c)
		}
	}
	return nil
}

// columns returns what to read, in the order of quality.Contract; nil where the headers already break the contract.
func (v *validation) columns(ctx context.Context) ([]table.Column, error) {
	d := v.o.Data
	var want []table.Column
	for _, c := range slices.Concat(d.Keys, d.Static) {
		want = append(want, table.Column{Name: c, Kind: table.Text})
	}
	want = append(want, table.Column{Name: d.Time, Kind: table.Date}, table.Column{Name: d.Target, Kind: table.Number})
	for _, c := range slices.Concat(d.KnownFuture, d.PastOnly, d.flags()) {
		want = append(want, table.Column{Name: c, Kind: table.Number, Flag: true})
	}
	var first []string
	for i, f := range v.files {
		look, err := format.Header(ctx, f, v.dialect)
		if bad, ok := errors.AsType[*table.SyntaxError](err); ok {
			v.unreadable(bad)
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		header := look.Columns
		if i == 0 {
			first = slices.Sorted(slices.Values(header))
			v.report.Dialect = look.Dialect
			if look.Index {
				v.found.Add("index_column", quality.Place{File: f.Name})
			}
			if !v.checkHeader(f, header, want) {
				return nil, nil
			}
			continue
		}
		if !slices.Equal(slices.Sorted(slices.Values(header)), first) {
			v.found.Add("file_columns", quality.Place{File: f.Name, Text: difference(first, header)})
		}
	}
	if v.found.Count("file_columns") > 0 {
		return nil, nil
	}
	return want, v.tell(ctx, want)
}

// tell finds the dialect of the source. What nothing in it decides is for its owner to say.
func (v *validation) tell(ctx context.Context, want []table.Column) error {
	told, err := format.Tell(ctx, v.files, v.dialect, want)
	if open, ok := errors.AsType[*table.Question](err); ok {
		return &Error{Kind: KindConfig, Op: "validate " + v.sourceName(), Err: open, Hint: open.Hint}
	}
	if err != nil {
		return err
	}
	v.dialect = told
	said := &v.report.Dialect
	said.Decimal, said.Thousands, said.Times, said.Timezone = told.Decimal, told.Thousands, told.Times, told.Timezone
	return nil
}

// checkHeader finds columns of the contract that are not there and columns that have no role.
func (v *validation) checkHeader(f table.File, header []string, want []table.Column) bool {
	ok := true
	var names []string
	for _, w := range want {
		names = append(names, w.Name)
		if !slices.Contains(header, w.Name) && !table.InPath(f.Name, w.Name) {
			text := "the header has " + strings.Join(header, ", ")
			if n := nearest(w.Name, header); n != "" {
				text = fmt.Sprintf("did you mean %q? %s", n, text)
			}
			v.found.Add("missing_column", quality.Place{File: f.Name, Column: w.Name, Text: text})
			v.found.Detail("missing_column", fmt.Sprintf("the source has no column %q", w.Name), "")
			ok = false
		}
	}
	var lost []string
	for _, h := range header {
		if slices.Contains(names, h) || slices.Contains(v.o.Data.Ignore, h) {
			continue
		}
		text := ""
		if n := nearest(h, names); n != "" {
			text = fmt.Sprintf("did you mean %q?", n)
		}
		v.found.Add("unknown_column", quality.Place{File: f.Name, Column: h, Text: text})
		lost = append(lost, fmt.Sprintf("%q", h))
		ok = false
	}
	switch len(lost) {
	case 0:
	case 1:
		v.found.Detail("unknown_column", fmt.Sprintf("column %s has no role", lost[0]), "")
	default:
		v.found.Detail("unknown_column", fmt.Sprintf("columns %s have no role", strings.Join(lost, ", ")), "")
	}
	return ok
}

func difference(first, header []string) string {
	var parts []string
	for _, h := range header {
		if !slices.Contains(first, h) {
			parts = append(parts, fmt.Sprintf("%q is new", h))
		}
	}
	for _, h := range first {
		if !slices.Contains(header, h) {
			parts = append(parts, fmt.Sprintf("%q is not there", h))
		}
	}
	return strings.Join(parts, ", ")
}

// flags are the column of stockouts, if there is one.
func (d DataOptions) flags() []string {
	if d.Stockout == "" {
		return nil
	}
	return []string{d.Stockout}
}

// nearest returns the known name that a person most likely meant, "" if none is close.
func nearest(name string, known []string) string {
	best, at := len(name)/2+1, ""
	for _, k := range known {
		if d := editDistance(strings.ToLower(name), strings.ToLower(k)); d < best {
			best, at = d, k
		}
	}
	return at
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

const lineBits = 40 // of an origin; the bits above are the file's number

func (v *validation) place(o panel.Origin) quality.Place {
	return quality.Place{File: v.files[o>>lineBits].Name, Line: int64(o & (1<<lineBits - 1))}
}

func (v *validation) read(ctx context.Context, columns []table.Column) error {
	d := v.o.Data
	screen := quality.NewScreen(quality.Contract{
		Keys: len(d.Keys), Static: len(d.Static), Covariates: len(d.KnownFuture) + len(d.PastOnly) + len(d.flags()),
		Today: calendar.FromTime(v.env.Now()), Expected: v.o.Expected, TimeOfDay: d.Aggregate != "",
	}, v.found, func(r quality.Rejected) error { return v.rejects.Write(columnar.Reject(r)) })
	var total int64
	for _, f := range v.files {
		total += f.Size
	}
	v.step.Phase("read", total)
	for i, f := range v.files {
		open := f.Open
		f.Open = func(ctx context.Context) (table.Reader, error) {
			r, err := open(ctx)
			return counting{r, v.step}, err
		}
		for r, err := range format.Blocks(ctx, f, v.dialect, columns) {
			if err != nil {
				return err
			}
			v.report.Rows += int64(r.Rows)
			if err := screen.Records(r, func(line int64) panel.Origin { return panel.Origin(uint64(i)<<lineBits | uint64(line)) }, v.builder.Add); err != nil {
				return err
			}
		}
	}
	return nil
}

// counting tells the progress of what is read.
type counting struct {
	table.Reader
	step *Step
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.step.Add(int64(n))
	return n, err
}

func (c counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(p, off)
	c.step.Add(int64(n))
	return n, err
}

var eventRules = map[panel.EventKind]string{
	panel.Duplicate: "duplicate", panel.OffGrid: "off_grid", panel.BeforeFirstSale: "before_first_sale", panel.NoSale: "no_sale_series",
	panel.StaticConflict: "static_conflict", panel.EmptyShelf: "stockout", panel.OtherFrequency: "other_frequency",
}

// event takes what the builder reports.
func (v *validation) event(e panel.Event) {
	rule := eventRules[e.Kind]
	at := v.place(e.Origin)
	at.Text = fmt.Sprintf("%s on %v", strings.Join(e.ID, " "), e.Day)
	if e.Kind == panel.Duplicate {
		at.Text += fmt.Sprintf(", as in %v", v.place(e.Other))
	}
	v.found.Add(rule, at)
	if e.Kind == panel.BeforeFirstSale || e.Kind == panel.NoSale {
		v.report.LeftOut++
	}
	if !quality.Rejects(rule) {
		return
	}
	raw := append(slices.Clone(e.ID), e.Day.String())
	for _, x := range e.Value {
		raw = append(raw, fmt.Sprint(x))
	}
	if err := v.rejects.Write(columnar.Reject{File: at.File, Line: at.Line, Rule: rule, Reason: at.Text, Raw: strings.Join(raw, ",")}); err != nil && v.failure == nil {
		v.failure = err
	}
}

// build writes the panel and looks at its series.
func (v *validation) build(ctx context.Context, out *Output) error {
	v.step.Phase("build", v.builder.Rows())
	frequency, err := v.builder.Frequency()
	if bad, ok := errors.AsType[*panel.FrequencyError](err); ok && v.builder.Rows() > 0 {
		v.found.Add("frequency", quality.Place{})
		v.found.Detail("frequency", bad.Error(), "")
		return nil
	}
	last, sold := v.builder.LastSale()
	if !sold {
		if !v.beyond(v.rejects.Rows()) { // what is wrong with the rows says more than that none is left
			v.found.Add("no_sales", quality.Place{})
		}
		return nil
	}
	if err != nil {
		return err
	}
	if sparse, ok := errors.AsType[*panel.GridError](v.builder.CheckGrid(frequency)); ok {
		v.found.Add("too_sparse", quality.Place{})
		v.found.Detail("too_sparse", sparse.Error(), "")
		return nil
	}
	v.report.Frequency = frequency.String()
	var w *columnar.PanelWriter
	profile := quality.NewProfile(v.found, v.o.Horizon, frequency.Floor(last), v.o.Seed)
	for p, err := range v.builder.Panels(ctx, panelChunk) {
		if err == nil {
			err = v.failure
		}
		if err == nil && w == nil {
			w, err = columnar.NewPanelWriter(out, columnar.SchemaOf(p, v.o.Data.Time, v.o.Data.Target))
		}
		if err == nil {
			err = w.Write(p)
		}
		if err != nil {
			return err
		}
		profile.Add(p)
		v.step.Add(int64(p.Rows()))
	}
	if w == nil || v.failure != nil {
		return v.failure
	}
	if err := w.Close(); err != nil {
		return err
	}
	profile.Finish()
	out.Rows(w.Rows())
	v.report.Series, v.report.PanelRows, v.report.FilledRows = profile.Series, profile.Rows, profile.Filled
	v.report.Start, v.report.End = profile.Start.String(), frequency.Day(frequency.Floor(last)).String()
	if profile.PlanEnd > last {
		v.report.PlanEnd = profile.PlanEnd.String()
	}
	return nil
}

func (v *validation) finishReport() {
	r := &v.report
	r.Quarantined = v.rejects.Rows()
	r.Findings = v.found.Findings()
	r.Passed = len(r.Worst(quality.Error)) == 0 && !v.tooMany() && r.Series > 0
}

func (v *validation) tooMany() bool { return v.beyond(v.report.Quarantined) }

// beyond says whether so many rows are more than may be set aside, or all that there are.
func (v *validation) beyond(quarantined int64) bool {
	return float64(quarantined) > v.o.MaxQuarantined*float64(v.report.Rows) || quarantined > 0 && quarantined == v.report.Rows
}

// failedReports stand beside the step's own files, since a failed attempt leaves none.
const failedReports = validateStep + "/failed/"

// refuse writes the report of data that must be mended, and says the worst of it.
func (v *validation) refuse(ctx context.Context) error {
	r := &v.report
	e := &Error{Kind: KindData, Op: "validate " + v.sourceName()}
	worst := r.Worst(quality.Error)
	if len(worst) > 0 {
		e.Err, e.Hint = errors.New(sentence(worst[0])), worst[0].Cure
	}
	if v.tooMany() && len(worst) == 0 {
		rejecting := slices.DeleteFunc(slices.Clone(r.Findings), func(f quality.Finding) bool { return !f.Rejects })
		top := slices.MaxFunc(rejecting, func(a, b quality.Finding) int { return int(a.Count - b.Count) })
		e.Err = fmt.Errorf("%d of %d rows cannot be used, and at most %.3g %% may be set aside: %s", r.Quarantined, r.Rows, 100*v.o.MaxQuarantined, sentence(top))
		e.Hint = top.Cure + ", or raise validate.max_quarantined"
	}
	if e.Err == nil {
		e.Err = errors.New("no series is left")
	}
	if more := len(worst) - 1; more > 0 {
		var rules []string
		for _, f := range worst[1:] {
			rules = append(rules, f.Rule)
		}
		e.Err = fmt.Errorf("%w; also found: %s", e.Err, strings.Join(rules, ", "))
	}
	report, page, err := v.render()
	if err == nil {
		_, err = v.env.Store.Put(ctx, failedReports+"report.json", bytes.NewReader(report))
	}
	if err == nil {
		_, err = v.env.Store.Put(ctx, failedReports+"report.html", bytes.NewReader(page))
	}
	if err != nil {
		return errors.Join(e, fmt.Errorf("writing the report of it: %w", err))
	}
	e.Hint += "; the whole report is " + v.env.Store.URL(failedReports+"report.html")
	return e
}

func (v *validation) sourceName() string {
	if v.o.Data.Source != "" {
		return v.o.Data.Source
	}
	return "the workspace's data"
}

func sentence(f quality.Finding) string {
	s := f.Message
	if len(f.First) > 0 && f.Rule != "unreadable" {
		if at := f.First[0].String(); at != "" {
			s += " (first: " + at + ")"
		}
	}
	return s
}

func (v *validation) render() (report, page []byte, err error) {
	if report, err = json.MarshalIndent(v.report, "", "  "); err != nil {
		return nil, nil, fmt.Errorf("encoding the quality report: %w", err)
	}
	var b bytes.Buffer
	if err := quality.WriteHTML(&b, &v.report); err != nil {
		return nil, nil, err
	}
	return report, b.Bytes(), nil
}

// conclude writes the reports of good data and says what a person should know of it.
func (v *validation) conclude(ctx context.Context) error {
	s, r := v.step, &v.report
	report, page, err := v.render()
	if err != nil {
		return err
	}
	if err := s.WriteFile(ctx, "report.json", report); err != nil {
		return err
	}
	if err := s.WriteFile(ctx, "report.html", page); err != nil {
		return err
	}
	s.Rows("source", r.Rows)
	s.Rows("panel", r.PanelRows)
	s.Rows("quarantined", r.Quarantined)
	s.Rows("filled", r.FilledRows)
	s.Metric("series", float64(r.Series))
	s.Metric("quarantined_share", float64(r.Quarantined)/float64(max(r.Rows, 1)))
	for _, f := range r.Worst(quality.Warning) {
		s.Warn("%s", sentence(f))
	}
	for _, name := range []string{"report.json", "report.html"} { // of an earlier failure
		if err := v.env.Store.Delete(ctx, failedReports+name); err != nil {
			s.Warn("the report of an earlier failure remains: %v", err)
		}
	}
	return nil
}

// workspaceFiles are the sales among the files of the data step.
func workspaceFiles(data *Opened) []table.File {
	var files []table.File
	for _, f := range data.Manifest.Files {
		if !strings.HasPrefix(f.Name, "sales") || path.Ext(f.Name) != ".parquet" {
			continue
		}
		files = append(files, table.File{Name: path.Join(dataStep, f.Name), Size: f.Size, Open: func(ctx context.Context) (table.Reader, error) {
			r, err := data.ReadAt(ctx, f.Name)
			if err != nil {
				return nil, err
			}
			return stored{io.NewSectionReader(r, 0, r.Size()), r}, nil
		}})
	}
	return files
}

// stored is a file of a step as a source.
type stored struct {
	*io.SectionReader
	io.Closer
}
