package runs

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/query"
)

// Show returns the run of an id or of the only id that begins so, also as the
// address runs:/ID, of whatever in it. NotFound when there is none, Invalid when
// there are several.
func (b *Book) Show(ctx context.Context, id ID) (Run, error) {
	id = named(id)
	run, err := b.runs.Load(ctx, string(id))
	if err == nil {
		err = gone(&run)
		if err == nil {
			run, err = b.whole(ctx, run)
		}
		return run, err
	}
	if fault.Of(err) != fault.NotFound {
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
		return b.Show(ctx, ID(found[0]))
	case 0:
		return Run{}, b.missing(id)
	default:
		return Run{}, fault.New(fault.Invalid, "%d runs begin with %q: %s and %s are two", len(found), id, found[0], found[1])
	}
}

// named takes the id out of an address: people copy them from where they are shown.
func named(id ID) ID {
	rest, isAddress := strings.CutPrefix(string(id), "runs:/")
	if !isAddress {
		return id
	}
	rest, _, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
	return ID(rest)
}

// Whole returns a run as Show does, with the present name of its experiment and
// all points of all metrics, those that were logged from outside, too.
func (b *Book) Whole(ctx context.Context, id ID) (Run, error) {
	run, err := b.Show(ctx, id)
	if err != nil {
		return Run{}, err
	}
	c, err := b.Experiments.catalogue(ctx)
	if err != nil {
		return Run{}, err
	}
	run = c.place(run).Run
	run.Metrics, err = b.Histories(ctx, run)
	return run, err
}

// Hide is Delete of the run of an id or of the only one that begins so.
func (b *Book) Hide(ctx context.Context, id ID, at time.Time) (Run, error) {
	run, err := b.Show(ctx, id)
	if err == nil {
		err = b.Delete(ctx, run.ID, at)
	}
	if err != nil {
		return Run{}, err
	}
	return b.Show(ctx, run.ID)
}

// Unhide is Restore of the run of an id or of the only one that begins so.
func (b *Book) Unhide(ctx context.Context, id ID) (Run, error) {
	run, err := b.Show(ctx, id)
	if err == nil {
		err = b.Restore(ctx, run.ID)
	}
	if err != nil {
		return Run{}, err
	}
	return b.Show(ctx, run.ID)
}

// gone returns an error of kind NotFound for a run that was purged.
func gone(r *Run) error {
	if r.Purged.IsZero() {
		return nil
	}
	return fault.New(fault.NotFound, "%s was deleted, and purged on %s", r.title(), r.Purged.Format(time.DateOnly))
}

// placed is a run and the experiment that it is in.
type placed struct {
	Run
	experiment Experiment
}

// deleted reports whether the run or its experiment is deleted.
func (p placed) deleted() bool { return !p.Deleted.IsZero() || !p.experiment.Deleted.IsZero() }

// all returns the trimmed runs, the newest first, with the present names of
// their experiments.
func (b *Book) all(ctx context.Context) ([]*placed, error) {
	docs, err := b.runs.All(ctx)
	if err != nil {
		return nil, err
	}
	if docs, err = b.tailed(ctx, docs); err != nil {
		return nil, err
	}
	groups, err := b.Experiments.catalogue(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]*placed, 0, len(docs))
	for _, doc := range docs {
		if !doc.Purged.IsZero() {
			continue
		}
		p := groups.place(*doc)
		all = append(all, &p)
	}
	slices.SortFunc(all, func(x, y *placed) int {
		return cmp.Or(y.Started.Compare(x.Started), cmp.Compare(x.ID, y.ID))
	})
	return all, nil
}

// ExperimentOf returns the experiment that a run is in.
func (b *Book) ExperimentOf(ctx context.Context, r Run) (Experiment, error) {
	c, err := b.Experiments.catalogue(ctx)
	if err != nil {
		return Experiment{}, err
	}
	return c.place(r).experiment, nil
}

// View says which runs or experiments are wanted.
type View int

// The views.
const (
	Active View = iota
	OnlyDeleted
	Everything
)

// Shows reports whether the view has what is deleted or not.
func (v View) Shows(deleted bool) bool { return v == Everything || deleted == (v == OnlyDeleted) }

// Search is a question for runs.
type Search struct {
	Groups []string // ids of experiments; nil for all
	Filter string   // in the language of package query; empty for all
	Order  []string // by what; then, and by default, the newest first
	View   View
	Limit  int    // at most so many; 0 for all
	Page   string // where the page before has ended, by its Found.Next
}

// Found is a page of an answer.
type Found struct {
	Runs []Run  // with the newest point alone of each metric, and without spec: Show returns a run whole
	Next string // asks for the next page; empty at the end
}

// Search returns the runs that are asked for, those of one instant by id. A page
// begins where the one before has ended if nothing has changed in between. Errors
// of what is asked are of kind Invalid.
func (b *Book) Search(ctx context.Context, s Search) (Found, error) {
	all, err := b.all(ctx)
	if err != nil {
		return Found{}, err
	}
	chosen := make([]*placed, 0, len(all))
	for _, p := range all {
		if (s.Groups == nil || slices.Contains(s.Groups, p.Group)) && s.View.Shows(p.deleted()) {
			chosen = append(chosen, p)
		}
	}
	page, next, err := query.Choose(Grammar, chosen, s.Filter, s.Order, s.Page, s.Limit)
	if err != nil {
		return Found{}, err
	}
	found := Found{Runs: make([]Run, len(page)), Next: next}
	for i, p := range page {
		found.Runs[i] = p.Run
		if found.Runs[i].Deleted.IsZero() {
			found.Runs[i].Deleted = p.experiment.Deleted
		}
	}
	return found, nil
}

// Grammar is what runs can be searched by.
var Grammar = query.Grammar{
	Kinds:   []query.Kind{query.Attribute, query.Metric, query.Param, query.Tag, query.Dataset},
	Numbers: []string{"start_time", "end_time"},
	Texts:   []string{"run_id", "run_name", "status", "user_id", "artifact_uri", "experiment_id", "experiment", "kind", "job", "digest"},
	Aliases: map[string]string{
		"created": "start_time", "Created": "start_time", "run name": "run_name", "Run name": "run_name", "Run Name": "run_name", "name": "run_name",
	},
}

// Number implements query.Subject.
func (p *placed) Number(f query.Field) (float64, bool) {
	switch {
	case f.Kind == query.Metric:
		point, ok := p.Metric(f.Key)
		return float64(point.Value), ok
	case f.Key == "start_time":
		return float64(p.Started.UnixMilli()), true
	default:
		return float64(p.Ended.UnixMilli()), !p.Ended.IsZero()
	}
}

// Texts implements query.Subject.
func (p *placed) Texts(f query.Field) []string {
	switch f.Kind {
	case query.Param:
		return valueOf(p.Params, f.Key)
	case query.Tag:
		if f.Key == NameTag {
			return []string{p.Name}
		}
		return valueOf(p.Tags, f.Key)
	case query.Dataset:
		return p.dataset(f.Key)
	}
	if text := p.attribute(f.Key); text != "" {
		return []string{text}
	}
	return nil
}

func (p *placed) attribute(key string) string {
	switch key {
	case "run_id":
		return string(p.ID)
	case "run_name":
		return p.Name
	case "status":
		return p.Status.Word()
	case "user_id":
		return p.Owner
	case "artifact_uri":
		return p.ArtifactURI()
	case "experiment_id":
		return p.Group
	case "experiment":
		return p.experiment.Name
	case "kind":
		return p.Kind
	case "job":
		return p.Job
	default:
		return string(p.Digest)
	}
}

func valueOf(m map[string]string, key string) []string {
	if v, ok := m[key]; ok {
		return []string{v}
	}
	return nil
}

func (p *placed) dataset(key string) (texts []string) {
	for _, d := range p.AllInputs() {
		switch key {
		case "name":
			texts = append(texts, d.Name)
		case "digest":
			texts = append(texts, d.Digest)
		default:
			texts = append(texts, valueOf(d.Tags, ContextTag)...)
		}
	}
	return texts
}

// NameTag is the tag that is the name of a run, for clients of MLflow.
const NameTag = "mlflow.runName"

// Word returns the status in the words of MLflow, in which it is searched for.
func (s Status) Word() string {
	switch s {
	case Succeeded:
		return "FINISHED"
	case Cancelled:
		return "KILLED"
	default:
		return strings.ToUpper(string(s))
	}
}

// StatusOf returns the status of a word of MLflow. The error is of kind Invalid.
func StatusOf(word string) (Status, error) {
	for _, s := range []Status{Scheduled, Running, Succeeded, Failed, Cancelled} {
		if s.Word() == word {
			return s, nil
		}
	}
	return "", fault.New(fault.Invalid, "the status %q is none: it is RUNNING, SCHEDULED, FINISHED, FAILED or KILLED", word)
}
