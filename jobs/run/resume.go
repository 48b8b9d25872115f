package run

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
)

// mayDiffer are the fields of a train spec that a run which goes on from another may
// have of its own: none of them changes what was learned up to there. The input is
// compared by its rows.
var mayDiffer = []string{"experiment", "epochs", "slices", "workers", "threads", "resume", "input"}

// mayResume refuses to go on from a run whose state is of no use to this job.
func (w *work) mayResume(id string, input *Dataset) error {
	r, err := w.Registry.Runs.Show(w.ctx, runs.ID(id))
	if err != nil {
		return fault.New(fault.Of(err), "resume: %w", err)
	}
	before, err := spec.Decode(r.Spec)
	if err != nil || before.Train == nil {
		return fault.New(fault.Invalid, "resume: run %s is no train job: name one of `troupe runs list`", id)
	}
	if w.spec.Train.Model.Type == spec.Linear {
		return fault.New(fault.Invalid, "resume: a linear model is fitted in one go: leave resume out")
	}
	if fields := differing(before.Train, w.spec.Train); len(fields) > 0 {
		return fault.New(fault.Invalid, "resume: run %s had another %s: give what it had; only epochs, experiment, slices, workers and threads may be new",
			id, strings.Join(fields, ", another "))
	}
	for _, d := range r.Data {
		if d.Role == "input" && string(d.Digest) != input.Digest {
			return fault.New(fault.Invalid, "resume: the rows of %s are not those that run %s has learned from (%s): train anew", input.Path, id, d.Path)
		}
	}
	return nil
}

// differing names the fields of two specs that are not equal and should be, with
// what each has.
func differing(a, b *spec.Train) []string {
	var out []string
	x, y := reflect.ValueOf(*a), reflect.ValueOf(*b)
	for i := range x.NumField() {
		name, _, _ := strings.Cut(x.Type().Field(i).Tag.Get("json"), ",")
		there, here := x.Field(i).Interface(), y.Field(i).Interface()
		if !slices.Contains(mayDiffer, name) && !reflect.DeepEqual(there, here) {
			out = append(out, fmt.Sprintf("%s: %s there, %s here", name, inJSON(there), inJSON(here)))
		}
	}
	return out
}

// inJSON is a field of a spec on a line of its own; what is long is cut.
func inJSON(field any) string {
	const most = 200
	b, err := json.Marshal(field)
	switch {
	case err != nil || string(b) == "null":
		return "none"
	case len(b) > most:
		return strings.ToValidUTF8(string(b[:most]), "") + "..."
	}
	return string(b)
}

// resumed returns the last state that another run has left, nil if it has left none:
// then all is begun anew, which leads to the same.
func (w *work) resumed(id string) ([]byte, error) {
	r, err := w.Registry.Runs.Show(w.ctx, runs.ID(id))
	if err != nil {
		return nil, fmt.Errorf("resume: %w", err)
	}
	j, err := joblog.Load(w.ctx, w.Store, jobs.ID(r.Job))
	if err != nil {
		return nil, fmt.Errorf("resume: run %s: %w", id, err)
	}
	tasks := j.StageTasks(plan.Train)
	if len(tasks) == 0 || tasks[0].Checkpoint == "" {
		return nil, nil
	}
	b, err := w.Store.Blobs.Get(w.ctx, store.Digest(tasks[0].Checkpoint))
	if err != nil {
		return nil, fmt.Errorf("resume: the last checkpoint of run %s: %w", id, err)
	}
	return b, nil
}
