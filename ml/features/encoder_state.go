package features

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// encoderStateVersion is the first byte of an encoded EncoderState.
const encoderStateVersion = 2

// EncoderState is what an Encoder needs to know of the rows to learn from: a
// function of the multiset of rows. It is not safe for concurrent use.
type EncoderState struct {
	columns []encoderColumn
	sums    []summary // *numberSummary or *counts
}

// numberSummary summarises a column of numbers, some of which are missing.
type numberSummary struct {
	moments   sketch.Moments
	quantiles sketch.Quantiles
	missing   int64
}

func (s *numberSummary) observe(in []*data.Column, mask data.Bitmap) {
	if in[0].Type == data.Bool {
		s.observeTruths(in[0], mask)
		return
	}
	rows := int64(0)
	eachFloats(in[0], mask, func(values []float64) {
		kept := values
		for i, v := range values {
			if v-v != 0 { // not finite, which is rare
				kept, rows = s.withoutOthers(values, i, rows)
				break
			}
		}
		rows += int64(len(kept))
		s.moments.Observe(kept)
		s.quantiles.Observe(kept)
	})
	s.missing += int64(numSet(mask, in[0].Len())) - rows
}

// observeTruths counts before it adds.
func (s *numberSummary) observeTruths(c *data.Column, mask data.Bitmap) {
	var times [2]int64
	for i, v := range c.Bools {
		if mask.Get(i) && c.Valid.Get(i) {
			if v {
				times[1]++
			} else {
				times[0]++
			}
		}
	}
	for v, n := range times {
		s.moments.AddN(float64(v), n)
		s.quantiles.AddN(float64(v), n)
	}
	s.missing += int64(numSet(mask, len(c.Bools))) - times[0] - times[1]
}

// withoutOthers copies the finite values; the first that is not is at i.
// Infinities are not missing: they are added to rows.
func (s *numberSummary) withoutOthers(values []float64, i int, rows int64) ([]float64, int64) {
	kept := slices.Clone(values[:i])
	for _, v := range values[i:] {
		switch {
		case v-v == 0:
			kept = append(kept, v)
		case math.IsInf(v, 0):
			rows++
		}
	}
	return kept, rows
}

func (s *numberSummary) merge(other summary) {
	o := other.(*numberSummary)
	s.moments.Merge(&o.moments)
	s.quantiles.Merge(&o.quantiles)
	s.missing += o.missing
}

func (s *numberSummary) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(s.missing))
	b = appendNested(b, s.moments.Append(nil))
	q, _ := s.quantiles.MarshalBinary() // never fails
	return append(b, q...)
}

func (s *numberSummary) decode(b []byte) error {
	r := newReader("features: decode numbers", b)
	n := r.Uvarint()
	if n > 1<<56 {
		r.Fail("%d missing values", n)
	}
	s.missing = int64(n)
	m := r.Nested()
	if r.Err() != nil {
		return r.Err()
	}
	if err := s.moments.UnmarshalBinary(m); err != nil {
		return err
	}
	return s.quantiles.UnmarshalBinary(r.Rest())
}

// fit computes what an Encoder has to know.
func (s *numberSummary) fit() (*encodedNum, error) {
	if s.moments.N() == 0 {
		return nil, noValues("finite number")
	}
	n := &encodedNum{Median: s.quantiles.Quantile(0.5), Missing: s.missing > 0}
	filled := s.moments
	filled.AddN(n.Median, s.missing)
	n.Mean, n.Std = filled.Mean(), filled.Std()
	return n, nil
}

// NewState returns a state that has seen no rows.
func (e *Encoder) NewState() *EncoderState {
	s := &EncoderState{columns: e.columns}
	for _, c := range e.columns {
		if c.Type == data.String || c.Coded {
			s.sums = append(s.sums, &counts{})
		} else {
			s.sums = append(s.sums, &numberSummary{})
		}
	}
	return s
}

// Observe adds the rows of b that are in mask; all of them when mask is nil. The
// error is of kind Invalid, and nothing is added, when a column is missing or of
// another type.
func (s *EncoderState) Observe(b *data.Batch, mask data.Bitmap) error {
	columns, err := encoderColumns(b, s.columns)
	if err != nil {
		return err
	}
	for i, c := range columns {
		s.sums[i].observe([]*data.Column{c}, mask)
	}
	return nil
}

// encoderColumns finds the columns of a batch.
func encoderColumns(b *data.Batch, want []encoderColumn) ([]*data.Column, error) {
	out := make([]*data.Column, len(want))
	for i, w := range want {
		c := b.Column(w.Name)
		if c == nil {
			return nil, fault.New(fault.Invalid, "encode: there is no column %q", w.Name)
		}
		if c.Type != w.Type && !(c.Type.Numeric() && w.Type.Numeric()) {
			return nil, fault.New(fault.Invalid, "encode: column %q is %v, expected %v", w.Name, c.Type, w.Type)
		}
		out[i] = c
	}
	return out, nil
}

// Merge adds what o has seen. The error is of kind Invalid when o is of another
// encoder.
func (s *EncoderState) Merge(o *EncoderState) error {
	same := func(a, b encoderColumn) bool { return a.Name == b.Name && a.Type == b.Type }
	if !slices.EqualFunc(s.columns, o.columns, same) {
		return fault.New(fault.Invalid, "encode: merge: the states are of different columns")
	}
	for i := range s.sums {
		s.sums[i].merge(o.sums[i])
	}
	return nil
}

// MarshalBinary writes the state: the same bytes for the same multiset of rows.
//
// Layout: version; number of columns; of each, with its length before it, the
// name, the type, and the summary.
func (s *EncoderState) MarshalBinary() ([]byte, error) {
	b := binary.AppendUvarint([]byte{encoderStateVersion}, uint64(len(s.columns)))
	for i, c := range s.columns {
		b = appendNested(b, []byte(c.Name))
		b = append(b, byte(c.Type))
		b = appendNested(b, s.sums[i].append(nil))
	}
	return b, nil
}

// UnmarshalBinary replaces what s has seen by what MarshalBinary has written of
// a state of the same columns. The error is of kind Corrupt when b is anything
// else; s is of no use then.
func (s *EncoderState) UnmarshalBinary(b []byte) error {
	r := newReader("features: decode encoder state", b)
	r.Version(encoderStateVersion)
	if n := r.Uvarint(); n != uint64(len(s.columns)) {
		r.Fail("%d columns, expected %d", n, len(s.columns))
	}
	for i, c := range s.columns {
		name, t := r.Nested(), r.Byte()
		if string(name) != c.Name || t != byte(c.Type) {
			r.Fail("column %q, expected %q", name, c.Name)
		}
		one := r.Nested()
		if r.Err() != nil {
			return r.Err()
		}
		if err := s.sums[i].decode(one); err != nil {
			return fault.New(fault.Corrupt, "features: decode encoder state: column %q: %w", c.Name, err)
		}
	}
	return r.End()
}

// Fit returns the encoder that has learned from what s has seen. The error is of
// kind Invalid, and names all columns of which nothing could be learned because
// they have no values.
func (e *Encoder) Fit(s *EncoderState) (*Encoder, error) {
	c := &compiler{}
	out := &Encoder{cfg: e.cfg, columns: slices.Clone(e.columns)}
	for i := range out.columns {
		var err error
		switch sum := s.sums[i].(type) {
		case *numberSummary:
			out.columns[i].Number, err = sum.fit()
		case *counts:
			out.columns[i].Text, err = sum.fit(e.cfg, out.columns[i])
		}
		if err != nil {
			c.fault("column %q: %w", e.columns[i].Name, err)
		}
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	out.number()
	return out, nil
}

// fit chooses the categories that an Encoder has columns for.
func (c *counts) fit(cfg EncoderConfig, column encoderColumn) (*encodedText, error) {
	most := cfg.MaxCategories
	if column.Coded {
		most = maxCodes
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	t := &encodedText{Categories: []string{}, Null: !column.Coded && c.numNulls >= int64(cfg.MinCount)}
	for _, v := range c.values.MostFrequent() {
		if v.N >= int64(cfg.MinCount) && len(t.Categories) < most {
			t.Categories = append(t.Categories, strings.Clone(v.Value))
		}
	}
	sortNaturally(column.Type, t.Categories)
	return t, nil
}
