package main

import (
	"io"
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

// newProgress draws bars on a terminal; anywhere else it logs, for which log is looked at late: every phase, or long ones alone.
func newProgress(w io.Writer, terminal, every bool, log *zerolog.Logger, now func() time.Time) progress {
	if terminal {
		return &bars{out: w}
	}
	return &lines{out: w, log: log, now: now, every: every}
}

// bars is a bar for the current phase.
type bars struct {
	mu   sync.Mutex
	out  io.Writer
	all  *mpb.Progress
	last *mpb.Bar
}

func (p *bars) Phase(name string, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = mpb.New(mpb.WithOutput(p.out), mpb.WithWidth(36), mpb.WithAutoRefresh(), mpb.WithRefreshRate(100*time.Millisecond))
	}
	if p.last != nil {
		p.last.Abort(true)
	}
	label := mpb.PrependDecorators(decor.Name(name, decor.WC{W: 28, C: decor.DindentRight}))
	if total > 0 {
		p.last = p.all.New(total, mpb.BarStyle(), label, mpb.BarRemoveOnComplete(), mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5})))
	} else {
		p.last = p.all.New(0, mpb.SpinnerStyle(), label, mpb.AppendDecorators(decor.Elapsed(decor.ET_STYLE_GO)))
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
