package run

import (
	"fmt"
	"math"
	"strings"

	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
	"github.com/troupe-ml/troupe/ml/models/neural"
	"github.com/troupe-ml/troupe/store"
)

// trained is what a gang leaves behind.
type trained struct {
	Model   []byte                    `json:"model"`
	Metrics map[string]metrics.Report `json:"metrics"` // by part
	Details map[string]metrics.Detail `json:"details"` // likewise
	Slices  []Slice                   `json:"slices,omitempty"`
	// Baseline is nil when no rows are kept from training.
	Baseline *Baseline      `json:"baseline,omitempty"`
	Epochs   []models.Epoch `json:"epochs"`
}

// train is one rank of the gang that fits the model.
func (w *work) train() (_ jobs.Result, err error) {
	var s Survey
	if err := w.input(plan.Survey, &s); err != nil {
		return jobs.Result{}, err
	}
	l, p, err := w.preparation(&s)
	if err != nil {
		return jobs.Result{}, err
	}
	t, err := w.tables(l, p)
	if err != nil {
		return jobs.Result{}, err
	}
	defer func() { t.release(err == nil) }()
	kept := newKeeper(w)
	defer kept.close()
	options := models.Options{Threads: w.threads(), CheckpointEvery: 200, Checkpoint: kept.keep, Progress: w.progress}
	if w.task.Checkpoint != "" {
		if options.Resume, err = w.Store.Blobs.Get(w.ctx, store.Digest(w.task.Checkpoint)); err != nil {
			return jobs.Result{}, fmt.Errorf("checkpoint: %w", err)
		}
	}
	var out trained
	if out.Epochs, err = history(options.Resume); err != nil {
		return jobs.Result{}, err
	}
	options.Epoch = func(e models.Epoch) { out.Epochs = append(out.Epochs, e) }
	comm, closeComm, err := w.comm()
	if err != nil {
		return jobs.Result{}, err
	}
	defer closeComm() //nolint:errcheck // the links are of no more use
	estimator, err := estimatorOf(w.spec.Train, p)
	if err != nil {
		return jobs.Result{}, err
	}
	model, err := estimator.Fit(w.ctx, comm, t.parts[split.Train], t.parts[split.Validation], options)
	if err != nil {
		return jobs.Result{}, err
	}
	if err := w.measures(comm, model, t, p, &out); err != nil {
		return jobs.Result{}, err
	}
	if comm.Rank() > 0 {
		return jobs.Result{}, nil // rank 0 has the same, and says so
	}
	if out.Model, err = model.MarshalBinary(); err != nil {
		return jobs.Result{}, err
	}
	digest, err := w.put(out)
	return jobs.Result{Output: digest, RowsIn: s.Input.Rows}, err
}

// history returns the epochs before a checkpoint, none without one.
func history(state []byte) ([]models.Epoch, error) {
	if state == nil {
		return nil, nil
	}
	return neural.History(state)
}

// preparation returns the learner with all passes done, and what they have led to.
func (w *work) preparation(s *Survey) (*learner, *prepared, error) {
	passes, err := trainPasses(w.spec.Train, s.Input)
	if err != nil {
		return nil, nil, err
	}
	l, err := w.newLearner(s, passes-1)
	if err != nil {
		return nil, nil, err
	}
	var p prepared
	return l, &p, w.input(plan.Pass(plan.Fit, passes-1), &p)
}

// threads is how many cores this rank may use: those of the machine are divided
// among its ranks.
func (w *work) threads() int {
	if n := w.spec.Train.Threads; n > 0 {
		return n
	}
	return max(w.Threads/neighbours(w.task.Peers, w.task.Rank), 1)
}

// neighbours returns how many ranks there are on the machine of one of them,
// itself among them: those whose address has the same host.
func neighbours(peers []string, rank int) int {
	host := func(address string) string { return address[:max(strings.LastIndexByte(address, ':'), 0)] }
	n := 1
	for i, p := range peers {
		if i != rank && rank < len(peers) && host(p) == host(peers[rank]) {
			n++
		}
	}
	return n
}

func (w *work) comm() (collective.Comm, func() error, error) {
	if w.task.WorldSize <= 1 {
		return collective.Solo{}, func() error { return nil }, nil
	}
	if w.Comm == nil {
		return nil, nil, fault.New(fault.Internal, "task %s: a gang of %d, but there are no links", w.task.ID, w.task.WorldSize)
	}
	return w.Comm(w.ctx, w.task)
}

func (w *work) progress(rows, total int64, loss float64) {
	w.report.Progress(rows, total, fmt.Sprintf("loss %.4g", loss))
}

func problemOf(t *spec.Train, p *prepared) models.Problem {
	out := models.Problem{Task: metrics.Task(t.Task)}
	if out.Task != metrics.Regression {
		out.NumClasses = len(p.Target.Classes())
	}
	return out
}

// values returns the defined metrics of a report by name.
func values(r metrics.Report) map[string]float64 {
	out := map[string]float64{}
	for _, v := range r {
		if v.Undefined == "" && !math.IsNaN(v.Value) {
			out[v.Name] = v.Value
		}
	}
	return out
}
