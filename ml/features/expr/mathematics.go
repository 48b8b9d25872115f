package expr

import (
	"math"
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

func numberFunctions() map[string]function {
	notPositive := func(v float64) bool { return v <= 0 }
	return map[string]function{
		"abs":    keeping("abs", absInts, isLeast, math.Abs),
		"floor":  keeping("floor", nil, nil, math.Floor),
		"ceil":   keeping("ceil", nil, nil, math.Ceil),
		"round":  keeping("round", nil, nil, math.Round),
		"trunc":  keeping("trunc", nil, nil, math.Trunc),
		"sign":   {1, 1, "sign(a)", signOf},
		"sqrt":   ofFloat("sqrt", 3, unless(math.Sqrt, func(v float64) bool { return v < 0 }), func(v float64) bool { return v < 0 }),
		"exp":    ofFloat("exp", 10, always(vector.Exp), nil),
		"log":    ofFloat("log", 10, unless(vector.Log, notPositive), notPositive),
		"log1p":  ofFloat("log1p", 10, vector.Log1p, func(v float64) bool { return v <= -1 }),
		"log2":   ofFloat("log2", 20, unless(vector.Log2, notPositive), notPositive),
		"log10":  ofFloat("log10", 20, unless(vector.Log10, notPositive), notPositive),
		"sin":    ofFloat("sin", 15, always(vector.Sin), nil),
		"cos":    ofFloat("cos", 15, always(vector.Cos), nil),
		"tan":    ofFloat("tan", 20, always(vector.Tan), nil),
		"pow":    {2, 2, "pow(a, b), or a ** b", power},
		"is_nan": {1, 1, "is_nan(a)", isNaN},
	}
}

// ofFloat is a function of a float.
func ofFloat(name string, cost int, run func(dst, a []float64) bool, bad func(a float64) bool) function {
	return function{1, 1, name + "(a)", func(c *checker, _ *tree, args []term) term {
		out := floatOf(map1[float64, float64]{c.float(name, args[0]).node, run, bad})
		out.cost = cost
		return out
	}}
}

// keeping is a function that makes whole numbers of whole numbers: themselves
// where ints is nil.
func keeping(name string, ints func(dst, a []int64) bool, bad func(a int64) bool, floats func(v float64) float64) function {
	return function{1, 1, name + "(a)", func(c *checker, _ *tree, args []term) term {
		a := c.numeric(name, args[0])
		switch {
		case a.kind == floatKind:
			return floatOf(map1[float64, float64]{of: a.node, run: always(floats)})
		case ints == nil:
			return a
		}
		return intOf(map1[int64, int64]{a.node, ints, bad})
	}}
}

func signOf(c *checker, _ *tree, args []term) term {
	a := c.numeric("sign", args[0])
	if a.kind == intKind {
		return intOf(map1[int64, int64]{of: a.node, run: signInts})
	}
	return floatOf(map1[float64, float64]{of: a.node, run: signFloats})
}

// power is a ** b. A negative number to a fraction, and 0 to a negative number,
// have no value.
func power(c *checker, _ *tree, args []term) term {
	a, b := c.float("**", args[0]), c.float("**", args[1])
	out := floatOf(map2[float64, float64]{a.node, b.node, powers, noPower})
	out.cost = 30
	if l, ok := b.literal(); ok && l.f == 2 && !l.null {
		out.cost = 1
		out.node = map1[float64, float64]{of: a.node, run: func(dst, a []float64) bool {
			for i, v := range a[:len(dst)] {
				dst[i] = v * v
			}
			return true
		}}
	}
	return out
}

func powers(dst, a, b []float64) bool {
	all := true
	for i, x := range a[:len(dst)] {
		all = all && !noPower(x, b[i])
		dst[i] = vector.Pow(x, b[i])
	}
	return all
}

func noPower(a, b float64) bool { return a == 0 && b < 0 || a < 0 && math.Trunc(b) != b && b == b }

func isNaN(c *checker, _ *tree, args []term) term {
	return truthOf(map1[float64, uint8]{of: c.float("is_nan", args[0]).node, run: func(dst []uint8, a []float64) bool {
		for i, v := range a[:len(dst)] {
			dst[i] = no - one(v != v)
		}
		return true
	}})
}

// toTruth is bool(a).
func toTruth(c *checker, _ *tree, args []term) term {
	a := c.want("bool", args[0], truthKind, intKind, floatKind, textKind)
	switch a.kind {
	case truthKind:
		return a
	case textKind:
		return truthOf(c.texts(truthKind, args, readTruth))
	default:
		return c.compare("!=", a, c.constant(a.at, literal{typ: typ{kind: intKind}}))
	}
}

// toWhole is int(a): what is behind the point is cut.
func toWhole(c *checker, _ *tree, args []term) term {
	a := args[0]
	if isTime(a) {
		fail(a.at, "int takes a number, a truth or a text, found "+a.String(), "epoch(...) gives the seconds since 1970")
	}
	switch a.kind {
	case textKind:
		return intOf(c.texts(intKind, args, readWhole))
	case truthKind:
		return intOf(truthsToInts{a.node})
	case floatKind:
		return intOf(map1[float64, int64]{a.node, func(dst []int64, a []float64) bool {
			all := true
			for i, v := range a[:len(dst)] {
				whole, ok := toInt(v)
				dst[i], all = whole, all && ok
			}
			return all
		}, func(v float64) bool { _, ok := toInt(v); return !ok }})
	}
	return c.want("int", a, intKind)
}

// truthsToInts makes 0 and 1 of truths.
type truthsToInts struct{ of node }

func (t truthsToInts) eval(f *frame) vec {
	a := t.of.eval(f)
	out := take[int64](f)
	known := uint8(yes | no)
	for i, v := range a.truths {
		out[i] = int64(v & yes)
		known &= v | v<<1 | v>>1
	}
	var valid data.Bitmap
	if known != yes|no {
		valid = f.clearUnknown(nil, a.truths)
	}
	f.release(a)
	return made(f, out, valid)
}

// Texts that are read: spaces around are passed over, and what is no value of
// the type is null.

func readTruth(args []cell) (cell, bool) {
	switch strings.ToLower(strings.TrimSpace(args[0].s)) {
	case "true", "1":
		return cell{t: yes}, true
	case "false", "0":
		return cell{t: no}, true
	}
	return cell{}, false
}

func readWhole(args []cell) (cell, bool) {
	i, err := strconv.ParseInt(strings.TrimSpace(args[0].s), 10, 64)
	return cell{i: i}, err == nil
}

func readFloat(args []cell) (cell, bool) {
	s := strings.TrimSpace(args[0].s)
	if strings.Trim(s, "0123456789+-.eE") != "" { // neither 0x1p4 nor inf
		return cell{}, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return cell{f: f}, err == nil
}
