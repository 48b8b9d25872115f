package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
	"github.com/troupe-ml/troupe/jobs/run/files"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
)

// The scratch folder is where jobs that write no folder of their own, which train,
// leave the rows of their windows on their way: one folder below it for each job.
// Whoever names it promises that all workers share it; a job's survey notes it, so
// that all tasks of the job do the same. It goes with the end of its job.

// unusedScratch is how long nothing was written into the folder of a job that has
// ended before somebody else removes it: what an attempt has left that did not know
// of the end.
const unusedScratch = 10 * time.Minute

// scratch returns the folder for a job's rows on their way, "" where these are blobs.
func (w *work) scratch(facts plan.Facts) string {
	if w.Scratch == "" || w.Store.Spill != nil || len(facts.Windows) == 0 || outputOf(w.spec) != "" {
		return ""
	}
	return filepath.Join(w.Scratch, string(w.task.Job))
}

// onTheWay is where this task leaves rows for others: beside the parts of the job's
// output, in the job's scratch folder, or as blobs, which is the zero dir.
func (w *work) onTheWay() (output, error) {
	o := w.output()
	if w.Store.Spill != nil {
		o.dir = ""
		return o, nil
	}
	if o.dir != "" {
		return o, nil
	}
	var s Survey
	if err := w.input(plan.Survey, &s); err != nil {
		return o, err
	}
	o.dir, o.apart = s.Scratch, s.Scratch
	return o, nil
}

// lacking says of a file with rows on their way that is not there what that means.
func lacking(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "%s, which another worker has written, is not here: the output's folder, or the scratch folder (--scratch), must be one that all workers share: %w", path, err)
	}
	return err
}

// dropScratch removes a job's scratch folder, if its survey has noted one.
func dropScratch(s *Survey) error {
	if s == nil || s.Scratch == "" {
		return nil
	}
	return files.DiskFault(os.RemoveAll(s.Scratch))
}

// SweepScratch removes what attempts that did not know of their job's end have left
// in the scratch folder. What belongs to jobs that nobody here knows stays.
func (e *Env) SweepScratch(ctx context.Context) error {
	if e.Scratch == "" {
		return nil
	}
	entries, err := os.ReadDir(e.Scratch)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return files.DiskFault(fmt.Errorf("scratch folder: %w", err))
	}
	var errs []error
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.IsDir() || e.Clock.Now().Sub(info.ModTime()) < unusedScratch {
			continue
		}
		j, err := joblog.Load(ctx, e.Store, jobs.ID(entry.Name()))
		if err != nil || !j.Phase.Ended() {
			continue
		}
		errs = append(errs, files.DiskFault(os.RemoveAll(filepath.Join(e.Scratch, entry.Name()))))
	}
	return errors.Join(errs...)
}
