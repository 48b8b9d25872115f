package features

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features/window"
)

// A windowed step looks at other rows of the same entity. It is not computed by
// Apply, which finds its column in the batch under the step's name: whoever has
// the rows of an entity together computes it before, with Windows.
type windowed struct {
	cfg window.Config
	in  data.Type
	out data.Field
}

func (w windowed) outputs() []data.Field { return []data.Field{w.out} }

func (windowed) apply([]*data.Column, int) []*data.Column {
	panic("features: a window is not computed row by row")
}

// newWindow returns the builder of one operation.
func newWindow(op string) func(b *builder) operation {
	return func(b *builder) operation {
		cfg := window.Config{Op: op}
		switch op {
		case "lag", "diff":
			cfg.N = b.count("n", 1, 1)
		default:
			cfg.Rows, cfg.Span = b.window()
			cfg.MinPeriods = b.count("min_periods", 1, 1)
			cfg.IncludeCurrent = b.flag("include_current", false)
		}
		if len(b.faults) > 0 {
			return windowed{}
		}
		if err := cfg.Validate(); err != nil {
			b.fault("%w", err)
			return windowed{}
		}
		t, err := cfg.Output(b.in[0].Type)
		if err != nil {
			b.fault("of: %q: %w", b.step.Of[0], err)
		}
		f := b.field(t)
		f.UTC = t == data.Timestamp && b.in[0].UTC
		return windowed{cfg: cfg, in: b.in[0].Type, out: f}
	}
}

// window reads how long a window is: a number of rows, or of a unit of time.
func (b *builder) window() (rows int, span int64) {
	const example = "such as 7 for rows, or 7d, 12h, 30m, 10s for time"
	v, ok := b.lookup("window")
	if !ok {
		b.fault("window: missing; say how many rows or how much time it has, %s", example)
		return 0, 0
	}
	if n, ok := toNumber(v); ok {
		if n != math.Trunc(n) || n < 1 || n > 1<<31 {
			b.fault("window: expected a whole number of rows of at least 1, found %v", v)
		}
		return int(n), 0
	}
	text, _ := v.(string)
	span, ok = toSpan(text)
	if !ok {
		b.fault("window: expected a number of rows or of days, hours, minutes or seconds, found %v: %s", v, example)
	}
	return 0, span
}

// toSpan reads a length of time as microseconds.
func toSpan(text string) (int64, bool) {
	units := []struct {
		name  string
		micro float64
	}{{"ms", 1e3}, {"s", 1e6}, {"m", 60e6}, {"h", 3600e6}, {"d", 86400e6}, {"w", 7 * 86400e6}}
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		micros := n * u.micro
		if err == nil && micros >= 1 && micros <= 1<<60 && micros == math.Trunc(micros) {
			return int64(micros), true
		}
	}
	return 0, false
}

// checkWindow judges a windowed step against the roles of the columns, and what
// it reads: what was learned from the target tells an earlier row's encoding the
// targets of later ones, and folds do not help against that.
func (c *compiler) checkWindow(st step, w windowed) {
	s := st.Step
	if st.taught != "" {
		c.fault("%v: it would read what %s has learned from the target of rows that come later; take the window of another column", s, st.taught)
	}
	if c.cfg.Timestamp == "" {
		c.fault("%v: it looks back in time: name the column that orders the rows (timestamp: ts)", s)
		return
	}
	at := c.input.Index(c.cfg.Timestamp)
	if at < 0 {
		return // checkRoles says so
	}
	t := c.input.Fields[at].Type
	switch {
	case t != data.Timestamp && t != data.Date && t != data.Int64 && t != data.Int32:
		c.fault("timestamp: column %q is %v, expected a timestamp, a date or whole numbers, since %v looks back in time", c.cfg.Timestamp, t, s)
	case w.cfg.Span > 0 && t != data.Timestamp && t != data.Date:
		c.fault("%v: window: a length of time needs a timestamp or a date, and column %q is %v: give a number of rows", s, c.cfg.Timestamp, t)
	}
	if c.input.Index(s.Name) >= 0 {
		c.fault("%v: a column of the input is called so, too; give the feature another name", s)
	}
}

// window returns the windowed operation of a step, if it is one.
func (p *Pipeline) window(i int) (windowed, bool) {
	w, ok := p.steps[i].op.(windowed)
	return w, ok
}

// WindowNames returns the columns of windows, in the order of the steps.
func (p *Pipeline) WindowNames() []string {
	var out []string
	for i := range p.steps {
		if _, ok := p.window(i); ok {
			out = append(out, p.steps[i].Name)
		}
	}
	return out
}

// windowNames returns the windows among some steps.
func (p *Pipeline) windowNames(among []bool) []string {
	var out []string
	for i := range p.steps {
		if _, ok := p.window(i); ok && among[i] {
			out = append(out, p.steps[i].Name)
		}
	}
	return out
}

// Windows are the windowed features that can be computed at one level: when so
// many passes are fitted. They need the rows of each entity together and in order
// of time, and so are computed apart from the others, in three steps: Carry, for
// the rows of a shard; Run, for the rows of an entity; and the columns that come
// of it are handed to Apply and Observe of later passes beside the input's.
type Windows struct {
	p       *Pipeline
	level   int
	own     []bool   // steps that Run computes
	carried []source // what they read of others
	schema  data.Schema
}

// WindowLevels returns the levels at which there are windows, ascending: 0 for
// those that need nothing fitted.
func (p *Pipeline) WindowLevels() []int {
	var out []int
	for i := range p.steps {
		if _, ok := p.window(i); ok {
			out = append(out, p.steps[i].pass)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Windows returns those of one level. The pipeline has to be fitted so far only
// for Carry and Run.
func (p *Pipeline) Windows(level int) *Windows {
	w := &Windows{p: p, level: level, own: p.ownedBy(level)}
	for i, s := range p.steps {
		if !w.own[i] {
			continue
		}
		for _, from := range s.of {
			if (from.step < 0 || !w.own[from.step]) && !slices.Contains(w.carried, from) {
				w.carried = append(w.carried, from)
			}
		}
		if win, ok := p.window(i); ok && s.pass == level {
			w.schema.Fields = append(w.schema.Fields, win.out)
		}
	}
	return w
}

// ownedBy returns the steps that the owner of an entity's rows computes at a
// level: its windows, and what lies between two of them.
func (p *Pipeline) ownedBy(level int) []bool {
	after := make([]bool, len(p.steps)) // it depends on a window of the level, or is one
	for i, s := range p.steps {
		_, isWindow := p.window(i)
		after[i] = isWindow && s.pass == level
		for _, from := range s.of {
			after[i] = after[i] || !isWindow && from.step >= 0 && after[from.step]
		}
	}
	own := make([]bool, len(p.steps))
	for i := len(p.steps) - 1; i >= 0; i-- {
		_, isWindow := p.window(i)
		if own[i] = own[i] || isWindow && p.steps[i].pass == level; !own[i] {
			continue
		}
		for _, from := range p.steps[i].of {
			if from.step >= 0 && after[from.step] {
				own[from.step] = true
			}
		}
	}
	return own
}

// Schema returns the columns that Run makes: the windows, by name.
func (w *Windows) Schema() data.Schema { return w.schema }

// Entity returns the columns that say together whom a row belongs to; none when
// all rows are of one.
func (w *Windows) Entity() Entity { return w.p.cfg.Entity }

// Timestamp returns the column that orders the rows of an entity.
func (w *Windows) Timestamp() string { return w.p.cfg.Timestamp }

// Inputs returns the columns that Carry reads, with those that say whom a row
// belongs to and when it was; windows of lower levels may be among them.
func (w *Windows) Inputs() []string {
	used, needed := make([]bool, len(w.p.input.Fields)), w.before()
	for _, from := range w.carried {
		if from.step < 0 {
			used[from.at] = true
		}
	}
	for i := range w.p.steps {
		if _, isWindow := w.p.window(i); !needed[i] || isWindow {
			continue
		}
		for _, from := range w.p.steps[i].of {
			if from.step < 0 {
				used[from.at] = true
			}
		}
	}
	for _, name := range w.p.cfg.Entity {
		used[w.p.input.Index(name)] = true
	}
	if at := w.p.cfg.Timestamp; at != "" {
		used[w.p.input.Index(at)] = true
	}
	return append(w.p.inputsWhere(used), w.p.windowNames(needed)...)
}

// before returns the steps that Carry needs.
func (w *Windows) before() []bool {
	needed := make([]bool, len(w.p.steps))
	for _, from := range w.carried {
		if from.step >= 0 {
			needed[from.step] = true
		}
	}
	w.p.closure(needed)
	return needed
}

// Carried returns the columns that go with a row to where its entity's are.
func (w *Windows) Carried() data.Schema {
	var s data.Schema
	for _, from := range w.carried {
		f := data.Field{}
		if from.step < 0 {
			f = w.p.input.Fields[from.at]
		} else if outs := w.p.steps[from.step].op.outputs(); from.at < len(outs) {
			f = outs[from.at]
		}
		f.Nullable = true
		s.Fields = append(s.Fields, f)
	}
	return s
}

// Carry computes, of the rows of a batch, what goes with them.
func (w *Windows) Carry(b *data.Batch) (*data.Batch, error) {
	made, err := w.p.run(b, w.before(), nil)
	if err != nil {
		return nil, err
	}
	out := &data.Batch{Schema: w.Carried(), NumRows: b.NumRows}
	for i, from := range w.carried {
		c, err := w.p.column(b, from, made, w.windowReading(from).Step)
		if err != nil {
			return nil, err
		}
		if t := out.Schema.Fields[i].Type; c.Type != t { // numbers may come in another type
			return nil, fault.New(fault.Invalid, "features: column %q is %v, expected %v", out.Schema.Fields[i].Name, c.Type, t)
		}
		out.Columns = append(out.Columns, c)
	}
	return out, nil
}

// windowReading returns a step that reads a source, for errors.
func (w *Windows) windowReading(from source) step {
	for i, s := range w.p.steps {
		if w.own[i] && slices.Contains(s.of, from) {
			return s
		}
	}
	return step{}
}

// History is what is remembered of the entity whose rows come. It is not safe for
// concurrent use.
type History struct {
	w      *Windows
	states []*window.State // of the steps that are windows
}

// NewHistory returns a history without rows.
func (w *Windows) NewHistory() (*History, error) {
	h := &History{w: w, states: make([]*window.State, len(w.p.steps))}
	for i := range w.p.steps {
		win, ok := w.p.window(i)
		if !ok || !w.own[i] {
			continue
		}
		var err error
		if h.states[i], err = window.New(win.cfg, win.in); err != nil {
			return nil, fault.New(fault.Internal, "features: %v: %w", w.p.steps[i].Step, err)
		}
	}
	return h, nil
}

// Run computes the windows of rows that follow those before: rows of one entity
// are adjacent, in order of time, ties in the order of the input, and starts has
// the bits of those that begin an entity. b is as Carry has made it. Any cut of
// the rows into calls gives the same bits.
func (h *History) Run(b *data.Batch, times []int64, starts data.Bitmap) (*data.Batch, error) {
	w := h.w
	out := &data.Batch{Schema: w.schema, NumRows: b.NumRows}
	made := make([][]*data.Column, len(w.p.steps))
	for i, s := range w.p.steps {
		if !w.own[i] {
			continue
		}
		in := make([]*data.Column, len(s.of))
		for k, from := range s.of {
			if from.step >= 0 && w.own[from.step] {
				in[k] = made[from.step][from.at]
			} else {
				in[k] = b.Columns[slices.Index(w.carried, from)]
			}
		}
		if h.states[i] == nil {
			made[i] = s.op.apply(in, b.NumRows)
			continue
		}
		made[i] = []*data.Column{h.states[i].Run(in[0], times, starts)}
		if s.pass == w.level {
			out.Columns = append(out.Columns, made[i][0])
		}
	}
	return out, nil
}
