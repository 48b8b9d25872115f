package split_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data/split"
)

func anyFiles(t *rapid.T) []split.File {
	group := rapid.Custom(func(t *rapid.T) split.Group {
		if rapid.IntRange(0, 9).Draw(t, "empty") == 0 {
			return split.Group{}
		}
		return split.Group{
			Rows:  rapid.Int64Range(1, 1000).Draw(t, "rows"),
			Bytes: rapid.SampledFrom([]int64{0, 1, 7, 100, 101, 1000, 1 << 20, 1 << 46}).Draw(t, "bytes"),
		}
	})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) split.File {
		return split.File{Groups: rapid.SliceOfN(group, 0, 12).Draw(t, "groups")}
	}), 0, 6).Draw(t, "files")
}

func TestShardsAreAllRowGroupsInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		files := anyFiles(t)
		target := rapid.SampledFrom([]int64{1, 10, 100, 2000, 1 << 21, 1 << 50}).Draw(t, "target")
		shards := split.Shards(files, target)
		var want, got []split.Range // of one group each
		for i, f := range files {
			for k, g := range f.Groups {
				if g.Rows > 0 {
					want = append(want, split.Range{File: i, First: k, Count: 1})
				}
			}
		}
		row := int64(0)
		for n, s := range shards {
			require.Equal(t, row, s.FirstRow)
			require.Positive(t, s.Rows)
			row += s.Rows
			rows, bytes := int64(0), int64(0)
			for i, r := range s.Ranges {
				if i > 0 {
					before := s.Ranges[i-1]
					require.False(t, before.File == r.File && before.First+before.Count == r.First, "neighbours are one range")
				}
				for k := range r.Count {
					g := files[r.File].Groups[r.First+k]
					rows, bytes = rows+g.Rows, bytes+g.Bytes
					got = append(got, split.Range{File: r.File, First: r.First + k, Count: 1})
				}
			}
			require.Equal(t, [2]int64{rows, bytes}, [2]int64{s.Rows, s.Bytes})
			if len(shards) > 1 {
				require.GreaterOrEqual(t, s.Bytes, target/4, "shard %d of %d", n, len(shards))
			}
		}
		require.Equal(t, want, got)
	})
}

// With groups much smaller than the target, every shard is near to it.
func TestShardsAreEven(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const target = 1000
		var files []split.File
		total := int64(0)
		for range rapid.IntRange(1, 4).Draw(t, "files") {
			var f split.File
			for _, b := range rapid.SliceOfN(rapid.Int64Range(1, 50), 1, 300).Draw(t, "bytes") {
				f.Groups = append(f.Groups, split.Group{Rows: 1, Bytes: b})
				total += b
			}
			files = append(files, f)
		}
		shards := split.Shards(files, target)
		require.Len(t, shards, max(1, int(total+target/2)/target))
		for _, s := range shards {
			require.InDelta(t, float64(total)/float64(len(shards)), s.Bytes, 50)
		}
	})
}

func TestShardsOfNothingAreNone(t *testing.T) {
	t.Parallel()
	assert.Empty(t, split.Shards(nil, 1))
	assert.Empty(t, split.Shards([]split.File{{Groups: []split.Group{{}}}, {}}, 1))
	assert.Panics(t, func() { split.Shards(nil, 0) })
}

func TestATinyEndJoinsTheShardBefore(t *testing.T) {
	t.Parallel()
	files := []split.File{{Groups: []split.Group{{10, 100}, {10, 100}}}, {Groups: []split.Group{{1, 1}}}}
	shards := split.Shards(files, 30)
	require.Len(t, shards, 2)
	assert.Equal(t, split.Shard{Ranges: []split.Range{{0, 1, 1}, {1, 0, 1}}, FirstRow: 10, Rows: 11, Bytes: 101}, shards[1])
}

func TestTheTargetDependsOnTheDataAlone(t *testing.T) {
	t.Parallel()
	assert.Equal(t, int64(4<<20), split.Target(0))
	assert.Equal(t, int64(4<<20), split.Target(100<<20))
	assert.Equal(t, int64(16<<20), split.Target(1<<30))
	assert.Equal(t, int64(128<<20), split.Target(1<<40))
}
