package run

import (
	"fmt"
	"sync"
	"time"

	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/models"
	"github.com/troupe-ml/troupe/registry/runs"
)

// begin makes the job a run of the registry that is at work. Its end is recorded
// by its last task or, when it fails or is cancelled, by RecordEnd.
func (w *work) begin(s *Survey) error {
	if w.Registry == nil {
		return nil
	}
	j, err := joblog.Load(w.ctx, w.Store, w.task.Job)
	if err != nil {
		return err
	}
	_, err = w.Registry.Runs.Record(w.ctx, runs.Run{
		Job: string(w.task.Job), Kind: string(w.spec.Kind), Name: w.spec.Name, Status: runs.Running, Experiment: experimentOf(w.spec),
		Started: time.UnixMilli(j.SubmittedAt).UTC(), Spec: w.task.Spec, Params: params(w.task.Spec), Data: datasets(s), Code: w.Code,
	})
	if err != nil {
		return fmt.Errorf("task %s: %w", w.task.ID, err)
	}
	return nil
}

// tellEvery is the least time between two looks that others get at the metrics of a
// gang, for as many epochs as tellEpochs; with more it is as many times that, since
// each writes them all.
const (
	tellEvery  = time.Second
	tellEpochs = 200
)

// teller adds the metrics of every epoch to the run while it is at work, beside
// the training: what comes while one is on its way, or soon after, is told with
// the next. Its errors are nobody's: the end of the job records all.
type teller struct {
	work   *work
	epochs []models.Epoch
	times  []int64       // of each, in milliseconds since 1970; 0 for those of a checkpoint
	busy   chan struct{} // holds an item while something is on its way
	last   time.Time     // of whoever holds busy
	told   int           // likewise: epochs
	wg     sync.WaitGroup
}

// newTeller begins with the epochs of a checkpoint.
func newTeller(w *work, before []models.Epoch) *teller {
	t := &teller{work: w, busy: make(chan struct{}, 1)}
	for _, e := range before {
		t.epochs, t.times = append(t.epochs, e), append(t.times, 0)
	}
	return t
}

// epoch takes note of one more epoch and returns at once.
func (t *teller) epoch(e models.Epoch) {
	now := t.work.Clock.Now()
	t.epochs, t.times = append(t.epochs, e), append(t.times, now.UnixMilli())
	select {
	case t.busy <- struct{}{}:
	default:
		return
	}
	if now.Sub(t.last) < tellEvery*time.Duration(1+len(t.epochs)/tellEpochs) {
		<-t.busy
		return
	}
	run := t.run()
	t.last, t.told = now, len(t.epochs)
	t.wg.Go(func() {
		defer func() { <-t.busy }()
		_ = t.work.Registry.Runs.Advance(t.work.ctx, run.ID, run.Metrics) //nolint:errcheck // the next one tells it, or the end
	})
}

// tell returns what takes an epoch in, and what is to be called at the end.
func (w *work) tell(comm collective.Comm, out *trained) (epoch func(models.Epoch), told func()) {
	note := func(e models.Epoch) { out.Epochs = append(out.Epochs, e) }
	if comm.Rank() > 0 || w.Registry == nil {
		return note, func() {}
	}
	t := newTeller(w, out.Epochs)
	return func(e models.Epoch) {
		note(e)
		t.epoch(e)
	}, t.close
}

// run is the run as far as it has come.
func (t *teller) run() runs.Run {
	run := runs.Run{ID: runs.IDOf(string(t.work.task.Job)), Metrics: map[string][]runs.Point{}}
	curves(&run, &trained{Epochs: t.epochs})
	at := map[int64]int64{}
	for i, e := range t.epochs {
		at[int64(e.Number)] = t.times[i]
	}
	for _, points := range run.Metrics {
		for i := range points {
			points[i].Time = at[points[i].Step]
		}
	}
	return run
}

// close waits until nothing is on its way, and tells what is left: the job may
// end without a last task.
func (t *teller) close() {
	t.wg.Wait()
	if t.told < len(t.epochs) && t.work.ctx.Err() == nil {
		run := t.run()
		_ = t.work.Registry.Runs.Advance(t.work.ctx, run.ID, run.Metrics) //nolint:errcheck // the end of the job records all
	}
}
