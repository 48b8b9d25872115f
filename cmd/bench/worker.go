package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
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
}

// work answers requests until there are no more: the same protocol as the peers'.
func work(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	var t tables
	for lines.Scan() {
		var r request
		err := json.Unmarshal(lines.Bytes(), &r)
		var v float64
		switch {
		case err != nil:
		case r.Mode == "features":
			v, err = t.runFeatures(r)
		case r.Mode == "peak":
			v = t.peak
		case r.Path != "":
			v, err = t.run(r)
		default:
			v, err = trainLoop(r)
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

var errEnough = errors.New("enough")

// trainLoop returns the samples per second of Fit: all that a user's training
// does but the metrics of validation rows. The first epoch warms up.
func trainLoop(r request) (float64, error) {
	rows := r.Batch * 8
	random := rng.New(1, "bench")
	t := models.Table{NumRows: rows, NumFeatures: r.Inputs, X: make([]float32, rows*r.Inputs), Y: make([]float32, rows)}
	for i := range t.X {
		t.X[i] = float32(random.NormFloat64())
	}
	for i := range t.Y {
		t.Y[i] = float32(random.IntN(r.Outputs))
	}
	c := neural.DefaultConfig()
	c.Hidden, c.Dropout, c.BatchSize, c.Epochs = r.Hidden, r.Dropout, r.Batch, 1<<30
	problem := models.Problem{Task: metrics.Multiclass, NumClasses: r.Outputs}
	if r.Outputs == 2 {
		problem.Task = metrics.Binary
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var start time.Time
	var seconds float64
	var epochs int
	o := models.Options{Threads: runtime.GOMAXPROCS(0), Epoch: func(models.Epoch) {
		if start.IsZero() {
			start = time.Now()
			return
		}
		epochs++
		if seconds = time.Since(start).Seconds(); seconds > r.Seconds {
			cancel(errEnough)
		}
	}}
	e, err := neural.New(c, problem)
	if err != nil {
		return 0, err
	}
	if _, err := e.Fit(ctx, collective.Solo{}, t, models.Table{NumFeatures: r.Inputs}, o); !errors.Is(err, errEnough) && context.Cause(ctx) == nil {
		return 0, err
	}
	return float64(epochs*rows) / seconds, nil
}
