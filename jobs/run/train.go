package run

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
	"github.com/troupe-ml/troupe/ml/models/neural"
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

// train is one rank of the gang that fits the model, or prepares to become one.
func (w *work) train() (_ jobs.Result, err error) {
	seat, leave, err := w.sit()
	if err != nil {
		return jobs.Result{}, err
	}
	defer func() { leave(err) }()
	if w.task.Rank == jobs.Joining {
		return jobs.Result{}, nil // the next generation takes it in
	}
	comm, closeComm, err := w.comm()
	if err != nil {
		return jobs.Result{}, err
	}
	closeComm = sync.OnceValue(closeComm)
	defer closeComm() //nolint:errcheck // the links are of no more use
	out, err := w.generation(comm, seat, closeComm)
	if err != nil || comm.Rank() > 0 {
		return jobs.Result{}, err // rank 0 has the same, and says so
	}
	digest, err := w.put(out)
	return jobs.Result{Output: digest, RowsIn: seat.numRows}, err
}

// generation takes part in one generation of the gang, up to its end. A rank that
// fails cuts its links before anything else: the others wait for it.
func (w *work) generation(comm collective.Comm, seat *seat, cut func() error) (_ *trained, err error) {
	state, err := w.agree(comm, seat.state)
	if err != nil {
		return nil, err
	}
	seat.state = nil // it is held once
	if state == nil {
		if err := w.challenge(comm, seat); err != nil {
			return nil, err
		}
	}
	kept := newKeeper(w)
	defer kept.close()
	if state != nil && comm.Rank() == 0 { // also says that this generation is at work
		if err := kept.keep(w.ctx, state); err != nil {
			return nil, err
		}
	}
	options := models.Options{
		Threads: w.threads(), CheckpointEvery: 200, Checkpoint: kept.keep, Progress: w.progress, Resume: state,
	}
	if w.Comm != nil {
		began := w.Clock.Now()
		options.Clock = func() time.Duration { return w.Clock.Now().Sub(began) }
		options.Left = func(state []byte) { seat.state = state }
	}
	var out trained
	if out.Epochs, err = history(state); err != nil {
		return nil, err
	}
	tell, told := w.tell(comm, &out)
	defer told()
	options.Epoch = tell
	defer func() { // before what the store has to take in
		if err != nil {
			_ = cut() //nolint:errcheck // the links are of no more use
		}
	}()
	estimator, err := estimatorOf(w.spec.Train, &seat.prepared)
	if err != nil {
		return nil, err
	}
	model, err := estimator.Fit(w.ctx, comm, seat.tables.parts[split.Train], seat.tables.parts[split.Validation], options)
	if err != nil {
		return nil, err
	}
	if err := w.challenge(comm, seat); err != nil {
		return nil, err
	}
	if err := w.measures(comm, model, seat, &out); err != nil {
		return nil, err
	}
	if comm.Rank() == 0 {
		out.Model, err = model.MarshalBinary()
	}
	return &out, err
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
		if i != rank && rank >= 0 && rank < len(peers) && host(p) == host(peers[rank]) {
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
