package runs

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

// LoggedModel is the kind of what is no run but a logged model.
const LoggedModel = "logged-model"

// ModelsFolder is where in an experiment's artifacts those of logged models are.
const ModelsFolder = "models"

// VersionsTag is the tag of a logged model that lists, as JSON, which versions of
// registered models it is.
const VersionsTag = "mlflow.modelVersions"

// LoggedModels are the models that clients of MLflow 3 log: each a folder of
// artifacts with params, tags and metrics. One is kept as a run is, of kind
// LoggedModel and among its own kind, so what holds of runs that are logged at once,
// cut off or deleted holds of it. Running means that its artifacts are still coming.
// It is safe for concurrent use.
//
// Of a metric the newest point counts for each run and data set. It outlives its
// run.
type LoggedModels struct{ book *Book }

// OpenLoggedModels returns the logged models in a store.
func OpenLoggedModels(st store.Store) *LoggedModels {
	return &LoggedModels{open(st, "logged model", "logged")}
}

// Create makes a logged model, of whose id and kind nothing is needed. Group is the
// id of its experiment. NotFound when there is none, Invalid when that is deleted or
// a name cannot be one.
func (l *LoggedModels) Create(ctx context.Context, m Run) (Run, error) {
	if strings.ContainsAny(m.Name, `/:.%"'`) {
		return Run{}, fault.New(fault.Invalid, `%.80q cannot be the name of a logged model: use one without / : . %% " '`, m.Name)
	}
	if _, err := l.book.openGroup(ctx, m.Group); err != nil {
		return Run{}, err
	}
	b := Batch{Params: pairsOf(m.Params), Tags: pairsOf(m.Tags)}
	if err := b.check(); err != nil {
		return Run{}, err
	}
	id := NewID()
	m.ID, m.Job, m.Kind, m.Status = "m-"+id, "", LoggedModel, Running
	if m.Name == "" {
		m.Name = "model-" + string(id[:8])
	}
	m.Changed = stamp(m.Started)
	return l.book.Record(ctx, m)
}

func pairsOf(m map[string]string) (list []Pair) {
	for k, v := range m {
		list = append(list, Pair{k, v})
	}
	return list
}

func stamp(at time.Time) time.Time { return at.UTC().Truncate(time.Microsecond) }

// Show returns the logged model of an id; NotFound when there is none, or it was
// deleted.
func (l *LoggedModels) Show(ctx context.Context, id ID) (Run, error) {
	m, err := l.book.runs.Load(ctx, string(id))
	if err != nil && fault.Of(err) == fault.NotFound {
		err = l.book.missing(id)
	}
	if err == nil {
		err = gone(&m)
	}
	if err == nil {
		err = active(&m)
	}
	if err != nil {
		return Run{}, err
	}
	return l.book.whole(ctx, m)
}

// Finalize says how the upload of its artifacts has ended.
func (l *LoggedModels) Finalize(ctx context.Context, id ID, status Status, at time.Time) (Run, error) {
	return l.book.change(ctx, id, func(m *Run) error {
		if err := active(m); err != nil {
			return err
		}
		m.Status, m.Changed = status, stamp(at)
		return l.book.fold(ctx, m)
	})
}

// AddParams adds params. One that is there already must have the value that it has;
// else nothing is added, and the error is of kind Invalid.
func (l *LoggedModels) AddParams(ctx context.Context, id ID, params []Pair) error {
	return l.book.Log(ctx, id, Batch{Params: params})
}

// Tag sets tags.
func (l *LoggedModels) Tag(ctx context.Context, id ID, tags []Pair) error {
	return l.book.Log(ctx, id, Batch{Tags: tags})
}

// Untag removes a tag, or is NotFound.
func (l *LoggedModels) Untag(ctx context.Context, id ID, key string) error {
	return l.book.Untag(ctx, id, key)
}

// Registered adds a version of a registered model to those under VersionsTag.
func (l *LoggedModels) Registered(ctx context.Context, id ID, name, version string) error {
	type named struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	_, err := l.book.change(ctx, id, func(m *Run) error {
		var all []named
		_ = json.Unmarshal([]byte(m.Tags[VersionsTag]), &all) //nolint:errcheck // what is no list names no version
		text, err := json.Marshal(append(all, named{name, version}))
		put(&m.Tags, VersionsTag, string(text))
		return err
	})
	return err
}

// Delete hides a logged model; its artifacts are given up some time later. Deleting
// it again changes nothing.
func (l *LoggedModels) Delete(ctx context.Context, id ID, at time.Time) error {
	return l.book.Delete(ctx, id, at)
}

// PutArtifact is that of Book.
func (l *LoggedModels) PutArtifact(ctx context.Context, id ID, at string, a Artifact) error {
	return l.book.PutArtifact(ctx, id, at, a)
}

// DropArtifacts is that of Book.
func (l *LoggedModels) DropArtifacts(ctx context.Context, id ID, at string) error {
	return l.book.DropArtifacts(ctx, id, at)
}

// Check returns the error that Log would return of a model that is not there.
func (l *LoggedModels) Check(ctx context.Context, id ID) error {
	s, err := l.book.standing(ctx, id)
	if err == nil {
		err = s.err
	}
	return err
}

// Log adds points of metrics. Logging them again does not double them.
func (l *LoggedModels) Log(ctx context.Context, id ID, points []Measure) error {
	if err := (Batch{Metrics: points}).check(); err != nil {
		return err
	}
	for _, p := range points {
		if text := string(p.Run) + p.Dataset + p.Digest; len(text) > 2000 || strings.Contains(text, ofMetric) {
			return fault.New(fault.Invalid, "the metric %q is of a data set whose name and digest are too long, or no text", p.Metric)
		}
	}
	return l.book.logAlone(ctx, id, measures{Version: 1, Points: points})
}

// ModelMetrics returns the newest points of a logged model, by metric, run and data
// set.
func (r *Run) ModelMetrics() []Measure {
	all := make([]Measure, 0, len(r.Latest))
	for _, key := range slices.Sorted(maps.Keys(r.Latest)) {
		all = append(all, measureOf(key, r.Latest[key]))
	}
	return all
}

// Doomed returns those that were deleted before an instant, themselves or with their
// experiment.
func (l *LoggedModels) Doomed(ctx context.Context, before time.Time) ([]Run, error) {
	d, err := l.book.Doomed(ctx, before)
	return d.Runs, err
}

// Purge is that of Book.
func (l *LoggedModels) Purge(ctx context.Context, id ID, at time.Time) error {
	return l.book.Purge(ctx, id, at)
}

// Purged is that of Book.
func (l *LoggedModels) Purged(ctx context.Context) ([]ID, error) { return l.book.Purged(ctx) }
