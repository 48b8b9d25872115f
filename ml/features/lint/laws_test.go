package lint_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/features/lint"
)

// pieces cuts the rows of a batch into batches, with the numbers of their rows.
func pieces(t *rapid.T, b *data.Batch) (out []*data.Batch, numbers [][]int64) {
	order := rapid.Permutation(indices(b.NumRows)).Draw(t, "order of the rows")
	for len(order) > 0 {
		n := rapid.IntRange(1, len(order)).Draw(t, "rows of a piece")
		var rows []uint32
		var of []int64
		for _, i := range order[:n] {
			rows, of = append(rows, uint32(i)), append(of, int64(i))
		}
		order = order[n:]
		out, numbers = append(out, b.Gather(rows)), append(numbers, of)
	}
	return out, numbers
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// Whatever the order of the rows, and whoever sees which of them, the same is
// found, to the bit.
func TestWhatIsFoundDependsOnTheRowsAlone(t *testing.T) {
	t.Parallel()
	all := append(leaks(), honest()...)
	rapid.Check(t, func(rt *rapid.T) {
		e := rapid.SampledFrom(all).Draw(rt, "example")
		tb := &table{Rand: rng.New(rapid.Uint64().Draw(rt, "seed"), e.name), n: rapid.IntRange(100, 400).Draw(rt, "rows")}
		s := e.make(tb)
		b, err := data.NewBatch(data.Schema{Fields: tb.fields}, tb.cols)
		require.NoError(rt, err)
		want := judged(t, s, b)
		if s.Made != nil {
			return // its rows are judged as another job's
		}
		p, err := lint.NewProfile(s)
		require.NoError(rt, err)
		batches, numbers := pieces(rt, b)
		parts := make([]*lint.Profile, rapid.IntRange(1, 4).Draw(rt, "workers"))
		worker := make([]int, len(batches))
		for i := range parts {
			parts[i], err = lint.NewProfile(s)
			require.NoError(rt, err)
		}
		for i, one := range batches {
			worker[i] = rapid.IntRange(0, len(parts)-1).Draw(rt, "worker")
			require.NoError(rt, parts[worker[i]].Observe(one, numbers[i]))
		}
		for _, i := range rapid.Permutation(indices(len(parts))).Draw(rt, "order of merges") {
			p.Merge(parts[i])
		}
		a := p.Association()
		if a != nil {
			shares := make([]*lint.Association, len(parts))
			for i := range shares {
				shares[i] = p.Association()
			}
			for i, one := range batches {
				shares[worker[i]].Observe(one, numbers[i])
			}
			for _, i := range rapid.Permutation(indices(len(parts))).Draw(rt, "order of merges") {
				a.Merge(shares[i])
			}
		}
		assert.Equal(rt, want, append(lint.Static(s), lint.Check(p, a)...))
	})
}
