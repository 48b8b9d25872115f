package neural

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// Activation is what hidden layers apply to their sums.
type Activation string

// The activations.
const (
	ReLU    Activation = "relu"
	Tanh    Activation = "tanh"
	Sigmoid Activation = "sigmoid"
	GELU    Activation = "gelu" // the exact form, by erf, as PyTorch's default
	SiLU    Activation = "silu"
)

// known reports whether a is an activation.
func (a Activation) known() bool {
	return slices.Contains([]Activation{ReLU, Tanh, Sigmoid, GELU, SiLU}, a)
}

// Config is a network and how it learns.
type Config struct {
	Hidden        []int       // the width of each hidden layer, 1 to MaxWidth; none makes a linear model
	Activation    Activation  // of the hidden layers
	Norm          Norm        `json:",omitempty"` // of the hidden layers, before the activation
	Residual      bool        `json:",omitempty"` // whether a hidden layer, from the second on, whose input is as wide as its output adds it to that
	Embeddings    []Embedding `json:",omitempty"` // in the order of their features
	Dropout       float64     // the share of hidden values dropped while training, 0 to below 1
	Optimizer     Optimizer
	Scheduler     Scheduler
	Epochs        int            // the most passes over the training rows
	BatchSize     int            // rows of an update, over all ranks together
	Loss          Loss           `json:",omitzero"`
	EarlyStopping *EarlyStopping // nil: never; the best epoch's weights are kept all the same
	Seed          uint64         // of weights, the order of rows, and dropout
}

// EarlyStopping ends training when a metric of the validation rows no longer
// improves.
type EarlyStopping struct {
	Metric   string  // loss, or a metric of the task
	Patience int     // epochs without improvement after which training ends
	MinDelta float64 // the least change from the best that counts as an improvement
}

// Bounds of a Config.
const (
	MaxWidth     = 1 << 16 // of a layer, and of a row of features
	MaxHidden    = 64      // layers
	MaxBatchSize = 1 << 20 // rows
)

// DefaultConfig returns the network and settings of a spec that names none.
func DefaultConfig() Config {
	return Config{
		Hidden:     []int{64, 32},
		Activation: ReLU,
		Optimizer:  Optimizer{Type: AdamW, LearningRate: 1e-3, WeightDecay: 0.01, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8},
		Scheduler:  Scheduler{Type: Constant, Interval: ByEpoch, Factor: 0.1, Every: 10, Patience: 10, WarmupStart: 1.0 / 3},
		Epochs:     20,
		BatchSize:  1024,
		Seed:       42,
	}
}

// Validate reports all faults of c for the problem p at once, as an error of
// kind Invalid.
func (c Config) Validate(p models.Problem) error {
	var faults []error
	must := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	must(len(c.Hidden) <= MaxHidden, "%d hidden layers, expected at most %d", len(c.Hidden), MaxHidden)
	for i, n := range c.Hidden {
		must(n >= 1 && n <= MaxWidth, "hidden layer %d has width %d, expected 1 to %d", i, n, MaxWidth)
	}
	must(c.Activation.known(), "unknown activation %q, expected relu, tanh, sigmoid, gelu or silu", c.Activation)
	must(c.Norm == NoNorm || c.Norm == LayerNorm || c.Norm == BatchNorm, "unknown norm %q, expected layer, batch or none", c.Norm)
	must(!c.Residual || c.widthsRepeat(), "residual with hidden layers of %v, expected two of the same width one after the other", c.Hidden)
	checkEmbeddings(c.Embeddings, must)
	must(c.Dropout >= 0 && c.Dropout < 1, "dropout %v, expected 0 to below 1", c.Dropout)
	must(c.Epochs >= 1, "%d epochs, expected at least 1", c.Epochs)
	must(c.BatchSize >= 1 && c.BatchSize <= MaxBatchSize, "batches of %d rows, expected 1 to %d", c.BatchSize, MaxBatchSize)
	c.Optimizer.validate(must)
	c.Scheduler.validate(must)
	c.Loss.validate(p, must)
	c.EarlyStopping.validate(p.Task, c.Loss.Row, must)
	if err := checkProblem(p); err != nil {
		faults = append(faults, err)
	}
	if len(faults) > 0 {
		return fault.New(fault.Invalid, "neural: %w", errors.Join(faults...))
	}
	return nil
}

// widthsRepeat reports whether a hidden layer is as wide as the one before it.
func (c Config) widthsRepeat() bool {
	return len(slices.Compact(slices.Clone(c.Hidden))) < len(c.Hidden)
}

func (e *EarlyStopping) validate(task metrics.Task, of metrics.RowLoss, must func(bool, string, ...any)) {
	if e == nil {
		return
	}
	names := watchable(task, of)
	must(slices.Contains(names, e.Metric), "early stopping by %q, expected one of %v", e.Metric, names)
	must(e.Patience >= 1, "early stopping with patience %d, expected at least 1", e.Patience)
	must(e.MinDelta >= 0 && !math.IsInf(e.MinDelta, 0), "early stopping with a least change of %v, expected at least 0", e.MinDelta)
}

func checkProblem(p models.Problem) error {
	switch p.Task {
	case metrics.Regression:
		return nil
	case metrics.Binary:
		if p.NumClasses != 2 {
			return fmt.Errorf("a binary task of %d classes, expected 2", p.NumClasses)
		}
		return nil
	case metrics.Multiclass:
		if p.NumClasses < 2 || p.NumClasses > metrics.MaxClasses {
			return fmt.Errorf("a multiclass task of %d classes, expected 2 to %d", p.NumClasses, metrics.MaxClasses)
		}
		return nil
	}
	return fmt.Errorf("unknown task %q, expected binary, multiclass or regression", p.Task)
}

// Estimator fits networks of one Config to one Problem.
type Estimator struct {
	config  Config
	problem models.Problem
}

// New returns an estimator. The error, of kind Invalid, names all faults of c.
func New(c Config, p models.Problem) (*Estimator, error) {
	if err := c.Validate(p); err != nil {
		return nil, err
	}
	if p.Task == metrics.Regression {
		p.NumClasses = 0
	}
	c.Hidden, c.Embeddings = slices.Clone(c.Hidden), slices.Clone(c.Embeddings)
	c.Loss.ClassWeights = slices.Clone(c.Loss.ClassWeights)
	if c.EarlyStopping != nil {
		e := *c.EarlyStopping
		c.EarlyStopping = &e
	}
	return &Estimator{config: c, problem: p}, nil
}

// canonical returns the config as bytes that are equal for equal configs.
func (c Config) canonical() ([]byte, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fault.New(fault.Invalid, "neural: config: %w", err)
	}
	return b, nil
}
