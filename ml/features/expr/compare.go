package expr

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/data"
)

// orders are the truths of less, equal and greater for each comparison.
var orders = map[string][3]uint8{
	"=": {no, yes, no}, "!=": {yes, no, yes}, "<": {yes, no, no}, "<=": {yes, yes, no}, ">": {no, no, yes}, ">=": {no, yes, yes},
}

func comparison(op string) function {
	return function{2, 2, "a " + op + " b", func(c *checker, _ *tree, args []term) term {
		return c.compare(op, args[0], args[1])
	}}
}

func (c *checker) compare(op string, a, b term) term {
	for _, t := range []term{a, b} {
		if t.kind == nullKind {
			fail(t.at, "a comparison with null is never true", "write is null")
		}
	}
	a, b = c.precise(a, b), c.precise(b, a)
	if a.numeric() && b.numeric() && a.kind != b.kind {
		return c.compareMixed(op, a, b)
	}
	both := c.alike(op, []term{a, b})
	a, b = both[0], both[1]
	out := term{typ: typ{kind: truthKind}, cost: 1}
	switch a.kind {
	case truthKind:
		if op != "=" && op != "!=" {
			fail(a.at, "truths have no order: use = or !=, not "+op, "")
		}
		out.node = sameTruths{a.node, b.node, op == "!="}
	case textKind:
		truth := orders[op]
		out.node = c.texts(truthKind, []term{a, b}, func(args []cell) (cell, bool) {
			return cell{t: truth[1+strings.Compare(args[0].s, args[1].s)]}, true
		})
		out.cost = 3
	case floatKind:
		out.node = compareNumbers[float64](op, a.node, b.node)
	default:
		out.node = compareNumbers[int64](op, a.node, b.node)
	}
	return out
}

// precise rounds a literal to the precision of the column beside it, as its
// values were.
func (c *checker) precise(t, beside term) term {
	if l, ok := t.literal(); ok && beside.short && t.numeric() && !l.null {
		return c.constant(t.at, literal{typ: typ{kind: floatKind}, f: data.Shorten(l.number())})
	}
	return t
}

// compareMixed compares whole numbers with fractions.
func (c *checker) compareMixed(op string, a, b term) term {
	out := term{typ: typ{kind: truthKind}, cost: 2}
	truth := orders[op]
	if a.kind == floatKind {
		a, b = b, a
		truth[0], truth[2] = truth[2], truth[0]
	}
	switch l, ok := b.literal(); {
	case ok && !l.null && math.Trunc(l.f) == l.f && l.f >= -1<<63 && l.f < 1<<63: // such as 100.0
		whole := c.constant(b.at, literal{typ: typ{kind: intKind}, i: int64(l.f)})
		return c.compare(opOf(truth), a, whole)
	default:
		if _, ok := a.literal(); ok { // which numbers of 64 bits are rounded to, beside a column of them
			return c.compare(opOf(truth), c.become(a, typ{kind: floatKind}), b)
		}
	}
	out.node = mixed{a.node, b.node, truth}
	return out
}

func opOf(truth [3]uint8) string {
	for op, t := range orders {
		if t == truth {
			return op
		}
	}
	return ""
}

func compareNumbers[T int64 | float64](op string, a, b node) node {
	m := map2[T, uint8]{a: a, b: b}
	if op == ">" || op == ">=" {
		m.a, m.b = b, a
	}
	switch op {
	case "<", ">":
		m.run = less[T]
	case "<=", ">=":
		m.run = lessEqual[T]
	default:
		m.run = equal[T]
	}
	if op == "!=" {
		return logic{a: m}
	}
	return m
}

// sameTruths is whether two truths are the same, or differ.
type sameTruths struct {
	a, b   node
	differ bool
}

func (s sameTruths) eval(f *frame) vec {
	a, b := s.a.eval(f), s.b.eval(f)
	out := take[uint8](f)
	var table [16]uint8
	for _, x := range []uint8{yes, no} {
		for _, y := range []uint8{yes, no} {
			table[x<<2|y] = no - one((x == y) != s.differ)
		}
	}
	for i, x := range a.truths {
		out[i] = table[(x<<2|b.truths[i])&15]
	}
	f.release(a, b)
	return vec{truths: out, own: true}
}

// inList is whether a value is one of some.
func inList(c *checker, _ *tree, args []term) term {
	of := args[0]
	if of.kind == nullKind {
		fail(of.at, "a comparison with null is never true", "write is null")
	}
	out := term{typ: typ{kind: truthKind}, cost: 2}
	var ints []int64
	var floats []float64
	var texts []string
	var truths [4]uint8
	for _, a := range args[1:] {
		if l, ok := a.literal(); !ok || l.null {
			fail(a.at, "the values of a list are not columns, nor null", "write a = b or a is null")
		}
		a = c.precise(a, of)
		if !(of.kind == intKind && a.kind == floatKind) {
			a = c.alike("in", []term{of, a})[1]
		}
		l, _ := a.literal()
		switch {
		case of.kind == truthKind:
			truths[l.truth] = yes
		case of.kind == textKind:
			texts = append(texts, l.s)
		case of.kind == floatKind:
			floats = append(floats, l.f)
		case a.kind == floatKind: // a whole number is never a fraction
			if whole, ok := toInt(l.f); ok && float64(whole) == l.f {
				ints = append(ints, whole)
			}
		default:
			ints = append(ints, l.i)
		}
	}
	switch of.kind {
	case truthKind:
		out.node = map1[uint8, uint8]{of: of.node, run: func(dst, a []uint8) bool {
			for i, v := range a[:len(dst)] {
				dst[i] = (no - truths[v&3]) & -one(v != 0)
			}
			return true
		}}
	case textKind:
		slices.Sort(texts)
		out.node = c.texts(truthKind, []term{of}, func(args []cell) (cell, bool) {
			_, found := slices.BinarySearch(texts, args[0].s)
			return cell{t: no - one(found)}, true
		})
	case floatKind:
		out.node = map1[float64, uint8]{of: of.node, run: among(floats)}
	default:
		out.node = map1[int64, uint8]{of: of.node, run: among(ints)}
	}
	return out
}

// among finds values in a list; NaN is neither in it nor not.
func among[T int64 | float64](list []T) func(dst []uint8, a []T) bool {
	slices.Sort(list)
	return func(dst []uint8, a []T) bool {
		for i, v := range a[:len(dst)] {
			dst[i] = 0
			if v == v {
				_, found := slices.BinarySearchFunc(list, v, cmp.Compare[T])
				dst[i] = no - one(found)
			}
		}
		return true
	}
}
