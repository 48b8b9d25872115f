package data

import (
	"fmt"
	"math/bits"
)

// Column is the values of one column of a batch. Exactly the slice of its type
// is set; a value whose bit in Valid is clear is null and holds the zero value.
type Column struct {
	Type     Type
	Valid    Bitmap // nil: no nulls
	Bools    []bool
	Int32s   []int32 // Int32 and Date
	Int64s   []int64 // Int64 and Timestamp
	Float32s []float32
	Float64s []float64
	Codes    []uint32 // String: places in Dict
	Dict     []string // String: distinct values, in order of first appearance
}

// NewColumn returns a column of numRows zero values without nulls.
func NewColumn(t Type, numRows int) *Column {
	c := &Column{Type: t}
	switch t {
	case Bool:
		c.Bools = make([]bool, numRows)
	case Int32, Date:
		c.Int32s = make([]int32, numRows)
	case Int64, Timestamp:
		c.Int64s = make([]int64, numRows)
	case Float32:
		c.Float32s = make([]float32, numRows)
	case Float64:
		c.Float64s = make([]float64, numRows)
	case String:
		c.Codes = make([]uint32, numRows)
	}
	return c
}

// Len returns the number of rows.
func (c *Column) Len() int {
	switch c.Type {
	case Bool:
		return len(c.Bools)
	case Int32, Date:
		return len(c.Int32s)
	case Int64, Timestamp:
		return len(c.Int64s)
	case Float32:
		return len(c.Float32s)
	case Float64:
		return len(c.Float64s)
	case String:
		return len(c.Codes)
	}
	return 0
}

// Zero gives row i the zero value, as nulls have it.
func (c *Column) Zero(i int) {
	switch c.Type {
	case Bool:
		c.Bools[i] = false
	case Int32, Date:
		c.Int32s[i] = 0
	case Int64, Timestamp:
		c.Int64s[i] = 0
	case Float32:
		c.Float32s[i] = 0
	case Float64:
		c.Float64s[i] = 0
	case String:
		c.Codes[i] = 0
	}
}

// NumNulls counts the nulls.
func (c *Column) NumNulls() int {
	if c.Valid == nil {
		return 0
	}
	n, rows := 0, c.Len()
	for i, w := range c.Valid {
		if rest := rows - i*64; rest < 64 {
			w &= 1<<uint(rest) - 1
		}
		n += bits.OnesCount64(w)
	}
	return rows - n
}

// Batch is a run of rows of one table: columns of equal length in the order of
// the schema.
type Batch struct {
	Schema  Schema
	Columns []*Column
	NumRows int
}

// NewBatch checks that the columns fit the schema and each other, and returns
// them as a batch. A batch without columns has no rows.
func NewBatch(schema Schema, columns []*Column) (*Batch, error) {
	if len(columns) != len(schema.Fields) {
		return nil, fmt.Errorf("batch: %d columns for %d fields", len(columns), len(schema.Fields))
	}
	b := &Batch{Schema: schema, Columns: columns}
	for i, c := range columns {
		f := schema.Fields[i]
		if c.Type != f.Type {
			return nil, fmt.Errorf("batch: column %q is %v, its field says %v", f.Name, c.Type, f.Type)
		}
		if i == 0 {
			b.NumRows = c.Len()
		} else if c.Len() != b.NumRows {
			return nil, fmt.Errorf("batch: column %q has %d rows, others %d", f.Name, c.Len(), b.NumRows)
		}
	}
	return b, nil
}

// Column returns the column called name, or nil.
func (b *Batch) Column(name string) *Column {
	if i := b.Schema.Index(name); i >= 0 {
		return b.Columns[i]
	}
	return nil
}
