package progress_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/progress"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/jobs/run"
)

func state(status, stage string, done, tasks int) backend.Update {
	return backend.Update{State: &run.Summary{Job: "j", Status: status, Stage: stage, TasksDone: done, Tasks: tasks}}
}

func rows(task string, n, total int64, text string) backend.Update {
	return backend.Update{Progress: &api.Progress{Job: "j", Task: task, Rows: n, Total: total, Text: text}}
}

func at(seconds float64) time.Time {
	return time.Unix(0, 0).Add(time.Duration(seconds * float64(time.Second)))
}

func TestStagesAreReadOffTheStates(t *testing.T) {
	t.Parallel()
	var tr progress.Tracker
	tr.Hear(state("running", "", 0, 0), at(0))
	assert.Empty(t, tr.Stages())
	tr.Hear(state("running", "survey", 0, 1), at(0))
	tr.Hear(state("running", "survey", 1, 1), at(1))
	tr.Hear(state("running", "apply", 1, 5), at(2))
	tr.Hear(state("running", "apply", 2, 5), at(3))
	tr.Hear(rows("apply/1", 100, 400, ""), at(4))
	tr.Hear(rows("apply/0", 400, 400, ""), at(4))
	stages := tr.Stages()
	require.Len(t, stages, 2)
	assert.Equal(t, "survey: 1/1 tasks, 2.0 s", "survey: "+stages[0].Facts(at(9)))
	assert.True(t, stages[0].Done())
	apply := stages[1]
	assert.Equal(t, 4, apply.Tasks)
	assert.InDelta(t, 1.25/4, apply.Share(), 1e-9, "one task of four is done, and a quarter of another")
	assert.InDelta(t, 250, apply.RowsPerSecond(at(4)), 1e-9)
	assert.InDelta(t, (2*time.Second).Seconds()*(1-1.25/4)/(1.25/4), apply.Left(at(4)).Seconds(), 1e-6)
	assert.Equal(t, "1/4 tasks, 500 rows, 250 rows/s, about 4s left", apply.Facts(at(4)))
	tr.Hear(state("succeeded", "", 5, 5), at(6))
	assert.True(t, apply.Done())
	assert.InDelta(t, 1, apply.Share(), 0)
}

func TestOldNewsChangesNothing(t *testing.T) {
	t.Parallel()
	var tr progress.Tracker
	tr.Hear(state("running", "survey", 0, 1), at(0))
	tr.Hear(state("running", "apply", 1, 3), at(1))
	tr.Hear(state("running", "apply", 2, 3), at(2))
	for _, old := range []backend.Update{state("running", "", 0, 0), state("running", "survey", 0, 1), state("running", "survey", 1, 1),
		state("running", "apply", 1, 3), rows("survey/0", 9, 9, "old"), {}} {
		tr.Hear(old, at(3))
	}
	require.Len(t, tr.Stages(), 2)
	assert.Equal(t, 1, tr.Stages()[1].TasksDone)
	assert.Empty(t, tr.Stages()[1].Text)
}

func TestAnAttemptThatBeginsAnewTakesItsRowsBack(t *testing.T) {
	t.Parallel()
	var tr progress.Tracker
	tr.Hear(state("running", "apply", 0, 1), at(0))
	tr.Hear(rows("apply/0", 90, 100, ""), at(1))
	tr.Hear(rows("apply/0", 10, 100, ""), at(2))
	assert.Equal(t, int64(10), tr.Stages()[0].Rows)
}

func TestAFailedStageIsNotShownAsDone(t *testing.T) {
	t.Parallel()
	var tr progress.Tracker
	tr.Hear(state("running", "apply", 0, 4), at(0))
	tr.Hear(state("failed", "", 1, 4), at(1))
	assert.False(t, tr.Stages()[0].Done())
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -12: "-12"} {
		assert.Equal(t, want, progress.Thousands(n))
	}
}

// safe is a buffer that several goroutines may use.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestOffATerminalThereIsALineEveryFewSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &safe{}
		cfg := progress.DefaultConfig()
		cfg.Out = out
		v := progress.New(cfg)
		v.Hear(state("running", "survey", 0, 1))
		v.Hear(state("running", "train", 1, 2))
		v.Hear(rows("train/0", 500, 1000, "epoch 1 loss 0.5\x1b[2J"))
		<-cfg.Clock.After(12 * time.Second)
		v.Hear(backend.Update{Notice: "n1 is gone"})
		v.Hear(state("succeeded", "", 2, 2))
		v.Close()
		v.Close()
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		assert.Equal(t, []string{
			"survey: 1/1 tasks, 0.0 s",
			`train: 0/1 tasks, 500 rows, 100 rows/s, epoch 1 loss 0.5\x1b[2J, about 5s left`,
			`train: 0/1 tasks, 500 rows, 50 rows/s, epoch 1 loss 0.5\x1b[2J, about 10s left`,
			"n1 is gone",
			`train: 1/1 tasks, 500 rows, 41 rows/s, epoch 1 loss 0.5\x1b[2J, 12.0 s`,
		}, lines)
	})
}

func TestOnATerminalThereIsABarForEachStage(t *testing.T) {
	t.Parallel()
	out := &safe{}
	cfg := progress.DefaultConfig()
	cfg.Out, cfg.Terminal = out, true
	v := progress.New(cfg)
	v.Hear(state("running", "survey", 0, 1))
	v.Hear(state("running", "train", 1, 2))
	v.Hear(rows("train/0", 500, 1000, "epoch 1 loss 0.5"))
	v.Hear(state("succeeded", "", 2, 2))
	v.Close()
	text := out.String()
	assert.Contains(t, text, "survey")
	assert.Contains(t, text, "epoch 1 loss 0.5")
	assert.Contains(t, text, "1/1  epoch 1 loss 0.5")
}
