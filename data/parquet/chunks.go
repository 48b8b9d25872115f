package parquet

import (
	"cmp"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Chunk is the place of one column of one row group in the file.
type Chunk struct {
	Start, End int64 // End is the first byte after it
}

// Chunks returns what Read fetches of row group g for the columns, none meaning
// all, in the order of the file: for readers that are quicker when they know.
func (f *File) Chunks(g int, columns []string) ([]Chunk, error) {
	if g < 0 || g >= len(f.foot.groups) {
		return nil, fault.New(fault.Invalid, "parquet: %s: row group %d of %d", f.name, g, len(f.foot.groups))
	}
	want, err := f.choose(columns)
	if err != nil {
		return nil, atDoor(nil, f.name, err)
	}
	out := make([]Chunk, len(want))
	for i, k := range want {
		c := &f.foot.groups[g].chunks[f.leaves[k].at]
		out[i] = Chunk{c.start, c.start + c.packed}
	}
	slices.SortFunc(out, func(a, b Chunk) int { return cmp.Compare(a.Start, b.Start) })
	return slices.Compact(out), nil // the columns of a list share one
}
