package expr

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/ml/features/vector"
)

// function is one row of the table of functions and operators.
type function struct {
	least, most int // arguments
	usage       string
	build       func(c *checker, t *tree, args []term) term
}

const anyNumber = math.MaxInt

func (d function) arity() string {
	words := fmt.Sprintf("%d arguments", d.least)
	switch {
	case d.least == 1 && d.most == 1:
		return "one argument"
	case d.most == anyNumber:
		return fmt.Sprintf("at least %d arguments", d.least)
	case d.least != d.most:
		words = fmt.Sprintf("%d to %d arguments", d.least, d.most)
	}
	return words
}

// functions is what a text may call; operators are called by signs.
var functions = merged(operators(), choices(), numberFunctions(), textFunctions(), timeFunctions())

func merged(tables ...map[string]function) map[string]function {
	all := map[string]function{}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}

// Functions returns the names of all functions, in order.
func Functions() []string {
	var names []string
	for name := range functions {
		if name[0] >= 'a' && name[0] <= 'z' && !slices.Contains([]string{"and", "or", "not", "in", "between"}, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func operators() map[string]function {
	out := map[string]function{
		"+":  {2, 2, "a + b", add},
		"-":  {2, 2, "a - b", subtract},
		"*":  arithmetic("*", multiplyInts, multiplyBeyond, multiplyFloats, nil),
		"//": arithmetic("//", floorDivideInts, floorDivideBeyond, floorDivideFloats, byZero[float64]),
		"%":  arithmetic("%", moduloInts, byZero[int64], moduloFloats, byZero[float64]),
		"/":  {2, 2, "a / b", divide},
		"-x": {1, 1, "-a", negate},
		"+x": {1, 1, "+a", func(c *checker, _ *tree, args []term) term { return c.numeric("+", args[0]) }},
		"in": {2, anyNumber, "a in (1, 2)", inList},
		"not": {1, 1, "not a", func(c *checker, _ *tree, args []term) term {
			return truthOf(logic{a: c.want("not", args[0], truthKind).node})
		}},
		"between": {3, 3, "a between 1 and 2", func(c *checker, _ *tree, args []term) term {
			b := between{of: args[0].node, slot: c.slot()}
			of := args[0]
			if _, ok := of.literal(); !ok {
				of.node = hole(b.slot)
			}
			low, high := c.compare(">=", of, args[1]), c.compare("<=", of, args[2])
			b.low, b.high = low.node, high.node
			return truthOf(b)
		}},
	}
	for op := range orders {
		out[op] = comparison(op)
	}
	for _, op := range []string{"and", "or"} {
		out[op] = function{2, 2, "a " + op + " b", func(c *checker, _ *tree, args []term) term {
			return truthOf(logic{c.want(op, args[0], truthKind).node, c.want(op, args[1], truthKind).node, op == "or"})
		}}
	}
	return out
}

func truthOf(n node) term { return term{typ: typ{kind: truthKind}, node: n, cost: 1} }
func floatOf(n node) term { return term{typ: typ{kind: floatKind}, node: n, cost: 1} }
func intOf(n node) term   { return term{typ: typ{kind: intKind}, node: n, cost: 1} }

// arithmetic is an operator on numbers: of whole ones it is a whole number.
func arithmetic(op string, ints func(dst, a, b []int64) bool, beyond func(a, b int64) bool,
	floats func(dst, a, b []float64) bool, bad func(a, b float64) bool,
) function {
	return function{2, 2, "a " + op + " b", func(c *checker, _ *tree, args []term) term {
		a, b := c.numeric(op, args[0]), c.numeric(op, args[1])
		if a.kind == intKind && b.kind == intKind {
			return intOf(map2[int64, int64]{a.node, b.node, ints, beyond})
		}
		return floatOf(map2[float64, float64]{c.float(op, a).node, c.float(op, b).node, floats, bad})
	}}
}

var addNumbers = arithmetic("+", addInts, addBeyond, addFloats, nil)

func add(c *checker, t *tree, args []term) term {
	a, b := args[0], args[1]
	switch {
	case a.kind == textKind && b.kind == textKind:
		return c.concat(a, b)
	case isTime(a) && b.numeric():
		return c.shift(a, b, "+")
	case isTime(b) && a.numeric():
		return c.shift(b, a, "+")
	case isTime(a) || isTime(b):
		fail(t.at, fmt.Sprintf("+ moves a timestamp by seconds or a date by days, found %v + %v", a.typ, b.typ), "")
	case (a.kind == textKind) != (b.kind == textKind):
		fail(t.at, fmt.Sprintf("+ takes two numbers or two texts, found %v + %v", a.typ, b.typ), c.mixed(a.typ, b.typ))
	}
	return addNumbers.build(c, t, args)
}

var subtractNumbers = arithmetic("-", subtractInts, subtractBeyond, subtractFloats, nil)

func subtract(c *checker, t *tree, args []term) term {
	a, b := args[0], args[1]
	switch {
	case isTime(a) && b.numeric():
		return c.shift(a, b, "-")
	case isTime(a) || isTime(b):
		return c.elapsed(a, b)
	}
	return subtractNumbers.build(c, t, args)
}

func divide(c *checker, _ *tree, args []term) term {
	return floatOf(map2[float64, float64]{c.float("/", args[0]).node, c.float("/", args[1]).node, vector.Ratio, byZero[float64]})
}

func negate(c *checker, _ *tree, args []term) term {
	a := c.numeric("-", args[0])
	if a.kind == intKind {
		return intOf(map1[int64, int64]{a.node, negateInts, isLeast})
	}
	return floatOf(map1[float64, float64]{of: a.node, run: func(dst, a []float64) bool {
		for i, v := range a[:len(dst)] {
			dst[i] = -v
		}
		return true
	}})
}

// choices are functions of values of any type.
func choices() map[string]function {
	return map[string]function{
		"if": {3, 3, "if(cond, a, b)", func(c *checker, _ *tree, args []term) term {
			cond, both := c.want("if", args[0], truthKind), c.alike("if", args[1:])
			return term{typ: both[0].typ, node: choice{cond.node, both[0], both[1], c.slot()}, cost: 2}
		}},
		"coalesce": {2, anyNumber, "coalesce(a, b)", func(c *checker, _ *tree, args []term) term {
			args = c.alike("coalesce", args)
			out := args[len(args)-1]
			for i := len(args) - 2; i >= 0; i-- {
				out = term{typ: out.typ, node: otherwise{args[i], out, c.slot()}, cost: out.cost + 2}
			}
			return out
		}},
		"is_null": {1, 1, "is_null(a)", func(c *checker, _ *tree, args []term) term {
			if args[0].kind == nullKind {
				fail(args[0].at, "null is always null", "give a column")
			}
			return truthOf(isNull{args[0]})
		}},
		"min": {2, anyNumber, "min(a, b)", extreme("min", minOf[int64], minOf[float64])},
		"max": {2, anyNumber, "max(a, b)", extreme("max", maxOf[int64], maxOf[float64])},
		"clamp": {3, 3, "clamp(a, low, high)", func(c *checker, t *tree, args []term) term {
			args = c.alike("clamp", args)
			low := extreme("clamp", maxOf[int64], maxOf[float64])(c, t, args[:2])
			low.at = t.at
			return extreme("clamp", minOf[int64], minOf[float64])(c, t, []term{low, args[2]})
		}},
		"bool": {1, 1, "bool(a)", toTruth},
		"int":  {1, 1, "int(a)", toWhole},
		"float": {1, 1, "float(a)", func(c *checker, _ *tree, args []term) term {
			switch a := args[0]; a.kind {
			case textKind:
				return floatOf(c.texts(floatKind, args, readFloat))
			case truthKind:
				return c.become(intOf(truthsToInts{a.node}), typ{kind: floatKind})
			default:
				return c.float("float", a)
			}
		}},
		"string": {1, 1, "string(a)", toText},
	}
}

// extreme is the least or the greatest of values.
func extreme(who string, ints func(dst, a, b []int64) bool, floats func(dst, a, b []float64) bool) func(*checker, *tree, []term) term {
	return func(c *checker, _ *tree, args []term) term {
		args = c.alike(who, args)
		out := args[0]
		for i, a := range args {
			a = c.want(who, a, floatKind, intKind, timeKind, dateKind)
			switch {
			case i == 0:
				out = a
			case a.kind == floatKind:
				out.node = map2[float64, float64]{a: out.node, b: a.node, run: floats}
			default:
				out.node = map2[int64, int64]{a: out.node, b: a.node, run: ints}
			}
		}
		return term{typ: out.typ, node: out.node, cost: len(args)}
	}
}
