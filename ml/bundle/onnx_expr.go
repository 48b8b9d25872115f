package bundle

import (
	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/onnx"
	"github.com/troupe-ml/troupe/ml/features/expr"
)

// part is a part of an expression in the graph, of shape (rows, 1), or (1, 1) of
// literals. What x is where there is no value says nothing.
type part struct {
	kind data.Type // Bool, Int64, Float64, String, Timestamp or Date
	x    string    // doubles, int64s or strings; of truths those that are true
	no   string    // of truths those that are false: of a null neither is
	null string    // of others those that are null; none when empty
	from *expr.Node
	// blurred numbers come from a column whose NaN and null ONNX has as one.
	blurred bool
	merged  bool // as of a value
}

// expression writes one feature.
type expression struct {
	*step
	columns map[string]value
	nodes   map[*expr.Node]part
}

// expression computes a column by a text.
func (s *step) expression() ([]value, error) {
	text, _ := s.Params["expr"].(string)
	var schema data.Schema
	x := &expression{step: s, columns: map[string]value{}, nodes: map[*expr.Node]part{}}
	for i, v := range s.in {
		schema.Fields = append(schema.Fields, data.Field{Name: s.Of[i], Type: v.kind, Nullable: true, UTC: v.utc})
		x.columns[s.Of[i]] = v
	}
	program, err := expr.Compile(text, schema)
	if err != nil {
		return nil, err
	}
	p, err := x.part(program.Tree())
	if err != nil {
		return nil, err
	}
	p = x.become(p, program.Field().Type)
	return []value{x.column(p, program.Field().UTC)}, nil
}

// part writes a part and what it is made of.
func (x *expression) part(n *expr.Node) (part, error) {
	if p, ok := x.nodes[n]; ok {
		return p, nil
	}
	p, err := x.make(n)
	p.from = n
	x.nodes[n] = p
	return p, err
}

func (x *expression) make(n *expr.Node) (part, error) {
	switch {
	case n.Literal():
		return x.literal(n.Type, n.Value), nil
	case n.Column != "":
		v := x.columns[n.Column]
		if v.empty {
			return part{}, errEmpty
		}
		return x.read(v), nil
	case n.Call == "coalesce" && len(n.Of) == 2 && n.Of[0].Column != "" && n.Of[1].Value == any(""):
		p := x.coalesce([]part{x.read(x.columns[n.Of[0].Column]), x.literal(data.String, "")})
		p.merged = false // null becomes what "" is anyway
		return p, nil
	}
	args := make([]part, len(n.Of))
	for i, of := range n.Of {
		var err error
		if args[i], err = x.part(of); err != nil {
			return part{}, err
		}
	}
	write := calls[n.Call]
	if write == nil {
		return part{}, lacking(n.Call)
	}
	p, err := write(x, n, args)
	for _, a := range args {
		p.blurred = p.blurred || a.blurred && p.kind == data.Float64
		p.merged = p.merged || a.merged && p.kind == data.String
	}
	return p, err
}

func lacking(what string) error {
	return fault.New(fault.Invalid, "expr: %s has no counterpart in ONNX: export the model alone (--model-only), or train on the output of a features job", what)
}

// literal writes a value that is the same for all rows, or null.
func (x *expression) literal(t data.Type, v any) part {
	p := part{kind: t}
	if v == nil {
		p.null = x.truth(true)
	}
	switch t {
	case data.Bool:
		is, _ := v.(bool)
		p.x, p.no, p.null = x.truth(v != nil && is), x.truth(v != nil && !is), ""
	case data.Float64:
		number, _ := v.(float64)
		p.x = x.double(number)
	case data.String:
		text, _ := v.(string)
		p.x = x.text(text)
	default:
		number, _ := v.(int64)
		p.x = x.integer(number)
	}
	return p
}

func (x *expression) truth(v bool) string {
	return x.graph.Constant(x.name("truth"), onnx.Tensor{Shape: []int64{1, 1}, Bools: []bool{v}})
}

// read takes a column into the expression.
func (x *expression) read(v value) part {
	p := part{kind: v.kind, x: v.name, merged: v.merged}
	if v.nullable || v.null != "" {
		p.null = x.missing(v)
	}
	switch v.kind {
	case data.Bool:
		return part{kind: data.Bool, x: x.op("Equal", v.name, x.double(1)), no: x.op("Equal", v.name, x.double(0))}
	case data.Float32, data.Float64:
		p.kind, p.blurred, p.null = data.Float64, true, x.missing(v)
	case data.Int32, data.Int64:
		p.kind, p.x = data.Int64, x.integers(v, x.missing(v))
	}
	return p
}

// constant is a literal with its node.
func (x *expression) constant(t data.Type, v any) part {
	p := x.literal(t, v)
	p.from = &expr.Node{Type: t, Value: v}
	return p
}

// become makes a part one of another type: of a null any, of whole numbers
// floats, of a text that stands there a time.
func (x *expression) become(p part, to data.Type) part {
	if p.kind == to {
		return p
	}
	if p.from != nil && p.from.Literal() {
		switch v := p.from.Value.(type) {
		case nil:
			return x.constant(to, nil)
		case int64:
			if to == data.Float64 {
				return x.constant(to, float64(v))
			}
		case string:
			return x.time(p, v, to)
		}
		return p
	}
	if p.kind == data.Int64 && to == data.Float64 {
		if v, ok := x.wholeColumn(p); ok {
			return part{kind: to, x: v.name, null: p.null}
		}
		return part{kind: to, x: x.cast(p.x, onnx.Double), null: p.null}
	}
	return p
}

// time is a text as a time; expr has read it before.
func (x *expression) time(p part, text string, to data.Type) part {
	if to == data.Date {
		if day, err := data.ParseDate(text); err == nil {
			return x.constant(to, int64(day))
		}
	}
	for _, utc := range []bool{true, false} {
		if micros, err := data.ParseTimestamp(text, utc); err == nil && to == data.Timestamp {
			return x.constant(to, micros)
		}
	}
	return p
}

// wholeColumn is the column of whole numbers that a part is, as doubles.
func (x *expression) wholeColumn(p part) (value, bool) {
	if p.from == nil || p.from.Column == "" {
		return value{}, false
	}
	v := x.columns[p.from.Column]
	return v, v.whole == ""
}

// alike gives parts one type.
func (x *expression) alike(to data.Type, ps []part) []part {
	out := make([]part, len(ps))
	for i, p := range ps {
		out[i] = x.become(p, to)
	}
	return out
}

// column is a part as a column, of one value for each row.
func (x *expression) column(p part, utc bool) value {
	first := x.columns[x.Of[0]]
	known := x.missing(first)
	never := x.op("And", known, x.op("Not", known))
	null := x.or(p.null, never)
	out := value{kind: p.kind, nullable: true, utc: utc, merged: p.merged}
	switch p.kind {
	case data.Bool:
		yes, no := x.op("Or", p.x, never), x.op("Or", p.no, never)
		out.name = x.op("Where", yes, x.double(1), x.op("Where", no, x.double(0), x.nan()))
	case data.Float64:
		out.name = x.op("Where", null, x.nan(), p.x)
	case data.String:
		out.name, out.null = x.op("Where", null, x.text(""), p.x), null
		if p.null == "" {
			out.nullable, out.null = false, ""
		}
	case data.Int64:
		out.whole, out.null = x.op("Where", null, x.integer(0), p.x), null
		out.name = x.op("Where", null, x.nan(), x.cast(out.whole, onnx.Double))
	default:
		out.name, out.null = x.op("Where", null, x.integer(noTime), p.x), null
	}
	return out
}

// or joins truths, of which some may be empty: never so.
func (x *expression) or(truths ...string) string {
	out := ""
	for _, t := range truths {
		switch {
		case t == "" || t == out:
		case out == "":
			out = t
		default:
			out = x.op("Or", out, t)
		}
	}
	return out
}

// given is a truth where nothing is null.
func (x *expression) given(yes, no, null string) part {
	if null != "" {
		known := x.op("Not", null)
		yes, no = x.op("And", yes, known), x.op("And", no, known)
	}
	return part{kind: data.Bool, x: yes, no: no}
}

// absent is where a part is null or NaN.
func (x *expression) absent(p part) string {
	switch p.kind {
	case data.Bool:
		return x.op("Not", x.op("Or", p.x, p.no))
	case data.Float64:
		return x.or(p.null, x.op("IsNaN", p.x))
	}
	return p.null
}

// choose is a where yes, and else b, which are of one type.
func (x *expression) choose(yes string, a, b part) part {
	out := part{kind: a.kind}
	pick := func(a, b string) string {
		return x.op("Or", x.op("And", yes, a), x.op("And", x.op("Not", yes), b))
	}
	if a.kind == data.Bool {
		out.x, out.no = pick(a.x, b.x), pick(a.no, b.no)
		return out
	}
	out.x = x.op("Where", yes, a.x, b.x)
	if a.null != "" || b.null != "" {
		nulls := []string{a.null, b.null}
		for i, n := range nulls {
			if n == "" {
				nulls[i] = x.truth(false)
			}
		}
		out.null = pick(nulls[0], nulls[1])
	}
	return out
}

func (x *expression) and(a, b part) part {
	return part{kind: data.Bool, x: x.op("And", a.x, b.x), no: x.op("Or", a.no, b.no)}
}

func not(a part) part { return part{kind: data.Bool, x: a.no, no: a.x} }

// coalesce is the first part that is there.
func (x *expression) coalesce(ps []part) part {
	out := ps[len(ps)-1]
	for i := len(ps) - 2; i >= 0; i-- {
		if missing := x.absent(ps[i]); missing == "" {
			out = ps[i]
		} else {
			out = x.choose(missing, out, ps[i])
		}
	}
	return out
}
