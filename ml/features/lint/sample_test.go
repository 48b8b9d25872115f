package lint

import (
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/rng"
)

// A sample is the least hashes with their counts, however the things come.
func TestASampleIsTheLeastHashes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		most := rapid.IntRange(1, 20).Draw(rt, "most")
		things := rapid.SliceOf(rapid.Uint64Range(0, 60)).Draw(rt, "things")
		counts := map[uint64]int64{}
		parts := []*sample[int64]{newSample[int64](most), newSample[int64](most), newSample[int64](most)}
		for _, v := range things {
			h := rng.Mix(1, v)
			counts[h]++
			if n := parts[rapid.IntRange(0, 2).Draw(rt, "part")].at(h); n != nil {
				*n++
			}
		}
		add := func(into, from *int64) { *into += *from }
		parts[1].merge(parts[2], add)
		parts[0].merge(parts[1], add)
		parts[0].prune()
		want := map[uint64]int64{}
		hashes := slices.Sorted(maps.Keys(counts))
		for _, h := range hashes[:min(most, len(hashes))] {
			want[h] = counts[h]
		}
		got := map[uint64]int64{}
		for h, n := range parts[0].kept {
			got[h] = *n
		}
		assert.Equal(rt, want, got)
		assert.Equal(rt, len(counts) <= most, parts[0].all)
		if len(counts) <= most {
			assert.InDelta(rt, float64(len(counts)), parts[0].distinct(), 0)
		}
	})
}

func TestASampleKnowsAboutHowManyThingsThereWere(t *testing.T) {
	t.Parallel()
	s := newSample[int64](sampledValues)
	const n = 300_000
	for i := range uint64(n) {
		s.at(rng.Mix(3, i))
	}
	assert.InEpsilon(t, n, s.distinct(), 4/math.Sqrt(sampledValues), "four standard errors")
}

// A sum of columns has the sum of their digests, and columns that differ in one
// row have others.
func TestDigests(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 50).Draw(rt, "rows")
		var a, b, sum, other cells
		cent := rapid.IntRange(-1_000_000, 1_000_000)
		numbers := make([]int64, n)
		changed := rapid.IntRange(0, n-1).Draw(rt, "changed")
		for _, x := range []*cells{&a, &b, &sum, &other} {
			x.missing, x.keys, x.numbers = make([]bool, n), make([]uint64, n), make([]float64, n)
		}
		for i := range n {
			numbers[i] = int64(i)
			p, q := cent.Draw(rt, "a"), cent.Draw(rt, "b")
			a.number(i, float64(p)/100)
			b.number(i, float64(q)/100)
			sum.number(i, a.numbers[i]+b.numbers[i]) // as rounded as it comes
			other.number(i, a.numbers[i])
		}
		other.number(changed, other.numbers[changed]+0.01)
		var s salts
		s.read(numbers)
		da, okA := s.linear(&a)
		db, okB := s.linear(&b)
		ds, okS := s.linear(&sum)
		do, okO := s.linear(&other)
		assert.Equal(rt, []bool{true, true, true, true}, []bool{okA, okB, okS, okO})
		assert.NotEqual(rt, do, da)
		da.add(db)
		assert.Equal(rt, ds, da)
		assert.NotEqual(rt, s.content(other.keys), s.content(a.keys))
		for _, v := range []float64{1.0 / 3, 1e15, math.Inf(-1)} {
			b := cells{missing: a.missing, keys: a.keys, numbers: slices.Clone(a.numbers)}
			b.number(changed, v)
			_, ok := s.linear(&b)
			assert.False(rt, ok, "%v has too many decimals, or is too large", v)
		}
		a.missing[changed] = true
		_, ok := s.linear(&a)
		assert.False(rt, ok, "a value is missing")
	})
}

// Too many classes are too many, whoever has seen which.
func TestClassesOfTwoShardsMayBeTooMany(t *testing.T) {
	t.Parallel()
	shard := func(first, classes int64) *target {
		c := data.NewColumn(data.Int64, int(classes))
		for i := range c.Int64s {
			c.Int64s[i] = first + int64(i)
		}
		var s salts
		s.read(c.Int64s)
		one := newTarget(data.Field{Name: "y", Type: data.Int64}, "")
		one.scratch.read(c)
		one.observe(c, &one.scratch, &s)
		return one
	}
	few := shard(0, maxClasses)
	few.merge(shard(0, maxClasses))
	assert.Len(t, few.classes, maxClasses)
	many := shard(0, maxClasses-1)
	many.merge(shard(maxClasses, 2))
	assert.Nil(t, many.classes)
}
