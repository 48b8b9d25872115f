package vector_test

import (
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

// exactLog1p sums 2 atanh(x / (2 + x)) with 400 bits, for x in -0.9..10.
func exactLog1p(x float64) *big.Float {
	f := func() *big.Float { return new(big.Float).SetPrec(400) }
	v := f().SetFloat64(x)
	s := f().Quo(v, f().Add(v, f().SetInt64(2)))
	s2, power, sum := f().Mul(s, s), f().Set(s), f()
	for k := int64(1); k < 600; k += 2 {
		sum.Add(sum, f().Quo(power, f().SetInt64(k)))
		power.Mul(power, s2)
	}
	return sum.Mul(sum, f().SetInt64(2))
}

func TestLog1pIsWithinOneUlp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.OneOf(rapid.Float64Range(-0.9, 10), rapid.Float64Range(-1e-3, 1e-3),
			rapid.SampledFrom([]float64{1, 0.5, -0.5, -0.25, 0.4142135623730951, -0.2928932188134524, 1e-16, 1e-200, 2, 3})).Draw(t, "x")
		dst := []float64{0}
		require.True(t, vector.Log1p(dst, []float64{x}))
		want := exactLog1p(x)
		rounded, _ := want.Float64()
		ulp := math.Nextafter(math.Abs(rounded), math.Inf(1)) - math.Abs(rounded)
		off, _ := new(big.Float).Quo(new(big.Float).Sub(want, new(big.Float).SetFloat64(dst[0])), new(big.Float).SetFloat64(ulp)).Float64()
		require.LessOrEqual(t, math.Abs(off), 1.0, "log1p(%v) = %v", x, dst[0])
	})
}

func TestLog1pAgreesWithTheMathPackage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64().Draw(t, "x")
		dst := []float64{0}
		all := vector.Log1p(dst, []float64{x})
		require.Equal(t, x > -1, all)
		if want := math.Log1p(x); x > -1 {
			require.InDelta(t, want, dst[0], 3e-16*max(1, math.Abs(want))) // two units in the last place, of 1 at least
		} else {
			require.True(t, math.IsNaN(dst[0]))
		}
	})
	dst := make([]float64, 6)
	require.False(t, vector.Log1p(dst, []float64{0, math.Inf(1), math.NaN(), -1, math.MaxFloat64, math.Inf(-1)}))
	assert.Equal(t, []float64{0, math.Inf(1)}, dst[:2])
	assert.True(t, math.IsNaN(dst[2]) && math.IsNaN(dst[3]) && math.IsNaN(dst[5]))
	assert.InDelta(t, math.Log(math.MaxFloat64), dst[4], 2e-13)
}

// dumbBin is the rule as documentation has it.
func dumbBin(v float64, edges []float64) (uint32, bool) {
	for i := 1; i < len(edges); i++ {
		if (v > edges[i-1] || i == 1 && v == edges[0]) && v <= edges[i] {
			return uint32(i - 1), true
		}
	}
	return 0, false
}

func TestBinIsTheDumbOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		edges := []float64{rapid.Float64Range(-9, 0).Draw(t, "first")}
		for range rapid.IntRange(1, 60).Draw(t, "intervals") {
			edges = append(edges, edges[len(edges)-1]+rapid.Float64Range(0.01, 3).Draw(t, "width"))
		}
		if rapid.Bool().Draw(t, "open") {
			edges = append(edges, math.Inf(1))
		}
		src := rapid.SliceOfN(rapid.OneOf(rapid.Float64Range(-12, 90), rapid.SampledFrom(edges),
			rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1)})), 1, 50).Draw(t, "values")
		dst := make([]uint32, len(src))
		all := vector.Bin(dst, src, edges)
		in := true
		for i, v := range src {
			place, ok := dumbBin(v, edges)
			if in = in && ok; ok {
				require.Equal(t, place, dst[i], "%v in %v", v, edges)
			}
			require.Less(t, int(dst[i]), len(edges)-1)
		}
		require.Equal(t, in, all)
	})
}

func TestTheCalendarIsThatOfTheTimePackage(t *testing.T) {
	t.Parallel()
	utc := vector.Offsets{Starts: []int64{math.MinInt64}, Seconds: []int32{0}}
	rapid.Check(t, func(t *rapid.T) {
		micros := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(-3e17, 3e17), rapid.Int64Range(-86_400_000_001, 86_400_000_001)), 1, 20).Draw(t, "times")
		n := len(micros)
		days, seconds, weekday := make([]int32, n), make([]int32, n), make([]int32, n)
		year, month, day, yearDay := make([]int32, n), make([]int32, n), make([]int32, n), make([]int32, n)
		utc.Split(days, seconds, micros)
		vector.Civil(year, month, day, yearDay, days)
		vector.Weekday(weekday, days)
		for i, m := range micros {
			want := time.UnixMicro(m).UTC()
			require.Equal(t, int32(want.Hour()*3600+want.Minute()*60+want.Second()), seconds[i])
			require.Equal(t, []int{want.Year(), int(want.Month()), want.Day(), want.YearDay(), (int(want.Weekday()) + 6) % 7},
				[]int{int(year[i]), int(month[i]), int(day[i]), int(yearDay[i]), int(weekday[i])}, "%v", want)
		}
	})
}

func TestTurnIsAsGoodAsTheMathPackage(t *testing.T) {
	t.Parallel()
	for whole := 1; whole <= 366; whole++ {
		for part := range 2*whole + 1 {
			sin, cos := vector.Turn(part, whole)
			angle := 2 * math.Pi * float64(part) / float64(whole)
			require.InDelta(t, math.Sin(angle), sin, 3e-15, "%d of %d", part, whole) // the angle is rounded, too
			require.InDelta(t, math.Cos(angle), cos, 3e-15, "%d of %d", part, whole)
			require.InDelta(t, 1, sin*sin+cos*cos, 5e-16)
		}
	}
	for part, want := range [][2]float64{{0, 1}, {1, 0}, {0, -1}, {-1, 0}} {
		sin, cos := vector.Turn(part*6, 24)
		require.Equal(t, want, [2]float64{sin, cos}) //nolint:testifylint // exact
	}
}

func TestClearAndAndTreatNilAsAllRows(t *testing.T) {
	t.Parallel()
	values := make([]float64, 70)
	values[3], values[69] = 1, 1
	got := vector.Clear(nil, values, func(v float64) bool { return v == 1 })
	for i := range values {
		require.Equal(t, values[i] == 0, got.Get(i), i)
	}
	var b data.Bitmap
	assert.Nil(t, vector.And(b, b))
	assert.Equal(t, got, vector.And(b, got))
	assert.Equal(t, got, vector.And(got, vector.Clone(nil, 70)))
	assert.Equal(t, uint64(1<<6-1), vector.Clone(nil, 70)[1])
}

func BenchmarkLoops(b *testing.B) {
	const n = 1 << 16
	src, other, dst, places := make([]float64, n), make([]float64, n), make([]float64, n), make([]uint32, n)
	micros, days, seconds := make([]int64, n), make([]int32, n), make([]int32, n)
	for i := range src {
		src[i] = float64(i*7919%100_003) / 50
		other[i] = src[i] + 1
		micros[i] = 1_700_000_000_000_000 + int64(i)*37_000_000
	}
	for _, l := range []struct {
		name string
		run  func()
	}{
		{"scale", func() { vector.Scale(dst, src, 12, 3) }},
		{"log1p", func() { vector.Log1p(dst, src) }},
		{"ratio", func() { vector.Ratio(dst, src, other) }},
		{"bin", func() { vector.Bin(places, src, []float64{0, 100, 500, 1000, math.Inf(1)}) }},
		{"split", func() {
			vector.Offsets{Starts: []int64{math.MinInt64}, Seconds: []int32{0}}.Split(days, seconds, micros)
		}},
		{"civil", func() { vector.Civil(places32, places32, places32, places32, days) }},
	} {
		b.Run(l.name, func(b *testing.B) {
			b.SetBytes(n) // MB/s is million rows a second
			for b.Loop() {
				l.run()
			}
		})
	}
}

var places32 = make([]int32, 1<<16)

func TestLogAgreesWithTheMathPackage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := math.Abs(rapid.Float64().Draw(t, "x"))
		want := math.Log(x)
		if 0 < x && x < 0x1p-1022 { // where Go's own logarithm is wrong on amd64
			want = math.Log(x*0x1p54) - 54*math.Ln2
		}
		if math.IsInf(want, 0) {
			require.Equal(t, want, vector.Log(x)) //nolint:testifylint // infinite
			return
		}
		require.InDelta(t, want, vector.Log(x), 3e-16*math.Abs(want)+1e-300)
	})
	assert.True(t, math.IsNaN(vector.Log(-1)))
	assert.True(t, math.IsInf(vector.Log(0), -1))
	assert.InDelta(t, 0, vector.Log(1), 0)
}
