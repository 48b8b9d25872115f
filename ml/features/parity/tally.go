package parity

import (
	"math"
	"strconv"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Difference is a value that is not the same in a batch as alone.
type Difference struct {
	Number int64  `json:"-"` // of the row in the table
	File   string `json:"file"`
	Row    int64  `json:"row"` // of the file, from 0
	Column string `json:"column"`
	Batch  string `json:"batch"`
	Online string `json:"online"`
}

// Tally counts, for the columns of one feature, the rows that were compared.
type Tally struct {
	Name      string      `json:"name"`
	Op        string      `json:"op"`
	Columns   []string    `json:"columns"`
	Rows      int64       `json:"rows"`
	Different int64       `json:"different"` // of them
	First     *Difference `json:"first"`     // by number of the row; null if there is none
}

// Compare holds the feature of row i of a batch against that of a batch of that
// row alone, which has a number in the table. Values are the same if they have the
// same bits, texts the same bytes; null is null, and NaN is NaN whatever its bits.
//
// The error is of kind Internal when a column is missing.
func (t *Tally) Compare(batch *data.Batch, i int, alone *data.Batch, number int64) error {
	t.Rows++
	found := false
	for _, name := range t.Columns {
		a, b := batch.Column(name), alone.Column(name)
		if a == nil || b == nil || a.Len() <= i || b.Len() != 1 {
			return fault.New(fault.Internal, "parity: %s: column %q is missing", t.Name, name)
		}
		if found || same(a, i, b) {
			continue
		}
		found = true
		t.Different++
		if t.First == nil || number < t.First.Number {
			t.First = &Difference{Number: number, Column: name, Batch: text(a, i), Online: text(b, 0)}
		}
	}
	return nil
}

// Merge adds what another tally of the same feature has counted.
func (t *Tally) Merge(o *Tally) {
	t.Rows, t.Different = t.Rows+o.Rows, t.Different+o.Different
	if o.First != nil && (t.First == nil || o.First.Number < t.First.Number) {
		t.First = o.First
	}
}

// same compares row i of a column with the only row of another.
func same(a *data.Column, i int, b *data.Column) bool {
	if a.Type != b.Type || a.Valid.Get(i) != b.Valid.Get(0) {
		return false
	}
	if !a.Valid.Get(i) {
		return true
	}
	switch a.Type {
	case data.Bool:
		return a.Bools[i] == b.Bools[0]
	case data.Int32, data.Date:
		return a.Int32s[i] == b.Int32s[0]
	case data.Int64, data.Timestamp:
		return a.Int64s[i] == b.Int64s[0]
	case data.Float32:
		x, y := a.Float32s[i], b.Float32s[0]
		return math.Float32bits(x) == math.Float32bits(y) || x != x && y != y
	case data.Float64:
		x, y := a.Float64s[i], b.Float64s[0]
		return math.Float64bits(x) == math.Float64bits(y) || x != x && y != y
	default:
		return a.Dict[a.Codes[i]] == b.Dict[b.Codes[0]]
	}
}

// text writes a value for people; two that are not the same are written
// differently.
func text(c *data.Column, i int) string {
	if !c.Valid.Get(i) {
		return "null"
	}
	switch c.Type {
	case data.Bool:
		return strconv.FormatBool(c.Bools[i])
	case data.Int32, data.Date:
		return strconv.FormatInt(int64(c.Int32s[i]), 10)
	case data.Int64, data.Timestamp:
		return strconv.FormatInt(c.Int64s[i], 10)
	case data.Float32:
		return strconv.FormatFloat(float64(c.Float32s[i]), 'g', -1, 32)
	case data.Float64:
		return strconv.FormatFloat(c.Float64s[i], 'g', -1, 64)
	default:
		return strconv.Quote(c.Dict[c.Codes[i]])
	}
}
