package parquet

import (
	"context"
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go/format"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// maxIndexBytes is the largest page index of one chunk that is read.
const maxIndexBytes = 16 << 20

// RowSpan is rows From up to but not including To of a row group.
type RowSpan struct{ From, To int64 }

// MayMatch reports whether row group g may hold rows for which the filter is
// true, by its statistics and then by its bloom filters, which are read as far
// as needed. False is certain. Columns that the file has not are taken for such
// of which nothing is known.
func (f *File) MayMatch(ctx context.Context, g int, filter *data.Filter) (may bool, err error) {
	defer func() { err = atDoor(recover(), f.name, err) }()
	if g < 0 || g >= len(f.foot.groups) {
		return false, fault.New(fault.Invalid, "row group %d of %d", g, len(f.foot.groups))
	}
	if !filter.MayMatch(func(name string) (data.Range, bool) { return f.statisticsFor(filter, g, name) }) {
		return false, nil
	}
	var blooms []*bloomReader
	may = filter.MayMatch(func(name string) (data.Range, bool) {
		r, ok := f.statisticsFor(filter, g, name)
		if !ok || err != nil {
			return r, ok
		}
		l := &f.leaves[f.byName[name]]
		var b *bloomReader
		if b, err = f.bloom(l, &f.foot.groups[g].chunks[l.at]); b != nil {
			blooms = append(blooms, b)
			r.Lacks = b.lacks
		}
		return r, ok
	})
	for _, b := range blooms {
		if err == nil {
			err = b.err
		}
	}
	if err == nil {
		err = stopped(ctx)
	}
	return may || err != nil, err
}

// statisticsFor returns the statistics of a column, if the filter was bound to
// one of a type whose values compare alike.
func (f *File) statisticsFor(filter *data.Filter, g int, name string) (data.Range, bool) {
	k, ok := f.byName[name]
	if !ok || !comparesAs(f.leaves[k].field.Type, filter.Type(name)) {
		return data.Range{}, false
	}
	return f.Statistics(g, name)
}

// comparesAs reports whether values of a type in a file compare as those of the
// type that they are read or widened to.
func comparesAs(file, filter data.Type) bool {
	return file == filter || file.Numeric() && filter.Numeric() && file != data.Bool && filter != data.Bool
}

// MatchingRows returns the rows of row group g that may match the filter, by
// the page index where the file has one: ascending spans that do not touch, all
// rows when nothing is known. It does not ask MayMatch.
func (f *File) MatchingRows(ctx context.Context, g int, filter *data.Filter) (spans []RowSpan, err error) {
	defer func() { err = atDoor(recover(), f.name, err) }()
	spans, _, err = f.matchingRows(ctx, g, filter)
	return spans, err
}

// matchingRows also returns the page indexes that it has used, by chunk.
func (f *File) matchingRows(ctx context.Context, g int, filter *data.Filter) (spans []RowSpan, used map[int]*pageIndex, err error) {
	if g < 0 || g >= len(f.foot.groups) {
		return nil, nil, fault.New(fault.Invalid, "row group %d of %d", g, len(f.foot.groups))
	}
	rows := f.foot.groups[g].numRows
	if rows == 0 {
		return nil, nil, nil
	}
	indexes, used := map[string]*pageIndex{}, map[int]*pageIndex{}
	cuts := []int64{0, rows}
	for _, name := range filter.Columns() {
		if err := stopped(ctx); err != nil {
			return nil, nil, err
		}
		k, ok := f.byName[name]
		if !ok || f.leaves[k].part != whole || !comparesAs(f.leaves[k].field.Type, filter.Type(name)) {
			continue
		}
		index, err := f.pageIndex(g, &f.leaves[k])
		if err != nil {
			return nil, nil, err
		}
		if index == nil {
			continue
		}
		indexes[name], used[f.leaves[k].at] = index, index
		cuts = append(cuts, index.firstRows...)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	for i, from := range cuts[:len(cuts)-1] {
		if err := stopped(ctx); err != nil {
			return nil, nil, err
		}
		may := filter.MayMatch(func(name string) (data.Range, bool) {
			if index := indexes[name]; index != nil {
				return index.rangeAt(from), true
			}
			return f.statisticsFor(filter, g, name)
		})
		switch n := len(spans); {
		case !may:
		case n > 0 && spans[n-1].To == from:
			spans[n-1].To = cuts[i+1]
		default:
			spans = append(spans, RowSpan{from, cuts[i+1]})
		}
	}
	return spans, used, nil
}

// check holds the index against the pages that are there: rows were ruled out
// on its word.
func (x *pageIndex) check(pages []page) error {
	row, n := int64(0), 0
	for i := range pages {
		if pages[i].kind == format.DictionaryPage || pages[i].kind == format.IndexPage {
			continue
		}
		if n >= len(x.firstRows) || x.firstRows[n] != row {
			return atPage(i, fmt.Errorf("it begins with row %d, the page index says otherwise", row))
		}
		row += int64(pages[i].numValues)
		n++
	}
	if n != len(x.firstRows) {
		return fmt.Errorf("%d pages, the page index has %d", n, len(x.firstRows))
	}
	return nil
}

// pageIndex is what a chunk's column and offset index say.
type pageIndex struct {
	firstRows []int64
	ranges    []data.Range
	at        int // page of the last answer
}

// rangeAt returns what is known of the page that a row lies on. Rows must be
// asked for in ascending order. The span may be a part of the page, of which
// nulls are known only if all or no value is one.
func (x *pageIndex) rangeAt(row int64) data.Range {
	for x.at+1 < len(x.firstRows) && x.firstRows[x.at+1] <= row {
		x.at++
	}
	r := x.ranges[x.at]
	if r.Nulls > 0 && r.Nulls < r.Rows {
		r.Nulls = -1
	}
	return r
}

// pageIndex reads the index of a chunk; nil when there is none, or none that
// makes sense: the data can be read without.
func (f *File) pageIndex(g int, l *leaf) (*pageIndex, error) {
	group := &f.foot.groups[g]
	c := &group.chunks[l.at]
	offsets, err := f.indexBytes(c.offsetIndex)
	if err != nil || offsets == nil {
		return nil, err
	}
	bytes, err := f.indexBytes(c.columnIndex)
	if err != nil || bytes == nil {
		return nil, err
	}
	x := &pageIndex{firstRows: readOffsetIndex(offsets)}
	n := len(x.firstRows)
	if n == 0 || x.firstRows[0] != 0 || x.firstRows[n-1] >= group.numRows {
		return nil, nil
	}
	for i := range n - 1 {
		if x.firstRows[i] >= x.firstRows[i+1] {
			return nil, nil
		}
	}
	ci, ok := readColumnIndex(bytes, n)
	if !ok {
		return nil, nil
	}
	for i := range n {
		end := group.numRows
		if i+1 < n {
			end = x.firstRows[i+1]
		}
		r := data.Range{Rows: end - x.firstRows[i], Nulls: -1}
		if ci.nulls != nil {
			r.Nulls = ci.nulls[i]
		}
		r.Nulls = l.nulls(r.Nulls, r.Rows)
		if ci.nullPages[i] {
			r.Nulls = r.Rows
		} else if f.orderKnown(l) {
			l.setBounds(&r, bounds{true, ci.mins[i], ci.maxs[i]})
		}
		x.ranges = append(x.ranges, r)
	}
	return x, nil
}

func (f *File) indexBytes(at location) ([]byte, error) {
	if at.size <= 0 || at.size > maxIndexBytes || at.at < int64(len(magic)) || at.at > f.foot.end-int64(at.size) {
		return nil, nil
	}
	b := make([]byte, at.size)
	return b, readAt(f.r, b, at.at)
}

// readOffsetIndex returns the first row of each page, none if it is malformed.
func readOffsetIndex(b []byte) (firstRows []int64) {
	r := &compact{b: b}
	r.fields(func(id int16, t byte) bool {
		if id != 1 {
			return false
		}
		r.structs(t, func() {
			first := int64(-1)
			r.fields(func(id int16, t byte) bool {
				if id == 3 {
					first = r.i64(t)
				}
				return id == 3
			})
			firstRows = append(firstRows, first)
		})
		return true
	})
	if r.err != nil {
		return nil
	}
	return firstRows
}

type columnIndex struct {
	nullPages  []bool
	mins, maxs [][]byte
	nulls      []int64 // nil: not said
}

// readColumnIndex is not ok when it does not speak of n pages.
func readColumnIndex(b []byte, n int) (x columnIndex, ok bool) {
	r := &compact{b: b}
	r.fields(func(id int16, t byte) bool {
		switch id {
		case 1:
			k, _ := r.list(t)
			for range k {
				x.nullPages = append(x.nullPages, r.byte() == thriftTrue)
			}
		case 2:
			x.mins = r.binaries(t)
		case 3:
			x.maxs = r.binaries(t)
		case 5:
			k, elem := r.list(t)
			for range k {
				x.nulls = append(x.nulls, r.i64(elem))
			}
		default:
			return false
		}
		return true
	})
	ok = r.err == nil && len(x.nullPages) == n && len(x.mins) == n && len(x.maxs) == n && (x.nulls == nil || len(x.nulls) == n)
	return x, ok
}

func (r *compact) binaries(t byte) (out [][]byte) {
	n, elem := r.list(t)
	for i := 0; i < n && r.err == nil; i++ {
		out = append(out, r.bytes(elem))
	}
	return out
}
