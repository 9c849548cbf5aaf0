package tune

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/c-bata/goptuna"
	"github.com/c-bata/goptuna/medianstopping"
)

// Storage keeps studies. Several processes may use one at once; each trial belongs to the process that began it, until it ends.
type Storage interface {
	goptuna.Storage
	// Begin starts a trial of a study and answers its id and ordinal: the lowest number from 0 that no other trial of the study has, but
	// for those that were cut off. It answers ErrFull where all below limit are taken. Before that it ends the trials whose process is
	// gone, as Abandon does.
	Begin(study, limit int) (trial, ordinal int, err error)
	// Abandon ends a trial that was cut off, as failed; its ordinal is free again.
	Abandon(trial int) error
	Close() error
}

// OrdinalAttr is the system attribute of trials that holds their ordinal.
const OrdinalAttr = "salescast:ordinal"

// CutOffAttr is the user attribute of trials that were cut off, by a signal or with their process.
const CutOffAttr = "cut off"

// errorAttr is the user attribute that says why a trial failed.
const errorAttr = "error"

// ErrFull says that all trials of a study have begun.
var ErrFull = errors.New("all trials of the study have begun")

// ErrPruned is what an objective answers when report did.
var ErrPruned = goptuna.ErrTrialPruned

const (
	// untold is the number of complete trials before any is pruned.
	untold = 4
	// warmUp is the number of steps that every trial is given.
	warmUp = 2
)

// State is how a trial ended.
type State string

// The states of finished trials.
const (
	Complete State = "complete"
	Pruned   State = "pruned"
	Failed   State = "failed"
)

// Trial is one attempt.
type Trial struct {
	// Ordinal counts the study's trials from 0, which is the one with the defaults.
	Ordinal int
	// Params are the engine's parameters that differ from the default; nil in trial 0.
	Params map[string]string
	State  State
	// Score is the last that was reported; NaN for none. Less is better.
	Score float64
	// Curve holds the reported scores by step.
	Curve map[int]float64
	// Error says why it failed.
	Error      string
	Start, End time.Time
}

// Report tells the score after a step, counted from 1. Its ErrPruned ends the trial: the objective answers it.
type Report func(step int, score float64) error

// Objective tries parameters and answers a score, of which less is better.
type Objective func(ctx context.Context, t Trial, report Report) (float64, error)

// Options say how long a study searches.
type Options struct {
	Space Space
	// Trials is their number in all, over all processes and attempts.
	Trials int
	Seed   uint64
	// Deadline is when no further trial begins; zero is never. The trial at work ends on its own.
	Deadline time.Time
	Now      func() time.Time
	// Done is told of every trial that this process finishes, just before the storage is: after a kill between the two it is told again of
	// the same trial. It may be nil.
	Done func(ctx context.Context, t Trial)
}

// poll is how often a process that has nothing left to begin looks whether others have finished.
const poll = 500 * time.Millisecond

// Search runs trials until the study has all, and answers those that finished, by ordinal, also those of other processes and earlier
// attempts. The first trial is the default's. Where ctx ends, or the process, the trial at work is done again by a later Search.
//
// The trials of one process depend on the seed alone. Of several that share a study each takes the next trial when it is free, so what
// a trial could learn from depends on their speed.
func Search(ctx context.Context, st Storage, name string, o Options, objective Objective) ([]Trial, error) {
	for _, p := range o.Space {
		if err := p.check(); err != nil {
			return nil, err
		}
	}
	study, err := goptuna.CreateStudy(name, goptuna.StudyOptionStorage(st), goptuna.StudyOptionSampler(sampler{o.Seed}),
		goptuna.StudyOptionPruner(&medianstopping.PercentilePruner{Percentile: 50, NStartUpTrials: untold, NWarmUpSteps: warmUp}),
		goptuna.StudyOptionLogger(nil), goptuna.StudyOptionLoadIfExists(true))
	if err != nil {
		return nil, fmt.Errorf("open study %q: %w", name, err)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		late := !o.Deadline.IsZero() && !o.Now().Before(o.Deadline)
		limit := o.Trials
		if late {
			limit = 0 // ends trials whose process is gone, and begins none
		}
		id, ordinal, err := st.Begin(study.ID, limit)
		if errors.Is(err, ErrFull) {
			trials, running, err := finished(st, study.ID, o.Space)
			if err != nil || !running {
				return trials, err
			}
			select {
			case <-ctx.Done():
			case <-time.After(poll):
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("begin a trial of study %q: %w", name, err)
		}
		if err := o.try(ctx, study, id, ordinal, objective); err != nil {
			return nil, fmt.Errorf("trial %d of study %q: %w", ordinal, name, err)
		}
	}
}

// try runs one trial; what the objective failed with is the trial's, not the search's.
func (o Options) try(ctx context.Context, study *goptuna.Study, id, ordinal int, objective Objective) (err error) {
	trial := goptuna.Trial{Study: study, ID: id}
	over := false
	defer func() { // also a panic leaves no trial that seems to run
		if !over {
			err = errors.Join(err, study.Storage.(Storage).Abandon(id))
		}
	}()
	t := Trial{Ordinal: ordinal}
	if ordinal > 0 {
		t.Params = make(map[string]string, len(o.Space))
		for _, p := range o.Space {
			if t.Params[p.Name], err = p.suggest(&trial); err != nil {
				return fmt.Errorf("draw %s: %w", p.Name, err)
			}
		}
	}
	score, failure := objective(ctx, t, func(step int, score float64) error { return trial.ShouldPrune(step, score) })
	state := goptuna.TrialStateComplete
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(failure, ErrPruned):
		state = goptuna.TrialStatePruned
	case failure == nil && math.IsNaN(score):
		failure = errors.New("its score is not a number")
		fallthrough
	case failure != nil:
		state = goptuna.TrialStateFail
		err = trial.SetUserAttr(errorAttr, failure.Error())
	}
	frozen, gerr := study.Storage.GetTrial(id)
	if err = cmp.Or(err, gerr); err != nil {
		return err
	}
	frozen.State, frozen.Value, frozen.DatetimeComplete = state, score, o.Now()
	if step, ok := frozen.GetLatestStep(); ok && state == goptuna.TrialStatePruned {
		frozen.Value = frozen.IntermediateValues[step]
	}
	if t, err = thaw(frozen, o.Space); err != nil {
		return err
	}
	if o.Done != nil {
		o.Done(ctx, t)
	}
	if state != goptuna.TrialStateFail {
		if err := study.Storage.SetTrialValue(id, frozen.Value); err != nil {
			return err
		}
	}
	err = study.Storage.SetTrialState(id, state)
	over = err == nil
	return err
}

// finished returns the trials that are over, without those that were cut off, and whether any still runs.
func finished(st Storage, study int, space Space) (out []Trial, running bool, err error) {
	all, err := st.GetAllTrials(study)
	if err != nil {
		return nil, false, err
	}
	for _, f := range all {
		if _, cut := f.UserAttrs[CutOffAttr]; cut || !ours(f) {
			continue
		}
		if !f.State.IsFinished() {
			running = true
			continue
		}
		t, err := thaw(f, space)
		if err != nil {
			return nil, false, err
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Trial) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
	return out, running, nil
}

func thaw(f goptuna.FrozenTrial, space Space) (Trial, error) {
	ordinal, err := ordinalOf(f)
	if err != nil {
		return Trial{}, err
	}
	t := Trial{Ordinal: ordinal, State: Failed, Score: math.NaN(), Curve: f.IntermediateValues, Error: f.UserAttrs[errorAttr], Start: f.DatetimeStart, End: f.DatetimeComplete}
	switch f.State {
	case goptuna.TrialStateComplete:
		t.State, t.Score = Complete, f.Value
	case goptuna.TrialStatePruned:
		t.State, t.Score = Pruned, f.Value
	default:
	}
	if ordinal > 0 {
		t.Params = make(map[string]string, len(space))
		for _, p := range space {
			if v, ok := f.Params[p.Name]; ok {
				t.Params[p.Name] = p.text(v)
			}
		}
	}
	return t, nil
}

// ours is false for trials that somebody added with Optuna: a search takes no notice of them.
func ours(t goptuna.FrozenTrial) bool {
	_, ok := t.SystemAttrs[OrdinalAttr]
	return ok
}

func ordinalOf(t goptuna.FrozenTrial) (int, error) {
	n, err := strconv.Atoi(t.SystemAttrs[OrdinalAttr])
	if err != nil {
		return 0, fmt.Errorf("trial %d was not made by salescast: its attribute %s is %q", t.Number, OrdinalAttr, t.SystemAttrs[OrdinalAttr])
	}
	return n, nil
}

// Best returns the complete trial with the least score, the earliest of equals, and false where none is complete.
func Best(trials []Trial) (best Trial, ok bool) {
	for _, t := range trials {
		if t.State == Complete && (!ok || t.Score < best.Score) {
			best, ok = t, true
		}
	}
	return best, ok
}
