package run

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
)

// ErrStaged is that parts which nobody will publish could not be removed.
var ErrStaged = errors.New("parts stay in the output's or the scratch folder")

// RecordEnd makes a job that has failed or was cancelled a run of the registry,
// with the reason; one that has succeeded has recorded itself. code is the
// version of the program. What is recorded already stands, so it may be called
// again, and by others. What only the job's own tasks had a use for is removed:
// blobs, and what they have staged in the output's folder or a scratch folder. The latter may not
// succeed ever, so the error is ErrStaged then: all the rest is done.
func RecordEnd(ctx context.Context, book *runs.Book, st store.Store, fs *files.Files, code string, j *jobs.Job) error {
	status := map[jobs.Phase]runs.Status{jobs.Failed: runs.Failed, jobs.Cancelled: runs.Cancelled}[j.Phase]
	if status == "" {
		return nil
	}
	run := runs.Run{
		Job: string(j.ID), Kind: j.Kind, Name: j.Name, Status: status, Spec: j.Spec, Params: params(j.Spec), Code: code,
		Started: time.UnixMilli(j.SubmittedAt).UTC(), Ended: time.UnixMilli(j.EndedAt).UTC(),
	}
	if j.Failure != nil {
		run.Error = j.Failure.Message
	}
	dir := ""
	if s, err := spec.Decode(j.Spec); err == nil {
		run.Experiment, dir = experimentOf(s), outputOf(s)
	}
	survey := surveyOf(ctx, st.Blobs, j)
	if survey != nil {
		run.Data = datasets(survey)
	}
	forget(ctx, st, j)
	if _, err := book.Record(ctx, run); err != nil {
		return fmt.Errorf("record the end of job %s: %w", j.ID, err)
	}
	err := dropScratch(survey)
	if dir != "" {
		err = (output{dir: dir, job: string(j.ID), files: fs}).unstage(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: of job %s: %w", ErrStaged, j.ID, err)
	}
	return nil
}

func experimentOf(s spec.Spec) string {
	if s.Train == nil {
		return ""
	}
	return s.Train.Experiment
}

// surveyOf returns what the job's survey has found, or nil when it has not come
// so far, or what it found cannot be had any more.
func surveyOf(ctx context.Context, blobs store.Blobs, j *jobs.Job) *Survey {
	tasks := j.StageTasks(plan.Survey)
	if len(tasks) == 0 || tasks[0].Phase != jobs.Done {
		return nil
	}
	b, err := blobs.Get(ctx, store.Digest(tasks[0].Result.Output))
	if err != nil {
		return nil
	}
	var s Survey
	if json.Unmarshal(b, &s) != nil {
		return nil
	}
	return &s
}

// datasets returns what a job has read.
func datasets(s *Survey) []runs.Dataset {
	var out []runs.Dataset
	for role, d := range map[string]*Dataset{"input": s.Input, "reference": s.Reference} {
		if d != nil {
			out = append(out, runs.Dataset{Role: role, Path: d.Path, Where: d.Where, Explode: d.Explode, Digest: store.Digest(d.Digest), Rows: d.Rows})
		}
	}
	slices.SortFunc(out, func(a, b runs.Dataset) int { return cmp.Compare(a.Role, b.Role) })
	return out
}
