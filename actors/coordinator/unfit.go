package coordinator

import (
	"fmt"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
)

// rejectUnfit ends the jobs whose tasks need more memory than any member here
// has, busy or not, once they have waited long enough for a larger one.
func (c *Core) rejectUnfit(now time.Time) {
	most := int64(-1)
	for _, m := range c.members {
		if m.hello.Slots > 0 && !m.hello.Draining {
			most = max(most, m.hello.MaxBytes)
		}
	}
	for _, id := range c.order {
		t := c.jobs[id]
		stage, _ := t.job.Current()
		fits := most < 0 || stage == nil || t.job.StageDone() || stage.MaxBytes <= most
		switch {
		case fits:
			t.unfit = time.Time{}
		case t.unfit.IsZero():
			t.unfit = now
		case now.Sub(t.unfit) >= c.cfg.UnfitAfter:
			c.emit(t, jobs.Event{Kind: jobs.Rejected, Failure: &jobs.Failure{
				Kind: fault.Exhausted,
				Message: fmt.Sprintf("stage %s: a task may need %s of memory, and the largest worker has %s for tasks: start one with more (--memory)",
					stage.Name, gib(stage.MaxBytes), gib(most)),
			}})
		}
	}
}

func gib(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }
