// Package models is the contract between what learns and what uses it: an
// estimator fits a Model to Tables, a Model maps rows of features to
// predictions. Both are values: an estimator does not change while it fits, a
// model not after it was fitted.
//
// What every estimator promises: the model depends on the tables, the settings
// and the seed alone, to the last bit. It is the same for any world size, any
// number of threads, any kind of processor, and whether training ran through or
// was resumed from a checkpoint any number of times.
package models

import (
	"context"
	"time"

	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// Table is rows of features and what to learn from them, in memory or stored
// elsewhere.
type Table struct {
	NumRows     int
	NumFeatures int
	X           []float32 // (rows, features), row-major, finite
	Y           []float32 // (rows,): the class's number, or the value of a regression
	// Weighted is whether rows have a weight; else each weighs 1.
	Weighted bool
	W        []float32 // (rows,): what each row weighs, finite and at least 0; nil unless Weighted
	// Stored has the rows of a table that is too large for memory; X, Y and W are
	// nil then.
	Stored Rows
}

// Rows are rows that are read when they are needed. They are safe for concurrent
// use.
type Rows interface {
	// Read fills x, of shape (n, features), y and w, of shape (n,), with the rows
	// from first on. What is empty is not read, and w is of a table without
	// weights.
	Read(first int, x, y, w []float32) error
}

// Block is rows of a table that lie together.
type Block struct {
	X []float32 // (n, features)
	Y []float32 // (n,)
	W []float32 // (n,); nil when rows have no weight
}

// Row returns the features of row i of a table in memory.
func (t Table) Row(i int) []float32 { return t.X[i*t.NumFeatures : (i+1)*t.NumFeatures] }

// Copy fills x, y and w, of shapes (n, features), (n,) and (n,), with the rows
// from first on. What is empty is not filled.
func (t Table) Copy(first int, x, y, w []float32) error {
	if t.Stored != nil {
		return t.Stored.Read(first, x, y, w)
	}
	copy(x, t.X[first*t.NumFeatures:])
	copy(y, t.Y[first:])
	if t.Weighted {
		copy(w, t.W[first:])
	}
	return nil
}

// Block returns the n rows from first on: those in memory, or else in the room
// that it is given for as many.
func (t Table) Block(first, n int, room Block) (Block, error) {
	end := first + n
	if t.Stored != nil {
		room.X, room.Y = room.X[:n*t.NumFeatures], room.Y[:n]
		if t.Weighted {
			room.W = room.W[:n]
		}
		return room, t.Stored.Read(first, room.X, room.Y, room.W)
	}
	b := Block{X: t.X[first*t.NumFeatures : end*t.NumFeatures], Y: t.Y[first:end]}
	if t.Weighted {
		b.W = t.W[first:end]
	}
	return b, nil
}

// Room makes room for blocks of up to n rows; none for a table in memory, which
// needs none.
func (t Table) Room(n int) (room Block) {
	if t.Stored == nil {
		return room
	}
	n = min(n, t.NumRows)
	room.X, room.Y = make([]float32, n*t.NumFeatures), make([]float32, n)
	if t.Weighted {
		room.W = make([]float32, n)
	}
	return room
}

// EachTarget calls fn with the target of every row and what the row weighs, which
// without weights is 1.
func (t Table) EachTarget(fn func(y, w float64)) error {
	var targets, weights [4096]float32
	for first := 0; first < t.NumRows; first += len(targets) {
		y := targets[:min(len(targets), t.NumRows-first)]
		w := weights[:0]
		if t.Weighted {
			w = weights[:len(y)]
		}
		if err := t.Copy(first, nil, y, w); err != nil {
			return err
		}
		for i, v := range y {
			if t.Weighted {
				fn(float64(v), float64(w[i]))
			} else {
				fn(float64(v), 1)
			}
		}
	}
	return nil
}

// TotalWeight returns what all rows weigh together, from an exact sum.
func (t Table) TotalWeight() (float64, error) {
	var all sketch.Sum
	err := t.EachTarget(func(_, w float64) { all.Add(w) })
	return all.Value(), err
}

// Problem is what is to be learned.
type Problem struct {
	Task       metrics.Task
	NumClasses int // 0 for a regression
}

// NumOutputs returns how many numbers a prediction has: one for each class, or
// one for a regression.
func (p Problem) NumOutputs() int {
	if p.Task == metrics.Regression {
		return 1
	}
	return p.NumClasses
}

// Model is what was learned. It is safe for concurrent use.
type Model interface {
	// Problem is what was learned.
	Problem() Problem
	// NumFeatures is the width of the rows that Predict takes.
	NumFeatures() int
	// Predict writes the predictions of x, of shape (rows, features), to out, of
	// shape (rows, outputs): the probability of every class, which add up to 1 up
	// to rounding, or the value in the unit of the target. A row's prediction
	// does not depend on the rows beside it. Shapes that do not fit are an error
	// of kind Invalid.
	Predict(x []float32, numRows int, out []float32) error
	// MarshalBinary writes the model in the format of its kind.
	MarshalBinary() ([]byte, error)
}

// Epoch is how training stands after one pass over the training rows.
type Epoch struct {
	Number       int            `json:"epoch"` // from 1
	Loss         float64        `json:"loss"`  // mean over the training rows, as seen while training
	LearningRate float64        `json:"learning_rate"`
	Validation   metrics.Report `json:"validation,omitempty"`
	Best         bool           `json:"best,omitempty"` // the best so far by the metric that is watched
}

// Options are how an estimator speaks while it fits, and what it goes on from.
// None of them can change the model.
type Options struct {
	// Resume is a state to go on from, of a checkpoint or of Left; nil starts anew.
	// Every rank is given one of the same place.
	Resume []byte
	// Left is called on every rank, at the end of a fit that has begun, with the
	// state that it has come to, however it ended: the last update that this rank
	// made is whole, and there is nothing of the next. nil: nobody wants it.
	Left func(state []byte)
	// Checkpoint is called on rank 0 with the state of all that was learned so
	// far, after every epoch and every CheckpointEvery iterations (0: epochs
	// only); nil keeps none. An error ends the fit.
	Checkpoint      func(ctx context.Context, state []byte) error
	CheckpointEvery int
	// Progress is called on rank 0 with the rows seen of all that will be seen at
	// most, and the current mean loss. It returns at once. May be nil.
	Progress func(rows, total int64, loss float64)
	// Epoch is called on rank 0 after every epoch. May be nil.
	Epoch func(Epoch)
	// Clock tells time, from any point on: ranks that are slower than others are
	// given less to do. nil: all count as equally fast.
	Clock func() time.Duration
	// Threads is how many cores may work at once; at least 1 is used.
	Threads int
}
