package runs

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/document"
	"github.com/troupe-ml/troupe/registry/query"
	"github.com/troupe-ml/troupe/store"
)

// Experiment is a group of runs.
type Experiment struct {
	ID       string            `json:"id"` // a whole number, as clients of MLflow expect
	Name     string            `json:"name"`
	Created  time.Time         `json:"created"`
	Changed  time.Time         `json:"changed"`
	Deleted  time.Time         `json:"deleted,omitzero"`
	Location string            `json:"location,omitempty"` // of the artifacts, if it is not this store
	Tags     map[string]string `json:"tags,omitempty"`
}

// DefaultGroup is the id of the experiment of runs that name none.
const DefaultGroup = "0"

// Experiments are all groups of runs, in one document, so that no two have the
// same name. It is safe for concurrent use.
type Experiments struct {
	docs document.Collection[catalogue]
}

// catalogue is the one document.
type catalogue struct {
	Next int          `json:"next"` // the id of the next one; 0 is the default's
	All  []Experiment `json:"all"`
}

const catalogueKey = "all"

func openExperiments(st store.Store) *Experiments {
	return &Experiments{document.Collection[catalogue]{Prefix: "experiments", Blobs: st.Blobs, Refs: st.Refs}}
}

// fill makes the default group, which is always there.
func (c *catalogue) fill() {
	if len(c.All) == 0 {
		c.All, c.Next = []Experiment{{ID: DefaultGroup, Name: "Default"}}, 1
	}
}

func (e *Experiments) catalogue(ctx context.Context) (*catalogue, error) {
	c, err := e.docs.Load(ctx, catalogueKey)
	if err != nil && fault.Of(err) != fault.NotFound {
		return nil, err
	}
	c.fill()
	return &c, nil
}

func (c *catalogue) find(is func(*Experiment) bool) *Experiment {
	if i := slices.IndexFunc(c.All, func(e Experiment) bool { return is(&e) }); i >= 0 {
		return &c.All[i]
	}
	return nil
}

func (c *catalogue) byID(id string) *Experiment {
	return c.find(func(e *Experiment) bool { return e.ID == id })
}

func (c *catalogue) byName(name string) *Experiment {
	return c.find(func(e *Experiment) bool { return e.Name == name })
}

// place finds the experiment of a run: by its id, or of an old run by its name.
func (c *catalogue) place(r Run) placed {
	var e *Experiment
	switch {
	case r.Group != "":
		e = c.byID(r.Group)
	case r.Experiment != "":
		e = c.byName(r.Experiment)
	}
	if e == nil {
		e = c.byID(DefaultGroup)
	}
	r.Group = e.ID
	if r.Experiment != "" || e.ID != DefaultGroup {
		r.Experiment = e.Name
	}
	return placed{r, *e}
}

// List returns all experiments, in the order of their making.
func (e *Experiments) List(ctx context.Context) ([]Experiment, error) {
	c, err := e.catalogue(ctx)
	if err != nil {
		return nil, err
	}
	return c.All, nil
}

// Show returns the experiment of an id, deleted or not, or NotFound.
func (e *Experiments) Show(ctx context.Context, id string) (Experiment, error) {
	c, err := e.catalogue(ctx)
	if err != nil {
		return Experiment{}, err
	}
	if found := c.byID(id); found != nil {
		return *found, nil
	}
	return Experiment{}, noExperiment(id)
}

func noExperiment(id string) error {
	return fault.New(fault.NotFound, "there is no experiment with the id %q", id)
}

// Named returns the experiment of a name, deleted or not, or NotFound.
func (e *Experiments) Named(ctx context.Context, name string) (Experiment, error) {
	c, err := e.catalogue(ctx)
	if err != nil {
		return Experiment{}, err
	}
	if found := c.byName(name); found != nil {
		return *found, nil
	}
	return Experiment{}, fault.New(fault.NotFound, "there is no experiment %q", name)
}

// Create makes an experiment; its id is ignored. Conflict when the name is
// taken, Invalid when it cannot be one.
func (e *Experiments) Create(ctx context.Context, x Experiment) (Experiment, error) {
	if err := checkName(x.Name); err != nil {
		return Experiment{}, err
	}
	err := e.update(ctx, func(c *catalogue) error {
		if old := c.byName(x.Name); old != nil {
			return taken(old)
		}
		x = c.add(x)
		return nil
	})
	return x, err
}

// Ensure returns the experiment of a name, and makes it if there is none.
func (e *Experiments) Ensure(ctx context.Context, name string, at time.Time) (Experiment, error) {
	if found, err := e.Named(ctx, name); err == nil || fault.Of(err) != fault.NotFound {
		return found, err
	}
	var made Experiment
	err := e.update(ctx, func(c *catalogue) error {
		if old := c.byName(name); old != nil {
			made = *old
			return document.Unchanged
		}
		made = c.add(Experiment{Name: name, Created: at, Changed: at})
		return nil
	})
	return made, err
}

func (c *catalogue) add(x Experiment) Experiment {
	x.ID = strconv.Itoa(c.Next)
	c.Next++
	c.All = append(c.All, x)
	return x
}

func taken(old *Experiment) error {
	if !old.Deleted.IsZero() {
		return fault.New(fault.Conflict, "the name %q is that of experiment %s, which is deleted: restore it, or take another name", old.Name, old.ID)
	}
	return fault.New(fault.Conflict, "the experiment %q exists already, with the id %s", old.Name, old.ID)
}

func (e *Experiments) update(ctx context.Context, change func(*catalogue) error) error {
	_, err := e.docs.Update(ctx, catalogueKey, func(c *catalogue, _ bool) error {
		c.fill()
		return change(c)
	})
	return err
}

// change changes one experiment at a time.
func (e *Experiments) change(ctx context.Context, id string, at time.Time, change func(*catalogue, *Experiment) error) error {
	return e.update(ctx, func(c *catalogue) error {
		x := c.byID(id)
		if x == nil {
			return noExperiment(id)
		}
		x.Changed = at
		return change(c, x)
	})
}

// Rename gives an experiment another name. Conflict when it is taken; Invalid
// when the experiment is deleted, or the name cannot be one.
func (e *Experiments) Rename(ctx context.Context, id, name string, at time.Time) error {
	if err := checkName(name); err != nil {
		return err
	}
	return e.change(ctx, id, at, func(c *catalogue, x *Experiment) error {
		if old := c.byName(name); old != nil && old.ID != id {
			return taken(old)
		}
		if !x.Deleted.IsZero() {
			return fault.New(fault.Invalid, "experiment %s is deleted: restore it before it is renamed", id)
		}
		x.Name = name
		return nil
	})
}

// Delete hides an experiment and its runs until it is restored.
func (e *Experiments) Delete(ctx context.Context, id string, at time.Time) error {
	return e.change(ctx, id, at, func(_ *catalogue, x *Experiment) error {
		if id == DefaultGroup {
			return fault.New(fault.Invalid, "the default experiment cannot be deleted")
		}
		if !x.Deleted.IsZero() {
			return fault.New(fault.NotFound, "experiment %s is deleted already", id)
		}
		x.Deleted = at
		return nil
	})
}

// Restore shows a deleted experiment and its runs again.
func (e *Experiments) Restore(ctx context.Context, id string, at time.Time) error {
	return e.change(ctx, id, at, func(_ *catalogue, x *Experiment) error {
		if x.Deleted.IsZero() {
			return fault.New(fault.NotFound, "experiment %s is not deleted", id)
		}
		x.Deleted = time.Time{}
		return nil
	})
}

// Tag sets a tag of an experiment.
func (e *Experiments) Tag(ctx context.Context, id, key, value string, at time.Time) error {
	return e.change(ctx, id, at, func(_ *catalogue, x *Experiment) error {
		put(&x.Tags, key, value)
		return nil
	})
}

// Untag removes a tag of an experiment, or is NotFound.
func (e *Experiments) Untag(ctx context.Context, id, key string, at time.Time) error {
	return e.change(ctx, id, at, func(_ *catalogue, x *Experiment) error {
		if _, ok := x.Tags[key]; !ok {
			return fault.New(fault.NotFound, "experiment %s has no tag %q", id, key)
		}
		delete(x.Tags, key)
		return nil
	})
}

// GroupGrammar is what experiments can be searched by.
var GroupGrammar = query.Grammar{
	Kinds:   []query.Kind{query.Attribute, query.Tag},
	Numbers: []string{"creation_time", "last_update_time"},
	Texts:   []string{"name", "experiment_id"},
}

// Number implements query.Subject.
func (x *Experiment) Number(f query.Field) (float64, bool) {
	t := x.Created
	if f.Key == "last_update_time" {
		t = x.Changed
	}
	return float64(millis(t)), true
}

// Texts implements query.Subject.
func (x *Experiment) Texts(f query.Field) []string {
	switch {
	case f.Kind == query.Tag:
		return valueOf(x.Tags, f.Key)
	case f.Key == "experiment_id":
		return []string{x.ID}
	default:
		return []string{x.Name}
	}
}

// millis is the time in milliseconds since 1970, which is that of no time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func checkName(name string) error {
	if strings.TrimSpace(name) == "" || len(name) > 500 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return fault.New(fault.Invalid, "%.80q cannot be the name of an experiment: use 1 to 500 characters on one line", name)
	}
	return nil
}
