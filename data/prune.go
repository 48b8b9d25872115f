package data

import "cmp"

// Range is what is known, without looking at them, of the values that a column
// has in some rows: from statistics of a file, or from a partition's name.
type Range struct {
	Rows  int64 // how many there are
	Nulls int64 // how many of them are null, -1: not known

	// Bounded says that every value which is neither null nor NaN lies between
	// Min and Max, which need not occur. They are BoolValue, IntValue (whole
	// numbers, timestamps in microseconds, dates in days), FloatValue or
	// StringValue (ordered by their bytes).
	Bounded  bool
	Min, Max Value

	// Lacks, when it is set, reports that a value certainly does not occur. It is
	// asked with a value of the kind of the column that the filter was bound to.
	Lacks func(Value) bool
}

// MayMatch reports whether some row may exist for which the predicate is true,
// given what is known of the columns. ranges is asked for each column by name
// and says false when it knows nothing. A false answer is certain; a true one
// is not.
func (f *Filter) MayMatch(ranges func(column string) (Range, bool)) bool {
	return f.root.possible(ranges).yes
}

// Holds reports whether the predicate is certainly true for every row, given
// what is known of the columns as MayMatch is told.
func (f *Filter) Holds(ranges func(column string) (Range, bool)) bool {
	c := f.root.possible(ranges)
	return !c.no && !c.neither
}

// chance says whether a condition may be true, may be false, and may be neither,
// for any of some rows.
type chance struct{ yes, no, neither bool }

func (n *node) possible(ranges func(string) (Range, bool)) chance {
	switch n.op {
	case OpAnd, OpOr:
		out := chance{yes: n.op == OpAnd, no: n.op == OpOr}
		for _, q := range n.of {
			c := q.possible(ranges)
			if n.op == OpAnd {
				out.yes, out.no = out.yes && c.yes, out.no || c.no
			} else {
				out.yes, out.no = out.yes || c.yes, out.no && c.no
			}
			out.neither = out.neither || c.neither
		}
		return out
	case OpNot:
		c := n.of[0].possible(ranges)
		c.yes, c.no = c.no, c.yes
		return c
	}
	r, ok := ranges(n.column)
	if !ok {
		return chance{true, true, true}
	}
	c := n.judge(r)
	c.neither = n.op != OpIsNull && (r.Nulls != 0 || n.float())
	return c
}

// float reports whether the column may hold NaN, which counts as missing, and
// which nobody counts.
func (n *node) float() bool { return n.typ == Float32 || n.typ == Float64 }

// judge decides one leaf.
func (n *node) judge(r Range) chance {
	someThere := r.Nulls < r.Rows // or nothing is known of them
	if n.op == OpIsNull {
		return chance{yes: r.Nulls != 0 || n.float() && someThere, no: someThere}
	}
	if !someThere {
		return chance{} // every comparison with null is neither
	}
	switch n.typ {
	case Bool, Int32, Int64, Timestamp, Date:
		return judge(n.op, n.ints, r, Value.Int, n.intValue)
	case Float32, Float64:
		return judge(n.op, n.floats, r, Value.Float, FloatValue)
	default:
		return judge(n.op, n.texts, r, Value.Text, StringValue)
	}
}

func (n *node) intValue(v int64) Value {
	if n.typ == Bool {
		return BoolValue(v != 0)
	}
	return IntValue(v)
}

func judge[L cmp.Ordered](op Op, literals []L, r Range, in func(Value) L, out func(L) Value) chance {
	if op == OpIn {
		return judgeIn(literals, r, in, out)
	}
	if !r.Bounded {
		return chance{yes: true, no: true}
	}
	lo, hi, x := in(r.Min), in(r.Max), literals[0]
	switch op {
	case Lt:
		return chance{yes: lo < x, no: hi >= x}
	case Le:
		return chance{yes: lo <= x, no: hi > x}
	case Gt:
		return chance{yes: hi > x, no: lo <= x}
	default:
		return chance{yes: hi >= x, no: lo < x}
	}
}

func judgeIn[L cmp.Ordered](literals []L, r Range, in func(Value) L, out func(L) Value) chance {
	c := chance{no: true}
	for _, x := range literals {
		if r.Bounded && (x < in(r.Min) || x > in(r.Max)) {
			continue
		}
		if r.Lacks != nil && r.Lacks(out(x)) {
			continue
		}
		c.yes = true
		if r.Bounded && in(r.Min) == in(r.Max) { // all values are x
			c.no = false
		}
	}
	return c
}
