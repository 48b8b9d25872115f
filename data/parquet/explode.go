package parquet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Explode returns the file with a row for every element of a list, in the order
// of the rows and of the elements within them. A row whose list is empty or
// missing remains, once, without an element. Instead of the list's count, first
// and last there is a column of its elements, named as the list, or one for each
// field of its elements, named by path (items.price); all others, the ends of
// other lists among them, have the values of the row that the element was of.
// Lists within the elements cannot be read.
//
// How many rows there are is known from the footer. A row group is read as a
// whole, and filtered once it is read. The error is of kind Invalid: there is no
// such list; it is a map, or one of lists alone.
func (f *File) Explode(list string) (*File, error) {
	out := &File{name: f.name, r: f.r, foot: f.foot, exploded: &explosion{list: list, first: -1}, byName: map[string]int{}}
	for _, l := range f.leaves {
		switch {
		case l.part == whole || l.list != list:
			out.leaves = append(out.leaves, l)
		case l.isMap:
			return nil, fault.New(fault.Invalid, "parquet: %s: explode: %q is a map, of which only the entries are counted", f.name, list)
		case l.part == listFirst: // of every field of the elements
			l.part, l.field.Name, l.field.Nullable = listElement, l.path, true
			out.leaves = append(out.leaves, l)
		}
	}
	out.refuseNested(f, list)
	for i, l := range out.leaves {
		name := l.field.Name
		if _, twice := out.byName[name]; twice {
			return nil, fault.New(fault.Invalid, "parquet: %s: explode: column %q occurs twice then", f.name, name)
		}
		if l.part == listElement && out.exploded.first < 0 {
			out.exploded.first = i
		}
		out.byName[name] = i
		out.schema.Fields = append(out.schema.Fields, l.field)
	}
	if out.exploded.first < 0 {
		return nil, f.noSuchList(list)
	}
	return out, out.checkExploded()
}

// refuseNested lists what cannot be read: what could not before, and lists within
// the elements.
func (f *File) refuseNested(whole *File, list string) {
	f.unsupported = slices.Clone(whole.unsupported)
	for _, l := range whole.nested {
		if l.list == list {
			f.unsupported = append(f.unsupported, Unsupported{l.path, fmt.Sprintf("it is within a list within the elements of %q, which becomes rows", list)})
		}
	}
}

func (f *File) noSuchList(list string) error {
	if slices.ContainsFunc(f.nested, func(l leaf) bool { return l.list == list }) {
		return fault.New(fault.Invalid, "parquet: %s: explode: the elements of %q are lists themselves: only lists of plain values and structs can become rows", f.name, list)
	}
	lists := map[string]bool{}
	for _, l := range f.leaves {
		if l.part == listFirst {
			lists[l.list] = true
		}
	}
	if len(lists) == 0 {
		return fault.New(fault.Invalid, "parquet: %s: explode: there is no list %q, nor any other whose elements can be read", f.name, list)
	}
	return fault.New(fault.Invalid, "parquet: %s: explode: there is no list %q; there are %s", f.name, list, strings.Join(slices.Sorted(maps.Keys(lists)), ", "))
}

// Exploded returns the list whose elements the rows are, or nothing.
func (f *File) Exploded() string {
	if f.exploded == nil {
		return ""
	}
	return f.exploded.list
}

// explosion is how the rows of a file become more.
type explosion struct {
	list  string
	first int // leaf of its elements
}

// checkExploded holds the lengths of the elements' columns against each other.
func (f *File) checkExploded() error {
	for g := range f.foot.groups {
		group := &f.foot.groups[g]
		rows := f.rowsOf(group)
		for i := range f.leaves {
			l := &f.leaves[i]
			if n := group.chunks[l.at].numValues; l.part == listElement && (n != rows || n < group.numRows || n > maxElements) {
				return fault.New(fault.Corrupt, "parquet: %s: row group %d: column %q has %d elements for %d rows, and %d where the others have them", f.name, g, l.field.Name, n, group.numRows, rows)
			}
		}
	}
	return nil
}

// rowsOf returns how many rows a row group has, after the list has become rows.
func (f *File) rowsOf(group *rowGroup) int64 {
	if f.exploded == nil {
		return group.numRows
	}
	return group.chunks[f.leaves[f.exploded.first].at].numValues
}

// readExploded is Read of a file whose list has become rows.
func (f *File) readExploded(ctx context.Context, s *scratch, g int, want []int, o ReadOptions) (*data.Batch, error) {
	group := &f.foot.groups[g]
	rows := f.rowsOf(group)
	if o.Rows != (RowSpan{}) && o.Rows != (RowSpan{0, rows}) {
		return nil, fault.New(fault.Invalid, "row group %d: rows %d to %d: one whose list becomes rows is read as a whole", g, o.Rows.From, o.Rows.To)
	}
	s.window = RowSpan{0, group.numRows}
	if o.Filter != nil {
		tested, err := f.tested(o.Filter)
		if err != nil {
			return nil, err
		}
		for _, k := range tested {
			if !slices.Contains(want, k) {
				want = append(want, k)
			}
		}
	}
	out := &data.Batch{Schema: f.schemaOf(want), NumRows: int(rows)}
	if !slices.ContainsFunc(want, func(k int) bool { return f.leaves[k].part == listElement }) {
		want = append(want, f.exploded.first) // its levels say which rows there are
	}
	if err := f.checkExplodedSize(g, want, s.maxBytes); err != nil {
		return nil, err
	}
	s.ofRows = nil
	columns, err := f.decode(ctx, s, g, want, nil, nil)
	if err != nil {
		return nil, err
	}
	if int64(len(s.ofRows)) != rows {
		return nil, fmt.Errorf("row group %d: list %q has %d elements, the row group claims %d", g, f.exploded.list, len(s.ofRows), rows)
	}
	for i := range out.Schema.Fields {
		if f.leaves[want[i]].part != listElement {
			columns[i] = columns[i].Gather(s.ofRows)
		}
	}
	out.Columns = columns[:len(out.Schema.Fields)]
	return f.keepExploded(out, o)
}

func (f *File) checkExplodedSize(g int, want []int, maxBytes int64) error {
	sizes, total := f.RowGroup(g), int64(0)
	for _, k := range want {
		total += sizes.Columns[k].DecodedBytes
	}
	if total > maxBytes {
		return fault.New(fault.Exhausted, "row group %d takes %d bytes of memory with a row for each element of %q, more than the %d there may be: read fewer columns or write smaller row groups",
			g, total, f.exploded.list, maxBytes)
	}
	return nil
}

// keepExploded leaves out the rows and columns that are not asked for.
func (f *File) keepExploded(b *data.Batch, o ReadOptions) (*data.Batch, error) {
	if o.Filter == nil {
		return b, nil
	}
	kept, err := o.Filter.Eval(b)
	if err != nil {
		return nil, err
	}
	if o.Kept != nil {
		*o.Kept = kept
	}
	numColumns := len(o.Columns)
	if numColumns == 0 {
		numColumns = len(f.leaves)
	}
	b.Schema.Fields, b.Columns = b.Schema.Fields[:numColumns], b.Columns[:numColumns]
	return b.Keep(kept), nil
}

// takeElementsOf returns the elements of a list, one for each row that there is
// after it has become rows, and notes of which row each was.
func (s *scratch) takeElementsOf(ctx context.Context, l *leaf, c *chunk, pages []page, rows int) (*data.Column, error) {
	s.list.values = nil // what is decoded is handed out
	if err := s.readElements(ctx, l, c, pages); err != nil {
		return nil, err
	}
	out := s.list.values
	s.list.at, s.list.values = -1, nil
	of, row := make([]uint32, len(s.list.reps)), -1
	for i, rep := range s.list.reps {
		if rep == 0 {
			row++
		}
		of[i] = uint32(row)
	}
	if row+1 != rows {
		return nil, fmt.Errorf("its lists are of %d rows, the row group claims %d", row+1, rows)
	}
	if s.ofRows != nil && !slices.Equal(s.ofRows, of) {
		return nil, errors.New("its lists are of other lengths than those of the columns beside it")
	}
	s.ofRows = of
	return out, nil
}
