package run

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/models/neural"
	"github.com/troupe-ml/troupe/store"
)

// seatKept is how long a seat waits for the next generation of its gang: longer
// than a coordinator takes to be replaced and to notice who is gone.
const seatKept = 30 * time.Second

// seat is what a process needs to be a rank of a gang, and what it has come to as
// one: it outlives the attempt, so that a survivor neither reads its tables again
// nor goes back to a checkpoint when its gang forms anew. One attempt sits on it
// at a time.
type seat struct {
	taken    chan struct{} // holds an item while an attempt sits here
	numRows  int64         // of the input
	prepared prepared
	tables   *tables // nil before they have been read
	state    []byte  // nil before the first update
	// rival is the linear model that the one in training is compared with, nil when
	// there is none; challenged says that this has been found out.
	rival      *rival
	challenged bool
	left       time.Time
	bytes      int64 // that its tables may take, as its stage says
}

type seatKey struct {
	job  jobs.ID
	task jobs.TaskID
}

// seats are those of a process. The zero value is ready.
type seats struct {
	mu   sync.Mutex
	of   map[seatKey]*seat
	busy int64 // memory, in bytes, that the tasks under way may need
}

// admit makes room for a task that may need so much of the memory there is: free
// seats are given up when they may be in the way, but the one that is its own.
// Whoever places tasks knows nothing of them. The function that it returns is
// for the task's end.
func (s *seats) admit(own seatKey, need, memory int64) (leave func()) {
	s.mu.Lock()
	s.busy += need
	held := s.busy
	for k, st := range s.of {
		if k != own && len(st.taken) == 0 {
			held += st.bytes
		}
	}
	s.mu.Unlock()
	if memory > 0 && held > memory {
		s.drop(func(k seatKey, _ *seat) bool { return k != own })
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy -= need
	}
}

// take sits down at tables that may have so many bytes, once the attempt before has got up. Seats of other gangs that
// are free are given up: they hold memory that this one may need.
func (s *seats) take(ctx context.Context, k seatKey, bytes int64) (*seat, error) {
	for {
		s.mu.Lock()
		st := s.of[k]
		if st == nil {
			st = &seat{taken: make(chan struct{}, 1), bytes: bytes}
			if s.of == nil {
				s.of = map[seatKey]*seat{}
			}
			s.of[k] = st
		}
		s.mu.Unlock()
		select {
		case st.taken <- struct{}{}:
		case <-ctx.Done():
			return nil, fault.New(fault.Canceled, "task %s: %w", k.task, context.Cause(ctx))
		}
		s.drop(func(other seatKey, _ *seat) bool { return other != k })
		s.mu.Lock()
		still := s.of[k] == st
		s.mu.Unlock()
		if still {
			return st, nil
		}
		<-st.taken // whoever else waits for it is to look again, too
	}
}

// leave gets up. What is not kept for the next attempt is let go of; done says
// that nobody on this machine will want it again.
func (s *seats) leave(k seatKey, st *seat, now time.Time, keep, done bool) {
	st.left = now
	if !keep {
		s.mu.Lock()
		delete(s.of, k)
		s.mu.Unlock()
		st.release(done)
	}
	<-st.taken
}

func (st *seat) release(done bool) {
	if st.tables != nil {
		st.tables.release(done)
	}
	st.tables, st.state = nil, nil
}

// drop gives up the free seats that which says.
func (s *seats) drop(which func(seatKey, *seat) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, st := range s.of {
		select {
		case st.taken <- struct{}{}:
		default:
			continue // somebody sits there
		}
		if which(k, st) {
			delete(s.of, k)
			st.release(false)
		}
		<-st.taken
	}
}

// Tidy lets go of what gangs have left here that have not formed anew for a
// while. It is to be called now and then.
func (e *Env) Tidy() {
	now := e.Clock.Now()
	e.seats.drop(func(_ seatKey, st *seat) bool { return now.Sub(st.left) >= seatKept })
}

// sit returns the task's seat with its tables, and how to leave it after the
// attempt has ended with an error or without.
func (w *work) sit() (_ *seat, leave func(error), err error) {
	k := seatKey{w.task.Job, w.task.ID}
	st, err := w.seats.take(w.ctx, k, w.task.Stage.MaxBytes)
	if err != nil {
		return nil, nil, err
	}
	leave = func(err error) {
		again := w.Comm != nil && st.tables != nil
		switch kind := fault.Of(err); {
		case err == nil:
			again = again && w.task.Rank == jobs.Joining
		default:
			again = again && (kind == fault.Canceled || kind == fault.Unavailable)
		}
		w.seats.leave(k, st, w.Clock.Now(), again, err == nil)
	}
	if st.tables == nil {
		if err := w.furnish(st); err != nil {
			leave(err)
			return nil, nil, err
		}
	}
	return st, leave, nil
}

// furnish reads what a seat needs.
func (w *work) furnish(st *seat) error {
	var s Survey
	if err := w.input(plan.Survey, &s); err != nil {
		return err
	}
	l, p, err := w.preparation(&s)
	if err != nil {
		return err
	}
	st.numRows, st.prepared = s.Input.Rows, *p
	st.tables, err = w.tables(l, p)
	return err
}

// agree returns the state that this generation goes on from: that of the rank
// which is the furthest, or else the newest checkpoint, or nil. A rank that is
// behind, or new, is sent it; so nobody makes an update twice.
func (w *work) agree(comm collective.Comm, own []byte) ([]byte, error) {
	places := make([]int64, 2*comm.WorldSize()) // of each rank, its epoch from 1; 0 without a state
	at := func(rank int) neural.Place { return neural.Place{Epoch: places[2*rank], Batch: places[2*rank+1]} }
	if own != nil {
		p, err := neural.PlaceOf(own)
		if err != nil {
			return nil, err
		}
		places[2*comm.Rank()], places[2*comm.Rank()+1] = p.Epoch+1, p.Batch
	}
	if err := comm.AllReduce(w.ctx, places); err != nil {
		return nil, fmt.Errorf("task %s: who is where: %w", w.task.ID, err)
	}
	root, same := 0, true
	for r := range comm.WorldSize() {
		same = same && at(r) == at(0)
		if at(root).Less(at(r)) {
			root = r
		}
	}
	switch {
	case at(root).Epoch == 0:
		return w.checkpoint()
	case same:
		return own, nil
	}
	theirs, err := comm.Broadcast(w.ctx, root, own)
	if err != nil {
		return nil, fmt.Errorf("task %s: the state of rank %d: %w", w.task.ID, root, err)
	}
	return slices.Clip(theirs), nil
}

// checkpoint returns the state that the gang has stored last, or else that of the
// run which the job resumes; nil if there is neither.
func (w *work) checkpoint() ([]byte, error) {
	if w.task.Checkpoint == "" {
		if w.spec.Train.Resume == "" {
			return nil, nil
		}
		return w.resumed(w.spec.Train.Resume)
	}
	b, err := w.Store.Blobs.Get(w.ctx, store.Digest(w.task.Checkpoint))
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return b, nil
}
