// Package progress shows how a job goes on: on a terminal a bar for each stage,
// elsewhere a plain line every few seconds.
package progress

import (
	"fmt"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
)

// Stage is how far one stage of a job is.
type Stage struct {
	Name      string
	Tasks     int // how many it has
	TasksDone int
	Rows      int64  // read by its tasks so far, as far as they have said
	Text      string // what a task said last, such as the loss
	Started   time.Time
	Ended     time.Time // zero while it is being worked on

	tasks map[string]task
}

type task struct{ rows, total int64 }

// Done reports whether the stage has ended.
func (s *Stage) Done() bool { return !s.Ended.IsZero() }

// Share is the part of the stage that is done, from 0 to 1.
func (s *Stage) Share() float64 {
	if s.Done() {
		return 1
	}
	if s.Tasks == 0 {
		return 0
	}
	var begun float64 // tasks' worth of what has been begun
	for _, t := range s.tasks {
		if t.total > 0 {
			begun += min(1, float64(t.rows)/float64(t.total))
		}
	}
	return min(1, max(float64(s.TasksDone), begun)/float64(s.Tasks))
}

// RowsPerSecond is the mean speed since the stage began.
func (s *Stage) RowsPerSecond(now time.Time) float64 {
	if seconds := s.elapsed(now).Seconds(); seconds > 0 {
		return float64(s.Rows) / seconds
	}
	return 0
}

// Left is how long the stage will take at its speed so far, or 0 when that
// cannot be said.
func (s *Stage) Left(now time.Time) time.Duration {
	share := s.Share()
	if s.Done() || share <= 0 || share >= 1 {
		return 0
	}
	return time.Duration(float64(s.elapsed(now)) * (1 - share) / share)
}

func (s *Stage) elapsed(now time.Time) time.Duration {
	if s.Done() {
		now = s.Ended
	}
	return now.Sub(s.Started)
}

// Facts describes the stage in words: tasks, rows, speed, what is left, text.
func (s *Stage) Facts(now time.Time) string {
	parts := []string{fmt.Sprintf("%d/%d tasks", s.TasksDone, s.Tasks)}
	if s.Rows > 0 {
		parts = append(parts, fmt.Sprintf("%s rows, %s rows/s", Thousands(s.Rows), Thousands(int64(s.RowsPerSecond(now)))))
	}
	if s.Text != "" {
		parts = append(parts, s.Text)
	}
	if left := s.Left(now); left >= time.Second {
		parts = append(parts, "about "+left.Round(time.Second).String()+" left")
	}
	if s.Done() {
		parts = append(parts, fmt.Sprintf("%.1f s", s.elapsed(now).Seconds()))
	}
	return strings.Join(parts, ", ")
}

// Brief is Facts in few characters, for beside a bar.
func (s *Stage) Brief(now time.Time) string {
	parts := []string{fmt.Sprintf("%d/%d", s.TasksDone, s.Tasks)}
	if s.Text != "" {
		parts = append(parts, s.Text)
	}
	if s.Rows > 0 {
		parts = append(parts, Thousands(int64(s.RowsPerSecond(now)))+" rows/s")
	}
	switch left := s.Left(now); {
	case s.Done():
		parts = append(parts, fmt.Sprintf("%.1fs", s.elapsed(now).Seconds()))
	case left >= time.Second:
		parts = append(parts, "ETA "+left.Round(time.Second).String())
	}
	return strings.Join(parts, "  ")
}

// Thousands writes a count with a comma after every three digits.
func Thousands(n int64) string {
	text := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// Tracker folds the news of a job into its stages. The zero value has heard
// nothing. Old news, which a watcher hears who had to listen anew, changes
// nothing.
type Tracker struct {
	stages     []*Stage
	tasks      int // of all stages, as the newest state has it
	done       int
	before     int // tasks of the stages before the present one
	unfinished bool
}

// Stages returns the stages so far, in order. They belong to the tracker.
func (t *Tracker) Stages() []*Stage { return t.stages }

// Hear takes news that came at an instant.
func (t *Tracker) Hear(u backend.Update, now time.Time) {
	switch {
	case u.State != nil:
		t.hearState(u, now)
	case u.Progress != nil:
		t.hearProgress(u)
	}
}

func (t *Tracker) current() *Stage {
	if len(t.stages) == 0 {
		return nil
	}
	return t.stages[len(t.stages)-1]
}

func (t *Tracker) hearState(u backend.Update, now time.Time) {
	s := u.State
	if s.Tasks < t.tasks || s.TasksDone < t.done {
		return // old news
	}
	cur := t.current()
	if s.Stage != "" && (cur == nil || cur.Name != s.Stage) && s.Tasks > t.tasks {
		t.finish(now, true)
		t.before = t.tasks
		cur = &Stage{Name: s.Stage, Started: now, tasks: map[string]task{}}
		t.stages = append(t.stages, cur)
	}
	t.tasks, t.done = s.Tasks, s.TasksDone
	if cur != nil {
		cur.Tasks, cur.TasksDone = s.Tasks-t.before, max(0, s.TasksDone-t.before)
	}
	if backend.Ended(*s) {
		t.finish(now, s.TasksDone == s.Tasks)
	}
}

// finish ends the present stage, whether all of it was done or not.
func (t *Tracker) finish(now time.Time, whole bool) {
	cur := t.current()
	if cur == nil || cur.Done() {
		return
	}
	if !whole {
		t.unfinished = true
		return
	}
	cur.Ended, cur.TasksDone = now, cur.Tasks
}

func (t *Tracker) hearProgress(u backend.Update) {
	p := u.Progress
	cur := t.current()
	stage, _, _ := strings.Cut(p.Task, "/")
	if cur == nil || stage != cur.Name || cur.Done() {
		return
	}
	was := cur.tasks[p.Task]
	cur.tasks[p.Task] = task{p.Rows, p.Total}
	cur.Rows += p.Rows - was.rows // an attempt that begins anew takes its rows back
	if p.Text != "" {
		cur.Text = p.Text
	}
}
