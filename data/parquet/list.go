package parquet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/parquet-go/parquet-go/format"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// maxElements bounds the elements of a list column in one row group.
const maxElements = 1 << 26

// elements is a list column as the file has it: a value for every element, and
// for every list that is empty or missing a place with neither.
type elements struct {
	at     int          // chunk that was decoded, -1: none
	conv   conversion   // and as what
	values *data.Column // null where there is no value
	reps   []uint8
	defs   []uint8
}

// readList decodes a chunk of lists and returns the count, first or last of
// each row. All three need the same elements, which stay in s for the next.
func (s *scratch) readList(ctx context.Context, l *leaf, c *chunk, pages []page, rows int, old *data.Column) (*data.Column, error) {
	if s.list.at != l.at || s.list.values == nil || s.list.conv != l.conv && l.part != listCount {
		if err := s.readElements(ctx, l, c, pages); err != nil {
			return nil, err
		}
	}
	e := &s.list
	out := columnOf(old, l.field.Type, rows)
	ends := make([]int32, rows) // element of each row, -1: none
	counts, nulls, row := make([]int32, rows), 0, -1
	for i, rep := range e.reps {
		if rep == 0 {
			if row++; row >= rows {
				break
			}
			ends[row] = -1
			if int(e.defs[i]) < l.listDef-1 {
				counts[row] = -1
			}
		}
		if int(e.defs[i]) < l.listDef || rep > 1 {
			continue
		}
		counts[row]++
		if l.part == listLast || ends[row] < 0 {
			ends[row] = int32(i)
		}
	}
	if row+1 != rows {
		return nil, fmt.Errorf("its lists are of %d rows or more, the row group claims %d", row+1, rows)
	}
	out.Valid = data.NewBitmap(rows)
	for i := range rows {
		there := counts[i] >= 0
		if l.part != listCount {
			there = ends[i] >= 0 && e.values.Valid.Get(int(ends[i]))
		}
		if there {
			out.Valid.Set(i)
		} else {
			nulls++
		}
	}
	if l.part == listCount {
		for i, n := range counts {
			out.Int32s[i] = max(n, 0)
		}
	} else {
		takeElements(out, e.values, ends)
	}
	if nulls == 0 {
		out.Valid = nil
	}
	return out, nil
}

// takeElements fills out with the elements at the given places; nulls are zero.
func takeElements(out, from *data.Column, at []int32) {
	for i, k := range at {
		if !out.Valid.Get(i) {
			k = -1
		}
		switch out.Type {
		case data.Bool:
			out.Bools[i] = k >= 0 && from.Bools[k]
		case data.Int32, data.Date:
			out.Int32s[i] = valueOf(from.Int32s, k)
		case data.Int64, data.Timestamp:
			out.Int64s[i] = valueOf(from.Int64s, k)
		case data.Float32:
			out.Float32s[i] = valueOf(from.Float32s, k)
		case data.Float64:
			out.Float64s[i] = valueOf(from.Float64s, k)
		case data.String:
			out.Codes[i] = valueOf(from.Codes, k)
		}
	}
	if out.Type == data.String {
		out.UseStrings(from.Dict)
	}
}

func valueOf[T any](vs []T, k int32) (v T) {
	if k >= 0 {
		v = vs[k]
	}
	return v
}

// readElements decodes all elements of a chunk.
func (s *scratch) readElements(ctx context.Context, l *leaf, c *chunk, pages []page) error {
	n := numRows(pages) // of elements, here
	switch {
	case n != c.numValues:
		return fmt.Errorf("its pages hold %d elements, the row group claims %d", n, c.numValues)
	case n > maxElements || n > plausibleRows && n/plausibleRatio > c.packed:
		return fmt.Errorf("%d elements claimed in %d bytes", n, c.packed)
	case n*(valueBytes(l.element)+2) > s.maxBytes:
		return fault.New(fault.Exhausted, "its %d elements take more than the %d bytes of memory there may be", n, s.maxBytes)
	case l.maxDef > 255 || l.maxRep > 255:
		return errors.New("it is nested too deeply")
	}
	s.list.at = -1
	s.list.reps, s.list.defs = s.list.reps[:0], s.list.defs[:0]
	flat, rows := *l, s.rows
	flat.field.Type = l.element
	s.rows = nil // those are not of elements
	col, err := s.readColumn(ctx, &flat, c.codec, pages, int(n), s.list.values)
	s.rows = rows
	if err != nil {
		return err
	}
	if len(s.list.reps) > 0 && s.list.reps[0] != 0 {
		return errors.New("its first element continues a list")
	}
	s.list.at, s.list.conv, s.list.values = l.at, l.conv, col
	return nil
}

// repetition decodes the repetition levels of a page, and keeps them and the
// definition levels for readList.
func (r *columnReader) repetition(reps, defs []byte, n int) (err error) {
	if r.list.reps, err = decodeLevels(r.list.reps, reps, n, r.leaf.maxRep); err != nil {
		return fmt.Errorf("repetition levels: %w", err)
	}
	if r.list.defs, err = decodeLevels(r.list.defs, defs, n, r.leaf.maxDef); err != nil {
		return fmt.Errorf("definition levels: %w", err)
	}
	return nil
}

// decodeLevels decodes n levels of at most limit.
func decodeLevels(dst []uint8, b []byte, n, limit int) ([]uint8, error) {
	r := runs{b: b, width: uint(bits.Len(uint(limit)))}
	var block [512]uint32
	for n > 0 {
		if err := r.next(); err != nil {
			return dst, err
		}
		k := min(r.left, n, len(block))
		if r.packed {
			r.unpack(block[:k])
		} else {
			for i := range k {
				block[i] = r.value
			}
			r.left -= k
		}
		for _, v := range block[:k] {
			if v > uint32(limit) {
				return dst, fmt.Errorf("level %d, at most %d expected", v, limit)
			}
			dst = append(dst, uint8(v))
		}
		n -= k
	}
	return dst, nil
}

// levelsOf splits the levels off a page: of repetition, of definition, and what
// follows. Those of version 1 lie before the values and are compressed with them.
func (r *columnReader) levelsOf(p *page, body []byte) (reps, defs, values []byte, err error) {
	if p.reps > 0 && r.leaf.maxRep == 0 {
		return nil, nil, nil, errors.New("repetition levels in a column that does not repeat")
	}
	if p.kind == format.DataPageV2 {
		return p.body[:p.reps], p.body[p.reps : p.reps+p.levels], nil, nil
	}
	values = body
	if r.leaf.maxRep > 0 {
		if reps, values, err = levels(p.repsKind, values, p.numValues, r.leaf.maxRep); err != nil {
			return nil, nil, nil, fmt.Errorf("repetition levels: %w", err)
		}
	}
	if r.leaf.maxDef > 0 {
		if defs, values, err = levels(p.levelsKind, values, p.numValues, r.leaf.maxDef); err != nil {
			return nil, nil, nil, fmt.Errorf("definition levels: %w", err)
		}
	}
	return reps, defs, values, nil
}

// levels splits n levels off a page of version 1, as runs.
func levels(kind format.Encoding, b []byte, n, limit int) (head, rest []byte, err error) {
	switch kind {
	case format.RLE:
		return prefixed(b)
	case format.BitPacked:
		return repacked(b, n, bits.Len(uint(limit)))
	}
	return nil, nil, fmt.Errorf("%v is not supported for levels", kind)
}

// repacked turns n levels of so many bits, packed from the highest bit of each
// byte on as writers did before 2013, into one run of what came after.
//
// Source: Apache Parquet, Encodings.md, "Bit-packed (Deprecated)".
func repacked(b []byte, n, width int) (run, rest []byte, err error) {
	size := (n*width + 7) / 8
	if size > len(b) {
		return nil, nil, errShort
	}
	run = binary.AppendUvarint(nil, uint64(n+7)/8<<1|1)
	var in, out uint64 // bits that have been read and not yet written
	have, filled, at := 0, 0, 0
	for range n {
		for ; have < width; have += 8 {
			in, at = in<<8|uint64(b[at]), at+1
		}
		have -= width
		out |= in >> have & (1<<width - 1) << filled
		for filled += width; filled >= 8; filled -= 8 {
			run, out = append(run, byte(out)), out>>8
		}
	}
	if filled > 0 {
		run = append(run, byte(out))
	}
	return run, b[size:], nil
}
