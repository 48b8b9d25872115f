package bundle

import (
	"math"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/onnx"
	"github.com/troupe-ml/troupe/ml/features/expr"
)

func comparison(op string) call {
	return func(x *expression, _ *expr.Node, a []part) (part, error) { return x.compare(op, a[0], a[1]) }
}

// compare compares two parts, as expr does: whole numbers with fractions exactly.
func (x *expression) compare(op string, a, b part) (part, error) {
	a, b = x.precise(a, b), x.precise(b, a)
	a, b = x.besideTime(a, b.kind), x.besideTime(b, a.kind)
	numbers := func(p part) bool { return p.kind == data.Int64 || p.kind == data.Float64 }
	switch {
	case a.kind == data.Bool:
		return x.sameTruths(op, a, b), nil
	case a.kind == data.String:
		return x.sameTexts(op, a, b)
	case numbers(a) && numbers(b) && a.kind != b.kind:
		return x.compareMixed(op, a, b), nil
	}
	operator := map[string]string{"=": "Equal", "!=": "Equal", "<": "Less", "<=": "LessOrEqual", ">": "Greater", ">=": "GreaterOrEqual"}[op]
	yes := x.op(operator, a.x, b.x)
	out := x.given(yes, x.op("Not", yes), x.or(x.absent(a), x.absent(b)))
	if op == "!=" {
		return not(out), nil
	}
	return out, nil
}

// besideTime makes a time of a text that stands beside one, and of a null what is
// beside it; whole numbers beside fractions stay what they are.
func (x *expression) besideTime(p part, kind data.Type) part {
	if p.from == nil || !p.from.Literal() {
		return p
	}
	if _, text := p.from.Value.(string); text || p.from.Value == nil {
		return x.become(p, kind)
	}
	return p
}

// precise rounds a literal to the precision of the column beside it.
func (x *expression) precise(p, beside part) part {
	if number, ok := literalNumber(p); ok && beside.from != nil && beside.from.Column != "" && x.columns[beside.from.Column].kind == data.Float32 {
		return x.constant(data.Float64, data.Shorten(number))
	}
	return p
}

func (x *expression) sameTruths(op string, a, b part) part {
	same := x.op("Or", x.op("And", a.x, b.x), x.op("And", a.no, b.no))
	differ := x.op("Or", x.op("And", a.x, b.no), x.op("And", a.no, b.x))
	out := part{kind: data.Bool, x: same, no: differ}
	if op == "!=" {
		return not(out)
	}
	return out
}

// sameTexts compares a text with a literal.
func (x *expression) sameTexts(op string, a, b part) (part, error) {
	if a.from != nil && a.from.Literal() {
		a, b = b, a
	}
	if b.from == nil || !b.from.Literal() || op != "=" && op != "!=" {
		return part{}, lacking("a comparison of texts other than = or != with one that stands in the expression")
	}
	out, err := x.among(a, []part{b})
	if b.from.Value == nil {
		never := x.op("And", out.x, out.no)
		out = part{kind: data.Bool, x: never, no: never}
	}
	if op == "!=" {
		return not(out), err
	}
	return out, err
}

// compareMixed compares whole numbers with fractions: rounding the whole one keeps
// the order, save that it makes equals, which then are compared as whole numbers.
func (x *expression) compareMixed(op string, a, b part) part {
	less, greater := op == "<" || op == "<=" || op == "!=", op == ">" || op == ">=" || op == "!="
	if a.kind == data.Float64 {
		a, b, less, greater = b, a, greater, less
	}
	if _, ok := literalNumber(a); ok {
		a = x.become(a, data.Float64)
		return x.ordered(x.op("Less", a.x, b.x), x.op("Greater", a.x, b.x), x.op("Equal", a.x, b.x), less, greater, op, x.or(a.null, x.absent(b)))
	}
	r := x.cast(a.x, onnx.Double)
	tied := x.op("Equal", r, b.x)
	beyond := x.op("And", tied, x.op("GreaterOrEqual", b.x, x.double(1<<63)))
	tied = x.op("And", tied, x.op("Less", b.x, x.double(1<<63)))
	w := x.cast(x.op("Where", tied, b.x, x.double(0)), onnx.Int64)
	isLess := x.or(x.op("Less", r, b.x), beyond, x.op("And", tied, x.op("Less", a.x, w)))
	isGreater := x.op("Or", x.op("Greater", r, b.x), x.op("And", tied, x.op("Greater", a.x, w)))
	isEqual := x.op("And", tied, x.op("Equal", a.x, w))
	return x.ordered(isLess, isGreater, isEqual, less, greater, op, x.or(a.null, x.absent(b)))
}

// ordered is a comparison of which less, greater and equal are known.
func (x *expression) ordered(isLess, isGreater, isEqual string, less, greater bool, op, null string) part {
	yes := ""
	if less {
		yes = isLess
	}
	if greater {
		yes = x.or(yes, isGreater)
	}
	if op == "=" || op == "<=" || op == ">=" {
		yes = x.or(yes, isEqual)
	}
	return x.given(yes, x.op("Not", yes), null)
}

func nullOf(x *expression, _ *expr.Node, a []part) (part, error) {
	missing := x.absent(a[0])
	if missing == "" {
		of := a[0].x
		if a[0].kind == data.String {
			of = x.labels(of, "keys_strings", []string{""}, []int64{0}, 0)
		}
		missing = x.op("Less", of, of) // never
	}
	return part{kind: data.Bool, x: missing, no: x.op("Not", missing)}, nil
}

func nanOf(x *expression, _ *expr.Node, a []part) (part, error) {
	if a[0].blurred {
		return part{}, lacking("is_nan of a column that may be null or NaN, which are one in ONNX,")
	}
	p := x.become(a[0], data.Float64)
	yes := x.op("IsNaN", p.x)
	return x.given(yes, x.op("Not", yes), p.null), nil
}

// toWhole is int(a).
func toWhole(x *expression, _ *expr.Node, a []part) (part, error) {
	p := a[0]
	switch p.kind {
	case data.Bool:
		return part{kind: data.Int64, x: x.cast(p.x, onnx.Int64), null: x.absent(p)}, nil
	case data.Float64:
		out, bad := x.cut(p.x)
		return part{kind: data.Int64, x: out, null: x.or(p.null, bad)}, nil
	case data.String:
		return part{}, lacking("int of a text")
	}
	return p, nil
}

// cut makes whole numbers of floats; bad says where there is none of 64 bits.
func (x *expression) cut(a string) (out, bad string) {
	within := x.op("And", x.op("GreaterOrEqual", a, x.double(math.MinInt64)), x.op("Less", a, x.double(1<<63)))
	return x.cast(x.op("Where", within, a, x.double(0)), onnx.Int64), x.op("Not", within)
}

func toFloat(x *expression, _ *expr.Node, a []part) (part, error) {
	p := a[0]
	switch p.kind {
	case data.Bool:
		return part{kind: data.Float64, x: x.cast(p.x, onnx.Double), null: x.absent(p)}, nil
	case data.String:
		return part{}, lacking("float of a text")
	}
	return x.become(p, data.Float64), nil
}

func toTruth(x *expression, _ *expr.Node, a []part) (part, error) {
	switch a[0].kind {
	case data.Bool:
		return a[0], nil
	case data.String:
		return part{}, lacking("bool of a text")
	}
	return x.compare("!=", a[0], x.constant(a[0].kind, map[data.Type]any{data.Int64: int64(0), data.Float64: 0.0}[a[0].kind]))
}

func toText(x *expression, _ *expr.Node, a []part) (part, error) {
	switch p := a[0]; p.kind {
	case data.Bool:
		return part{kind: data.String, x: x.op("Where", p.x, x.text("true"), x.text("false")), null: x.absent(p)}, nil
	case data.String:
		return p, nil
	}
	return part{}, lacking("string of a number or a time")
}

// clockOf takes a part that is a time apart.
func (x *expression) clockOf(p part) clock {
	if p.kind == data.Timestamp {
		return x.clock(p.x, nil)
	}
	return clock{x.exporter, p.x, ""}
}

func timePart(x *expression, n *expr.Node, a []part) (part, error) {
	out := x.clockOf(a[0]).part(n.Call)
	if n.Call == "is_weekend" {
		return x.given(out, x.op("Not", out), a[0].null), nil
	}
	return part{kind: data.Int64, x: out, null: a[0].null}, nil
}

func dateOf(x *expression, _ *expr.Node, a []part) (part, error) {
	if a[0].kind == data.String {
		return part{}, lacking("date of a text")
	}
	return part{kind: data.Date, x: x.clockOf(a[0]).days, null: a[0].null}, nil
}

// epochOf is the seconds since 1970.
func epochOf(x *expression, _ *expr.Node, a []part) (part, error) {
	if p := a[0]; p.kind == data.Date {
		return part{kind: data.Float64, x: x.cast(x.op("Mul", p.x, x.integer(secondsOfDay)), onnx.Double), null: p.null}, nil
	}
	return x.seconds(a[0]), nil
}

// seconds is microseconds as seconds.
func (x *expression) seconds(p part) part {
	out := x.op("Div", x.cast(p.x, onnx.Double), x.double(microsOfSecond))
	return part{kind: data.Float64, x: out, null: p.null}
}

// elapsed is the seconds from one timestamp to another, or the days from one date
// to another.
func (x *expression) elapsed(a []part) part {
	difference, bad := x.subtractWhole(a[0].x, a[1].x)
	p := part{kind: data.Int64, x: difference, null: x.or(a[0].null, a[1].null, bad)}
	if a[0].kind == data.Date {
		return p
	}
	return x.seconds(p)
}

// shift moves a timestamp by seconds or a date by days, forth or back.
func (x *expression) shift(t, by part, sign float64) part {
	unit, least, most := sign*microsOfSecond, int64(math.MinInt64), int64(math.MaxInt64)
	if t.kind == data.Date {
		unit, least, most = sign, math.MinInt32, math.MaxInt32
	}
	by = x.become(by, data.Float64)
	moves, none := x.cut(x.rounded(x.op("Mul", by.x, x.double(unit))))
	to, bad := x.addWhole(t.x, moves)
	outside := x.op("Or", x.op("Less", to, x.integer(least)), x.op("Greater", to, x.integer(most)))
	return part{kind: t.kind, x: to, null: x.or(t.null, by.null, none, bad, outside)}
}
