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

// Contributor is a Model that can say what each feature added to a prediction (TreeSHAP).
type Contributor interface {
	// Contributions writes x.Rows rows of columns+1 values, row-major, the last one the base value, on the margin (link) scale.
	Contributions(ctx context.Context, x *panel.Frame, dst []float32) error
}

// Open loads a saved model. The map from Format to Open is wired in cmd and handed down. The engines are C++ and trust what they read: only
// bytes whose digest was verified may be opened.
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
