package features_test

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features"
)

func TestBucketsAreTheUpperBitsOfXXH3(t *testing.T) {
	t.Parallel()
	b := batch(t, texts(t, "c", "", "a", null{}, "12"), named{"n", column(t, data.Int64, 12, -3, 5, null{})}, floats64(t, "x", 12., nan, 0.5, 1.))
	bucket := func(hash uint64, buckets uint64) int {
		high, _ := bits.Mul64(hash, buckets)
		return int(high)
	}
	p := fit(t, features.Config{Steps: []features.Step{
		step("plain", "hash_encode", "c"), with(step("seeded", "hash_encode", "c"), "seed", 1, "buckets", 1000),
		step("number", "hash_encode", "n"), step("float", "hash_encode", "x"), step("cross", "hash_encode", "c", "n"),
	}}, b)
	assert.Zero(t, p.NumPasses(), "there is nothing to learn")
	got, err := p.Apply(b)
	require.NoError(t, err)
	// XXH3's own 64-bit hashes of "" and "a" are 2d06800538d394c2 and e6c632b61e964e1f.
	twelve := bucket(xxh3.HashString("12"), 1024)
	assert.Equal(t, []any{0x2d0 >> 2, 0xe6c >> 2, null{}, twelve}, values(got.Column("plain")))
	assert.Equal(t, []any{bucket(xxh3.HashStringSeed("", 1), 1000), bucket(xxh3.HashStringSeed("a", 1), 1000), null{}, bucket(xxh3.HashStringSeed("12", 1), 1000)},
		values(got.Column("seeded")))
	assert.Equal(t, twelve, values(got.Column("number"))[0], "a number is its text")
	assert.Equal(t, []any{twelve, null{}, bucket(xxh3.HashString("0.5"), 1024), bucket(xxh3.HashString("1"), 1024)}, values(got.Column("float")))
	cross := values(got.Column("cross"))
	assert.Equal(t, []any{null{}, null{}}, cross[2:], "a combination with a null is none")
	assert.NotEqual(t, cross[0], cross[1])
}

func TestBucketsAreEvenAndCombinationsTheirOwn(t *testing.T) {
	t.Parallel()
	const rows, buckets = 100_000, 10
	a, b := data.NewColumn(data.Int64, rows), data.NewColumn(data.Int32, rows)
	for i := range rows {
		a.Int64s[i], b.Int32s[i] = int64(i/1000), int32(i%1000)
	}
	table := batch(t, named{"a", a}, named{"b", b})
	p := fit(t, features.Config{Steps: []features.Step{with(step("ab", "hash_encode", "a", "b"), "buckets", buckets), with(step("ba", "hash_encode", "b", "a"), "buckets", buckets)}}, table)
	got, err := p.Apply(table)
	require.NoError(t, err)
	var counts [buckets]int
	same := 0
	for i, bucket := range got.Columns[0].Int32s {
		counts[bucket]++
		if bucket == got.Columns[1].Int32s[i] {
			same++
		}
	}
	for bucket, n := range counts {
		assert.InDelta(t, rows/buckets, n, 500, "bucket %d", bucket)
	}
	assert.InDelta(t, rows/buckets, same, 500, "the order of the columns counts")
}

func TestBadHashesAreRefused(t *testing.T) {
	t.Parallel()
	schema := batch(t, texts(t, "c", "a"), named{"t", column(t, data.Timestamp, 1)}).Schema
	for want, s := range map[string]features.Step{
		`buckets: expected a whole number of at least 2, found 1`:               with(step("h", "hash_encode", "c"), "buckets", 1),
		`buckets: expected a whole number of at least 2, found 2.147483649e+09`: with(step("h", "hash_encode", "c"), "buckets", 1<<31+1),
		`seed: expected a whole number of at least 0, found -1`:                 with(step("h", "hash_encode", "c"), "seed", -1),
		`of: "t" is timestamp, expected a text, a number, a truth or a date`:    step("h", "hash_encode", "t"),
		`of has 0 columns, expected at least 1`:                                 step("h", "hash_encode"),
	} {
		_, err := features.Compile(features.Config{Steps: []features.Step{s}}, schema)
		require.Equal(t, fault.Invalid, fault.Of(err), want)
		assert.ErrorContains(t, err, want)
	}
}
