package runs

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
)

// NewID returns an id for a run that is logged from outside.
func NewID() ID {
	var b [16]byte
	_, _ = rand.Read(b[:]) //nolint:errcheck // it never fails
	return ID(hex.EncodeToString(b[:]))
}

// Create makes a run that somebody outside logs; of its id, job and kind nothing
// is needed. Group is the id of its experiment. NotFound when there is no such
// experiment, Invalid when it is deleted.
func (b *Book) Create(ctx context.Context, run Run) (Run, error) {
	group, err := b.openGroup(ctx, run.Group)
	if err != nil {
		return Run{}, err
	}
	for key := range run.Tags {
		if err := CheckKey("tag", key); err != nil {
			return Run{}, err
		}
	}
	run.ID, run.Job, run.Kind = NewID(), "", Logged
	if run.Name == "" {
		run.Name = "run-" + string(run.ID[:8])
	}
	if group.ID != DefaultGroup {
		run.Experiment = group.Name
	}
	return b.Record(ctx, run)
}

// openGroup returns an experiment in which something may be logged.
func (b *Book) openGroup(ctx context.Context, id string) (Experiment, error) {
	group, err := b.Experiments.Show(ctx, id)
	if err == nil && !group.Deleted.IsZero() {
		err = fault.New(fault.Invalid, "experiment %s is deleted: restore it before anything is logged in it", id)
	}
	return group, err
}

// missing is the error that there is no run of an id.
func (b *Book) missing(id ID) error {
	return fault.New(fault.NotFound, "there is no %s %q", b.what, id)
}

// title names the run in messages.
func (r *Run) title() string {
	if r.Kind == LoggedModel {
		return "logged model " + string(r.ID)
	}
	return "run " + string(r.ID)
}

// change changes a run that must exist.
func (b *Book) change(ctx context.Context, id ID, change func(*Run) error) (Run, error) {
	return b.runs.Update(ctx, string(id), func(run *Run, exists bool) error {
		if !exists {
			return b.missing(id)
		}
		if err := gone(run); err != nil {
			return err
		}
		return change(run)
	})
}

// active returns an error of kind Invalid for a deleted run, which is changed by
// nothing but its restoration. A deleted logged model is not found: nobody can
// restore it.
func active(r *Run) error {
	if r.Deleted.IsZero() {
		return nil
	}
	if r.Kind == LoggedModel {
		return fault.New(fault.NotFound, "the %s was deleted on %s", r.title(), r.Deleted.Format(time.DateOnly))
	}
	return fault.New(fault.Invalid, "run %s is deleted: restore it before it is changed", r.ID)
}

// Pair is a name and what it stands for.
type Pair struct{ Key, Value string }

// Batch is what is logged at a time.
type Batch struct {
	Metrics []Measure
	Params  []Pair
	Tags    []Pair // the later wins
}

// Log adds metrics, params and tags to a run, finished or not. A param that is
// there already must have the value that it has; then nothing of the batch is
// logged, and the error is of kind Invalid. When it fails otherwise, some of the
// metrics may have been logged; logging them again does not double them.
func (b *Book) Log(ctx context.Context, id ID, batch Batch) error {
	if err := batch.check(); err != nil {
		return err
	}
	if len(batch.Params)+len(batch.Tags) == 0 && len(batch.Metrics) > 0 {
		return b.logAlone(ctx, id, measures{Version: 1, Points: batch.Metrics})
	}
	run, err := b.runs.Load(ctx, string(id))
	if err != nil && fault.Of(err) == fault.NotFound {
		return b.missing(id)
	}
	if err != nil {
		return err
	}
	if err := run.take(batch); err != nil {
		return err
	}
	if len(batch.Metrics) > 0 {
		if _, err := b.appendMeasures(ctx, id, measures{Version: 1, Points: batch.Metrics}); err != nil {
			return err
		}
	}
	_, err = b.change(ctx, id, func(run *Run) error {
		for _, t := range batch.Tags {
			if err := b.foldFor(ctx, run, t.Key); err != nil {
				return err
			}
		}
		return run.take(batch)
	})
	return err
}

// take puts a batch into the document, some of it when it fails.
func (r *Run) take(batch Batch) error {
	if err := active(r); err != nil {
		return err
	}
	for _, p := range batch.Params {
		if old, ok := r.Params[p.Key]; ok && old != p.Value {
			return fault.New(fault.Invalid, "params do not change: %q of %s was logged as %q, and now as %q", p.Key, r.title(), old, p.Value)
		}
		put(&r.Params, p.Key, p.Value)
	}
	for _, t := range batch.Tags {
		if t.Key == NameTag && r.Kind != LoggedModel {
			r.Name = t.Value
		}
		put(&r.Tags, t.Key, t.Value)
	}
	for _, m := range batch.Metrics {
		if old, ok := r.Latest[m.key()]; !ok || m.newer(old) {
			put(&r.Latest, m.key(), m.Point)
		}
	}
	return nil
}

func (batch Batch) check() error {
	for _, m := range batch.Metrics {
		if err := CheckKey("metric", m.Metric); err != nil {
			return err
		}
	}
	for _, p := range batch.Params {
		if err := CheckKey("param", p.Key); err != nil {
			return err
		}
	}
	for _, t := range batch.Tags {
		if err := CheckKey("tag", t.Key); err != nil {
			return err
		}
	}
	return nil
}

const maxKey = 250

var keyForm = regexp.MustCompile(`^[/\pL\pN_.\- :]+$`)

// CheckKey returns an error of kind Invalid unless key may be the name of a
// metric, param or tag: as of files, so that an export has a place for each.
func CheckKey(what, key string) error {
	if len(key) > maxKey || !keyForm.MatchString(key) || path.Clean(key) != key || path.IsAbs(key) || key == "." || strings.HasPrefix(key, "..") {
		return fault.New(fault.Invalid, "%.300q cannot be the name of a %s: use 1 to %d letters, digits, spaces and _ - . : /, as in the path of a file", key, what, maxKey)
	}
	return nil
}

// Change is what of a run can be set anew; an empty field stays as it is.
type Change struct {
	Status Status
	Ended  time.Time
	Name   string
}

// Set changes a run. The status and end of a job's run are what the job says:
// to set them is Invalid.
func (b *Book) Set(ctx context.Context, id ID, c Change) (Run, error) {
	return b.change(ctx, id, func(r *Run) error {
		if err := active(r); err != nil {
			return err
		}
		if r.Job != "" && (c.Status != "" && c.Status != r.Status || !c.Ended.IsZero()) {
			return fault.New(fault.Invalid, "run %s is that of job %s, which alone sets its status and end", id, r.Job)
		}
		if c.Status != "" {
			r.Status = c.Status
		}
		if !c.Ended.IsZero() {
			r.Ended = c.Ended.UTC().Truncate(time.Microsecond)
		}
		if c.Name != "" {
			r.Name = c.Name
		}
		if c.Status.Finished() {
			return b.fold(ctx, r)
		}
		return nil
	})
}

// Untag removes a tag of a run, or is NotFound.
func (b *Book) Untag(ctx context.Context, id ID, key string) error {
	_, err := b.change(ctx, id, func(r *Run) error {
		if err := b.foldFor(ctx, r, key); err != nil {
			return err
		}
		if _, ok := r.Tags[key]; !ok {
			return fault.New(fault.NotFound, "%s has no tag %q", r.title(), key)
		}
		delete(r.Tags, key)
		return active(r)
	})
	return err
}

// Delete hides a run until it is restored or purged. Deleting it again changes
// nothing.
func (b *Book) Delete(ctx context.Context, id ID, at time.Time) error {
	_, err := b.change(ctx, id, func(r *Run) error {
		if r.Status == Running && r.Job != "" {
			return fault.New(fault.Conflict, "run %s is that of job %s, which still runs: cancel it first", id, r.Job)
		}
		if r.Deleted.IsZero() {
			r.Deleted = at.UTC().Truncate(time.Microsecond)
		}
		return nil
	})
	return err
}

// Restore shows a deleted run again; one that is not deleted stays as it is.
func (b *Book) Restore(ctx context.Context, id ID) error {
	_, err := b.change(ctx, id, func(r *Run) error {
		r.Deleted = time.Time{}
		return nil
	})
	return err
}

// Input is a data set that a run has read, as somebody outside has logged it:
// what its digest is made of, and what schema and profile say, is theirs.
type Input struct {
	Name       string            `json:"name"`
	Digest     string            `json:"digest"`
	SourceType string            `json:"source_type,omitempty"`
	Source     string            `json:"source,omitempty"`
	Schema     string            `json:"schema,omitempty"`
	Profile    string            `json:"profile,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
}

// ContextTag is the tag of an input that says what it was read for.
const ContextTag = "mlflow.data.context"

// AllInputs returns what a run has read, whoever has recorded it.
func (r *Run) AllInputs() []Input {
	all := make([]Input, 0, len(r.Data)+len(r.Inputs))
	for _, d := range r.Data {
		all = append(all, Input{
			Name: path.Base(d.Path), Digest: string(d.Digest), SourceType: "troupe", Source: d.Path, Tags: map[string]string{ContextTag: d.Role},
		})
	}
	return append(all, r.Inputs...)
}

// AddInputs logs what a run has read, and which logged models it has used. An input
// of the same name and digest as one that is there adds its tags to it.
func (b *Book) AddInputs(ctx context.Context, id ID, inputs []Input, models []ID) error {
	for _, in := range inputs {
		if in.Name == "" || in.Digest == "" {
			return fault.New(fault.Invalid, "an input of run %s has no name or no digest", id)
		}
	}
	_, err := b.change(ctx, id, func(r *Run) error {
		if err := active(r); err != nil {
			return err
		}
		for _, in := range inputs {
			i := slices.IndexFunc(r.Inputs, func(old Input) bool { return old.Name == in.Name && old.Digest == in.Digest })
			if i < 0 {
				r.Inputs = append(r.Inputs, in)
			} else {
				r.Inputs[i].Tags = merged(r.Inputs[i].Tags, in.Tags)
			}
		}
		for _, m := range models {
			if !slices.Contains(r.ModelInputs, m) {
				r.ModelInputs = append(r.ModelInputs, m)
			}
		}
		return nil
	})
	return err
}

// ArtifactURI is where clients of MLflow find the run's artifacts.
func (r *Run) ArtifactURI() string {
	if r.Kind == LoggedModel {
		return "mlflow-artifacts:/" + r.groupID() + "/" + ModelsFolder + "/" + string(r.ID) + "/artifacts"
	}
	return "mlflow-artifacts:/" + r.groupID() + "/" + string(r.ID) + "/artifacts"
}

func (r *Run) groupID() string {
	if r.Group == "" {
		return DefaultGroup
	}
	return r.Group
}

// PutArtifact records that something is an artifact of a run, in the place of
// what had the path before.
func (b *Book) PutArtifact(ctx context.Context, id ID, at string, a Artifact) error {
	if err := CheckPath(at); err != nil {
		return err
	}
	_, err := b.change(ctx, id, func(r *Run) error {
		if err := active(r); err != nil {
			return err
		}
		if r.Job != "" && r.Artifacts[at].Digest != "" && r.Artifacts[at].Digest != a.Digest {
			return fault.New(fault.Conflict, "%q of run %s was made by job %s, and stays", at, id, r.Job)
		}
		for other := range r.Artifacts {
			if strings.HasPrefix(other, at+"/") || strings.HasPrefix(at, other+"/") {
				return fault.New(fault.Conflict, "%q cannot be an artifact of %s beside %q: one would be a file and a folder", at, r.title(), other)
			}
		}
		put(&r.Artifacts, at, a)
		return nil
	})
	return err
}

// DropArtifacts forgets the artifact of a path and those in the folder of that
// name. NotFound when there is none.
func (b *Book) DropArtifacts(ctx context.Context, id ID, at string) error {
	_, err := b.change(ctx, id, func(r *Run) error {
		if err := active(r); err != nil {
			return err
		}
		before := len(r.Artifacts)
		maps.DeleteFunc(r.Artifacts, func(p string, _ Artifact) bool { return at == "" || p == at || strings.HasPrefix(p, at+"/") })
		switch {
		case len(r.Artifacts) == before:
			return fault.New(fault.NotFound, "%s has no artifact %q", r.title(), at)
		case r.Job != "":
			return fault.New(fault.Conflict, "the artifacts of run %s were made by job %s, and stay: delete the run", id, r.Job)
		}
		return nil
	})
	return err
}

// CheckPath returns an error of kind Invalid unless p may be the path of an
// artifact: relative, with slashes, without . and .. in it.
func CheckPath(p string) error {
	if p == "" || len(p) > 1000 || path.IsAbs(p) || path.Clean(p) != p || p == "." || p == ".." || strings.HasPrefix(p, "../") || strings.ContainsAny(p, "\\\x00\n\r") {
		return fault.New(fault.Invalid, "%.200q cannot be the path of an artifact: use a relative one with slashes, without . and .. in it", p)
	}
	return nil
}
