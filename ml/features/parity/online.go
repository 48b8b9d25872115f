package parity

import (
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features"
)

// Online computes the windows of one row at a time, as a server does that
// remembers each entity's past. It is not safe for concurrent use.
type Online struct {
	levels    []*features.Windows
	histories []*features.History
	start     bool // no row of the entity has come yet
}

// NewOnline returns an Online for a fitted pipeline.
func NewOnline(p *features.Pipeline) *Online {
	o := &Online{}
	for _, level := range p.WindowLevels() {
		o.levels = append(o.levels, p.Windows(level))
	}
	return o
}

// Begin forgets the entity whose rows have come: the next row is the first of
// another.
func (o *Online) Begin() error {
	o.histories, o.start = o.histories[:0], true
	for _, w := range o.levels {
		h, err := w.NewHistory()
		if err != nil {
			return err
		}
		o.histories = append(o.histories, h)
	}
	return nil
}

// Row returns a batch of one row with its windows beside its own columns. Rows of
// an entity come in order of time, ties in the order of the input.
func (o *Online) Row(row *data.Batch, time int64) (*data.Batch, error) {
	starts := data.NewBitmap(1)
	if o.start {
		starts.Set(0)
	}
	o.start = false
	with := &data.Batch{Schema: data.Schema{Fields: slices.Clone(row.Schema.Fields)}, Columns: slices.Clone(row.Columns), NumRows: 1}
	for i, w := range o.levels {
		carried, err := w.Carry(with)
		if err != nil {
			return nil, err
		}
		made, err := o.histories[i].Run(carried, []int64{time}, starts)
		if err != nil {
			return nil, err
		}
		with.Schema.Fields = append(with.Schema.Fields, made.Schema.Fields...)
		with.Columns = append(with.Columns, made.Columns...)
	}
	return with, nil
}

// Alone returns one row of a batch as a request has it: it knows of no other row,
// nor of their texts, and has marks of nulls only where it is null.
func Alone(b *data.Batch, i int) *data.Batch {
	out := &data.Batch{Schema: b.Schema, NumRows: 1, Columns: make([]*data.Column, len(b.Columns))}
	for k, c := range b.Columns {
		one := data.NewColumn(c.Type, 1)
		out.Columns[k] = one
		if !c.Valid.Get(i) {
			one.Valid = data.NewBitmap(1)
			continue
		}
		switch c.Type {
		case data.Bool:
			one.Bools[0] = c.Bools[i]
		case data.Int32, data.Date:
			one.Int32s[0] = c.Int32s[i]
		case data.Int64, data.Timestamp:
			one.Int64s[0] = c.Int64s[i]
		case data.Float32:
			one.Float32s[0] = c.Float32s[i]
		case data.Float64:
			one.Float64s[0] = c.Float64s[i]
		case data.String:
			one.Dict = []string{c.Dict[c.Codes[i]]}
		}
	}
	return out
}
