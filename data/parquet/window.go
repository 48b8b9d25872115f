package parquet

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/parquet-go/parquet-go/format"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// Bytes that are read at first to see a page's header, and at most.
const (
	leastHeader = 512
	mostHeader  = 1 << 20
)

// pageTable says where the pages of a chunk are. Its pages have no bodies.
type pageTable struct {
	pages []page
	at    []int64 // where each begins in the file, and one more: where the last ends
}

// pageTables are those of one row group, by chunk: the one whose rows are read
// piece by piece.
type pageTables struct {
	mu    sync.Mutex
	group int
	byAt  map[int]*pageTable
}

// window checks which rows of a row group are asked for; a zero span means all.
func (f *File) window(g int, rows RowSpan) (RowSpan, error) {
	all := RowSpan{0, f.foot.groups[g].numRows}
	if rows == (RowSpan{}) {
		return all, nil
	}
	if rows.From < 0 || rows.From >= rows.To || rows.To > all.To {
		return all, fault.New(fault.Invalid, "row group %d: rows %d to %d of %d", g, rows.From, rows.To, all.To)
	}
	return rows, nil
}

// pageTable walks over the headers of a chunk's pages and reads nothing else.
func (f *File) pageTable(ctx context.Context, g int, l *leaf) (*pageTable, error) {
	f.tables.mu.Lock()
	defer f.tables.mu.Unlock()
	if f.tables.byAt == nil || f.tables.group != g {
		f.tables.group, f.tables.byAt = g, map[int]*pageTable{}
	}
	t := f.tables.byAt[l.at]
	if t == nil {
		var err error
		if t, err = f.walkPages(ctx, &f.foot.groups[g].chunks[l.at]); err != nil {
			return nil, err
		}
		if n := numRows(t.pages); l.part == whole && n != f.foot.groups[g].numRows {
			return nil, fmt.Errorf("its pages hold %d rows, the row group claims %d", n, f.foot.groups[g].numRows)
		}
		f.tables.byAt[l.at] = t
	}
	return t, nil
}

func (f *File) walkPages(ctx context.Context, c *chunk) (*pageTable, error) {
	t := &pageTable{at: []int64{c.start}}
	end := c.start + c.packed
	buf := make([]byte, leastHeader)
	for at := c.start; at < end; {
		if err := stopped(ctx); err != nil {
			return nil, err
		}
		h, n, err := f.headerAt(&buf, at, end)
		if err != nil {
			return nil, atPage(len(t.pages), err)
		}
		at += int64(n + h.packed)
		t.pages, t.at = append(t.pages, h.page), append(t.at, at)
	}
	return t, nil
}

// headerAt reads the header of a page and returns its length.
func (f *File) headerAt(buf *[]byte, at, end int64) (pageHeader, int, error) {
	for size := int64(len(*buf)); ; size *= 8 {
		b := grow(buf, int(min(size, end-at)))
		if err := readAt(f.r, b, at); err != nil {
			return pageHeader{}, 0, err
		}
		r := &compact{b: b}
		h := r.pageHeader()
		if r.err == nil {
			return h, r.pos, h.check(int(end - at - int64(r.pos)))
		}
		if int64(len(b)) == end-at || size >= mostHeader {
			return pageHeader{}, 0, fmt.Errorf("header: %w", r.err)
		}
	}
}

// cover finds the data pages that hold rows of the window, and the dictionary:
// page numbers from and to, the row at which the first of them begins, and how
// many rows they hold.
func (t *pageTable) cover(w RowSpan) (dict, from, to int, first, rows int64) {
	dict, from = -1, -1
	row := int64(0)
	for i := range t.pages {
		switch t.pages[i].kind {
		case format.DictionaryPage:
			if dict < 0 {
				dict = i
			}
		case format.DataPage, format.DataPageV2:
			next := row + int64(t.pages[i].numValues)
			if next > w.From && row < w.To {
				if from < 0 {
					from, first = i, row
				}
				to, rows = i+1, next-first
			}
			row = next
		}
	}
	return dict, from, to, first, rows
}

// decodeWindow is decode for some of the rows of a row group: it fetches and
// decodes only the pages that have any of them, and dictionaries.
func (f *File) decodeWindow(ctx context.Context, s *scratch, g int, want []int, old []*data.Column) ([]*data.Column, error) {
	into := make([]*data.Column, len(want))
	copy(into, old)
	for i, k := range want {
		if err := stopped(ctx); err != nil {
			return nil, err
		}
		l := &f.leaves[k]
		var err error
		if l.part == whole {
			into[i], err = f.readWindow(ctx, s, g, l, into[i])
		} else {
			into[i], err = f.readWindowOfLists(ctx, s, g, want, i, into[i])
		}
		if err != nil {
			return nil, fmt.Errorf("column %q: row group %d: %w", l.field.Name, g, err)
		}
	}
	return into, nil
}

func (f *File) readWindow(ctx context.Context, s *scratch, g int, l *leaf, old *data.Column) (*data.Column, error) {
	t, err := f.pageTable(ctx, g, l)
	if err != nil {
		return nil, err
	}
	if x := s.indexes[l.at]; x != nil {
		if err := x.check(t.pages); err != nil {
			return nil, err
		}
	}
	dict, from, to, first, rows := t.cover(s.window)
	if from < 0 {
		return nil, errors.New("no page holds its rows")
	}
	if n := rows * valueBytes(l.field.Type); n > s.maxBytes {
		return nil, fault.New(fault.Exhausted, "the pages of %d of its rows hold %d, which take %d bytes of memory, more than the %d there may be: write smaller pages", s.window.To-s.window.From, rows, n, s.maxBytes)
	}
	runs := [][2]int64{{t.at[from], t.at[to]}}
	if dict >= 0 && dict < from {
		runs = [][2]int64{{t.at[dict], t.at[dict+1]}, runs[0]}
		if runs[0][1] == runs[1][0] {
			runs = [][2]int64{{runs[0][0], runs[1][1]}}
		}
	}
	if err := f.fetchRuns(ctx, s, runs); err != nil {
		return nil, err
	}
	if s.pages, err = splitPages(s.fetched, s.pages); err != nil {
		return nil, err
	}
	if n := plainBytes(s.pages); n > s.maxBytes {
		return nil, fault.New(fault.Exhausted, "its pages are of %d bytes without compression, more than the %d of memory there may be", n, s.maxBytes)
	}
	if n := numRows(s.pages); n != rows {
		return nil, fmt.Errorf("its pages hold %d rows, were %d: the file has changed", n, rows)
	}
	s.shift = int(first - s.window.From)
	col, err := s.readColumn(ctx, l, f.foot.groups[g].chunks[l.at].codec, s.pages, int(rows), old)
	s.shift = 0
	if err != nil {
		return nil, err
	}
	return cutColumn(col, int(s.window.From-first), s.windowRows(), s.rows == nil), nil
}

// fetchRuns reads runs of bytes of the file, one after the other, into s.fetched.
func (f *File) fetchRuns(ctx context.Context, s *scratch, runs [][2]int64) error {
	total := int64(0)
	for _, r := range runs {
		total += r[1] - r[0]
	}
	if total > s.maxBytes {
		return fault.New(fault.Exhausted, "its %d bytes are more than the %d of memory there may be: write smaller pages", total, s.maxBytes)
	}
	b := grow(&s.fetched, int(total))
	for _, r := range runs {
		n := r[1] - r[0]
		if err := stopped(ctx); err != nil {
			return err
		}
		if err := readAt(f.r, b[:n], r[0]); err != nil {
			return err
		}
		b = b[n:]
	}
	s.fetched = s.fetched[:total]
	return nil
}

// readWindowOfLists decodes the chunk as a whole, since where a row begins in it
// is not known before.
func (f *File) readWindowOfLists(ctx context.Context, s *scratch, g int, want []int, i int, old *data.Column) (*data.Column, error) {
	if err := f.checkSize(g, want[i:i+1], s.maxBytes); err != nil {
		return nil, err
	}
	one := []*data.Column{old}
	for _, span := range f.spans(&f.foot.groups[g], want[i:i+1]) {
		if _, err := f.readSpan(ctx, s, &f.foot.groups[g], span, want[i:i+1], one); err != nil {
			return nil, err
		}
	}
	return cutColumn(one[0], int(s.window.From), s.windowRows(), s.rows == nil), nil
}

// cutColumn returns n rows of c from a row on, in the memory of c. Unless all of
// them have been decoded, its dictionary stays as it is.
func cutColumn(c *data.Column, from, n int, decoded bool) *data.Column {
	if from == 0 && n == c.Len() {
		return c
	}
	switch c.Type {
	case data.Bool:
		c.Bools = moved(c.Bools, from, n)
	case data.Int32, data.Date:
		c.Int32s = moved(c.Int32s, from, n)
	case data.Int64, data.Timestamp:
		c.Int64s = moved(c.Int64s, from, n)
	case data.Float32:
		c.Float32s = moved(c.Float32s, from, n)
	case data.Float64:
		c.Float64s = moved(c.Float64s, from, n)
	case data.String:
		c.Codes = moved(c.Codes, from, n)
	}
	if c.Valid != nil {
		valid := data.NewBitmap(n)
		for i := range n {
			if c.Valid.Get(from + i) {
				valid.Set(i)
			}
		}
		if c.Valid = valid; c.NumNulls() == 0 {
			c.Valid = nil
		}
	}
	if decoded {
		tidy(c)
	}
	return c
}

// tidy leaves those strings in a column's dictionary that occur, in order.
func tidy(c *data.Column) {
	if c.Type == data.String {
		dict := c.Dict
		c.Dict = nil
		c.UseStrings(dict)
	}
}

func moved[T any](vs []T, from, n int) []T {
	copy(vs, vs[from:from+n])
	return vs[:n]
}
