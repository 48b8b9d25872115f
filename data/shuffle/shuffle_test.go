package shuffle_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/shuffle"
	"github.com/troupe-ml/troupe/internal/fault"
)

// row is one row of the dumb version.
type row struct {
	shard, at int
	key       string // "" is null
	time      int64  // negative is null
	value     int64  // negative is null
	text      string
}

var carriedSchema = data.Schema{Fields: []data.Field{{Name: "v", Type: data.Int64, Nullable: true}, {Name: "s", Type: data.String, Nullable: true}}}

func drawRows(t *rapid.T) [][]row {
	keys := rapid.IntRange(1, 6).Draw(t, "keys")
	shards := make([][]row, rapid.IntRange(1, 4).Draw(t, "shards"))
	for s := range shards {
		for i := range rapid.IntRange(0, 60).Draw(t, "rows") {
			r := row{shard: s, at: i, time: rapid.Int64Range(-1, 8).Draw(t, "time"), value: rapid.Int64Range(-1, 1000).Draw(t, "value")}
			if k := rapid.IntRange(0, keys).Draw(t, "key"); k > 0 {
				r.key = fmt.Sprint("key", k)
			}
			r.text = rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "text")
			shards[s] = append(shards[s], r)
		}
	}
	return shards
}

// columns makes columns of rows: the key as text or as number, the time, and what
// is carried.
func columns(rows []row, keyType data.Type) (key, times *data.Column, carried *data.Batch) {
	n := len(rows)
	key, times = data.NewColumn(keyType, n), data.NewColumn(data.Timestamp, n)
	v, s := data.NewColumn(data.Int64, n), data.NewColumn(data.String, n)
	dict := []string{"key1", "key2", "key3", "key4", "key5", "key6"}
	for _, c := range []*data.Column{key, times, v, s} {
		c.Valid = data.NewBitmap(n)
	}
	for i, r := range rows {
		if at := slices.Index(dict, r.key); at >= 0 {
			key.Valid.Set(i)
			switch keyType {
			case data.String:
				key.Codes[i] = uint32(at)
			case data.Float64:
				key.Float64s[i] = float64(at)
			default:
				key.Int64s[i] = int64(at)
			}
		}
		if r.time >= 0 {
			times.Valid.Set(i)
			times.Int64s[i] = r.time
		}
		if r.value >= 0 {
			v.Valid.Set(i)
			v.Int64s[i] = r.value
		}
		if r.text != "" {
			s.Valid.Set(i)
			s.Codes[i] = uint32(r.text[0] - 'a')
		}
	}
	if keyType == data.String {
		key.UseStrings(dict)
	}
	s.UseStrings([]string{"a", "b", "c"})
	return key, times, &data.Batch{Schema: carriedSchema, Columns: []*data.Column{v, s}, NumRows: n}
}

var madeSchema = data.Schema{Fields: []data.Field{
	{Name: "number", Type: data.Int64}, {Name: "before", Type: data.Int64, Nullable: true}, {Name: "text", Type: data.String, Nullable: true},
}}

// follower gives each row its number among those of its key, the time of the row
// before it, and its own text.
type follower struct {
	number int64
	before int64
}

func (f *follower) compute(b *data.Batch, times []int64, starts data.Bitmap) (*data.Batch, error) {
	number, before := data.NewColumn(data.Int64, b.NumRows), data.NewColumn(data.Int64, b.NumRows)
	before.Valid = data.NewBitmap(b.NumRows)
	for i := range b.NumRows {
		if starts.Get(i) {
			f.number = 0
		} else {
			before.Int64s[i] = f.before
			before.Valid.Set(i)
		}
		number.Int64s[i], f.before = f.number, times[i]
		f.number++
	}
	return &data.Batch{Schema: madeSchema, Columns: []*data.Column{number, before, b.Columns[1].Gather(all(b.NumRows))}, NumRows: b.NumRows}, nil
}

func all(n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = uint32(i)
	}
	return out
}

func reader(blocks [][]byte) shuffle.Part {
	return shuffle.Part{Blocks: len(blocks), Read: func(i int) ([]byte, error) { return blocks[i], nil }}
}

// shuffled runs the whole way and returns for each shard what its rows are given.
func shuffled(t require.TestingT, cfg shuffle.Config, shards [][]row, keyType data.Type, batch int) [][]string {
	return shuffledBy(t, cfg, shards, keyType, batch, func(key *data.Column) []*data.Column { return []*data.Column{key} })
}

// inParts cuts keys of whole numbers in two: equal only where both are.
func inParts(first, second data.Type) func(key *data.Column) []*data.Column {
	return func(key *data.Column) []*data.Column {
		out := []*data.Column{data.NewColumn(first, key.Len()), data.NewColumn(second, key.Len())}
		for i, v := range key.Int64s {
			for k, part := range []int64{v / 2, v % 2} {
				if c := out[k]; c.Type == data.String {
					c.Codes[i] = uint32(part)
				} else {
					c.Int64s[i] = part
				}
			}
		}
		for k, c := range out {
			if c.Type == data.String {
				c.UseStrings([]string{"a", "b", "c"})
			}
			c.Valid = data.NewBitmap(key.Len())
			for i := range key.Len() {
				if key.Valid.Get(i) || i%2 == k { // one part being null is enough
					c.Valid.Set(i)
				}
			}
		}
		return out
	}
}

// shuffledBy does the same by the columns that split makes of the key's.
func shuffledBy(t require.TestingT, cfg shuffle.Config, shards [][]row, keyType data.Type, batch int, split func(key *data.Column) []*data.Column) [][]string {
	var runs []shuffle.Run
	var of []int
	for s, rows := range shards {
		sorter := shuffle.NewSorter(cfg, func(r shuffle.Run) error {
			runs, of = append(runs, r), append(of, s)
			return nil
		})
		for part := range slices.Chunk(rows, batch) {
			key, times, carried := columns(part, keyType)
			require.NoError(t, sorter.Add(split(key), times, carried))
		}
		require.NoError(t, sorter.Flush())
	}
	places := make([]*shuffle.Place, len(runs))
	for i, r := range runs {
		places[i] = cfg.NewPlace(madeSchema, r.Rows)
		if r.Alone != nil {
			starts := data.NewBitmap(r.Alone.NumRows)
			for k := range starts {
				starts[k] = ^uint64(0)
			}
			made, err := (&follower{}).compute(r.Alone, make([]int64, r.Alone.NumRows), starts)
			require.NoError(t, err)
			require.NoError(t, places[i].Add(cfg.Answer(made, r.AloneRows)))
		}
	}
	for p := range cfg.Partitions {
		var parts []shuffle.Part
		for _, r := range runs {
			parts = append(parts, reader(r.Parts[p]))
		}
		require.NoError(t, cfg.Merge(parts, (&follower{}).compute, func(run int, b []byte) error { return places[run].Add(b) }))
	}
	out := make([][]string, len(shards))
	for i := range runs {
		b, err := places[i].Batch()
		require.NoError(t, err)
		for k := range b.NumRows {
			out[of[i]] = append(out[of[i]], show(b, k))
		}
	}
	return out
}

func show(b *data.Batch, k int) string {
	before, text := "-", ""
	if b.Columns[1].Valid.Get(k) {
		before = fmt.Sprint(b.Columns[1].Int64s[k])
	}
	if c := b.Columns[2]; c.Valid.Get(k) {
		text = c.Dict[c.Codes[k]]
	}
	return fmt.Sprintf("%d %s %s", b.Columns[0].Int64s[k], before, text)
}

// dumb does the same by sorting all rows.
func dumb(shards [][]row) [][]string {
	var rows []row
	out := make([][]string, len(shards))
	for s, of := range shards {
		rows = append(rows, of...)
		out[s] = make([]string, len(of))
	}
	if len(rows) == 0 {
		return make([][]string, len(shards))
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.time, b.time))
	})
	numbers, before := map[string]int{}, map[string]int64{}
	for _, r := range rows {
		if r.key == "" || r.time < 0 {
			out[r.shard][r.at] = fmt.Sprintf("0 - %s", r.text)
			continue
		}
		was := "-"
		if numbers[r.key] > 0 {
			was = fmt.Sprint(before[r.key])
		}
		out[r.shard][r.at] = fmt.Sprintf("%d %s %s", numbers[r.key], was, r.text)
		numbers[r.key]++
		before[r.key] = r.time
	}
	for s := range out {
		if len(out[s]) == 0 {
			out[s] = nil
		}
	}
	return out
}

// However the rows are cut into batches, runs, blocks and partitions, each is
// given what it would be given if all were sorted at once.
func TestRowsComeBackAsIfAllWereSortedAtOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		shards := drawRows(t)
		cfg := shuffle.Config{
			Label: "job", Partitions: rapid.IntRange(1, 5).Draw(t, "partitions"),
			RunBytes: rapid.IntRange(1, 4000).Draw(t, "run"), RunRows: rapid.IntRange(0, 50).Draw(t, "run rows"), BlockRows: rapid.IntRange(1, 40).Draw(t, "block"),
		}
		keyType := rapid.SampledFrom([]data.Type{data.String, data.Int64, data.Float64}).Draw(t, "type")
		got := shuffled(t, cfg, shards, keyType, rapid.IntRange(1, 70).Draw(t, "batch"))
		require.Equal(t, dumb(shards), got)
	})
}

// A block of one run ends with a key whose rows go on in the next block of another
// run: its last row has to wait for them. Which key that is depends on their order,
// so all are tried.
func TestAKeyThatGoesOnInAnotherBlockIsWaitedFor(t *testing.T) {
	t.Parallel()
	cfg := shuffle.Config{Label: "job", Partitions: 1, RunBytes: 4000, BlockRows: 2}
	names := []string{"key1", "key2", "key3", "key4"}
	for _, x := range names {
		for _, y := range names {
			for _, z := range names {
				shards := [][]row{
					{{0, 0, x, 1, 1, "a"}, {0, 1, y, 9, 2, "b"}, {0, 2, z, 1, 3, "c"}},
					{{1, 0, y, 1, 4, "a"}, {1, 1, y, 2, 5, "b"}, {1, 2, y, 3, 6, "c"}},
				}
				require.Equal(t, dumb(shards), shuffled(t, cfg, shards, data.Int64, 8), "%s %s %s", x, y, z)
			}
		}
	}
}

func TestRowsOfOneKeyAreThoseWhoseColumnsAreAllEqual(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		shards := drawRows(t)
		cfg := shuffle.Config{Label: "job", Partitions: rapid.IntRange(1, 5).Draw(t, "partitions"), RunBytes: 2000, BlockRows: 16}
		types := []data.Type{data.String, data.Int64}
		split := inParts(rapid.SampledFrom(types).Draw(t, "first"), rapid.SampledFrom(types).Draw(t, "second"))
		if rapid.Bool().Draw(t, "one more") { // which is the same in all rows
			two := split
			split = func(key *data.Column) []*data.Column { return append(two(key), data.NewColumn(data.Bool, key.Len())) }
		}
		require.Equal(t, dumb(shards), shuffledBy(t, cfg, shards, data.Int64, 30, split))
	})
}

func TestWithoutKeyAllRowsAreOfOne(t *testing.T) {
	t.Parallel()
	cfg := shuffle.Config{Label: "x", Partitions: 1, RunBytes: 100, BlockRows: 2}
	var runs []shuffle.Run
	s := shuffle.NewSorter(cfg, func(r shuffle.Run) error {
		runs = append(runs, r)
		return nil
	})
	for range 5 {
		_, _, carried := columns([]row{{value: 1}, {value: 2}}, data.Int64)
		require.NoError(t, s.Add(nil, nil, carried))
	}
	require.NoError(t, s.Flush())
	require.Greater(t, len(runs), 1)
	var parts []shuffle.Part
	rows := 0
	for _, r := range runs {
		parts = append(parts, reader(r.Parts[0]))
		rows += r.Rows
	}
	f := &follower{}
	require.NoError(t, cfg.Merge(parts, f.compute, func(int, []byte) error { return nil }))
	require.Equal(t, 10, rows)
	require.EqualValues(t, 10, f.number)
}

func TestBlocksOfAnotherJobOrDamagedOnesAreRefused(t *testing.T) {
	t.Parallel()
	cfg := shuffle.Config{Label: "one", Partitions: 1, RunBytes: 1 << 20, BlockRows: 100}
	var block []byte
	s := shuffle.NewSorter(cfg, func(r shuffle.Run) error {
		block = r.Parts[0][0]
		return nil
	})
	key, times, carried := columns([]row{{key: "key1", text: "a"}, {key: "key2"}}, data.String)
	require.NoError(t, s.Add([]*data.Column{key}, times, carried))
	require.NoError(t, s.Flush())
	merge := func(cfg shuffle.Config, b []byte) error {
		return cfg.Merge([]shuffle.Part{reader([][]byte{b})}, (&follower{}).compute, func(int, []byte) error { return nil })
	}
	require.NoError(t, merge(cfg, block))
	other := cfg
	other.Label = "two"
	require.ErrorContains(t, merge(other, block), `it is of "one", expected "two"`)
	for n := range block {
		require.Equal(t, fault.Corrupt, fault.Of(merge(cfg, block[:n])), n)
	}
	p := cfg.NewPlace(madeSchema, 2)
	made, err := (&follower{}).compute(carried, []int64{0, 0}, data.Bitmap{3})
	require.NoError(t, err)
	require.NoError(t, p.Add(cfg.Answer(made.Head(1), []int32{0})))
	_, err = p.Batch()
	require.ErrorContains(t, err, "1 of 2 rows did not come back")
	require.ErrorContains(t, p.Add(cfg.Answer(made.Head(1), []int32{0})), "comes twice")
	require.ErrorContains(t, p.Add(cfg.Answer(made.Head(1), []int32{2})), "beyond")
}

func placeAll(b *testing.B, cfg shuffle.Config, schema data.Schema, runs []shuffle.Run, back [][][]byte) {
	for i, r := range runs {
		p := cfg.NewPlace(schema, r.Rows)
		for _, block := range back[i] {
			require.NoError(b, p.Add(block))
		}
		_, err := p.Batch()
		require.NoError(b, err)
	}
}

func BenchmarkShuffle(b *testing.B) {
	const rows, users = 1 << 20, 1 << 14 // so that each run has one block of a partition
	key, times := data.NewColumn(data.Int64, rows), data.NewColumn(data.Timestamp, rows)
	v := data.NewColumn(data.Float64, rows)
	for i := range rows {
		key.Int64s[i], times.Int64s[i], v.Float64s[i] = int64(i)*7919%users, int64(i), float64(i)
	}
	carried := &data.Batch{Schema: data.Schema{Fields: []data.Field{{Name: "v", Type: data.Float64}}}, Columns: []*data.Column{v}, NumRows: rows}
	cfg := shuffle.Config{Label: "x", Partitions: 8, RunBytes: 8 << 20, RunRows: 1 << 17, BlockRows: 1 << 16}
	var runs []shuffle.Run
	sort := func() {
		runs = nil
		s := shuffle.NewSorter(cfg, func(r shuffle.Run) error {
			runs = append(runs, r)
			return nil
		})
		for from := 0; from < rows; from += 1 << 17 {
			cut := func(c *data.Column) *data.Column {
				return &data.Column{Type: c.Type, Int64s: c.Int64s[from : from+1<<17]}
			}
			part := &data.Batch{Schema: carried.Schema, NumRows: 1 << 17, Columns: []*data.Column{{Type: data.Float64, Float64s: v.Float64s[from : from+1<<17]}}}
			require.NoError(b, s.Add([]*data.Column{cut(key)}, cut(times), part))
		}
		require.NoError(b, s.Flush())
	}
	var back [][][]byte
	merge := func() {
		back = make([][][]byte, len(runs))
		for p := range cfg.Partitions {
			var parts []shuffle.Part
			for _, r := range runs {
				parts = append(parts, reader(r.Parts[p]))
			}
			echo := func(b *data.Batch, _ []int64, _ data.Bitmap) (*data.Batch, error) { return b, nil }
			require.NoError(b, cfg.Merge(parts, echo, func(run int, block []byte) error {
				back[run] = append(back[run], block)
				return nil
			}))
		}
	}
	place := func() { placeAll(b, cfg, carried.Schema, runs, back) }
	for _, stage := range []struct {
		name string
		run  func()
	}{{"sort", sort}, {"merge", merge}, {"place", place}} {
		b.Run(stage.name, func(b *testing.B) {
			for b.Loop() {
				stage.run()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
		})
	}
}
