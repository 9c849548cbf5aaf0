package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"salescast/tasks"
)

// progress shows how far a step is. Whatever else goes to the terminal goes through writer.
type progress interface {
	tasks.Progress
	writer() io.Writer
	// close removes the bars; it may be called again.
	close()
}

// unsized is how wide a terminal is taken to be that does not say.
const unsized = 80

// newBars draws on a terminal, whose size it asks.
func newBars(w io.Writer, size func() (columns, rows int)) *bars {
	options := []mpb.ContainerOption{mpb.WithAutoRefresh(), mpb.WithRefreshRate(100 * time.Millisecond)}
	columns := 0
	if size != nil {
		columns, _ = size()
	}
	if columns > 0 {
		return &bars{out: w, options: append(options, mpb.WithOutput(w), mpb.WithWidth(36))}
	}
	// The library would ask the terminal itself, and draw nothing into no columns.
	return &bars{out: w, options: append(options, mpb.WithOutput(struct{ io.Writer }{w}), mpb.WithWidth(unsized))}
}

// bars is a bar for the current phase.
type bars struct {
	mu      sync.Mutex
	out     io.Writer
	options []mpb.ContainerOption
	all     *mpb.Progress
	last    *mpb.Bar
}

func (p *bars) Phase(name string, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = mpb.New(p.options...)
	}
	if p.last != nil {
		p.last.Abort(true)
	}
	label := mpb.PrependDecorators(decor.Name(spoken(name), decor.WC{W: 28, C: decor.DindentRight}))
	if total > 0 {
		left := decor.Any(timeLeft(time.Now()), decor.WC{W: 14})
		p.last = p.all.New(total, mpb.BarStyle(), label, mpb.BarRemoveOnComplete(), mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5}), left))
	} else {
		p.last = p.all.New(0, mpb.SpinnerStyle(), label, mpb.AppendDecorators(decor.Elapsed(decor.ET_STYLE_GO)))
	}
}

// timeLeft supposes that the rest goes as what was done since then; before a second has passed it supposes nothing.
func timeLeft(since time.Time) func(decor.Statistics) string {
	return func(s decor.Statistics) string {
		took := time.Since(since)
		if s.Current <= 0 || s.Current >= s.Total || took < time.Second {
			return ""
		}
		left := time.Duration(float64(took) / float64(s.Current) * float64(s.Total-s.Current))
		return remaining(left)
	}
}

// remaining is said no more exactly than it can be known.
func remaining(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s left", math.Ceil(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%.0f min left", math.Ceil(d.Minutes()))
	}
	return fmt.Sprintf("%.1f h left", d.Hours())
}

// spoken is the name of a step or a phase as people say it: "train lightgbm".
func spoken(name string) string { return strings.ReplaceAll(name, "/", " ") }

// stepLine is how a step of a run ended, as people read it; of is 0 where it is not known how many there are.
func stepLine(r *tasks.Result, nth, of int) string {
	place := ""
	if of > 0 {
		place = fmt.Sprintf("%d/%d", nth, of)
	}
	return strings.TrimRight(fmt.Sprintf("%-20s  %-7s  %8s  %6s", spoken(r.Step), r.Status, seconds(r.Timings["total"]), place), " ") + "\n"
}

// peopleWriter writes the log as sentences: a level where it is none of every day, the step, what was said, and what belongs to it.
func peopleWriter(w io.Writer, plain bool) io.Writer {
	return zerolog.ConsoleWriter{
		Out: w, NoColor: plain, PartsExclude: []string{zerolog.TimestampFieldName},
		FormatLevel: func(level any) string {
			switch level {
			case zerolog.LevelWarnValue:
				return "warning:"
			case zerolog.LevelInfoValue:
				return ""
			}
			return fmt.Sprint(level, ":")
		},
		FormatMessage: func(m any) string {
			if m == nil {
				return ""
			}
			return fmt.Sprint(m)
		},
		FormatPrepare: func(line map[string]any) error {
			if step, ok := line["step"].(string); ok {
				line[zerolog.MessageFieldName] = fmt.Sprintf("%s: %v", spoken(step), line[zerolog.MessageFieldName])
				delete(line, "step")
			}
			return nil
		},
	}
}

func (p *bars) Add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil {
		p.last.IncrInt64(n)
	}
}

func (p *bars) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all != nil {
		if p.last != nil {
			p.last.Abort(true)
		}
		p.all.Wait()
		p.all, p.last = nil, nil
	}
}

func (p *bars) writer() io.Writer { return aboveBars{p} }

// aboveBars writes log lines above the bar.
type aboveBars struct{ p *bars }

func (w aboveBars) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	if w.p.all != nil {
		return w.p.all.Write(b)
	}
	return w.p.out.Write(b)
}

// pause is how often lines says something of one phase.
const pause = 10 * time.Second

// lines says now and then how far a long phase is. A short one passes in silence, but where every phase is to be known: to whoever keeps
// the log of a process that may be killed.
type lines struct {
	every bool

	mu    sync.Mutex
	out   io.Writer
	log   *zerolog.Logger
	now   func() time.Time
	name  string
	total int64
	done  int64
	said  time.Time
}

func (p *lines) Phase(name string, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.total, p.done, p.said = name, total, 0, p.now()
	if p.every {
		p.log.Info().Str("phase", p.name).Int64("of", p.total).Msg("begun")
	}
}

func (p *lines) Add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	if t := p.now(); t.Sub(p.said) >= pause {
		p.said = t
		p.log.Info().Str("phase", p.name).Int64("done", p.done).Int64("of", p.total).Msg("working")
	}
}

func (p *lines) close() {}

func (p *lines) writer() io.Writer { return p.out }
