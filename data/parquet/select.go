package parquet

import (
	"math/bits"
	"unsafe"

	"github.com/troupe-ml/troupe/data"
)

// condition is a filter of one column, tested while the column is decoded: once
// for each entry of a dictionary, instead of once for each row.
type condition struct {
	filter *data.Filter
	schema data.Schema // of its column
	tested data.Bitmap // rows of the window that need not be tested any more
}

// verdicts are what a condition says of the entries of a chunk's dictionary.
type verdicts struct {
	known bool    // that has been asked
	entry []uint8 // 1 where it is true, nil: they cannot be tested
	null  bool    // it is true for nulls
	some  bool    // it is true for an entry, or for nulls
}

// manyOf is the part of a page's rows, one of so many, from which on all are
// decoded rather than those that are wanted.
const manyOf = 4

// entries returns the values of the chunk's dictionary as the column has them,
// and nil if it cannot: then every row is decoded. It may share memory with the
// scratch and must be let go before the next chunk.
func (r *columnReader) entries() *data.Column {
	if r.dictEntries != nil || r.noEntries {
		return r.dictEntries
	}
	n := r.dictSize()
	c := &data.Column{Type: r.leaf.field.Type}
	switch {
	case r.viewDict.there && c.Type == data.String && r.leaf.conv != fromUUID:
		c.Codes, c.Dict = make([]uint32, n), make([]string, n)
		for i, v := range r.viewDict.values {
			c.Codes[i], c.Dict[i] = uint32(i), unsafe.String(unsafe.SliceData(v), len(v))
		}
	case c.Type == data.String: // texts that are made of something else
		c = nil
	case r.leaf.conv == asIs && r.int32Dict.there:
		c.Int32s = r.int32Dict.values
	case r.leaf.conv == asIs && r.int64Dict.there:
		c.Int64s = r.int64Dict.values
	case r.float32Dict.there:
		c.Float32s = r.float32Dict.values
	case r.float64Dict.there:
		c.Float64s = r.float64Dict.values
	default:
		c = nil
	}
	r.dictEntries, r.noEntries = c, c == nil
	return c
}

// dictSize is how many entries the chunk's dictionary has.
func (r *columnReader) dictSize() int {
	return len(r.int32Dict.values) + len(r.int64Dict.values) + len(r.float32Dict.values) + len(r.float64Dict.values) + len(r.viewDict.values)
}

// judge asks the condition about all entries of the dictionary.
func (r *columnReader) judge() (*verdicts, error) {
	v := &r.verdicts
	if v.known {
		return v, nil
	}
	v.known = true
	c := r.entries()
	if c == nil {
		return v, nil
	}
	hits, err := r.test.filter.Eval(&data.Batch{Schema: r.test.schema, NumRows: c.Len(), Columns: []*data.Column{c}})
	if err != nil {
		return nil, err
	}
	null := data.NewColumn(c.Type, 1)
	null.Valid = data.NewBitmap(1)
	ofNull, err := r.test.filter.Eval(&data.Batch{Schema: r.test.schema, NumRows: 1, Columns: []*data.Column{null}})
	if err != nil {
		return nil, err
	}
	v.null = ofNull.Get(0)
	v.some = v.null || anySet(hits, 0, c.Len())
	v.entry = make([]uint8, c.Len())
	for i := range v.entry {
		v.entry[i] = uint8(hits[i>>6] >> (uint(i) & 63) & 1)
	}
	return v, nil
}

// ruledOut reports whether the condition is true for no row of a page of n rows
// of the dictionary, without looking at the page.
func (r *columnReader) ruledOut(n int) (bool, error) {
	v, err := r.judge()
	if err != nil || v.entry == nil || v.some {
		return false, err
	}
	for i := 0; i < n; i += 64 {
		r.settle(r.row+i, min(64, n-i), 0)
	}
	return true, nil
}

// pick decodes a page of n rows whose values are indices of the dictionary: of
// the rows that are wanted, after the condition if there is one. It reports
// whether it has; of all other rows nothing is left.
func (r *columnReader) pick(b []byte, n, numValid int) (bool, error) {
	c := r.entries()
	if c == nil {
		return false, nil
	}
	if r.test == nil && r.numWanted(n) > n/manyOf {
		return false, nil
	}
	idx := scratchOf(&r.index, numValid)
	if err := indices(idx, b, r.dictSize()); err != nil {
		return false, err
	}
	if r.test != nil {
		v, err := r.judge()
		if err != nil {
			return false, err
		}
		r.mark(v, idx, n, numValid)
		if r.numWanted(n) > n/manyOf {
			return false, nil
		}
	}
	r.choose(n, numValid)
	return true, r.takeChosen(c, idx)
}

// numWanted counts the rows that are wanted among the n from r.row on.
func (r *columnReader) numWanted(n int) int {
	from, to := max(r.row+r.shift, 0), min(r.row+r.shift+n, r.windowRows())
	if from >= to {
		return 0
	}
	return countBits(r.rows, from, to)
}

// mark leaves those rows of a page of n that the condition is true for. idx are
// the entries of those that are there.
func (r *columnReader) mark(v *verdicts, idx []uint32, n, numValid int) {
	for i := 0; i < n; i += 64 {
		k := min(64, n-i)
		all := ^uint64(0) >> (64 - uint(k))
		there := all
		if numValid < n {
			there = bitsAt(r.col.Valid, r.row+i, k)
		}
		here := bits.OnesCount64(there)
		m := v.of(idx[:here])
		idx = idx[here:]
		if there != all {
			m = deposit(m, there)
			if v.null {
				m |= all &^ there
			}
		}
		r.settle(r.row+i, k, m)
	}
}

// of returns a bit for each of up to 64 entries: what the condition says of it.
func (v *verdicts) of(idx []uint32) (m uint64) {
	i := uint(0)
	for ; len(idx) >= 8; idx = idx[8:] {
		c, e := (*[8]uint32)(idx), v.entry
		lo := uint64(e[c[0]]) | uint64(e[c[1]])<<1 | (uint64(e[c[2]])|uint64(e[c[3]])<<1)<<2
		hi := uint64(e[c[4]]) | uint64(e[c[5]])<<1 | (uint64(e[c[6]])|uint64(e[c[7]])<<1)<<2
		m |= (lo | hi<<4) << (i & 63)
		i += 8
	}
	for _, code := range idx {
		m |= uint64(v.entry[code]) << (i & 63)
		i++
	}
	return m
}

// settle leaves those of k rows of the column, up to 64, whose bits are set in m,
// and notes that they have been tested.
func (r *columnReader) settle(row, k int, m uint64) {
	at := row + r.shift
	if at < 0 {
		if -at >= k {
			return
		}
		m, k, at = m>>uint(-at), k+at, 0
	}
	if k = min(k, r.windowRows()-at); k <= 0 {
		return
	}
	s := uint(at) & 63
	mask := ^uint64(0) >> (64 - uint(k))
	word := at >> 6
	r.rows[word] &^= (mask &^ m) << s
	r.test.tested[word] |= mask << s
	if rest := mask >> (63 - s) >> 1; rest != 0 {
		r.rows[word+1] &^= (mask &^ m) >> (63 - s) >> 1
		r.test.tested[word+1] |= rest
	}
}

// choose lists the wanted rows of a page in s.chosen, and in s.places which of
// the values that are there each has, noCode for nulls.
func (r *columnReader) choose(n, numValid int) {
	s := r.scratch
	s.chosen, s.places = s.chosen[:0], s.places[:0]
	from, to := max(r.row+r.shift, 0), min(r.row+r.shift+n, r.windowRows())
	before, counted := 0, r.row // values that are there up to a row
	for at := from; at < to; {
		k := min(64-at&63, to-at)
		w := bitsAt(r.rows, at, k)
		for ; w != 0; w &= w - 1 {
			row := at + bits.TrailingZeros64(w) - r.shift
			s.chosen = append(s.chosen, uint32(row))
			if numValid == n {
				s.places = append(s.places, uint32(row-r.row))
				continue
			}
			before += countBits(r.col.Valid, counted, row)
			counted = row
			place := uint32(noCode)
			if r.col.Valid.Get(row) {
				place = uint32(before)
			}
			s.places = append(s.places, place)
		}
		at += k
	}
}

// takeChosen stores the chosen rows.
func (r *columnReader) takeChosen(entries *data.Column, idx []uint32) error {
	c := r.col
	switch c.Type {
	case data.Int32, data.Date:
		takeChosen(c.Int32s, entries.Int32s, idx, r.scratch)
	case data.Int64, data.Timestamp:
		takeChosen(c.Int64s, entries.Int64s, idx, r.scratch)
	case data.Float32:
		takeChosen(c.Float32s, entries.Float32s, idx, r.scratch)
	case data.Float64:
		takeChosen(c.Float64s, entries.Float64s, idx, r.scratch)
	case data.String:
		for i, row := range r.chosen {
			c.Codes[row] = 0
			if place := r.places[i]; place != noCode {
				code, err := r.codeOf(idx[place])
				if err != nil {
					return err
				}
				c.Codes[row] = code
			}
		}
	}
	return nil
}

func takeChosen[T any](dst, entries []T, idx []uint32, s *scratch) {
	for i, row := range s.chosen {
		var v T
		if place := s.places[i]; place != noCode {
			v = entries[idx[place]]
		}
		dst[row] = v
	}
}

// bitsAt returns k bits, up to 64, from off on.
func bitsAt(b data.Bitmap, off, k int) uint64 {
	s := uint(off) & 63
	w := b[off>>6] >> s
	if k > 64-int(s) {
		w |= b[off>>6+1] << (64 - s)
	}
	return w & (^uint64(0) >> (64 - uint(k)))
}

// deposit puts the lowest bits of m, one after the other, to where bits are set
// in places.
func deposit(m, places uint64) (out uint64) {
	for ; places != 0; places &= places - 1 {
		out |= places & -places & -(m & 1)
		m >>= 1
	}
	return out
}
