package bundle

import (
	"math"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/onnx"
	"github.com/troupe-ml/troupe/ml/features/expr"
)

// arithmetic is an operator on numbers: of whole ones it is a whole number, and
// bad says where there is none of 64 bits. No operation is given what it cannot
// compute: that of such rows is that of others.
func arithmetic(ofWhole func(x *expression, a, b string) (out, bad string), operator string) call {
	return func(x *expression, n *expr.Node, a []part) (part, error) {
		if n.Type == data.Int64 {
			a = x.alike(data.Int64, a)
			out, bad := ofWhole(x, a[0].x, a[1].x)
			return part{kind: data.Int64, x: out, null: x.or(a[0].null, a[1].null, bad)}, nil
		}
		a = x.alike(data.Float64, a)
		null := x.or(a[0].null, a[1].null)
		if operator != "" {
			return part{kind: data.Float64, x: x.op(operator, a[0].x, a[1].x), null: null}, nil
		}
		zero := x.op("Equal", a[1].x, x.double(0))
		by := x.op("Where", zero, x.double(1), a[1].x)
		out := ""
		if n.Call == "//" {
			out = x.op("Floor", x.op("Div", a[0].x, by))
		} else { // with the sign of the divisor
			m := x.node("Mod", []string{a[0].x, by}, onnx.Attribute{Name: "fmod", Value: int64(1)})
			differ := x.op("Xor", x.op("Less", m, x.double(0)), x.op("Less", by, x.double(0)))
			out = x.op("Where", x.op("And", x.op("Not", x.op("Equal", m, x.double(0))), differ), x.op("Add", m, by), m)
		}
		return part{kind: data.Float64, x: out, null: x.or(null, zero)}, nil
	}
}

func (x *expression) add(n *expr.Node, a []part) (part, error) {
	switch n.Type {
	case data.String:
		return part{}, lacking("joining texts")
	case data.Timestamp, data.Date:
		if a[0].kind != n.Type {
			a = []part{a[1], a[0]}
		}
		return x.shift(a[0], a[1], 1), nil
	}
	return arithmetic((*expression).addWhole, "Add")(x, n, a)
}

func (x *expression) subtract(n *expr.Node, a []part) (part, error) {
	if n.Type == data.Timestamp || n.Type == data.Date {
		return x.shift(a[0], a[1], -1), nil
	}
	for _, p := range a {
		if p.kind == data.Timestamp || p.kind == data.Date {
			return x.elapsed(x.alike(p.kind, a)), nil
		}
	}
	return arithmetic((*expression).subtractWhole, "Sub")(x, n, a)
}

// otherwise is a but where bad, and there n.
func (x *expression) otherwise(bad string, n int64, a string) string {
	return x.op("Where", bad, x.integer(n), a)
}

func (x *expression) addWhole(a, b string) (out, bad string) {
	return x.shifted("Add", "Sub", "Greater", "Less", a, b)
}

func (x *expression) subtractWhole(a, b string) (out, bad string) {
	return x.shifted("Sub", "Add", "Less", "Greater", a, b)
}

// shifted compares a with the bounds moved back by b, so far as b brings a towards
// them: a b that rises takes it to the upper one.
func (x *expression) shifted(op, back, rises, falls, a, b string) (out, bad string) {
	zero := x.integer(0)
	above := x.op("Greater", a, x.op(back, x.integer(math.MaxInt64), x.op("Where", x.op(rises, b, zero), b, zero)))
	below := x.op("Less", a, x.op(back, x.integer(math.MinInt64), x.op("Where", x.op(falls, b, zero), b, zero)))
	bad = x.op("Or", above, below)
	return x.op(op, a, x.otherwise(bad, 0, b)), bad
}

// multiplyWhole compares a with the bounds over b: a positive b keeps their order,
// a negative one turns it. Over -1 the least has no bound, and a only must not be it.
func (x *expression) multiplyWhole(a, b string) (out, bad string) {
	small := x.op("And", x.op("LessOrEqual", b, x.integer(0)), x.op("GreaterOrEqual", b, x.integer(-1)))
	by := x.otherwise(small, 1, b)
	high, low := x.op("Div", x.integer(math.MaxInt64), by), x.op("Div", x.integer(math.MinInt64), by)
	straight := x.op("Or", x.op("Greater", a, high), x.op("Less", a, low))
	turned := x.op("Or", x.op("Less", a, high), x.op("Greater", a, low))
	large := x.op("Or", x.op("And", x.op("Greater", b, x.integer(0)), straight), x.op("And", x.op("Less", b, x.integer(-1)), turned))
	bad = x.op("Or", large, x.op("And", x.op("Equal", b, x.integer(-1)), x.op("Equal", a, x.integer(math.MinInt64))))
	return x.op("Mul", a, x.otherwise(bad, 0, b)), bad
}

func (x *expression) divideWhole(a, b string) (out, bad string) {
	least := x.op("And", x.op("Equal", b, x.integer(-1)), x.op("Equal", a, x.integer(math.MinInt64)))
	bad = x.op("Or", x.op("Equal", b, x.integer(0)), least)
	by := x.otherwise(bad, 1, b)
	rest := x.op("Not", x.op("Equal", x.op("Mod", a, by), x.integer(0)))
	differ := x.op("Xor", x.op("Less", a, x.integer(0)), x.op("Less", by, x.integer(0)))
	return x.op("Sub", x.op("Div", a, by), x.cast(x.op("And", rest, differ), onnx.Int64)), bad
}

// moduloWhole is Mod, which has the sign of the divisor. (Of a quotient and a product
// ONNX Runtime makes one quotient where it divides 1, as if there were no rests.)
func (x *expression) moduloWhole(a, b string) (out, bad string) {
	bad = x.op("Equal", b, x.integer(0))
	by := x.otherwise(x.op("Or", bad, x.op("Equal", b, x.integer(-1))), 1, b) // of both the rest is 0
	return x.op("Mod", a, by), bad
}

func (x *expression) ratio(a, b part) part {
	a, b = x.become(a, data.Float64), x.become(b, data.Float64)
	zero := x.op("Equal", b.x, x.double(0))
	return part{kind: data.Float64, x: x.op("Div", a.x, x.op("Where", zero, x.double(1), b.x)), null: x.or(a.null, b.null, zero)}
}

// negate is Neg or Abs, which the least whole number has not.
func (x *expression) negate(a part, operator string) part {
	if a.kind == data.Float64 {
		return part{kind: a.kind, x: x.op(operator, a.x), null: a.null}
	}
	a = x.become(a, data.Int64)
	least := x.op("Equal", a.x, x.integer(math.MinInt64))
	return part{kind: data.Int64, x: x.op(operator, x.otherwise(least, 0, a.x)), null: x.or(a.null, least)}
}

// extreme is the least of parts, by Less, or the greatest, by Greater.
func (x *expression) extreme(than string, ps []part) part {
	out := ps[0]
	for _, p := range ps[1:] {
		first := x.op(than, out.x, p.x)
		if out.kind == data.Float64 {
			first = x.op("Or", first, x.op("IsNaN", out.x))
		}
		out = part{kind: out.kind, x: x.op("Where", first, out.x, p.x), null: x.or(out.null, p.null)}
	}
	return out
}

// keeping is a function of floats that leaves whole numbers as they are.
func keeping(of func(x *expression, a string) string) call {
	return func(x *expression, _ *expr.Node, a []part) (part, error) {
		if a[0].kind == data.Float64 {
			return part{kind: data.Float64, x: of(x, a[0].x), null: a[0].null}, nil
		}
		return a[0], nil
	}
}

// ofFloat is a function of a float; bad says where it has no value.
func ofFloat(bad, of func(x *expression, a string) string) call {
	return func(x *expression, _ *expr.Node, a []part) (part, error) {
		p := x.become(a[0], data.Float64)
		if bad == nil {
			return part{kind: data.Float64, x: of(x, p.x), null: p.null}, nil
		}
		none := bad(x, p.x)
		return part{kind: data.Float64, x: of(x, x.op("Where", none, x.double(1), p.x)), null: x.or(p.null, none)}, nil
	}
}

// below is where a float is Less, or LessOrEqual, than a number.
func below(number float64, operator string) func(x *expression, a string) string {
	return func(x *expression, a string) string { return x.op(operator, a, x.double(number)) }
}

// truncated cuts what is behind the point.
func (x *expression) truncated(a string) string {
	return x.op("Where", x.op("Less", a, x.double(0)), x.op("Ceil", a), x.op("Floor", a))
}

// rounded takes halves away from 0, where Round takes them to even numbers.
func (x *expression) rounded(a string) string {
	size := x.op("Abs", a)
	down := x.op("Floor", size)
	up := x.op("GreaterOrEqual", x.op("Sub", size, down), x.double(0.5))
	out := x.op("Where", up, x.op("Add", down, x.double(1)), down)
	return x.op("Where", x.op("Less", a, x.double(0)), x.op("Neg", out), out)
}

func (x *expression) squareRoot(a string) string { return x.op("Sqrt", a) }

// cosine is 1 - 2 sin(a/2)^2, for ONNX Runtime has no cosine of doubles.
func (x *expression) cosine(a string) string {
	sin := x.op("Sin", x.op("Mul", a, x.double(0.5)))
	return x.op("Sub", x.double(1), x.op("Mul", x.double(2), x.op("Mul", sin, sin)))
}

// logarithm is exact where the base to a whole number is the argument.
func logarithm(base float64) func(x *expression, a string) string {
	return func(x *expression, a string) string {
		log := x.op("Div", x.op("Log", a), x.double(math.Log(base)))
		whole := x.rounded(log)
		exact := x.op("Equal", x.op("Pow", x.double(base), whole), a)
		return x.op("Where", exact, whole, log)
	}
}

// logOfMore is log(1 + a), also of an a so small that 1 + a is rounded.
//
// Source: Kahan; Goldberg, What every computer scientist should know about
// floating-point arithmetic, theorem 4, with a quotient that is always defined.
func (e *exporter) logOfMore(a string) string {
	u := e.op("Add", a, e.double(1))
	lost := e.op("Div", e.op("Sub", a, e.op("Sub", u, e.double(1))), u)
	large := e.op("Greater", a, e.double(1e15))
	return e.op("Where", large, e.op("Log", u), e.op("Add", e.op("Log", u), lost))
}

func sign(x *expression, _ *expr.Node, a []part) (part, error) {
	p := a[0]
	one := func(v int64) string { return x.integer(v) }
	if p.kind == data.Float64 {
		one = func(v int64) string { return x.double(float64(v)) }
	}
	x1 := x.op("Where", x.op("Less", p.x, one(0)), one(-1), p.x)
	p.x = x.op("Where", x.op("Greater", p.x, one(0)), one(1), x1)
	return p, nil
}
