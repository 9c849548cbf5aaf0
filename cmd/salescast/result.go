package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"salescast/pkg/redact"
	"salescast/tasks"
)

const (
	outputText = "text"
	outputJSON = "json"
	// maxResult bounds the JSON of a result, in bytes: what every reader of one takes in a line.
	maxResult = 16 << 10
)

func failedResult(step string, err error) *tasks.Result {
	return &tasks.Result{
		Schema: tasks.ResultSchema, Step: step, Status: tasks.Failed, Warnings: []string{},
		Error: &tasks.ResultError{Code: string(tasks.KindOf(err)), Message: redact.String(err.Error()), Hint: redact.String(tasks.HintOf(err))},
	}
}

// answer prints a step's result to standard output and to the file that was asked for.
func (a *app) answer(r *tasks.Result) error {
	a.answered = true
	if a.bars != nil {
		a.bars.close()
	}
	line, err := resultJSON(r)
	if err != nil {
		return err
	}
	if p := a.global.resultFile; p != "" {
		if err := writeOut(p, bytes.NewReader(line)); err != nil {
			return fmt.Errorf("write result file: %w", err)
		}
	}
	if a.global.output == outputJSON {
		_, err = a.out.Write(line)
		return err
	}
	if r.Status == tasks.Failed {
		return nil // the error says it
	}
	_, err = io.WriteString(a.out, or(a.summary, resultText(r)))
	return err
}

// resultJSON is one line of at most maxResult bytes. What is too long goes in the order of its worth: warnings, timings, rows, figures.
func resultJSON(r *tasks.Result) ([]byte, error) {
	cut := *r
	for {
		b, err := json.Marshal(&cut)
		if err != nil {
			return nil, fmt.Errorf("encode result of %s: %w", r.Step, err)
		}
		if b = redact.JSON(b); len(b) < maxResult {
			return append(b, '\n'), nil
		}
		switch {
		case len(cut.Warnings) > 1:
			keep := len(cut.Warnings) / 2
			cut.Warnings = append(slices.Clone(cut.Warnings[:keep]), "more warnings are in the manifest")
			if keep == 1 {
				cut.Warnings = cut.Warnings[1:]
			}
		case cut.Timings != nil:
			cut.Timings = nil
		case cut.Rows != nil:
			cut.Rows = nil
		case cut.Metrics != nil:
			cut.Metrics = nil
		case cut.Error != nil && len(cut.Error.Message) > 1000:
			e := *cut.Error
			e.Message = strings.ToValidUTF8(e.Message[:1000], "") + "…"
			cut.Error = &e
		default:
			return nil, fmt.Errorf("the result of %s has %d bytes, at most %d are allowed", r.Step, len(b), maxResult)
		}
	}
}

// figure is v with four digits, but whole and in groups where it has more: 139,199, not 1.392e+05.
func figure(v float64) string {
	if a := math.Abs(v); a >= 10_000 && a <= math.MaxInt32 {
		return grouped(int64(math.Round(v)))
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// resultText is what a person wants to know of a step.
func resultText(r *tasks.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s in %s", r.Step, r.Status, seconds(r.Timings["total"]))
	for _, k := range slices.Sorted(maps.Keys(r.Rows)) {
		fmt.Fprintf(&b, ", %s %s", grouped(r.Rows[k]), strings.ReplaceAll(k, "_", " "))
	}
	b.WriteByte('\n')
	for _, k := range slices.Sorted(maps.Keys(r.Metrics)) {
		fmt.Fprintf(&b, "  %s  %s\n", k, figure(r.Metrics[k]))
	}
	if len(r.Warnings) > 0 {
		fmt.Fprintf(&b, "  %d warnings, in the manifest\n", len(r.Warnings))
	}
	if r.Manifest != "" {
		fmt.Fprintf(&b, "  %s\n", r.Manifest)
	}
	return b.String()
}

func seconds(s float64) string {
	if s < 10 {
		return fmt.Sprintf("%.1f s", s)
	}
	return fmt.Sprintf("%.0f s", s)
}

// grouped writes 72900 as 72,900.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// printJSON writes what is not a step's result: one indented object.
func (a *app) printJSON(v any) error {
	a.answered = true
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
