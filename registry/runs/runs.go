// Package runs keeps the record of every job that has run: what it was asked,
// what it read, what came out and how well it did. A job is one run, however
// often and by whomever its end is recorded.
package runs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/document"
	"github.com/troupe-ml/troupe/store"
)

// ID names a run: 32 hexadecimal digits.
type ID string

// IDOf returns the id of the run of a job: the same for the same job.
func IDOf(job string) ID {
	sum := sha256.Sum256([]byte("troupe run of " + job))
	return ID(hex.EncodeToString(sum[:16]))
}

// Status is how far a run has come.
type Status string

// The statuses. A run leaves Running once, and then never changes its status.
const (
	Scheduled Status = "scheduled" // of runs that are logged from outside
	Running   Status = "running"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
)

// Finished reports whether the status is final.
func (s Status) Finished() bool { return s == Succeeded || s == Failed || s == Cancelled }

// Logged is the kind of the runs that belong to no job: somebody outside logs
// them, as MLflow's clients do.
const Logged = "logged"

// Run is the record of one job, or of what somebody outside has logged.
type Run struct {
	ID         ID                 `json:"id"`
	Job        string             `json:"job,omitempty"`           // the job's id; empty of a logged run
	Kind       string             `json:"kind"`                    // of the spec, or Logged
	Name       string             `json:"name"`                    // of the spec
	Experiment string             `json:"experiment,omitempty"`    // the group of runs it is compared with
	Group      string             `json:"experiment_id,omitempty"` // the id of that; the name may change
	Owner      string             `json:"owner,omitempty"`         // who logs it
	Status     Status             `json:"status"`
	Error      string             `json:"error,omitempty"` // of a failed run
	Started    time.Time          `json:"started"`
	Ended      time.Time          `json:"ended,omitzero"`    // zero while running
	Spec       json.RawMessage    `json:"spec,omitempty"`    // canonical form
	Digest     store.Digest       `json:"digest,omitempty"`  // of the output
	Params     map[string]string  `json:"params,omitempty"`  // flattened spec fields, such as model.hidden
	Tags       map[string]string  `json:"tags,omitempty"`    // free words of people
	Metrics    map[string][]Point `json:"metrics,omitempty"` // by name, such as validation.auc; steps ascending
	Latest     map[string]Point   `json:"latest,omitempty"`  // of the metrics that were logged from outside: see History
	Folded     uint64             `json:"folded,omitempty"`  // how many records of the log of its metrics Latest and Tags know
	Slices     []SliceMetrics     `json:"slices,omitempty"`  // how good a model is on single values of columns
	// BeatsBaseline is whether a model is better than the best of its baselines.
	BeatsBaseline *bool               `json:"beats_baseline,omitempty"`
	Artifacts     map[string]Artifact `json:"artifacts,omitempty"`    // by path, such as model
	Data          []Dataset           `json:"data,omitempty"`         // what was read
	Inputs        []Input             `json:"inputs,omitempty"`       // what was read, as somebody outside has logged it
	ModelInputs   []ID                `json:"model_inputs,omitempty"` // logged models that it has used; see LoggedModels
	Outputs       []Output            `json:"outputs,omitempty"`      // logged models that it has made
	Code          string              `json:"code,omitempty"`         // version of the program
	Deleted       time.Time           `json:"deleted,omitzero"`       // when somebody deleted it; it can be restored
	Purged        time.Time           `json:"purged,omitzero"`        // when what it held was given up; only its id is left

	// Of a logged model alone.
	Source    ID        `json:"source,omitempty"`     // the run that made it
	ModelType string    `json:"model_type,omitempty"` // in its client's words
	Changed   time.Time `json:"changed,omitzero"`     // its status
}

// Artifact is something a run has made, as bytes in the store.
type Artifact struct {
	Digest store.Digest `json:"digest"`
	Bytes  int64        `json:"bytes"`
}

// SliceMetrics is how good a model is on the rows of a part, such as test, that have a
// value in a column.
type SliceMetrics struct {
	Part    string             `json:"part"`
	Column  string             `json:"column"`
	Value   string             `json:"value"`
	Rows    int64              `json:"rows"`
	Metrics map[string]float64 `json:"metrics"`
}

// Dataset is something a run has read.
type Dataset struct {
	Role    string       `json:"role"`              // such as input, reference, current
	Path    string       `json:"path"`              // as the spec has it
	Where   string       `json:"where,omitempty"`   // the condition on its rows
	Explode string       `json:"explode,omitempty"` // its list whose elements are the rows
	Digest  store.Digest `json:"digest"`            // of the rows' files
	Rows    int64        `json:"rows,omitempty"`    // read
}

// Output is a logged model that a run has made, and at which step.
type Output struct {
	Model ID    `json:"model"`
	Step  int64 `json:"step"`
}

// Book is all runs of a store. It is safe for concurrent use.
type Book struct {
	Experiments *Experiments

	what string // is kept: runs, or logged models
	runs *document.Mirror[Run]
	logs store.Logs
	refs store.Refs

	mu        sync.Mutex
	ends      map[ID]uint64 // how long the logs of metrics are, as far as is known
	standings map[ID]standing
	known     map[ID]tailRef // what this process has made of the refs that say how long they are
	histories map[ID]*histories

	tailMu   sync.Mutex
	tailMark uint64 // all refs of tails up to this revision are known
	tailEnds map[ID]uint64
	tails    map[ID]*tail
}

// Open returns the runs in a store.
func Open(st store.Store) *Book { return open(st, "run", "run") }

func open(st store.Store, what, prefix string) *Book {
	return &Book{
		Experiments: openExperiments(st), what: what,
		runs: &document.Mirror[Run]{
			Collection: document.Collection[Run]{Prefix: prefix, Blobs: st.Blobs, Refs: st.Refs}, Trim: trim,
		},
		logs: st.Logs, refs: st.Refs, ends: map[ID]uint64{}, standings: map[ID]standing{}, known: map[ID]tailRef{}, histories: map[ID]*histories{},
		tailEnds: map[ID]uint64{}, tails: map[ID]*tail{},
	}
}

// trim keeps of a run what lists and searches need.
func trim(r *Run) {
	r.Spec = nil
	last := make(map[string][]Point, len(r.Metrics))
	for name, points := range r.Metrics {
		last[name] = points[max(0, len(points)-1):]
	}
	r.Metrics = last
}

// Record stores a run and returns what then stands. ID may be empty; it is that
// of Job. A record of a running run may be replaced; that of a finished one
// stands, so whoever records the end of the same job again changes nothing and
// is told what the first one recorded. What others have logged meanwhile is kept, and
// the name that they have given the run.
//
// Invalid when Job, Kind, Name, Status or Started is missing; Conflict when the
// id belongs to another job.
func (b *Book) Record(ctx context.Context, run Run) (Run, error) {
	if run.ID == "" {
		run.ID = IDOf(run.Job)
	}
	if err := run.validate(); err != nil {
		return Run{}, err
	}
	run.normalise()
	if run.Group == "" && run.Experiment != "" {
		e, err := b.Experiments.Ensure(ctx, run.Experiment, run.Started)
		if err != nil {
			return Run{}, err
		}
		run.Group = e.ID
	}
	return b.runs.Update(ctx, string(run.ID), func(stored *Run, exists bool) error {
		if exists && stored.Job != run.Job {
			return fault.New(fault.Conflict, "run %s: is that of job %q, not of %q", run.ID, stored.Job, run.Job)
		}
		if exists && stored.Status.Finished() {
			return document.Unchanged
		}
		next := run
		next.Tags, next.Params = merged(stored.Tags, run.Tags), merged(stored.Params, run.Params)
		next.Latest, next.Folded, next.Inputs, next.Deleted = stored.Latest, stored.Folded, stored.Inputs, stored.Deleted
		next.ModelInputs, next.Outputs = stored.ModelInputs, stored.Outputs
		next.Artifacts = merged(stored.Artifacts, run.Artifacts)
		if exists {
			next.Name = stored.Name
		}
		next.Metrics = timed(next.Metrics, stored.Metrics)
		if len(next.Metrics) == 0 { // what failed or begins again has none to say
			next.Metrics = stored.Metrics
		}
		if len(next.Data) == 0 {
			next.Data = stored.Data
		}
		*stored = next
		return nil
	})
}

// timed returns the points, of which those without a time have that of the same step
// as it was known before.
func timed(metrics, before map[string][]Point) map[string][]Point {
	out := make(map[string][]Point, len(metrics))
	for name, points := range metrics {
		points = slices.Clone(points)
		at := make(map[int64]int64, len(before[name]))
		for _, p := range before[name] {
			at[p.Step] = p.Time
		}
		for i, p := range points {
			if p.Time == 0 {
				points[i].Time = at[p.Step]
			}
		}
		out[name] = points
	}
	return out
}

// Advance sets the metrics of a job's run that is at work: all points so far. It
// changes nothing when the run has ended, or is known to have come further, as
// by a later attempt. NotFound when there is no such run.
func (b *Book) Advance(ctx context.Context, id ID, metrics map[string][]Point) error {
	next := Run{Metrics: metrics}
	next.normalise()
	_, err := b.change(ctx, id, func(r *Run) error {
		if r.Status.Finished() || furthest(next.Metrics) < furthest(r.Metrics) {
			return document.Unchanged
		}
		r.Metrics = timed(next.Metrics, r.Metrics)
		return nil
	})
	return err
}

// furthest is the highest step of all metrics.
func furthest(metrics map[string][]Point) (step int64) {
	for _, points := range metrics {
		for _, p := range points {
			step = max(step, p.Step)
		}
	}
	return step
}

// merged returns both maps as one; over wins.
func merged[V any](under, over map[string]V) map[string]V {
	if len(under)+len(over) == 0 {
		return nil
	}
	out := make(map[string]V, len(under)+len(over))
	maps.Copy(out, under)
	maps.Copy(out, over)
	return out
}

// put sets an element of a map, which is made if there is none.
func put[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
}

func (r Run) validate() error {
	missing := ""
	switch {
	case r.Job == "" && r.Kind != Logged && r.Kind != LoggedModel:
		missing = "job"
	case r.Kind == "":
		missing = "kind"
	case r.Name == "":
		missing = "name"
	case r.Status != Running && r.Status != Scheduled && !r.Status.Finished():
		return fault.New(fault.Invalid, "run %s: the status %q is none", r.ID, r.Status)
	case r.Started.IsZero():
		missing = "started"
	}
	if missing != "" {
		return fault.New(fault.Invalid, "run %s: %s is missing", r.ID, missing)
	}
	for name, a := range r.Artifacts {
		if a.Digest == "" || name == "" {
			return fault.New(fault.Invalid, "run %s: the artifact %q has no digest", r.ID, name)
		}
	}
	return nil
}

// normalise gives equal runs equal bytes: times in UTC and microseconds,
// metrics in the order of their steps.
func (r *Run) normalise() {
	r.Started = r.Started.UTC().Truncate(time.Microsecond)
	r.Ended = r.Ended.UTC().Truncate(time.Microsecond)
	metrics := make(map[string][]Point, len(r.Metrics))
	for name, points := range r.Metrics {
		points = slices.Clone(points)
		slices.SortStableFunc(points, func(a, b Point) int { return cmp.Compare(a.Step, b.Step) })
		metrics[name] = points
	}
	r.Metrics = metrics
}

// Tag sets tags of a run, finished or not; an empty value removes one.
func (b *Book) Tag(ctx context.Context, id ID, tags map[string]string) (Run, error) {
	return b.change(ctx, id, func(run *Run) error {
		for k := range tags {
			if err := b.foldFor(ctx, run, k); err != nil {
				return err
			}
		}
		all := merged(run.Tags, tags)
		for k, v := range tags {
			if v == "" {
				delete(all, k)
			}
		}
		run.Tags = all
		return nil
	})
}
