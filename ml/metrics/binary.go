package metrics

import (
	"encoding/binary"
	"math"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// maxRows is how many rows a decoded summary may claim, so that counts cannot
// overflow.
const maxRows = 1 << 56

// sum reads a sum that its AppendBinary has written.
func (r *reader) sum() sketch.Sum {
	if r.err != nil {
		return sketch.Sum{}
	}
	s, rest, err := sketch.DecodeSum(r.b)
	if err != nil {
		r.fail("%w", err)
		return sketch.Sum{}
	}
	r.b = rest
	return s
}

// reader decodes a summary; the first fault sticks, and what is read after it
// is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fault.New(fault.Corrupt, "metrics: decode: "+format, args...)
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("the summary ends early")
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// count reads a count that is not negative.
func (r *reader) count() int64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > math.MaxInt64 {
		r.fail("the summary ends early")
		return 0
	}
	r.b = r.b[n:]
	return int64(v)
}

func (r *reader) float() float64 {
	if len(r.b) < 8 {
		r.fail("the summary ends early")
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}
