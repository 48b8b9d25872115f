package features

import (
	"encoding/binary"
	"encoding/json"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/unpack"
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
	r := newReader("features: decode state", b)
	r.Version(stateVersion)
	if pass := r.Uvarint(); pass != uint64(s.pass) {
		r.Fail("it is of pass %d, expected %d", pass, s.pass)
	}
	if r.Uint64() != s.print {
		r.Fail("it is of another pipeline")
	}
	for i, m := range s.summaries {
		one := r.Nested()
		if r.Err() != nil {
			return r.Err()
		}
		if err := m.decode(one); err != nil {
			return fault.New(fault.Corrupt, "features: decode state: %v: %w", s.pipeline.steps[s.steps[i]].Step, err)
		}
	}
	return r.End()
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

// reader decodes what a pipeline learns.
type reader struct{ unpack.Reader }

func newReader(what string, b []byte) *reader {
	return &reader{unpack.New(what, b)}
}

// appendNested writes bytes with their length before them.
func appendNested(b, nested []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(nested))), nested...)
}
