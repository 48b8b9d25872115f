package features

import (
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// units is a number of units as a number.
func units(words []uint64, unit int) *big.Float {
	n := new(big.Int)
	for i := len(words) - 1; i >= 0; i-- {
		n.Lsh(n, 64)
		n.Or(n, new(big.Int).SetUint64(words[i]))
	}
	if int64(words[len(words)-1]) < 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(64*len(words))))
	}
	f := new(big.Float).SetPrec(2000).SetInt(n)
	return f.SetMantExp(f, -unit)
}

// squared is a target as squares take it.
func squared(v float64) (mantissa uint64, shift uint) {
	mantissa, shift, _ = fixed(v)
	return mantissa, shift
}

func drawTarget(t *rapid.T) float64 {
	v := rapid.OneOf(rapid.Float64Range(-5, 5), rapid.Float64Range(-1e21, 1e21), rapid.Float64Range(-1e-20, 1e-20),
		rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, -1, 0.1, 0x1p-80, 0x1p-81, -0x1p-1074, 0x1p71 - 0x1p18, -0x1p70})).Draw(t, "target")
	return v
}

// whole is the target in whole units.
func whole(v float64) *big.Float {
	f := new(big.Float).SetPrec(2000).SetFloat64(v)
	n, _ := f.SetMantExp(f, unitBits).Int(nil)
	f.SetInt(n)
	return f.SetMantExp(f, -unitBits)
}

func TestSumsAreThoseOfWholeUnits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s, half sumWords
		var q, quarter squareWords
		sum, squares := new(big.Float).SetPrec(2000), new(big.Float).SetPrec(2000)
		for i := range rapid.IntRange(0, 20).Draw(t, "rows") {
			v := drawTarget(t)
			if i%2 == 0 {
				half.add(fixed(v))
				quarter.add(squared(v))
			} else {
				s.add(fixed(v))
				q.add(squared(v))
			}
			c := whole(v)
			sum.Add(sum, c)
			squares.Add(squares, new(big.Float).SetPrec(2000).Mul(c, c))
		}
		s.plus(&half)
		q.plus(&quarter)
		require.Zero(t, sum.Cmp(units(s[:], unitBits)), "%v, %v", sum, units(s[:], unitBits))
		require.Zero(t, squares.Cmp(units(q[:], 2*unitBits)), "%v, %v", squares, units(q[:], 2*unitBits))

		for _, x := range []struct {
			words []uint64
			unit  int
			want  *big.Float
		}{{s[:], unitBits, sum}, {q[:], 2 * unitBits, squares}} {
			e := exactOf(x.words, x.unit)
			got := new(big.Float).SetPrec(2000).SetFloat64(e.high)
			got.Add(got, big.NewFloat(e.low))
			off := new(big.Float).Sub(got, x.want)
			bound, _ := new(big.Float).Mul(x.want, big.NewFloat(0x1p-104)).Float64()
			is, _ := off.Float64()
			require.LessOrEqual(t, math.Abs(is), math.Abs(bound))

			text := appendWords(nil, x.words)
			back := make([]uint64, len(x.words))
			r := newReader("features: decode sum", text)
			r.words(back)
			require.NoError(t, r.End())
			require.Equal(t, x.words, back)
		}
		before := s
		s.sub(&half)
		s.plus(&half)
		require.Equal(t, before, s)
		squared := q
		q.sub(&quarter)
		q.plus(&quarter)
		require.Equal(t, squared, q)
	})
}

func TestVariancesSurviveLargeMeans(t *testing.T) {
	t.Parallel()
	var one statistics
	for _, v := range []float64{1e9, 1e9 + 1, 1e9 + 2} {
		one.n++
		one.sum.add(fixed(v))
		one.square.add(squared(v))
	}
	require.InDelta(t, 2./3, one.variance(), 1e-15)
	require.Equal(t, 1e9+1, one.mean())
	same := statistics{n: 3}
	for range 3 {
		same.sum.add(fixed(0.1))
		same.square.add(squared(0.1))
	}
	require.InDelta(t, 0, same.variance(), 1e-30)
}
