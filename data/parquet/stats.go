package parquet

import (
	"encoding/binary"
	"math"

	"github.com/parquet-go/parquet-go/format"

	"github.com/troupe-ml/troupe/data"
)

// statistics are what the footer says of the values of a chunk. Bounds share
// the footer's memory.
type statistics struct {
	bounds   bounds
	old      bounds // of the older fields, whose order is not said
	numNulls int64
	counted  bool // numNulls was said
}

// nulls returns the number of nulls, or -1.
func (s *statistics) nulls() int64 {
	if !s.counted {
		return -1
	}
	return s.numNulls
}

func (r *compact) statistics() statistics {
	var s statistics
	var oldMin, oldMax, least, most bool
	r.fields(func(id int16, t byte) bool {
		switch id {
		case 1:
			s.old.max, oldMax = r.bytes(t), true
		case 2:
			s.old.min, oldMin = r.bytes(t), true
		case 3:
			s.numNulls, s.counted = r.i64(t), true
		case 5:
			s.bounds.max, most = r.bytes(t), true
		case 6:
			s.bounds.min, least = r.bytes(t), true
		default:
			return false
		}
		return true
	})
	s.old.there, s.bounds.there = oldMin && oldMax, least && most
	return s
}

// columnOrder reads the union ColumnOrder and returns whether it is the order
// of the type.
func (r *compact) columnOrder() (byType bool) {
	r.fields(func(id int16, _ byte) bool {
		byType = byType || id == 1
		return false
	})
	return byType
}

// Statistics returns what the footer says of a column's values in row group g:
// nulls, and bounds where the file has some whose order is known. Bounds of
// floating point with a NaN in them say nothing, those of strings may be cut
// short, and older fields count only for types about whose order writers agreed.
// The second result is false for a column that the file has not.
func (f *File) Statistics(g int, column string) (data.Range, bool) {
	k, ok := f.byName[column]
	if !ok || g < 0 || g >= len(f.foot.groups) {
		return data.Range{}, false
	}
	l := &f.leaves[k]
	group := &f.foot.groups[g]
	c := &group.chunks[l.at]
	if l.part != whole { // what is said is of the elements
		return data.Range{Rows: f.rowsOf(group), Nulls: -1}, true
	}
	r := data.Range{Rows: group.numRows, Nulls: l.nulls(c.stats.nulls(), group.numRows)}
	if f.exploded != nil {
		if r.Rows = f.rowsOf(group); r.Nulls != 0 {
			r.Nulls = -1 // each is there as often as its list is long
		}
	}
	b := c.stats.bounds
	if !b.there || !f.orderKnown(l) {
		b = bounds{}
		if c.stats.old.there && l.signedOrder() {
			b = c.stats.old
		}
	}
	l.setBounds(&r, b)
	return r, true
}

// orderKnown reports whether the file says that bounds are in the order of the
// column's type.
func (f *File) orderKnown(l *leaf) bool {
	return l.at < len(f.foot.ordered) && f.foot.ordered[l.at]
}

// nulls holds a claimed number of nulls against the rows; -1 is not known.
func (l *leaf) nulls(claimed, rows int64) int64 {
	switch {
	case !l.field.Nullable:
		return 0
	case claimed < 0 || claimed > rows:
		return -1
	}
	return claimed
}

// signedOrder reports whether all writers have ordered the type as signed
// numbers, when the format did not yet say how.
func (l *leaf) signedOrder() bool {
	switch l.physical {
	case format.Boolean, format.Float, format.Double:
		return true
	case format.Int32, format.Int64:
		return !l.unsigned
	}
	return false
}

// setBounds turns bounds as files have them into values of the column. Bounds
// that make no sense are left out.
func (l *leaf) setBounds(r *data.Range, b bounds) {
	if !b.there {
		return
	}
	lo, ok1 := l.bound(b.min)
	hi, ok2 := l.bound(b.max)
	if !ok1 || !ok2 {
		return
	}
	switch lo.Kind() {
	case data.FloatLiteral:
		if !(lo.Float() <= hi.Float()) {
			return
		}
	case data.StringLiteral:
		if lo.Text() > hi.Text() {
			return
		}
	default:
		if lo.Int() > hi.Int() {
			return
		}
	}
	r.Bounded, r.Min, r.Max = true, lo, hi
}

// bound decodes one bound; it is not ok when it bounds nothing.
func (l *leaf) bound(b []byte) (v data.Value, ok bool) {
	switch l.physical {
	case format.Boolean:
		return data.BoolValue(len(b) == 1 && b[0]&1 == 1), len(b) == 1
	case format.Int32:
		if len(b) != 4 {
			return v, false
		}
		return l.boundInt32(int32(binary.LittleEndian.Uint32(b)))
	case format.Int64:
		if len(b) != 8 {
			return v, false
		}
		return l.boundInt64(int64(binary.LittleEndian.Uint64(b)))
	case format.Float:
		if len(b) != 4 {
			return v, false
		}
		f := math.Float32frombits(binary.LittleEndian.Uint32(b))
		return data.FloatValue(float64(f)), f == f
	case format.Double:
		if len(b) != 8 {
			return v, false
		}
		f := math.Float64frombits(binary.LittleEndian.Uint64(b))
		return data.FloatValue(f), f == f
	case format.ByteArray, format.FixedLenByteArray:
		return l.boundBytes(b)
	}
	return v, false // INT96 has no order
}

func (l *leaf) boundInt32(v int32) (data.Value, bool) {
	switch l.conv {
	case fromUint32:
		return data.IntValue(int64(uint32(v))), true
	case fromMillis32:
		return data.IntValue(int64(v) * 1000), true
	case fromDecimal32:
		return data.FloatValue(decimal(int64(v), l.scale)), true
	}
	return data.IntValue(int64(v)), true
}

func (l *leaf) boundInt64(v int64) (data.Value, bool) {
	switch l.conv {
	case fromUint64:
		return data.IntValue(v), v >= 0
	case fromUint64Text:
		return data.Value{}, false // texts of numbers are in another order
	case fromMillis:
		return data.IntValue(v * 1000), v <= math.MaxInt64/1000 && v >= math.MinInt64/1000
	case fromNanos:
		return data.IntValue(micros(v)), true
	case fromDecimal64:
		return data.FloatValue(decimal(v, l.scale)), true
	}
	return data.IntValue(v), true
}

func (l *leaf) boundBytes(b []byte) (v data.Value, ok bool) {
	switch l.conv {
	case fromMonths, fromDays, fromIntervalMillis:
		return v, false // which have no order together
	case fromDecimalBytes:
		if len(b) == 0 || l.width > 0 && len(b) != l.width {
			return v, false
		}
		d, err := decimalBytes(b, l.scale)
		return data.FloatValue(d), err == nil
	case fromFloat16:
		if len(b) != 2 {
			return v, false
		}
		f := float16(binary.LittleEndian.Uint16(b))
		return data.FloatValue(float64(f)), f == f
	case fromUUID:
		if len(b) != 16 {
			return v, false
		}
		return data.StringValue(string(formatUUID(b))), true
	}
	return data.StringValue(string(b)), true
}
