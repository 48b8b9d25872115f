package features

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/nearest"
)

// String names the step for people.
func (s Step) String() string { return fmt.Sprintf("feature %q (%s)", s.Name, s.Op) }

// Compile checks a list of features against the schema of the input and
// returns the pipeline, ready for its first pass. The error, of kind Invalid,
// names everything that is wrong: columns that are not there, or of a type that
// an operation does not take; operations and parameters that are not known;
// names that are used twice; a step that reads the target.
func Compile(cfg Config, input data.Schema) (*Pipeline, error) {
	return compile(&compiler{cfg: cfg, input: input})
}

func compile(c *compiler) (*Pipeline, error) {
	c.checkRoles()
	c.checkKeep()
	p := (&Pipeline{cfg: c.cfg}).unprinted()
	for i, s := range c.cfg.Steps {
		st, ok := c.compile(i, s, p.steps)
		if !ok {
			st.op = broken{}
		}
		p.steps = append(p.steps, st)
		p.numPasses = max(p.numPasses, c.passesAfter(st))
	}
	c.checkOutputs(p.steps)
	if err := c.err(); err != nil {
		return nil, err
	}
	p.input = c.known(p.steps)
	p.resolve(c.input)
	return p, nil
}

// broken stands for a step that cannot be compiled, so that the others can be
// judged.
type broken struct{}

func (broken) outputs() []data.Field                    { return nil }
func (broken) apply([]*data.Column, int) []*data.Column { return nil }
func (c *compiler) passesAfter(s step) int              { return s.pass + passesOf(s) }

type compiler struct {
	cfg     Config
	input   data.Schema
	loading bool // what operations carry will be read, too
	faults  []error
}

func (c *compiler) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf(format, args...))
}

func (c *compiler) err() error {
	if len(c.faults) == 0 {
		return nil
	}
	return fault.New(fault.Invalid, "features: %w", errors.Join(c.faults...))
}

// checkRoles makes sure that the columns that play a part are there. The target
// may be absent where rows are only scored.
func (c *compiler) checkRoles() {
	check := func(role, column string) {
		if column != "" && c.input.Index(column) < 0 {
			c.fault("%s: there is no column %q%s", role, column, didYouMean(column, c.input.Names()))
		}
	}
	for i, name := range c.cfg.Entity {
		if check("entity", name); slices.Index(c.cfg.Entity, name) < i {
			c.fault("entity: %q is given twice", name)
		}
	}
	check("timestamp", c.cfg.Timestamp)
	check("target", c.cfg.Target)
}

func (c *compiler) checkKeep() {
	roles := append([]string{c.cfg.Timestamp, c.cfg.Target}, c.cfg.Entity...) // of which it has been said
	for i, name := range c.cfg.Keep {
		if c.input.Index(name) < 0 && !slices.Contains(roles, name) {
			c.fault("keep: there is no column %q%s", name, didYouMean(name, c.input.Names()))
		}
		if slices.Index(c.cfg.Keep, name) < i {
			c.fault("keep: %q is given twice", name)
		}
	}
}

// compile builds one step on those before it.
func (c *compiler) compile(i int, s Step, before []step) (step, bool) {
	st := step{Step: s}
	faults := len(c.faults)
	if s.Name == "" {
		c.fault("feature %d (%s) has no name", i+1, s.Op)
	}
	for _, b := range before {
		if b.Name == s.Name && s.Name != "" {
			c.fault("%v: an earlier feature has the same name", s)
		}
	}
	def, ok := operations()[s.Op]
	if !ok {
		c.fault("%v: there is no operation %q%s", s, s.Op, didYouMean(s.Op, Operations()))
	}
	of, err := readByText(s)
	if err != nil {
		c.fault("%v: %w", s, err)
		return st, false
	}
	s.Of, st.Of = of, of
	fields := c.sources(&st, before)
	if !ok || len(c.faults) > faults {
		return st, false
	}
	if n := len(s.Of); n < def.minOf || n > def.maxOf {
		c.fault("%v: of has %d columns, expected %s", s, n, def.arity())
		return st, false
	}
	b := &builder{step: s, in: fields, cfg: c.cfg, input: c.input, loading: c.loading}
	b.checkTypes(def)
	st.op = def.build(b)
	b.checkParams()
	for _, f := range b.faults {
		c.fault("%v: %w", s, f)
	}
	if op, ok := st.op.(crossFitted); ok && len(b.faults) == 0 {
		st.taught = s.String()
		target, fold := op.reads()
		st.also = []source{{-1, c.input.Index(target)}, {byRowNumber, 0}}
		if fold != "" {
			st.also[1] = source{-1, c.input.Index(fold)}
		}
	}
	if w, ok := st.op.(windowed); ok && len(c.faults) == faults {
		c.checkWindow(st, w)
	}
	return st, len(c.faults) == faults
}

// sources finds the columns that a step reads: the outputs of steps before it
// first, then the input's. A source of the input has its place in the schema.
func (c *compiler) sources(st *step, before []step) []data.Field {
	var fields []data.Field
	for _, name := range st.Of {
		from, f, ok := lookup(name, before)
		if !ok {
			from = source{-1, c.input.Index(name)}
			if from.at < 0 {
				c.noColumn(st.Step, name, before)
				continue
			}
			f = c.input.Fields[from.at]
			if name == c.cfg.Target {
				c.ofFault(st.Step, name, fmt.Sprintf("%q is the target, which no feature of this kind may read", name), "")
			}
		} else {
			st.pass = max(st.pass, c.passesAfter(before[from.step]))
			if st.taught == "" {
				st.taught = before[from.step].taught
			}
		}
		st.of = append(st.of, from)
		fields = append(fields, f)
	}
	return fields
}

// lookup finds a column among those that steps make; the last of a name counts.
func lookup(name string, steps []step) (source, data.Field, bool) {
	for i := len(steps) - 1; i >= 0; i-- {
		for at, f := range steps[i].op.outputs() {
			if f.Name == name {
				return source{i, at}, f, true
			}
		}
	}
	return source{}, data.Field{}, false
}

func (c *compiler) noColumn(s Step, name string, before []step) {
	names := c.input.Names()
	for _, b := range before {
		if b.op.outputs() == nil && (b.Name == name || strings.HasPrefix(name, b.Name+"_")) {
			c.ofFault(s, name, fmt.Sprintf("%q comes from %v, whose columns are not known before it is fitted", name, b.Step), "")
			return
		}
		for _, f := range b.op.outputs() {
			names = append(names, f.Name)
		}
	}
	for _, later := range c.cfg.Steps[len(before):] {
		if later.Name == name && name != s.Name {
			c.ofFault(s, name, fmt.Sprintf("%v comes later", later), "move it before this one")
			return
		}
	}
	c.ofFault(s, name, fmt.Sprintf("there is no column %q", name), strings.TrimPrefix(didYouMean(name, names), "; "))
}

// checkOutputs makes sure that no two columns of the output have one name.
func (c *compiler) checkOutputs(steps []step) {
	madeBy := map[string]string{}
	for _, name := range c.cfg.Keep {
		madeBy[name] = "a column that is kept"
	}
	if c.cfg.Target != "" {
		madeBy[c.cfg.Target] = "the target"
	}
	for _, s := range steps {
		for _, f := range s.op.outputs() {
			if by, taken := madeBy[f.Name]; taken {
				c.fault("%v: it makes a column %q, and so is called %s; give it another name", s.Step, f.Name, by)
				continue
			}
			madeBy[f.Name] = s.Step.String()
		}
	}
}

// known returns the fields of the input that the pipeline has to know.
func (c *compiler) known(steps []step) data.Schema {
	used := map[string]bool{c.cfg.Target: true, c.cfg.Timestamp: true}
	for _, name := range slices.Concat(c.cfg.Entity, c.cfg.Keep) {
		used[name] = true
	}
	for _, s := range steps {
		for _, from := range slices.Concat(s.of, s.also) {
			if from.step == -1 {
				used[c.input.Fields[from.at].Name] = true
			}
		}
	}
	var known data.Schema
	for _, f := range c.input.Fields {
		if used[f.Name] {
			known.Fields = append(known.Fields, f)
		}
	}
	return known
}

// resolve turns places in the whole input's schema into places in p.input.
func (p *Pipeline) resolve(input data.Schema) {
	for _, s := range p.steps {
		for _, list := range [][]source{s.of, s.also} {
			for i, from := range list {
				if from.step == -1 {
					list[i].at = p.input.Index(input.Fields[from.at].Name)
				}
			}
		}
	}
}

// didYouMean is the end of a message about a word that is not known.
func didYouMean(word string, known []string) string {
	best := nearest.Word(word, known)
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean %q?", best)
	case len(known) > 0 && len(known) <= 40:
		return "; known are " + strings.Join(known, ", ")
	}
	return ""
}
