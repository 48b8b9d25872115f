package features

import "github.com/troupe-ml/troupe/data"

// EncodedColumn is a column that an encoder reads, and what it has learned of it,
// for programs that are to encode likewise: see Encoder.
type EncodedColumn struct {
	Name string
	Type data.Type
	// Of a number or a truth:
	Median, Mean, Std float64
	Missing           bool // there is a column for missing values
	// Of a text:
	Text       bool
	Categories []string
	Null       bool // nulls have a column of their own
	// Coded is whether the place of the category is one number, of which a network
	// makes an embedding.
	Coded bool
}

// Columns returns what a fitted encoder has learned; nil before it is fitted.
func (e *Encoder) Columns() []EncodedColumn {
	if !e.Ready() {
		return nil
	}
	out := make([]EncodedColumn, len(e.columns))
	for i, c := range e.columns {
		out[i] = EncodedColumn{Name: c.Name, Type: c.Type, Text: c.Text != nil, Coded: c.Coded}
		if n := c.Number; n != nil {
			out[i].Median, out[i].Mean, out[i].Std, out[i].Missing = n.Median, n.Mean, n.Std, n.Missing
		}
		if t := c.Text; t != nil {
			out[i].Categories, out[i].Null = t.Categories, t.Null
		}
	}
	return out
}
