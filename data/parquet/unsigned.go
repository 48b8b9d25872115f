package parquet

import (
	"context"
	"errors"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

const (
	settleRows  = 1 << 22 // rows that are looked at together
	settleBytes = 1 << 30
)

// errBeyond is a number in a column that was taken for one of int64. Neither its
// statistics nor a look at its values have shown it before.
var errBeyond = errors.New("the unsigned number does not fit int64, though the file's statistics say that all do: write the file anew, with the right ones")

// widenUnsigned makes those columns of 64 bits without sign texts whose
// statistics show values that int64 does not hold: such numbers are keys and
// hashes, and every digit counts.
func (f *File) widenUnsigned() {
	for i := range f.leaves {
		l := &f.leaves[i]
		beyond := func(g rowGroup) bool { return g.chunks[l.at].stats.goesBeyond() }
		if l.conv == fromUint64 && slices.ContainsFunc(f.foot.groups, beyond) {
			f.asDigits(l.at)
		}
	}
}

// goesBeyond reports whether a bound has the highest of 64 bits. In whatever
// order they were compared, one has it if any value has.
func (s *statistics) goesBeyond() bool {
	for _, b := range [][]byte{s.bounds.min, s.bounds.max, s.old.min, s.old.max} {
		if len(b) == 8 && b[7] >= 0x80 {
			return true
		}
	}
	return false
}

// settled reports whether the footer says if a chunk of unsigned numbers goes
// beyond int64: by its bounds, or since it has no values.
func (c *chunk) settled() bool {
	s := &c.stats
	whole := func(b bounds) bool { return b.there && len(b.min) == 8 && len(b.max) == 8 }
	return whole(s.bounds) || whole(s.old) || s.counted && s.numNulls >= c.numValues
}

// asDigits makes the columns of a chunk of unsigned numbers texts.
func (f *File) asDigits(at int) {
	for i := range f.leaves {
		l := &f.leaves[i]
		if l.at != at || l.conv != fromUint64 {
			continue
		}
		l.conv, l.element = fromUint64Text, data.String
		if l.part != listCount {
			l.field.Type = data.String
		}
		f.schema.Fields[i] = l.field
	}
}

// Digits returns the columns of UINT(64) that are read as texts of their digits,
// since values go beyond int64.
func (f *File) Digits() []string {
	var out []string
	for i := range f.leaves {
		if l := &f.leaves[i]; l.conv == fromUint64Text && l.part != listCount {
			out = append(out, l.field.Name)
		}
	}
	return out
}

// ReadDigits makes those of the columns texts of their digits that are of
// UINT(64), as others of their name are in the files beside this one. It must not
// be called while the file is read.
func (f *File) ReadDigits(columns []string) {
	f.schema.Fields = slices.Clone(f.schema.Fields) // the old ones may have been handed out
	for _, name := range columns {
		if k, ok := f.byName[name]; ok && f.leaves[k].conv == fromUint64 {
			f.asDigits(f.leaves[k].at)
		}
	}
}

// SettleUnsigned decides the type of those columns of UINT(64) whose statistics
// say nothing: it reads their values until one does not fit int64, and makes
// columns that have such a value texts. Without it they are int64, and reading
// such a value is an error. What cannot be read is passed over: that comes to
// light when somebody asks for it. Files with statistics cost nothing.
//
// It must not be called while the file is read, nor after Explode.
func (f *File) SettleUnsigned(ctx context.Context) error {
	f.schema.Fields = slices.Clone(f.schema.Fields)
	for i := range f.leaves {
		l := &f.leaves[i]
		if l.conv != fromUint64 || i > 0 && f.leaves[i-1].at == l.at { // another part of the same list
			continue
		}
		beyond, err := f.findBeyond(ctx, l)
		if err != nil {
			return err
		}
		if beyond {
			f.asDigits(l.at)
		}
	}
	return nil
}

// findBeyond reads the row groups whose statistics do not settle it.
func (f *File) findBeyond(ctx context.Context, l *leaf) (bool, error) {
	var b *data.Batch
	for g := range f.foot.groups {
		group := &f.foot.groups[g]
		if group.chunks[l.at].settled() {
			continue
		}
		step := int64(settleRows)
		if l.part != whole { // which cannot be read in pieces
			step = maxGroupRows
		}
		for from := int64(0); from < group.numRows; from += step {
			o := ReadOptions{Columns: []string{l.field.Name}, Into: b, MaxBytes: settleBytes, Rows: RowSpan{from, min(from+step, group.numRows)}}
			read, err := f.Read(ctx, g, o)
			if errors.Is(err, errBeyond) {
				return true, nil
			}
			if err != nil {
				if kind := fault.Of(err); kind == fault.Corrupt || kind == fault.Invalid || kind == fault.Exhausted {
					break
				}
				return false, err
			}
			b = read
		}
	}
	return false, nil
}
