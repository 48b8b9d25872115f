package parquet

import (
	"context"
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go/format"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

const (
	maxGap  = 64 << 10 // bytes fetched for nothing rather than asking twice
	maxSpan = 32 << 20 // a fetch of several chunks is no larger
)

// span is a run of bytes of the file that holds chunks of wanted columns.
type span struct {
	start, end int64
	members    []int // places among the columns asked for
}

// validate holds the footer's numbers against each other and against end, the
// file's bytes before the footer.
func (f *footer) validate(end int64) error {
	rows := int64(0)
	for g := range f.groups {
		grp := &f.groups[g]
		if grp.numRows > maxGroupRows {
			return fmt.Errorf("row group %d claims %d rows, more than the %d that are supported", g, grp.numRows, maxGroupRows)
		}
		rows += grp.numRows
		for c := range grp.chunks {
			ch := &grp.chunks[c]
			if grp.numRows == 0 { // whatever is said of where no rows lie does not matter
				ch.start, ch.packed, ch.plain = 0, 0, 0
			}
			if ch.sealed || ch.elsewhere || grp.numRows == 0 {
				continue
			}
			if ch.start < int64(len(magic)) || ch.packed < 0 || ch.plain < 0 || ch.packed > end || ch.start > end-ch.packed {
				return fmt.Errorf("row group %d, column %d: %d bytes at %d lie outside the file's %d", g, c, ch.packed, ch.start, end)
			}
		}
	}
	if rows != f.numRows {
		return fmt.Errorf("%d rows claimed, its row groups have %d", f.numRows, rows)
	}
	return nil
}

// checkChunks makes sure that every row group has one chunk a column, of the
// column's type. Chunks that lie elsewhere or are encrypted are an error.
func (f *footer) checkChunks(physical []format.Type) error {
	for g := range f.groups {
		chunks := f.groups[g].chunks
		if len(chunks) != len(physical) {
			return fmt.Errorf("row group %d has %d columns, the schema %d", g, len(chunks), len(physical))
		}
		for c := range chunks {
			switch {
			case chunks[c].elsewhere:
				return fault.New(fault.Invalid, "row group %d, column %d lies in another file, which is not supported", g, c)
			case chunks[c].sealed:
				return fault.New(fault.Invalid, "row group %d, column %d is encrypted or lacks its metadata", g, c)
			case chunks[c].physical != physical[c]:
				return fmt.Errorf("row group %d, column %d is %v, the schema says %v", g, c, chunks[c].physical, physical[c])
			}
		}
	}
	return nil
}

// checkSize refuses what cannot be meant, or is more than there may be, before
// memory is set aside for it.
func (f *File) checkSize(g int, want []int, maxBytes int64) error {
	group := &f.foot.groups[g]
	total := int64(0)
	for _, k := range want {
		l := &f.leaves[k]
		c := &group.chunks[l.at]
		if c.numValues != group.numRows && l.part == whole {
			return fmt.Errorf("column %q: row group %d: %d values in %d rows", l.field.Name, g, c.numValues, group.numRows)
		}
		if group.numRows > plausibleRows && group.numRows/plausibleRatio > c.packed {
			return fmt.Errorf("column %q: row group %d: %d rows claimed in %d bytes", l.field.Name, g, group.numRows, c.packed)
		}
		if c.packed > maxBytes {
			return fault.New(fault.Exhausted, "column %q: row group %d: its %d bytes are more than the %d of memory there may be: write smaller row groups", l.field.Name, g, c.packed, maxBytes)
		}
		total += group.numRows * valueBytes(l.field.Type)
	}
	if total > maxBytes {
		return fault.New(fault.Exhausted, "row group %d takes %d bytes of memory, more than the %d there may be: read fewer columns or write smaller row groups", g, total, maxBytes)
	}
	return nil
}

// spans groups the wanted chunks into runs of bytes to fetch at once.
func (f *File) spans(group *rowGroup, want []int) []span {
	all := make([]span, len(want))
	for i, k := range want {
		c := &group.chunks[f.leaves[k].at]
		all[i] = span{c.start, c.start + c.packed, []int{i}}
	}
	slices.SortStableFunc(all, func(a, b span) int {
		switch {
		case a.start < b.start:
			return -1
		case a.start > b.start:
			return 1
		}
		return 0
	})
	var out []span
	for _, s := range all {
		if n := len(out); n > 0 {
			last := &out[n-1]
			if s.start-last.end <= maxGap && max(s.end, last.end)-last.start <= maxSpan {
				last.end = max(s.end, last.end)
				last.members = append(last.members, s.members...)
				continue
			}
		}
		out = append(out, s)
	}
	return out
}

// readSpan fetches one span and decodes its columns into their places; with an
// error it returns the place of the column at fault.
func (f *File) readSpan(ctx context.Context, s *scratch, group *rowGroup, sp span, want []int, into []*data.Column) (int, error) {
	b := grow(&s.fetched, int(sp.end-sp.start))
	if len(b) > 0 {
		if err := readAt(f.r, b, sp.start); err != nil {
			return sp.members[0], err
		}
	}
	for _, i := range sp.members {
		l := &f.leaves[want[i]]
		c := &group.chunks[l.at]
		var err error
		if s.pages, err = splitPages(b[c.start-sp.start:][:c.packed], s.pages); err != nil {
			return i, err
		}
		if n := plainBytes(s.pages); n > s.maxBytes {
			return i, fault.New(fault.Exhausted, "its pages are of %d bytes without compression, more than the %d of memory there may be", n, s.maxBytes)
		}
		if l.part == listElement {
			if into[i], err = s.takeElementsOf(ctx, l, c, s.pages, int(group.numRows)); err != nil {
				return i, err
			}
			continue
		}
		if l.part != whole {
			if into[i], err = s.readList(ctx, l, c, s.pages, int(group.numRows), into[i]); err != nil {
				return i, err
			}
			continue
		}
		if n := numRows(s.pages); n != group.numRows {
			return i, fmt.Errorf("its pages hold %d rows, the row group claims %d", n, group.numRows)
		}
		if x := s.indexes[l.at]; x != nil {
			if err := x.check(s.pages); err != nil {
				return i, err
			}
		}
		if into[i], err = s.readColumn(ctx, l, c.codec, s.pages, int(group.numRows), into[i]); err != nil {
			return i, err
		}
	}
	return 0, nil
}
