package features

import (
	"encoding/binary"
	"encoding/json"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// stateVersion is the first byte of an encoded State.
const stateVersion = 2

// State is what the features that learn in one pass need to know of the rows
// seen so far. It is a function of the multiset of rows: any order and any split
// over shards gives the same bytes. It is not safe for concurrent use.
type State struct {
	pipeline  *Pipeline
	pass      int
	print     uint64 // of the pipeline, with all it has learned so far
	needed    []bool
	steps     []int // that learn in the pass
	summaries []summary
}

// NewState returns a state that has seen no rows, for the pass that comes next.
// It panics when the passes before are not fitted or there is no such pass.
func (p *Pipeline) NewState(pass int) *State {
	if pass != p.fitted || pass >= p.numPasses {
		panic("features: a state for a pass that does not come next")
	}
	s := &State{pipeline: p, pass: pass, print: p.fingerprint(), needed: p.needed(pass)}
	for i := range p.steps {
		if p.learns(i, pass) {
			s.steps = append(s.steps, i)
			s.summaries = append(s.summaries, p.steps[i].op.(learner).summary())
			s.needed[i] = false // it is observed, not applied
		}
	}
	return s
}

// Observe adds the rows of b that are in mask; all of them when mask is nil. The
// error is of kind Invalid, and nothing is added, when a column is missing or of
// another type, or the pipeline NeedsNumbers.
func (s *State) Observe(b *data.Batch, mask data.Bitmap) error {
	return s.ObserveRows(b, Rows{Mask: mask})
}

// ObserveRows is Observe for rows that may have numbers.
func (s *State) ObserveRows(b *data.Batch, rows Rows) error {
	made, err := s.pipeline.run(b, s.needed, &rows)
	if err != nil {
		return err
	}
	ins := make([][]*data.Column, len(s.steps))
	for i, at := range s.steps {
		if ins[i], err = s.pipeline.learning(b, s.pipeline.steps[at], made, &rows); err != nil {
			return err
		}
	}
	for i, in := range ins {
		s.summaries[i].observe(in, rows.Mask)
	}
	return nil
}

// Merge adds what o has seen. The error is of kind Invalid when o is of another
// pipeline or pass.
func (s *State) Merge(o *State) error {
	if s.pass != o.pass || s.print != o.print {
		return fault.New(fault.Invalid, "features: merge: the states are of different pipelines or passes")
	}
	for i := range s.summaries {
		s.summaries[i].merge(o.summaries[i])
	}
	return nil
}

// fingerprint identifies the pipeline, with all it has learned so far. It is
// worked out once: what was learned may be a million categories.
func (p *Pipeline) fingerprint() uint64 { return p.print() }

// unprinted gives the pipeline, which is new, a fingerprint of its own.
func (p *Pipeline) unprinted() *Pipeline {
	p.print = sync.OnceValue(func() uint64 {
		b, err := json.Marshal(p)
		if err != nil {
			panic("features: a pipeline that cannot be written: " + err.Error())
		}
		return xxh3.Hash(b)
	})
	return p
}

// MarshalBinary writes the state: the same bytes for the same multiset of rows.
//
// Layout: version; pass, varint; fingerprint of the pipeline, 8 bytes; then the
// summaries in the order of their steps, each with its length as a varint.
func (s *State) MarshalBinary() ([]byte, error) {
	b := []byte{stateVersion}
	b = binary.AppendUvarint(b, uint64(s.pass))
	b = binary.LittleEndian.AppendUint64(b, s.print)
	for _, m := range s.summaries {
		one := m.append(nil)
		b = binary.AppendUvarint(b, uint64(len(one)))
		b = append(b, one...)
	}
	return b, nil
}

// UnmarshalBinary replaces what s has seen by what MarshalBinary has written of
// a state of the same pipeline and pass. The error is of kind Corrupt when b is
// anything else; s is of no use then.
func (s *State) UnmarshalBinary(b []byte) error {
	r := &reader{b: b, what: "state"}
	if v := r.byte(); v != stateVersion {
		r.fail("version %d, expected %d", v, stateVersion)
	}
	if pass := r.uvarint(); pass != uint64(s.pass) {
		r.fail("it is of pass %d, expected %d", pass, s.pass)
	}
	if r.uint64() != s.print && r.err == nil {
		r.fail("it is of another pipeline")
	}
	for i, m := range s.summaries {
		one := r.bytes(r.uvarint())
		if r.err != nil {
			return r.err
		}
		if err := m.decode(one); err != nil {
			return fault.New(fault.Corrupt, "features: decode state: %v: %w", s.pipeline.steps[s.steps[i]].Step, err)
		}
	}
	return r.end()
}

// Fit returns the pipeline that has learned from what s has seen. The error is
// of kind Invalid: the pass does not come next, s is of another pipeline, there
// was nothing to learn from, or names of columns collide.
func (p *Pipeline) Fit(pass int, s *State) (*Pipeline, error) {
	if pass != p.fitted || pass >= p.numPasses {
		return nil, fault.New(fault.Invalid, "features: fit: pass %d does not come next: %d of %d are done", pass, p.fitted, p.numPasses)
	}
	if s.pass != pass || s.pipeline != p && s.print != p.fingerprint() {
		return nil, fault.New(fault.Invalid, "features: fit: the state is of another pipeline or pass")
	}
	out := p.clone()
	out.fitted++
	c := &compiler{cfg: p.cfg, input: p.input}
	for i, at := range s.steps {
		op, err := p.steps[at].op.(learner).fit(s.summaries[i])
		if err != nil {
			c.fault("%v: %w", p.steps[at].Step, err)
			continue
		}
		out.steps[at].op = op
	}
	if len(c.faults) == 0 {
		c.checkOutputs(out.steps)
	}
	return out, c.err()
}

func (p *Pipeline) clone() *Pipeline {
	out := *p
	out.steps = append([]step(nil), p.steps...)
	return out.unprinted()
}

// reader decodes a state; the first fault sticks, and what is read after it is
// zero.
type reader struct {
	b    []byte
	what string // being decoded, for errors
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fault.New(fault.Corrupt, "features: decode "+r.what+": "+format, args...)
	}
	r.b = nil
}

// end returns the first fault; bytes left over are one.
func (r *reader) end() error {
	if len(r.b) > 0 {
		r.fail("%d bytes after the end", len(r.b))
	}
	return r.err
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail("the bytes end early")
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if v := r.bytes(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if v := r.bytes(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("the bytes end early")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// nested reads bytes with their length before them.
func (r *reader) nested() []byte { return r.bytes(r.uvarint()) }

// appendNested writes bytes with their length before them.
func appendNested(b, nested []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(nested))), nested...)
}
