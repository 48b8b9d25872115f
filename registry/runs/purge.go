package runs

import (
	"context"
	"slices"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/document"
)

// Doomed is what was deleted long enough ago to be given up for good.
type Doomed struct {
	Runs        []Run        // trimmed, as of Search; those of the experiments, too
	Experiments []Experiment // of which no run will be left
}

// Doomed returns what was deleted before an instant, itself or with its
// experiment. The run of a job that still runs is not doomed, and neither is its
// experiment.
func (b *Book) Doomed(ctx context.Context, before time.Time) (Doomed, error) {
	all, err := b.all(ctx)
	if err != nil {
		return Doomed{}, err
	}
	groups, err := b.Experiments.List(ctx)
	if err != nil {
		return Doomed{}, err
	}
	old := func(t time.Time) bool { return !t.IsZero() && t.Before(before) }
	var out Doomed
	left := map[string]bool{} // experiments with runs that stay
	for _, p := range all {
		if p.Status == Running && p.Job != "" || !old(p.Deleted) && !old(p.experiment.Deleted) {
			left[p.experiment.ID] = true
			continue
		}
		out.Runs = append(out.Runs, p.Run)
	}
	for _, e := range groups {
		if old(e.Deleted) && !left[e.ID] {
			out.Experiments = append(out.Experiments, e)
		}
	}
	return out, nil
}

// Purge gives up what a deleted run holds: of it only its id, name and times are
// left, and no address of it means anything any more. Purging again changes
// nothing. Conflict when it was restored, or its job still runs.
func (b *Book) Purge(ctx context.Context, id ID, at time.Time) error {
	c, err := b.Experiments.catalogue(ctx)
	if err != nil {
		return err
	}
	_, err = b.runs.Update(ctx, string(id), func(r *Run, exists bool) error {
		switch {
		case !exists:
			return b.missing(id)
		case !r.Purged.IsZero():
			return document.Unchanged
		case !c.place(*r).deleted():
			return fault.New(fault.Conflict, "%s is not deleted: delete it before it is purged", r.title())
		case r.Status == Running && r.Job != "":
			return fault.New(fault.Conflict, "run %s is that of job %s, which still runs", id, r.Job)
		}
		*r = Run{
			ID: r.ID, Job: r.Job, Kind: r.Kind, Name: r.Name, Group: r.Group, Experiment: r.Experiment, Owner: r.Owner, Status: r.Status,
			Started: r.Started, Ended: r.Ended, Deleted: r.Deleted, Purged: at.UTC().Truncate(time.Microsecond),
		}
		return nil
	})
	return err
}

// Purged returns the ids of the runs that were purged.
func (b *Book) Purged(ctx context.Context) ([]ID, error) {
	docs, err := b.runs.All(ctx)
	if err != nil {
		return nil, err
	}
	var ids []ID
	for _, doc := range docs {
		if !doc.Purged.IsZero() {
			ids = append(ids, doc.ID)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Purge forgets a deleted experiment, whose name is free then; its id is never
// given again. Purging what is gone is no error. Conflict when it was restored.
func (e *Experiments) Purge(ctx context.Context, id string) error {
	return e.update(ctx, func(c *catalogue) error {
		i := slices.IndexFunc(c.All, func(x Experiment) bool { return x.ID == id })
		if i < 0 {
			return document.Unchanged
		}
		if c.All[i].Deleted.IsZero() {
			return fault.New(fault.Conflict, "experiment %s is not deleted: delete it before it is purged", id)
		}
		c.All = slices.Delete(c.All, i, i+1)
		return nil
	})
}
