package parquet

import (
	"github.com/parquet-go/parquet-go/format"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// stopRows is after how many rows of a page that take long each it is asked
// whether anybody still wants them.
const stopRows = 1 << 14

// viewBytes is what pointing at a byte string takes.
const viewBytes = 24

// byteValues is values of byte strings: plain ones a block at a time, since what
// points at them takes more memory than they may have themselves.
func (r *columnReader) byteValues(enc format.Encoding, b []byte, n int) error {
	var vs [][]byte
	if enc != format.Plain {
		if int64(n)*viewBytes > r.maxBytes {
			return fault.New(fault.Exhausted, "its %d values take more than the %d bytes of memory there may be: write smaller pages", n, r.maxBytes)
		}
		vs = scratchOf(&r.scratch.views, n)
		if err := views(vs, r.leaf, enc, b, r.viewDict, r.scratch); err != nil {
			return err
		}
	}
	for done := 0; done < n; done += stopRows {
		k := min(n-done, stopRows)
		if enc == format.Plain {
			vs = scratchOf(&r.scratch.views, k)
			var err error
			if b, err = plainViews(vs, r.leaf, b); err != nil {
				return err
			}
		}
		if err := r.stop(); err != nil {
			return err
		}
		if err := r.keepBytes(vs[:k], r.row+done); err != nil {
			return err
		}
		vs = vs[k:]
	}
	return nil
}

// keepBytes stores byte strings, or what they stand for, in the rows from at on.
func (r *columnReader) keepBytes(vs [][]byte, at int) error {
	if r.leaf.field.Type != data.String {
		return r.convertBytes(vs, at)
	}
	for i, v := range vs {
		code, err := r.intern(v)
		if err != nil {
			return err
		}
		r.col.Codes[at+i] = code
	}
	return nil
}
