package regress

import (
	"context"
	"io"
	"iter"

	"salescast/pkg/panel"
)

// Column describes one feature to a learner.
type Column struct {
	Name string
	// Categorical columns hold non-negative whole codes; a learner that cannot use categories treats them as numbers.
	Categorical bool
	// MayBeMissing is false where no value is ever NaN: some engines keep a smaller bin index then.
	MayBeMissing bool
}

// Block is a run of consecutive rows of a design matrix. It is owned by the Source and valid until the next one is yielded.
type Block struct {
	// X holds the features, in the order of Source.Columns.
	X *panel.Frame
	// Y holds one target per row; never NaN.
	Y []float32
	// Weight holds one positive weight per row; nil means all 1.
	Weight []float32
}

// Source yields a design matrix in blocks and can be read again, giving the same blocks: engines bin it in passes, and the whole
// matrix is never in memory. Blocks stops at the first error.
type Source interface {
	Columns() []Column
	// Rows is the number of rows of all blocks together.
	Rows() int
	Blocks(ctx context.Context) iter.Seq2[Block, error]
}

// Valid is a validation set for early stopping, read after every round.
type Valid struct {
	Source Source
	// Patience is the number of rounds without improvement after which training stops and the best round is kept.
	Patience int
}

// Learner fits rows. Fit returns ctx's error, and no model, if ctx ends between two rounds. valid may be nil.
// A Learner may be used from several goroutines; it never keeps the Source.
type Learner interface {
	Fit(ctx context.Context, train Source, valid *Valid) (Model, error)
}

// Model is fitted rows. Predict writes one prediction per row of x into dst, which has x.Rows values; x has the training columns in
// the training order, and an error names the difference if it has not. Predict may be called from several goroutines.
// Close frees what the engine holds; a Model must not be used afterwards.
type Model interface {
	Predict(ctx context.Context, x *panel.Frame, dst []float32) error
	// Format is the name of what Save writes, such as "xgboost.ubj" or "lightgbm.txt": the key by which a loader is found.
	Format() string
	// Save writes the model in its engine's own format.
	Save(w io.Writer) error
	// Importance returns the total gain of every column, in training order; nil where the learner knows none.
	Importance() ([]float64, error)
	Close() error
}

// Booster is a Learner whose trees can be grown in steps, on a design matrix that is quantised once for many fits.
type Booster interface {
	Learner
	// Bin quantises a design matrix under the learner's max_bin: by its own rows, or by the bins of like, which must be of the same engine
	// and have the same columns. Rows that lie beyond like's values go to its outermost bins.
	Bin(ctx context.Context, train Source, like Bins) (Bins, error)
	// Boost begins a fit with the learner's parameters on bins that a learner of the same engine made. Fits on one Bins do not disturb
	// each other.
	Boost(ctx context.Context, train Bins) (Boosting, error)
}

// Bins is a quantised design matrix with its targets and weights. It must outlive the fits on it.
type Bins interface {
	Rows() int
	Close() error
}

// Boosting is a fit in progress. It is used by one goroutine at a time.
//
// Any division of the same rounds into steps gives the same bytes, whatever else is fitted in between. They are also the bytes of Fit
// where its parameters say what steps need: seed_per_iteration=true for XGBoost and feature_pre_filter=false for LightGBM.
type Boosting interface {
	// Grow adds up to n rounds and answers how many there are then. It adds none once there are as many as the parameters ask for, or
	// once no leaf can be split.
	Grow(ctx context.Context, n int) (rounds int, err error)
	// Model is what has grown so far; the caller closes it. The fit can go on.
	Model() (Model, error)
	Close() error
}

// Watcher is a Learner that can tell how well it fits while it does. The fits of what Watch returns are the same, and call tell after
// every so many rounds with the number of rounds so far and the training loss under the engine's metric.
type Watcher interface {
	Watch(every int, tell func(rounds int, loss float64)) Learner
}

// Contributor is a Model that can say what each feature added to a prediction (TreeSHAP).
type Contributor interface {
	// Contributions writes x.Rows rows of columns+1 values, row-major, the last one the base value, on the margin (link) scale.
	Contributions(ctx context.Context, x *panel.Frame, dst []float32) error
}

// Open loads a saved model. The map from Format to Open is wired in cmd and handed down. A model is data from wherever: what an engine would
// trust in it is checked before the engine sees a byte, and an altered one is an error.
type Open func(r io.Reader) (Model, error)

// UnavailableError says that an engine's library could not be opened, and what helps.
type UnavailableError struct {
	Engine string
	Err    error
	Hint   string
}

func (e *UnavailableError) Error() string {
	return "the engine " + e.Engine + " is not available: " + e.Err.Error()
}

func (e *UnavailableError) Unwrap() error { return e.Err }
