package progress

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/internal/clock"
)

// Config says where and how progress is shown.
type Config struct {
	Out      io.Writer
	Terminal bool          // bars, which move the cursor
	Interval time.Duration // between lines
	Clock    clock.Clock
}

// DefaultConfig shows a line every five seconds.
func DefaultConfig() Config { return Config{Interval: 5 * time.Second, Clock: clock.Real{}} }

// View shows one job until it is closed. It is safe for concurrent use.
type View struct {
	cfg     Config
	mu      sync.Mutex
	tracker Tracker
	shown   int // stages whose end was written
	bars    []bar
	box     *mpb.Progress
	last    string
	stop    chan struct{}
	ended   chan struct{}
}

// bar is one stage on a terminal. The bars are drawn by a goroutine of their
// own, which must not wait for a view that waits for it: so it reads facts
// that are exchanged as a whole.
type bar struct {
	*mpb.Bar
	facts *atomic.Pointer[string]
}

// New returns a view that has heard nothing.
func New(cfg Config) *View {
	v := &View{cfg: cfg, stop: make(chan struct{}), ended: make(chan struct{})}
	if cfg.Terminal {
		v.box = mpb.New(mpb.WithOutput(cfg.Out), mpb.WithAutoRefresh())
		close(v.ended)
		return v
	}
	go v.lines()
	return v
}

// Hear takes news of the job.
func (v *View) Hear(u backend.Update) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if u.Notice != "" {
		v.say(u.Notice)
	}
	v.tracker.Hear(u, v.cfg.Clock.Now())
	v.showEnds()
	if v.box != nil {
		v.moveBars()
	}
}

// say writes a line of text, above the bars if there are any.
func (v *View) say(text string) {
	var w io.Writer = v.cfg.Out
	if v.box != nil {
		w = v.box
	}
	_, _ = fmt.Fprintln(w, render.Clean(text)) // nobody reads it: then it is not read
}

// showEnds writes a line for each stage that has ended.
func (v *View) showEnds() {
	stages := v.tracker.Stages()
	for v.box == nil && v.shown < len(stages) && stages[v.shown].Done() {
		s := stages[v.shown]
		v.say(s.Name + ": " + s.Facts(v.cfg.Clock.Now()))
		v.shown++
	}
}

// lines writes how the present stage stands, every few seconds, if anything has
// changed.
func (v *View) lines() {
	defer close(v.ended)
	tick := v.cfg.Clock.NewTicker(v.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-v.stop:
			return
		case <-tick.C():
			v.line()
		}
	}
}

func (v *View) line() {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.tracker.current()
	if s == nil || s.Done() {
		return
	}
	if text := s.Name + ": " + s.Facts(v.cfg.Clock.Now()); text != v.last {
		v.last = text
		v.say(text)
	}
}

// barSteps is the length of a bar: a stage's share in ten-thousandths.
const barSteps = 10000

func (v *View) moveBars() {
	stages := v.tracker.Stages()
	now := v.cfg.Clock.Now()
	for i, s := range stages {
		facts := render.Clean(s.Brief(now))
		if i == len(v.bars) {
			v.bars = append(v.bars, v.addBar(s.Name, facts))
		}
		v.bars[i].facts.Store(&facts)
		if s.Done() {
			v.bars[i].SetCurrent(barSteps)
		} else {
			v.bars[i].SetCurrent(min(int64(s.Share()*barSteps), barSteps-1))
		}
	}
}

func (v *View) addBar(name, facts string) bar {
	b := bar{facts: new(atomic.Pointer[string])}
	b.facts.Store(&facts)
	b.Bar = v.box.AddBar(barSteps,
		mpb.PrependDecorators(decor.Name(render.Clean(name), decor.WCSyncSpaceR)),
		mpb.BarWidth(24), mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + *b.facts.Load() })))
	return b
}

// Close ends the view; what it has shown stays.
func (v *View) Close() {
	select {
	case <-v.stop:
		return
	default:
		close(v.stop)
	}
	<-v.ended
	if v.box == nil {
		return
	}
	v.mu.Lock()
	bars := v.bars
	v.mu.Unlock()
	for _, b := range bars {
		b.Abort(false) // those that are not full
	}
	v.box.Wait()
}
