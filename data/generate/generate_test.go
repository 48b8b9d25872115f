package generate_test

import (
	"bytes"
	"context"
	"io"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/generate"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/fault"
)

func newGenerator(t require.TestingT, change func(c *generate.Config)) *generate.Generator {
	cfg := generate.DefaultConfig()
	change(&cfg)
	g, err := generate.New(cfg)
	require.NoError(t, err)
	return g
}

// rows returns the rows of a table, each as its values.
func rows(g *generate.Generator) (out [][]any) {
	for i := range g.NumBatches() {
		b := g.Batch(i)
		for k := range b.NumRows {
			row := make([]any, len(b.Columns))
			for j, c := range b.Columns {
				switch {
				case !c.Valid.Get(k):
				case c.Type == data.String:
					row[j] = c.Dict[c.Codes[k]]
				case c.Type == data.Float64:
					row[j] = c.Float64s[k]
				default:
					row[j] = c.Int64s[k]
				}
			}
			out = append(out, row)
		}
	}
	return out
}

func TestBatchesDoNotDependOnEachOther(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		n := rapid.Int64Range(0, 500).Draw(t, "rows")
		drift := rapid.Float64Range(0, 2).Draw(t, "drift")
		whole := newGenerator(t, func(c *generate.Config) { c.Seed, c.Rows, c.Drift = seed, n, drift })
		parts := newGenerator(t, func(c *generate.Config) {
			c.Seed, c.Rows, c.Drift = seed, n, drift
			c.RowsPerGroup = rapid.IntRange(1, 100).Draw(t, "rows a group")
		})
		require.Equal(t, rows(whole), rows(parts))
		if k := parts.NumBatches(); k > 1 {
			require.Equal(t, parts.Batch(k-1), parts.Batch(k-1))
			require.NotEqual(t, parts.Batch(0).Columns[3], parts.Batch(1).Columns[3])
		}
	})
}

// The values are those of the first version: another processor, or a change by
// mistake, shows here.
func TestTheRowsStayWhatTheyAre(t *testing.T) {
	t.Parallel()
	g := newGenerator(t, func(c *generate.Config) { c.Rows = 1000 })
	all := rows(g)
	assert.Equal(t, golden, [][]any{all[0], all[500], all[999]})
}

func TestColumnsAreWhatTheSchemaSays(t *testing.T) {
	t.Parallel()
	g := newGenerator(t, func(c *generate.Config) { c.Rows, c.RowsPerGroup, c.Users = 60_000, 20_000, 500 })
	last := int64(math.MinInt64)
	row := int64(0)
	frauds, nulls, users := 0, 0, map[int64]int{}
	for i := range g.NumBatches() {
		b := g.Batch(i)
		require.Equal(t, g.Schema(), b.Schema)
		checked, err := data.NewBatch(b.Schema, b.Columns)
		require.NoError(t, err)
		require.Equal(t, b, checked)
		for k := range b.NumRows {
			require.Equal(t, row, b.Column("transaction_id").Int64s[k])
			row++
			ts := b.Column("ts").Int64s[k]
			require.GreaterOrEqual(t, ts, last, "rows are in order of time")
			last = ts
			require.Equal(t, ts/3_600_000_000%24, b.Column("hour").Int64s[k])
			require.Positive(t, b.Column("transaction_count").Int64s[k])
			require.Positive(t, b.Column("total_amount").Float64s[k])
			if amount := b.Column("amount"); amount.Valid.Get(k) {
				require.Positive(t, amount.Float64s[k])
				require.InDelta(t, amount.Float64s[k], math.Round(amount.Float64s[k]*100)/100, 1e-9)
			} else {
				nulls++
			}
			users[b.Column("user_id").Int64s[k]]++
			frauds += int(b.Column("is_fraud").Int64s[k])
		}
		for _, c := range []*data.Column{b.Column("category"), b.Column("country")} {
			next := uint32(0)
			for k, code := range c.Codes {
				if c.Valid.Get(k) {
					require.LessOrEqual(t, code, next)
					next = max(next, code+1)
				}
			}
			require.Len(t, c.Dict, int(next))
		}
		require.Greater(t, len(b.Column("category").Dict), 15)
	}
	cfg := generate.DefaultConfig()
	assert.Equal(t, int64(60_000), row)
	assert.Less(t, last, cfg.Start.AddDate(0, 0, 30).UnixMicro())
	assert.Greater(t, last, cfg.Start.AddDate(0, 0, 29).UnixMicro())
	assert.InDelta(t, cfg.FraudRate, float64(frauds)/60_000, .005)
	assert.InDelta(t, 60_000/256, nulls, 60)
	assert.Greater(t, len(users), 450)
	assert.Greater(t, users[1], 5*users[400], "some users are busier")
	for user := range users {
		require.True(t, user >= 1 && user <= 500)
	}
}

// A table of shares by what a model can see, made of the first rows, tells the
// frauds among later rows about as well as a small network should: by the
// amount over the usual one, the hour, the kind, the place and the history. No
// one column does.
func TestTheLabelCanBeLearned(t *testing.T) {
	t.Parallel()
	g := newGenerator(t, func(c *generate.Config) { c.Rows, c.RowsPerGroup = 400_000, 400_000 })
	b := g.Batch(0)
	amount, total, count, hour := b.Column("amount").Float64s, b.Column("total_amount").Float64s, b.Column("transaction_count").Int64s, b.Column("hour").Int64s
	category, country := b.Column("category"), b.Column("country")
	bucket := func(i int) int {
		return min(max(int(2*math.Log2(amount[i]*float64(count[i])/total[i]+1e-9))+4, 0), 9)
	}
	kind := func(i int) int {
		if !category.Valid.Get(i) {
			return 31
		}
		return int(category.Codes[i])
	}
	all := aucOf(b, func(i int) int {
		key := (bucket(i)*32+kind(i))*16 + int(country.Codes[i])
		return key*4 + min(int(hour[i])/6, 1)*2 + min(int(count[i])/4, 1)
	})
	assert.InDelta(t, .9, all, .03)
	for name, one := range map[string]func(i int) int{"amount": bucket, "category": kind, "hour": func(i int) int { return int(hour[i]) }} {
		auc := aucOf(b, one)
		assert.Greater(t, auc, .52, name)
		assert.Less(t, auc, .85, name)
	}
}

// aucOf scores the second half of the rows by the share of frauds that rows of
// the same key have in the first half.
func aucOf(b *data.Batch, key func(i int) int) float64 {
	label := b.Column("is_fraud").Int64s
	type cell struct{ n, frauds float64 }
	cells := make([]cell, 10*32*16*4)
	half := b.NumRows / 2
	for i := range half {
		c := cells[key(i)]
		cells[key(i)] = cell{c.n + 1, c.frauds + float64(label[i])}
	}
	type scored struct {
		score float64
		fraud int64
	}
	var rows []scored
	for i := half; i < b.NumRows; i++ {
		c := cells[key(i)]
		rows = append(rows, scored{(c.frauds + .25) / (c.n + 5), label[i]})
	}
	slices.SortFunc(rows, func(a, b scored) int {
		switch {
		case a.score < b.score:
			return -1
		case a.score > b.score:
			return 1
		}
		return 0
	})
	var below, pairs, frauds float64
	for i := 0; i < len(rows); {
		end, here := i, 0.0
		for ; end < len(rows) && rows[end].score == rows[i].score; end++ {
			here += float64(rows[end].fraud)
		}
		others := float64(end-i) - here
		pairs += here * (below + others/2)
		below += others
		frauds += here
		i = end
	}
	return pairs / (below * frauds)
}

func TestDriftMovesAmountsAndCategories(t *testing.T) {
	t.Parallel()
	look := func(drift float64) (mean float64, groceries, gambling int) {
		g := newGenerator(t, func(c *generate.Config) { c.Rows, c.Drift = 50_000, drift })
		b := g.Batch(0)
		for i, v := range b.Column("amount").Float64s {
			mean += v / 50_000
			if c := b.Column("category"); c.Valid.Get(i) {
				switch c.Dict[c.Codes[i]] {
				case "groceries":
					groceries++
				case "gambling":
					gambling++
				}
			}
		}
		return mean, groceries, gambling
	}
	mean, groceries, gambling := look(0)
	mean2, groceries2, gambling2 := look(1)
	assert.Greater(t, mean2, 1.4*mean)
	assert.InDelta(t, .22*50_000, groceries, 600)
	assert.InDelta(t, .11*50_000, groceries2, 600)
	assert.Less(t, gambling, 300)
	assert.Greater(t, gambling2, 4000)
}

func TestImpossibleTablesAreRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(c *generate.Config){
		"rows":  func(c *generate.Config) { c.Rows = -1 },
		"group": func(c *generate.Config) { c.RowsPerGroup = 0 },
		"users": func(c *generate.Config) { c.Users = 0 },
		"days":  func(c *generate.Config) { c.Days = 0 },
		"start": func(c *generate.Config) { c.Start = c.Start.AddDate(9000, 0, 0) },
		"drift": func(c *generate.Config) { c.Drift = math.NaN() },
		"fraud": func(c *generate.Config) { c.FraudRate = 1 },
	} {
		cfg := generate.DefaultConfig()
		change(&cfg)
		_, err := generate.New(cfg)
		assert.Equal(t, fault.Invalid, fault.Of(err), name)
	}
	g := newGenerator(t, func(c *generate.Config) { c.Rows = 0 })
	assert.Zero(t, g.NumBatches())
	assert.Panics(t, func() { g.Batch(0) })
}

func BenchmarkBatch(b *testing.B) {
	g := newGenerator(b, func(c *generate.Config) { c.Rows = 1 << 30 })
	rows := 0
	for i := 0; b.Loop(); i++ {
		rows += g.Batch(i % 1000).NumRows
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

var golden = [][]any{
	{int64(0), int64(8527), int64(1704073699051837), 14.45, 51.27, int64(3), int64(1), "entertainment", "IT", int64(0)},
	{int64(500), int64(58276), int64(1705364179386500), 20.39, 149.36, int64(8), int64(0), "pharmacy", "FR", int64(0)},
	{int64(999), int64(80890), int64(1706655644759431), 26.01, 1901.27, int64(23), int64(23), "groceries", "PL", int64(0)},
}

// The bytes of the file are the same for any number of threads.
func TestTheFileDoesNotDependOnThreads(t *testing.T) {
	t.Parallel()
	g := newGenerator(t, func(c *generate.Config) { c.Rows, c.RowsPerGroup = 20_500, 1000 })
	var want bytes.Buffer
	pw, err := parquet.NewWriter(&want, g.Schema(), parquet.DefaultWriterConfig())
	require.NoError(t, err)
	for i := range g.NumBatches() {
		require.NoError(t, pw.Write(g.Batch(i)))
	}
	require.NoError(t, pw.Close())
	for _, threads := range []int{1, 2, 5} {
		var got bytes.Buffer
		require.NoError(t, g.WriteParquet(t.Context(), &got, 0, g.NumBatches(), threads))
		require.True(t, bytes.Equal(want.Bytes(), got.Bytes()), "%d threads", threads)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, g.WriteParquet(ctx, io.Discard, 0, g.NumBatches(), 2), context.Canceled)
}

func BenchmarkWriteParquet(b *testing.B) {
	g := newGenerator(b, func(c *generate.Config) { c.Rows = 1 << 30 })
	const batches = 20
	n := 0
	for ; b.Loop(); n++ {
		if err := g.WriteParquet(context.Background(), io.Discard, n%1000*batches, (n%1000+1)*batches, runtime.GOMAXPROCS(0)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*batches*131_072)/b.Elapsed().Seconds(), "rows/s")
}
