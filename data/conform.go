package data

import "fmt"

// Unify returns the schema of a table of which some rows have the columns of s
// and others those of o: the columns of s, then those that only o has. Numbers
// take the wider type: whole numbers together with fractions are float64, which
// holds whole numbers up to 2^53 exactly. A column that one side lacks is null
// there.
//
// Errors: two types of one column of which none can stand for both, by name.
func (s Schema) Unify(o Schema) (Schema, error) {
	var out Schema
	for _, f := range s.Fields {
		i := o.Index(f.Name)
		if i < 0 {
			f.Nullable = true
			out.Fields = append(out.Fields, f)
			continue
		}
		g := o.Fields[i]
		t, ok := wider(f.Type, g.Type)
		if !ok || f.UTC != g.UTC {
			return Schema{}, fmt.Errorf("column %q is %v on one side and %v on the other", f.Name, describe(f), describe(g))
		}
		f.Type, f.Nullable = t, f.Nullable || g.Nullable
		out.Fields = append(out.Fields, f)
	}
	for _, g := range o.Fields {
		if s.Index(g.Name) < 0 {
			g.Nullable = true
			out.Fields = append(out.Fields, g)
		}
	}
	return out, nil
}

func describe(f Field) string {
	if f.UTC {
		return f.Type.String() + " in UTC"
	}
	return f.Type.String()
}

// wider returns the type that holds the values of both.
func wider(a, b Type) (Type, bool) {
	if a > b {
		a, b = b, a
	}
	switch {
	case a == b:
		return a, true
	case a == Int32 && b == Int64:
		return Int64, true
	case a == Float32 && b == Float64, (a == Int32 || a == Int64) && (b == Float32 || b == Float64):
		return Float64, true
	}
	return 0, false
}

// Conform returns the rows of b with the columns of s: those that b lacks are
// null, narrower numbers are widened, others pass as they are. s must be one
// that Unify has made of b's schema, or a part of it.
func (b *Batch) Conform(s Schema) (*Batch, error) {
	out := &Batch{Schema: s, NumRows: b.NumRows, Columns: make([]*Column, len(s.Fields))}
	for i, f := range s.Fields {
		c := b.Column(f.Name)
		switch {
		case c == nil:
			c = NewColumn(f.Type, b.NumRows)
			c.Valid = NewBitmap(b.NumRows)
		case c.Type != f.Type:
			if c = c.widen(f.Type); c == nil {
				return nil, fmt.Errorf("column %q is %v, expected %v", f.Name, b.Column(f.Name).Type, f.Type)
			}
		}
		out.Columns[i] = c
	}
	return out, nil
}

// widen returns the values as a wider type of number, or nil if t is none.
func (c *Column) widen(t Type) *Column {
	out := &Column{Type: t, Valid: c.Valid}
	switch {
	case c.Type == Int32 && t == Int64:
		out.Int64s = convert[int64](c.Int32s)
	case c.Type == Int32 && t == Float64:
		out.Float64s = convert[float64](c.Int32s)
	case c.Type == Int64 && t == Float64:
		out.Float64s = convert[float64](c.Int64s)
	case c.Type == Float32 && t == Float64:
		out.Float64s = convert[float64](c.Float32s)
	default:
		return nil
	}
	return out
}

func convert[To, From int32 | int64 | float32 | float64](vs []From) []To {
	out := make([]To, len(vs))
	for i, v := range vs {
		out[i] = To(v)
	}
	return out
}

// Constant returns a column of one value in every row; a nil value is null. The
// value must be of the kind of the type, whole numbers for times and dates.
func Constant(t Type, v *Value, numRows int) *Column {
	c := NewColumn(t, numRows)
	if v == nil {
		c.Valid = NewBitmap(numRows)
		return c
	}
	switch t {
	case Bool:
		fill(c.Bools, v.Bool())
	case Int32, Date:
		fill(c.Int32s, int32(v.Int()))
	case Int64, Timestamp:
		fill(c.Int64s, v.Int())
	case Float32:
		fill(c.Float32s, float32(v.Float()))
	case Float64:
		fill(c.Float64s, v.Float())
	case String:
		c.Dict = []string{v.Text()}
	}
	return c
}

func fill[T any](vs []T, v T) {
	for i := range vs {
		vs[i] = v
	}
}
