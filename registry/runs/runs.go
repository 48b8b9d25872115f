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
	"fmt"
	"math"
	"slices"
	"strconv"
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
	Running   Status = "running"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
)

// Finished reports whether the status is final.
func (s Status) Finished() bool { return s == Succeeded || s == Failed || s == Cancelled }

// Run is the record of one job.
type Run struct {
	ID         ID                  `json:"id"`
	Job        string              `json:"job"`                  // the job's id
	Kind       string              `json:"kind"`                 // of the spec
	Name       string              `json:"name"`                 // of the spec
	Experiment string              `json:"experiment,omitempty"` // the group of runs it is compared with
	Status     Status              `json:"status"`
	Error      string              `json:"error,omitempty"` // of a failed run
	Started    time.Time           `json:"started"`
	Ended      time.Time           `json:"ended,omitzero"`      // zero while running
	Spec       json.RawMessage     `json:"spec,omitempty"`      // canonical form
	Digest     store.Digest        `json:"digest,omitempty"`    // of the output
	Params     map[string]string   `json:"params,omitempty"`    // flattened spec fields, such as model.hidden
	Tags       map[string]string   `json:"tags,omitempty"`      // free words of people
	Metrics    map[string][]Point  `json:"metrics,omitempty"`   // by name, such as validation.auc; steps ascending
	Artifacts  map[string]Artifact `json:"artifacts,omitempty"` // by path, such as model
	Data       []Dataset           `json:"data,omitempty"`      // what was read
	Code       string              `json:"code,omitempty"`      // version of the program
}

// Point is one value of a metric.
type Point struct {
	Step  int64 `json:"step"` // epoch, round or trial; 0 for a metric of the whole run
	Value Value `json:"value"`
}

// Value is a metric's value. Other than a float64 it survives JSON when it is
// NaN or infinite, as the loss of a run that diverged is.
type Value float64

// MarshalJSON writes a number, or one of the strings "NaN", "Infinity" and
// "-Infinity", which MLflow writes, too.
func (v Value) MarshalJSON() ([]byte, error) {
	switch f := float64(v); {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-Infinity"`), nil
	default:
		return json.Marshal(f)
	}
}

// UnmarshalJSON reads what MarshalJSON writes.
func (v *Value) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `"NaN"`:
		*v = Value(math.NaN())
	case `"Infinity"`:
		*v = Value(math.Inf(1))
	case `"-Infinity"`:
		*v = Value(math.Inf(-1))
	default:
		f, err := strconv.ParseFloat(string(b), 64)
		if err != nil {
			return fmt.Errorf("metric value %s: %w", b, err)
		}
		*v = Value(f)
	}
	return nil
}

// Artifact is something a run has made, as bytes in the store.
type Artifact struct {
	Digest store.Digest `json:"digest"`
	Bytes  int64        `json:"bytes"`
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

// Last returns the value at the highest step of every metric, by name.
func (r Run) Last() map[string]float64 {
	last := make(map[string]float64, len(r.Metrics))
	for name, points := range r.Metrics {
		if len(points) > 0 {
			last[name] = float64(points[len(points)-1].Value)
		}
	}
	return last
}

// Book is all runs of a store. It is safe for concurrent use.
type Book struct{ runs document.Collection[Run] }

// Open returns the runs in a store.
func Open(blobs store.Blobs, refs store.Refs) *Book {
	return &Book{document.Collection[Run]{Prefix: "run", Blobs: blobs, Refs: refs}}
}

// Record stores a run and returns what then stands. ID may be empty; it is that
// of Job. A record of a running run may be replaced; that of a finished one
// stands, so whoever records the end of the same job again changes nothing and
// is told what the first one recorded. Tags set meanwhile are kept.
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
	return b.runs.Update(ctx, string(run.ID), func(stored *Run, exists bool) error {
		if exists && stored.Job != run.Job {
			return fault.New(fault.Conflict, "run %s: is that of job %q, not of %q", run.ID, stored.Job, run.Job)
		}
		if exists && stored.Status.Finished() {
			return document.Unchanged
		}
		next := run
		next.Tags = merged(stored.Tags, run.Tags)
		*stored = next
		return nil
	})
}

// merged returns both maps as one; over wins.
func merged(under, over map[string]string) map[string]string {
	if len(under)+len(over) == 0 {
		return nil
	}
	out := make(map[string]string, len(under)+len(over))
	for k, v := range under {
		out[k] = v
	}
	for k, v := range over {
		out[k] = v
	}
	return out
}

func (r Run) validate() error {
	missing := ""
	switch {
	case r.Job == "":
		missing = "job"
	case r.Kind == "":
		missing = "kind"
	case r.Name == "":
		missing = "name"
	case r.Status != Running && !r.Status.Finished():
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
	return b.runs.Update(ctx, string(id), func(run *Run, exists bool) error {
		if !exists {
			return fault.New(fault.NotFound, "there is no run %s", id)
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

// Show returns the run of an id or of the only id that begins so. NotFound when
// there is none, Invalid when there are several.
func (b *Book) Show(ctx context.Context, id ID) (Run, error) {
	run, err := b.runs.Load(ctx, string(id))
	if err == nil || fault.Of(err) != fault.NotFound {
		return run, err
	}
	keys, err := b.runs.Keys(ctx)
	if err != nil {
		return Run{}, err
	}
	var found []string
	for _, key := range keys {
		if len(id) >= 4 && len(key) > len(id) && key[:len(id)] == string(id) {
			found = append(found, key)
		}
	}
	switch len(found) {
	case 1:
		return b.runs.Load(ctx, found[0])
	case 0:
		return Run{}, fault.New(fault.NotFound, "there is no run %q", id)
	default:
		return Run{}, fault.New(fault.Invalid, "%d runs begin with %q: %s and %s are two", len(found), id, found[0], found[1])
	}
}

// Filter chooses runs; an empty field chooses all.
type Filter struct {
	Kind       string
	Name       string
	Experiment string
	Status     Status
	Limit      int // the newest so many; 0 for all
}

// List returns the runs that the filter chooses, the newest first, those of one
// instant by id.
func (b *Book) List(ctx context.Context, f Filter) ([]Run, error) {
	all, err := b.runs.All(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(r Run) bool {
		return f.Kind != "" && r.Kind != f.Kind || f.Name != "" && r.Name != f.Name ||
			f.Experiment != "" && r.Experiment != f.Experiment || f.Status != "" && r.Status != f.Status
	})
	slices.SortFunc(all, func(x, y Run) int {
		return cmp.Or(y.Started.Compare(x.Started), cmp.Compare(x.ID, y.ID))
	})
	if f.Limit > 0 && len(all) > f.Limit {
		all = all[:f.Limit]
	}
	return all, nil
}
