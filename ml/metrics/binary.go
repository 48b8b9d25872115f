package metrics

import (
	"math"

	"github.com/troupe-ml/troupe/internal/unpack"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// maxRows is how many rows a decoded summary may claim, so that counts cannot
// overflow.
const maxRows = 1 << 56

// reader decodes a summary.
type reader struct{ unpack.Reader }

func newReader(b []byte) *reader { return &reader{unpack.New("metrics: decode", b)} }

// count reads a count that is not negative.
func (r *reader) count() int64 { return r.Count(math.MaxInt64) }

// sum reads a sum that its AppendBinary has written.
func (r *reader) sum() sketch.Sum {
	if r.Err() != nil {
		return sketch.Sum{}
	}
	s, rest, err := sketch.DecodeSum(r.Rest())
	if err != nil {
		r.Fail("%w", err)
		return sketch.Sum{}
	}
	r.Bytes(r.Len() - len(rest))
	return s
}
