package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"runtime"
	"time"

	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
	"github.com/troupe-ml/troupe/ml/models/neural"
)

// request is what our side is asked: a case of either bench.
type request struct {
	Inputs  int      `json:"inputs"`
	Hidden  []int    `json:"hidden"`
	Outputs int      `json:"outputs"`
	Batch   int      `json:"batch"`
	Dropout float64  `json:"dropout"`
	Seconds float64  `json:"seconds"`
	Mode    string   `json:"mode"` // of tables: stream, keep or write
	Path    string   `json:"path"`
	Out     string   `json:"out"`
	Rows    int64    `json:"rows"`
	Columns []string `json:"columns"`
	Where   string   `json:"where"`
	Program string   `json:"program"` // of features
	Numbers int      `json:"numbers"` // of a sum
	Raw     bool     `json:"raw"`     // exchange them only
	M       int      `json:"m"`       // of a product: rows
	K       int      `json:"k"`       // what is summed
	N       int      `json:"n"`       // columns
}

// work answers requests until there are no more: the same protocol as the peers'.
// role is "raw", "alone" or "peak" for one that is our own peer, and "second" for
// the other process of a pair, which is asked in another way.
func work(in io.Reader, out io.Writer, role string) error {
	if role == "second" {
		return second(in, out)
	}
	lines := bufio.NewScanner(in)
	var t tables
	var both *pair
	defer func() { both.end() }()
	for lines.Scan() {
		var r request
		err := json.Unmarshal(lines.Bytes(), &r)
		var v float64
		switch {
		case err != nil:
		case r.Mode == "ready":
			v = 1
		case r.Mode == "features":
			v, err = t.runFeatures(r)
		case r.Mode == "gemm":
			v, err = gemm(r, role == "peak")
		case r.Mode == "peak":
			v = t.peak
		case r.Path != "":
			v, err = t.run(r)
		case r.Numbers > 0 || r.Mode == "gang" && role != "alone":
			if both == nil {
				if both, err = begin(); err != nil {
					break
				}
			}
			r.Raw = role == "raw"
			v, err = both.measure(r)
		default:
			v, err = trainLoop(r, collective.Solo{})
		}
		a := answer{Value: v}
		if err != nil {
			a.Error = err.Error()
		}
		if err := json.NewEncoder(out).Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}

// trainLoop returns the samples per second of Fit: all that a user's training
// does but the metrics of validation rows. The first epoch warms up.
func trainLoop(r request, comm collective.Comm) (float64, error) {
	rows := r.Batch * 8
	random := rng.New(1, "bench")
	t := models.Table{NumRows: rows, NumFeatures: r.Inputs, X: make([]float32, rows*r.Inputs), Y: make([]float32, rows)}
	for i := range t.X {
		t.X[i] = float32(random.NormFloat64())
	}
	for i := range t.Y {
		t.Y[i] = float32(random.IntN(r.Outputs))
	}
	problem := models.Problem{Task: metrics.Multiclass, NumClasses: r.Outputs}
	if r.Outputs == 2 {
		problem.Task = metrics.Binary
	}
	rate, err := lasting(r.Seconds, comm, func(epochs int) (float64, error) {
		c := neural.DefaultConfig()
		c.Hidden, c.Dropout, c.BatchSize, c.Epochs = r.Hidden, r.Dropout, r.Batch, 1+epochs
		e, err := neural.New(c, problem)
		if err != nil {
			return 0, err
		}
		var first, last time.Time
		o := models.Options{Threads: runtime.GOMAXPROCS(0), Epoch: func(models.Epoch) {
			if last = time.Now(); first.IsZero() {
				first = last
			}
		}}
		_, err = e.Fit(context.Background(), comm, t, models.Table{NumFeatures: r.Inputs}, o)
		return last.Sub(first).Seconds(), err
	})
	return rate * float64(rows), err
}
