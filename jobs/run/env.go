package run

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/jobs/run/memory"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/ml/bundle"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/store"
)

// Env is what bodies need of the world. It is safe for concurrent use.
type Env struct {
	Store    store.Store
	Registry *registry.Registry
	Files    *files.Files // opens what specs name; nil: disks only
	Clock    clock.Clock
	// Code is the version of the program: another version does not take over
	// what an earlier one has finished.
	Code string
	// Memory is what tasks may use in all, in bytes; 0 when nobody has said. What
	// one of them reads at a time is no more than that.
	Memory int64
	// Threads is how many cores a gang's rank may use when its spec does not say.
	Threads int
	// Cache is the folder of tables that ranks of one machine share, in one or in
	// several processes; with none each rank has its own in memory.
	Cache string
	// Scratch is a folder that all workers share, for the rows of windows of jobs
	// that write none; with none these are blobs.
	Scratch string
	// Comm connects a rank of a gang to the others; the function that it returns
	// closes the links. nil serves gangs of one only.
	Comm func(ctx context.Context, t Task) (collective.Comm, func() error, error)

	runBytes int // of the runs that rows are sorted in; 0: the usual
	fitted   fittedPipeline
	footers  footers // of the inputs of tasks
	seats    seats   // of gangs
	mu       sync.Mutex
	notes    map[string]*noted      // of jobs under way, by stage
	specs    recent[spec.Spec]      // by their canonical form
	surveys  recent[*Survey]        // by digest
	bundles  recent[*bundle.Bundle] // by digest
}

// work is one attempt at a task on its way.
type work struct {
	*Env
	ctx    context.Context
	task   Task
	spec   spec.Spec
	report Reporter
}

// Body carries out one task of any stage. Its result depends on the job's spec
// and data alone.
//
// Errors: Invalid and Corrupt name the file, column or field at fault; whatever
// may pass is Unavailable or Exhausted.
func (e *Env) Body(ctx context.Context, t Task, r Reporter) (result jobs.Result, err error) {
	s, err := e.specs.of(string(t.Spec), func() (spec.Spec, error) { return spec.Decode(t.Spec) })
	if err != nil {
		return jobs.Result{}, err
	}
	w := &work{Env: e, ctx: ctx, task: t, spec: s, report: r}
	name, pass := t.Stage.Name, 0
	if stem, number, ok := strings.Cut(name, "-"); ok {
		if _, err := fmt.Sscanf(number, "%d", &pass); err != nil {
			return jobs.Result{}, fault.New(fault.Internal, "stage %q: %w", name, err)
		}
		name = stem
	}
	e.Tidy()
	body, ok := bodies()[name]
	if !ok {
		return jobs.Result{}, fault.New(fault.Internal, "stage %q has no body in this version", t.Stage.Name)
	}
	defer e.seats.admit(seatKey{t.Job, t.ID}, t.Stage.MaxBytes, e.Memory)()
	end := memory.Process.Begin()
	defer func() { result.PeakRSS = end() }()
	result, err = body(w, pass)
	return result, w.overtaken(err)
}

// bodies says which function carries out the tasks of a stage.
func bodies() map[string]func(w *work, pass int) (jobs.Result, error) {
	once := func(f func(w *work) (jobs.Result, error)) func(*work, int) (jobs.Result, error) {
		return func(w *work, _ int) (jobs.Result, error) { return f(w) }
	}
	return map[string]func(w *work, pass int) (jobs.Result, error){
		plan.Survey:    once((*work).survey),
		plan.Order:     once((*work).order),
		plan.Cut:       once((*work).cut),
		plan.Observe:   (*work).observe,
		plan.Fit:       (*work).fit,
		plan.Partition: (*work).partition,
		plan.Window:    (*work).window,
		plan.Apply:     once((*work).apply),
		plan.Train:     once((*work).train),
		plan.Bundle:    once((*work).bundle),
		plan.Score:     once((*work).score),
		plan.Manifest:  once((*work).manifest),
		plan.Reference: once((*work).reference),
		plan.Current:   once((*work).current),
		plan.Compare:   once((*work).compare),
	}
}

// put stores a document as a blob and returns its digest.
func (w *work) put(doc any) (string, error) { return w.putIn(w.Store.Blobs, doc) }

func (w *work) putIn(blobs store.Blobs, doc any) (string, error) {
	b, err := json.Marshal(doc)
	if err != nil {
		return "", fault.New(fault.Internal, "task %s: %w", w.task.ID, err)
	}
	d, err := blobs.Put(w.ctx, b)
	if err != nil {
		return "", fmt.Errorf("task %s: %w", w.task.ID, err)
	}
	return string(d), nil
}

// get reads a document that put has stored.
func (w *work) get(digest string, into any) error { return w.getFrom(w.Store.Blobs, digest, into) }

func (w *work) getFrom(blobs store.Blobs, digest string, into any) error {
	b, err := blobs.Get(w.ctx, store.Digest(digest))
	if err != nil {
		return fmt.Errorf("task %s: %w", w.task.ID, err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fault.New(fault.Corrupt, "task %s: blob %s: %w", w.task.ID, digest, err)
	}
	return nil
}

// input reads the output of an earlier stage of one task.
func (w *work) input(stage string, into any) error {
	digest, ok := w.task.Stage.Inputs[stage]
	if !ok {
		return fault.New(fault.Internal, "task %s: stage %s has left nothing", w.task.ID, stage)
	}
	if s, ok := into.(*Survey); ok {
		return w.surveyed(digest, s)
	}
	return w.get(digest, into)
}

// surveyed reads what the survey has found, as one task may change it.
func (w *work) surveyed(digest string, into *Survey) error {
	s, err := w.surveys.of(digest, func() (*Survey, error) {
		s := &Survey{}
		return s, w.get(digest, s)
	})
	if err != nil {
		return err
	}
	*into = *s
	for _, d := range []**Dataset{&into.Input, &into.Reference} {
		if *d != nil {
			one := **d
			one.files, one.footers, one.maxBytes = w.Files, &w.footers, w.Memory
			*d = &one
		}
	}
	return nil
}

// results returns what the tasks of an earlier stage have left, in shard order.
func (w *work) results(stage string) ([]jobs.Result, error) {
	j, err := joblog.Load(w.ctx, w.Store, w.task.Job)
	if err != nil {
		return nil, err
	}
	tasks := j.StageTasks(stage)
	out := make([]jobs.Result, len(tasks))
	for i, t := range tasks {
		if t.Phase != jobs.Done {
			return nil, fault.New(fault.Internal, "task %s: %s is not done", w.task.ID, t.ID)
		}
		out[i] = t.Result
	}
	return out, nil
}

// meta encodes the facts that a result carries.
func meta(facts any) json.RawMessage {
	b, err := json.Marshal(facts)
	if err != nil {
		panic(fmt.Sprintf("run: facts %T: %v", facts, err)) // plain structs of ours
	}
	return b
}

// load returns the bundle of a digest, checked.
func (e *Env) load(ctx context.Context, digest store.Digest) (*bundle.Bundle, error) {
	return e.bundles.of(string(digest), func() (*bundle.Bundle, error) {
		raw, err := e.Store.Blobs.Get(ctx, digest)
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", digest, err)
		}
		b, err := bundle.Decode(raw)
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", digest, err)
		}
		if err := b.CheckGolden(); err != nil {
			return nil, fmt.Errorf("model %s: %w", digest, err)
		}
		return b, nil
	})
}
