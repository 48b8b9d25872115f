package bundle

import (
	"cmp"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/onnx"
	"github.com/troupe-ml/troupe/ml/features/expr"
)

// call writes a call of a function or an operator.
type call func(x *expression, n *expr.Node, a []part) (part, error)

// calls are those that ONNX has words for.
var calls = map[string]call{
	"+": (*expression).add, "-": (*expression).subtract,
	"*":  arithmetic((*expression).multiplyWhole, "Mul"),
	"//": arithmetic((*expression).divideWhole, ""),
	"%":  arithmetic((*expression).moduloWhole, ""),
	"/":  func(x *expression, _ *expr.Node, a []part) (part, error) { return x.ratio(a[0], a[1]), nil },
	"-x": func(x *expression, _ *expr.Node, a []part) (part, error) { return x.negate(a[0], "Neg"), nil },
	"+x": itself,
	"=":  comparison("="), "!=": comparison("!="), "<": comparison("<"), "<=": comparison("<="), ">": comparison(">"), ">=": comparison(">="),
	"and": func(x *expression, _ *expr.Node, a []part) (part, error) {
		a = x.alike(data.Bool, a)
		return x.and(a[0], a[1]), nil
	},
	"or": func(x *expression, _ *expr.Node, a []part) (part, error) {
		a = x.alike(data.Bool, a)
		return not(x.and(not(a[0]), not(a[1]))), nil
	},
	"not": func(x *expression, _ *expr.Node, a []part) (part, error) { return not(x.become(a[0], data.Bool)), nil },
	"in":  func(x *expression, _ *expr.Node, a []part) (part, error) { return x.among(a[0], a[1:]) },
	"between": func(x *expression, _ *expr.Node, a []part) (part, error) {
		low, err1 := x.compare(">=", a[0], a[1])
		high, err2 := x.compare("<=", a[0], a[2])
		return x.and(low, high), cmp.Or(err1, err2)
	},
	"if": func(x *expression, n *expr.Node, a []part) (part, error) {
		both := x.alike(n.Type, a[1:])
		return x.choose(x.become(a[0], data.Bool).x, both[0], both[1]), nil
	},
	"coalesce": func(x *expression, n *expr.Node, a []part) (part, error) { return x.coalesce(x.alike(n.Type, a)), nil },
	"is_null":  nullOf,
	"is_nan":   nanOf,
	"min": func(x *expression, n *expr.Node, a []part) (part, error) {
		return x.extreme("Less", x.alike(n.Type, a)), nil
	},
	"max": func(x *expression, n *expr.Node, a []part) (part, error) {
		return x.extreme("Greater", x.alike(n.Type, a)), nil
	},
	"clamp": func(x *expression, n *expr.Node, a []part) (part, error) {
		a = x.alike(n.Type, a)
		return x.extreme("Less", []part{x.extreme("Greater", a[:2]), a[2]}), nil
	},
	"int": toWhole, "float": toFloat, "bool": toTruth, "string": toText,
	"abs":   func(x *expression, _ *expr.Node, a []part) (part, error) { return x.negate(a[0], "Abs"), nil },
	"sign":  sign,
	"floor": keeping(func(x *expression, a string) string { return x.op("Floor", a) }),
	"ceil":  keeping(func(x *expression, a string) string { return x.op("Ceil", a) }),
	"round": keeping((*expression).rounded), "trunc": keeping((*expression).truncated),
	"sqrt":  ofFloat(below(0, "Less"), (*expression).squareRoot),
	"exp":   ofFloat(nil, func(x *expression, a string) string { return x.op("Exp", a) }),
	"log":   ofFloat(below(0, "LessOrEqual"), func(x *expression, a string) string { return x.op("Log", a) }),
	"log2":  ofFloat(below(0, "LessOrEqual"), logarithm(2)),
	"log10": ofFloat(below(0, "LessOrEqual"), logarithm(10)),
	"log1p": ofFloat(below(-1, "LessOrEqual"), func(x *expression, a string) string { return x.logOfMore(a) }),
	"sin":   ofFloat(nil, func(x *expression, a string) string { return x.op("Sin", a) }),
	"cos":   ofFloat(nil, (*expression).cosine),
	"tan":   ofFloat(nil, func(x *expression, a string) string { return x.op("Div", x.op("Sin", a), x.cosine(a)) }),
	"pow":   func(x *expression, _ *expr.Node, a []part) (part, error) { return x.power(a[0], a[1]) },
	"date":  dateOf, "epoch": epochOf,
	"year": timePart, "quarter": timePart, "month": timePart, "day": timePart, "day_of_year": timePart,
	"day_of_week": timePart, "is_weekend": timePart, "hour": timePart, "minute": timePart, "second": timePart,
}

func itself(_ *expression, _ *expr.Node, a []part) (part, error) { return a[0], nil }

// literalNumber is the number that a part is for all rows.
func literalNumber(p part) (float64, bool) {
	if p.from == nil || !p.from.Literal() {
		return 0, false
	}
	switch v := p.from.Value.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	}
	return 0, false
}

// power is a ** b.
func (x *expression) power(a, b part) (part, error) {
	base, hasBase := literalNumber(a)
	exponent, hasExponent := literalNumber(b)
	if a.blurred && !(hasExponent && exponent != 0) || b.blurred && !(hasBase && base != 1) {
		return part{}, lacking("a power whose exponent may be 0 or whose base 1, of numbers that may be NaN,")
	}
	a, b = x.become(a, data.Float64), x.become(b, data.Float64)
	if hasExponent && exponent == 2 {
		return part{kind: data.Float64, x: x.op("Mul", a.x, a.x), null: x.or(a.null, b.null)}, nil
	}
	zero := x.double(0)
	none := x.op("And", x.op("Equal", a.x, zero), x.op("Less", b.x, zero))
	fraction := x.op("Not", x.op("Or", x.op("Equal", x.truncated(b.x), b.x), x.op("IsNaN", b.x)))
	none = x.op("Or", none, x.op("And", x.op("Less", a.x, zero), fraction))
	power := x.op("Pow", x.op("Where", none, x.double(1), a.x), b.x)
	return part{kind: data.Float64, x: power, null: x.or(a.null, b.null, none)}, nil
}

// among is whether a part is one of literals.
func (x *expression) among(p part, list []part) (part, error) {
	var texts []string
	var ints []int64
	var floats []float64
	var truths [2]bool
	for _, l := range list {
		switch v := x.precise(x.become(l, p.kind), p).from.Value.(type) {
		case string:
			texts = append(texts, v)
		case bool:
			truths[map[bool]int{true: 1}[v]] = true
		case int64:
			ints, floats = append(ints, v), append(floats, float64(v))
		case float64:
			floats = append(floats, v)
			if v == math.Trunc(v) && v >= -1<<63 && v < 1<<63 {
				ints = append(ints, int64(v))
			}
		}
	}
	switch p.kind {
	case data.Bool:
		yes, no := x.truth(truths[1]), x.truth(truths[0])
		in := x.op("Or", x.op("And", p.x, yes), x.op("And", p.no, no))
		return part{kind: data.Bool, x: in, no: x.op("And", x.op("Or", p.x, p.no), x.op("Not", in))}, nil
	case data.Float64:
		slices.Sort(floats)
		all := x.graph.Constant(x.name("list"), onnx.Tensor{Shape: []int64{1, int64(len(floats))}, Doubles: floats})
		axis := x.graph.Constant(x.name("axis"), onnx.Tensor{Shape: []int64{1}, Int64s: []int64{1}})
		times := x.op("ReduceSum", x.cast(x.op("Equal", p.x, all), onnx.Int64), axis)
		in := x.op("Greater", times, x.integer(0))
		return x.given(in, x.op("Not", in), x.absent(p)), nil
	case data.String:
		if p.merged && slices.Contains(texts, "") {
			return part{}, lacking("looking for an empty text in a column that may be null")
		}
		texts = unique(texts)
		return x.found(p, "keys_strings", texts, len(texts)), nil
	}
	ints = unique(ints)
	return x.found(p, "keys_int64s", ints, len(ints)), nil
}

func unique[T string | int64](list []T) []T {
	slices.Sort(list)
	return slices.Compact(list)
}

// found is whether a part is among n keys.
func (x *expression) found(p part, kind string, keys any, n int) part {
	in := x.op("GreaterOrEqual", x.labels(p.x, kind, keys, upTo(n), -1), x.integer(0))
	return x.given(in, x.op("Not", in), p.null)
}
