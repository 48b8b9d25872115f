package run

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/split"
	"github.com/troupe-ml/troupe/data/text"
	"github.com/troupe-ml/troupe/internal/fault"
)

const (
	mostNamed       = 20    // values of a column that are measured by themselves
	mostSliceValues = 65535 // that a column may have at all
	mostSliceBytes  = 200   // of a value that is measured by itself
	mostSliced      = 100   // classes
	others          = "(other)"
	nulls           = "(null)"
)

// measuredParts are the parts whose rows a model is measured on.
var measuredParts = []split.Part{split.Validation, split.Test}

// checkSlices judges the columns that metrics are sliced by against the input.
func checkSlices(names []string, d *Dataset) error {
	if err := d.need("slices", names...); err != nil {
		return err
	}
	for _, n := range names {
		switch f := d.Schema.Fields[d.Schema.Index(n)]; f.Type {
		case data.Float32, data.Float64, data.Timestamp:
			return fault.New(fault.Invalid, "slices: column %q is %v, expected a text, a truth, a whole number or a date: make a column of few values of it, as op bin or datetime of a features job does", n, f.Type)
		}
	}
	return nil
}

// shardSlice is a column of slices in one shard: of the rows that are measured,
// in their order, what they have in it.
type shardSlice struct {
	Values []string          `json:"values"` // in order of first appearance
	Places map[string][]byte `json:"places"` // by part; two bytes a row: 0 for null, or 1 + the place in Values
}

// slicer gathers a shardSlice.
type slicer struct {
	shardSlice
	name   string
	places map[string]uint16
	known  []uint16 // of the texts of a batch's column
}

func newSlicers(names []string) []*slicer {
	var out []*slicer
	for _, n := range names {
		out = append(out, &slicer{name: n, places: map[string]uint16{}, shardSlice: shardSlice{Places: map[string][]byte{}}})
	}
	return out
}

// observe adds the labelled rows of a batch.
func (s *slicer) observe(b *data.Batch, target *data.Column, parts []split.Part) error {
	c := b.Column(s.name)
	field := b.Schema.Fields[b.Schema.Index(s.name)]
	if c.Type == data.String {
		s.known = make([]uint16, len(c.Dict))
	}
	var room []byte
	for i, part := range parts {
		if !slices.Contains(measuredParts, part) || !labelled(target, i) {
			continue
		}
		place := uint16(0)
		switch {
		case !c.Valid.Get(i):
		case c.Type == data.String && s.known[c.Codes[i]] > 0:
			place = s.known[c.Codes[i]]
		default:
			room = text.AppendValue(room[:0], field, c, i)
			var err error
			if place, err = s.place(room); err != nil {
				return err
			}
			if c.Type == data.String {
				s.known[c.Codes[i]] = place
			}
		}
		s.Places[part.String()] = binary.LittleEndian.AppendUint16(s.Places[part.String()], place)
	}
	return nil
}

func (s *slicer) place(value []byte) (uint16, error) {
	if p, ok := s.places[string(value)]; ok {
		return p, nil
	}
	if len(s.Values) == mostSliceValues {
		return 0, tooManyValues(s.name)
	}
	s.Values = append(s.Values, string(value))
	s.places[string(value)] = uint16(len(s.Values))
	return uint16(len(s.Values)), nil
}

func tooManyValues(column string) error {
	return fault.New(fault.Invalid, "slices: column %q has more than %d values: slice by one of few values", column, mostSliceValues)
}

// labelled reports whether row i has a target. A number that is none is none.
func labelled(target *data.Column, i int) bool {
	nan := target.Type == data.Float64 && math.IsNaN(target.Float64s[i]) || target.Type == data.Float32 && target.Float32s[i] != target.Float32s[i]
	return target.Valid.Get(i) && !nan
}

// sliceColumn is a column of slices of all rows that are measured.
type sliceColumn struct {
	Column string   `json:"column"`
	Values []string `json:"values"` // that are measured by themselves, the most frequent first
	// Codes are by part, of each row in order: the place of its value, or beyond
	// them one for all other values and one for null.
	Codes map[string][]byte `json:"codes"`
}

// name returns what a code stands for.
func (s *sliceColumn) name(code int) string {
	return append(slices.Clone(s.Values), others, nulls)[code]
}

// joinSlices makes one column of those of the shards, in their order.
func joinSlices(column string, shards []shardSlice) (*sliceColumn, error) {
	counts := map[string]int64{}
	for _, s := range shards {
		rows := make([]int64, 1+len(s.Values)) // by place, so that no row looks a text up
		for _, places := range s.Places {
			for ; len(places) > 1; places = places[2:] {
				p := int(binary.LittleEndian.Uint16(places))
				if p >= len(rows) {
					return nil, fault.New(fault.Corrupt, "observation: slices: value %d of %d", p, len(s.Values))
				}
				rows[p]++
			}
		}
		for i, v := range s.Values {
			if n := rows[1+i]; n > 0 {
				counts[v] += n
			}
		}
	}
	if len(counts) > mostSliceValues {
		return nil, tooManyValues(column)
	}
	named := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	named = slices.DeleteFunc(named, func(v string) bool { return len(v) > mostSliceBytes })
	out := &sliceColumn{Column: column, Values: named[:min(len(named), mostNamed)], Codes: map[string][]byte{}}
	codes := map[string]byte{}
	for i, v := range out.Values {
		codes[v] = byte(i)
	}
	other := byte(len(out.Values))
	for _, s := range shards {
		table := []byte{other + 1}
		for _, v := range s.Values {
			code, ok := codes[v]
			if !ok {
				code = other
			}
			table = append(table, code)
		}
		for part, places := range s.Places {
			for ; len(places) > 1; places = places[2:] {
				out.Codes[part] = append(out.Codes[part], table[binary.LittleEndian.Uint16(places)])
			}
		}
	}
	return out, nil
}

// slice sets the columns of slices, of which the shards have so much each.
func (p *prepared) slice(columns []string, shards [][]shardSlice) error {
	if n := len(p.Target.Classes()); n > mostSliced && len(columns) > 0 {
		return fault.New(fault.Invalid, "slices: the target has %d classes, and metrics are sliced for at most %d: remove slices", n, mostSliced)
	}
	for i, column := range columns {
		s, err := joinSlices(column, shards[i])
		if err != nil {
			return err
		}
		p.Slices = append(p.Slices, s)
	}
	return nil
}
