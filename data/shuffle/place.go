package shuffle

import (
	"slices"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/block"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Place puts what came back for the rows of one run in the order of the run.
type Place struct {
	cfg   Config
	b     *data.Batch
	dicts []map[string]uint32
	seen  data.Bitmap
	left  int
}

// NewPlace returns a place for a run of so many rows, with the columns that each
// is given.
func (c Config) NewPlace(schema data.Schema, numRows int) *Place {
	p := &Place{cfg: c, b: &data.Batch{Schema: schema, NumRows: numRows}, seen: data.NewBitmap(numRows), left: numRows}
	for _, f := range schema.Fields {
		p.b.Columns = append(p.b.Columns, data.NewColumn(f.Type, numRows))
		p.dicts = append(p.dicts, map[string]uint32{})
	}
	return p
}

// Add puts the rows of a block that Merge or Answer has made.
func (p *Place) Add(raw []byte) error {
	b, err := block.Decode(raw, p.cfg.Label)
	if err != nil {
		return err
	}
	if len(b.Columns) != len(p.b.Columns)+1 || b.Schema.Fields[0].Name != rowName || !slices.Equal(b.Schema.Fields[1:], p.b.Schema.Fields) {
		return fault.New(fault.Corrupt, "shuffle: a block with other columns than expected")
	}
	rows := b.Columns[0].Int32s
	for _, r := range rows {
		if r < 0 || int(r) >= p.b.NumRows || p.seen.Get(int(r)) {
			return fault.New(fault.Corrupt, "shuffle: row %d of %d is beyond, or comes twice", r, p.b.NumRows)
		}
		p.seen.Set(int(r))
	}
	p.left -= len(rows)
	for i, c := range b.Columns[1:] {
		p.scatter(i, c, rows)
	}
	return nil
}

func (p *Place) scatter(i int, c *data.Column, rows []int32) {
	out := p.b.Columns[i]
	switch c.Type {
	case data.Bool:
		scatter(out.Bools, c.Bools, rows)
	case data.Int32, data.Date:
		scatter(out.Int32s, c.Int32s, rows)
	case data.Int64, data.Timestamp:
		scatter(out.Int64s, c.Int64s, rows)
	case data.Float32:
		scatter(out.Float32s, c.Float32s, rows)
	case data.Float64:
		scatter(out.Float64s, c.Float64s, rows)
	case data.String:
		codes := make([]uint32, len(c.Dict))
		for k, s := range c.Dict {
			code, ok := p.dicts[i][s]
			if !ok {
				code = uint32(len(out.Dict))
				out.Dict = append(out.Dict, s)
				p.dicts[i][s] = code
			}
			codes[k] = code
		}
		for k, r := range rows {
			if c.Valid.Get(k) {
				out.Codes[r] = codes[c.Codes[k]]
			}
		}
	}
	if c.Valid == nil {
		return
	}
	if out.Valid == nil {
		out.Valid = data.NewBitmap(p.b.NumRows)
		for k := range out.Valid {
			out.Valid[k] = ^uint64(0)
		}
	}
	for k, r := range rows {
		if !c.Valid.Get(k) {
			out.Valid.Clear(int(r))
		}
	}
}

func scatter[T any](out, in []T, rows []int32) {
	for i, r := range rows {
		out[r] = in[i]
	}
}

// Batch returns the rows. The error is of kind Corrupt when some are missing.
func (p *Place) Batch() (*data.Batch, error) {
	if p.left != 0 {
		return nil, fault.New(fault.Corrupt, "shuffle: %d of %d rows did not come back", p.left, p.b.NumRows)
	}
	for _, c := range p.b.Columns {
		if c.Type == data.String {
			c.UseStrings(slices.Clone(c.Dict))
		}
	}
	return p.b, nil
}
