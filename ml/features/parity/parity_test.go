package parity

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
)

// In whatever order rows come, those of the first entities are chosen, and of the
// last its first rows.
func TestASampleHasWholeHistories(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 30).Draw(t, "most")
		type row struct {
			k Key
			r Row
		}
		var rows []row
		for i := range rapid.IntRange(0, 120).Draw(t, "rows") {
			rows = append(rows, row{NumberKey(rapid.Int64Range(0, 7).Draw(t, "entity")), Row{rapid.Int64Range(0, 9).Draw(t, "time"), int64(i)}})
		}
		s := NewSample(most)
		for _, r := range rapid.Permutation(rows).Draw(t, "order") {
			s.Add(r.k, r.r)
		}
		slices.SortFunc(rows, func(a, b row) int { return cmp.Or(a.k.compare(b.k), a.r.compare(b.r)) })
		var want, got []Row
		for _, r := range rows[:min(most, len(rows))] {
			want = append(want, r.r)
		}
		for _, e := range s.Entities() {
			require.NotEmpty(t, e)
			got = append(got, e...)
		}
		require.Equal(t, want, got)
	})
}

func TestASampleForgetsWhatIsBeyondIt(t *testing.T) {
	t.Parallel()
	s := NewSample(50)
	for i := range int64(10_000) {
		s.Add(NumberKey(i), Row{0, i})
		s.Add(NumberKey(-1), Row{-i, i})
		require.LessOrEqual(t, s.rows, 100)
		require.LessOrEqual(t, len(s.of), 100)
	}
}

func TestKeysAreEqualWhereValuesAre(t *testing.T) {
	t.Parallel()
	k := Keys(&data.Column{Type: data.Float64, Float64s: []float64{0, math.Copysign(0, -1), math.NaN(), math.Float64frombits(math.Float64bits(math.NaN()) ^ 1), 1}})
	require.Equal(t, k[0], k[1])
	require.Equal(t, k[2], k[3])
	require.NotEqual(t, k[0], k[4])
	require.NotEqual(t, k[2], k[4])
	texts := Keys(&data.Column{Type: data.String, Dict: []string{"a", "b", "a"}, Codes: []uint32{0, 1, 2}})
	require.Equal(t, texts[0], texts[2])
	require.NotEqual(t, texts[0], texts[1])
	require.Equal(t, Keys(&data.Column{Type: data.Int32, Int32s: []int32{-1}}), Keys(&data.Column{Type: data.Int64, Int64s: []int64{-1}}))
	a, b := &data.Column{Type: data.Int64, Int64s: []int64{1, 1, 2, 1}}, &data.Column{Type: data.Int64, Int64s: []int64{2, 2, 1, 1}}
	pairs := Keys(a, b)
	require.Equal(t, pairs[0], pairs[1])
	require.NotEqual(t, pairs[0], pairs[2], "the order counts")
	require.NotEqual(t, pairs[0], pairs[3])
	require.NotEqual(t, pairs[2], pairs[3])
	bools := Keys(&data.Column{Type: data.Bool, Bools: []bool{true, false}})
	require.NotEqual(t, bools[0], bools[1])
}

// one is a batch of one column.
func one(c *data.Column) *data.Batch {
	return &data.Batch{Schema: data.Schema{Fields: []data.Field{{Name: "f", Type: c.Type, Nullable: true}}}, Columns: []*data.Column{c}, NumRows: c.Len()}
}

// A bit that differs is seen in every type, and what does not differ is not.
func TestATallySeesEveryBit(t *testing.T) {
	t.Parallel()
	other := math.Float64frombits(math.Float64bits(math.NaN()) ^ 1)
	columns := []*data.Column{
		{Type: data.Bool, Bools: []bool{false, true}}, {Type: data.Int32, Int32s: []int32{1, 2}}, {Type: data.Date, Int32s: []int32{1, 2}},
		{Type: data.Int64, Int64s: []int64{1, 2}}, {Type: data.Timestamp, Int64s: []int64{1, 2}},
		{Type: data.Float32, Float32s: []float32{0, float32(math.Copysign(0, -1))}}, {Type: data.Float64, Float64s: []float64{1, math.Nextafter(1, 2)}},
		{Type: data.Float64, Float64s: []float64{math.Inf(1), math.NaN()}}, {Type: data.String, Dict: []string{"a", "b"}, Codes: []uint32{0, 1}},
		{Type: data.Int64, Int64s: []int64{0, 0}, Valid: data.Bitmap{1}},
	}
	for _, c := range columns {
		b := one(c)
		for i := range 2 {
			for k := range 2 {
				tally := &Tally{Name: "f", Columns: []string{"f"}}
				require.NoError(t, tally.Compare(b, i, Alone(b, k), 7))
				require.Equal(t, i != k, tally.Different == 1, "%v %d %d", c.Type, i, k)
				if i != k {
					require.NotEqual(t, tally.First.Batch, tally.First.Online, c.Type)
				}
			}
		}
	}
	nans := one(&data.Column{Type: data.Float64, Float64s: []float64{math.NaN(), other}})
	tally := &Tally{Columns: []string{"f"}}
	require.NoError(t, tally.Compare(nans, 0, Alone(nans, 1), 0))
	require.Zero(t, tally.Different)
	require.Error(t, (&Tally{Columns: []string{"g"}}).Compare(nans, 0, Alone(nans, 1), 0))
}

func TestTheFirstDifferenceIsThatOfTheFirstRow(t *testing.T) {
	t.Parallel()
	b := one(&data.Column{Type: data.Int64, Int64s: []int64{1, 2}})
	all := &Tally{Columns: []string{"f"}}
	for _, number := range []int64{9, 4, 6} {
		one := &Tally{Columns: []string{"f"}}
		require.NoError(t, one.Compare(b, 0, Alone(b, 1), number+1))
		require.NoError(t, one.Compare(b, 0, Alone(b, 1), number))
		require.NoError(t, one.Compare(b, 1, Alone(b, 1), number-1))
		all.Merge(one)
	}
	require.Equal(t, &Tally{Columns: []string{"f"}, Rows: 9, Different: 6, First: &Difference{Number: 4, Column: "f", Batch: "1", Online: "2"}}, all)
}

func TestARequestSaysARow(t *testing.T) {
	t.Parallel()
	b := &data.Batch{NumRows: 1, Schema: data.Schema{Fields: []data.Field{
		{Name: "a", Type: data.Bool}, {Name: "b", Type: data.Int32}, {Name: "c", Type: data.Float32}, {Name: "d", Type: data.Float32}, {Name: "e", Type: data.String}, {Name: "f", Type: data.Timestamp},
	}}, Columns: []*data.Column{
		{Type: data.Bool, Bools: []bool{true}}, {Type: data.Int32, Int32s: []int32{-7}}, {Type: data.Float32, Float32s: []float32{0.1}}, {Type: data.Float32, Float32s: []float32{0.1}},
		{Type: data.String, Dict: []string{"é\"<"}, Codes: []uint32{0}}, {Type: data.Timestamp, Int64s: []int64{1 << 60}},
	}}
	wide := data.Schema{Fields: slices.Clone(b.Schema.Fields)}
	wide.Fields[3].Type = data.Float64 // it reads as the number that the float32 is
	text, ok := Request(b, wide)
	require.True(t, ok)
	require.Equal(t, `[true,-7,0.1,0.10000000149011612,"é\"\u003c",1152921504606846976]`, string(text))
	b.Columns[0].Valid = data.NewBitmap(1)
	text, ok = Request(b, data.Schema{Fields: wide.Fields[:1]})
	require.True(t, ok)
	require.Equal(t, "[null]", string(text))
	for _, bad := range []*data.Column{
		{Type: data.Float64, Float64s: []float64{math.NaN()}}, {Type: data.Float32, Float32s: []float32{float32(math.Inf(-1))}}, {Type: data.String, Dict: []string{"\xff"}, Codes: []uint32{0}},
	} {
		_, ok := Request(one(bad), one(bad).Schema)
		require.False(t, ok)
	}
	_, ok = Request(b, data.Schema{Fields: []data.Field{{Name: "none"}}})
	require.False(t, ok)
}
