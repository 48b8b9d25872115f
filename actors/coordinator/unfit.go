package coordinator

import (
	"time"

	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/plan"
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
			c.emit(t, jobs.Event{Kind: jobs.Rejected, Failure: plan.TooLarge(stage, most)})
		}
	}
}
