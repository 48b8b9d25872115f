package lint_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/features/featurestest"
	"github.com/troupe-ml/troupe/ml/features/lint"
	"github.com/troupe-ml/troupe/ml/metrics"
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
	some := []string{"the ranks of the target, as texts", "a target of many texts", "one of several classes"} // where the order is near
	for name, among := range map[string][]example{
		"all":  all,
		"some": slices.DeleteFunc(slices.Clone(all), func(e example) bool { return !slices.Contains(some, e.name) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, among)
			judgeInPieces(t, among)
		})
	}
}

func judgeInPieces(t *testing.T, among []example) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		e := rapid.SampledFrom(among).Draw(rt, "example")
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

// Tables of the strangest values are judged without a fault, and empty ones.
func TestStrangeTablesAreJudged(t *testing.T) {
	t.Parallel()
	var schema data.Schema
	var names []string
	for _, kind := range []data.Type{data.Bool, data.Int32, data.Int64, data.Float32, data.Float64, data.String, data.Timestamp, data.Date} {
		for _, nullable := range []bool{false, true} {
			name := kind.String() + map[bool]string{true: "?"}[nullable]
			schema.Fields = append(schema.Fields, data.Field{Name: name, Type: kind, Nullable: nullable})
			names = append(names, name)
		}
	}
	tables := featurestest.Tables(schema, 250)
	rapid.Check(t, func(rt *rapid.T) {
		b := tables.Draw(rt, "table")
		oneOf := rapid.SampledFrom(names)
		s := &lint.Subject{
			Job: "train", Schema: schema, Target: oneOf.Draw(rt, "target"), Entity: rapid.SliceOfNDistinct(oneOf, 0, 2, rapid.ID).Draw(rt, "entity"), Timestamp: oneOf.Draw(rt, "timestamp"),
			Task:  rapid.SampledFrom([]metrics.Task{"", metrics.Binary, metrics.Multiclass, metrics.Regression}).Draw(rt, "task"),
			Split: &lint.Split{By: rapid.SampledFrom([]string{"random", "hash", "time"}).Draw(rt, "split"), Column: oneOf.Draw(rt, "column"), Test: 0.5},
		}
		s.Inputs = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == s.Target })
		if rapid.Bool().Draw(rt, "no rows") {
			b = b.Head(0)
		}
		seen := map[string]bool{}
		for _, f := range judged(t, s, b) {
			assert.NotEmpty(rt, f.Evidence)
			assert.False(rt, seen[f.Code+f.Column], "%v is told twice", f)
			seen[f.Code+f.Column] = f.Code != lint.TargetSum
			for name, v := range f.Values {
				assert.False(rt, math.IsNaN(v) || math.IsInf(v, 0), "%s of %v", name, f)
			}
		}
	})
}
