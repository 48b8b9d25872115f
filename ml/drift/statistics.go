package drift

import (
	"math"

	"github.com/troupe-ml/troupe/ml/features/vector"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// floor stands for a share of 0, whose logarithm PSI cannot take.
const floor = 0.0001

// PSI is the population stability index of two tables over the same bins, given
// the counts of each: the sum of (c - r) ln(c / r) over the bins, r and c being
// shares, and a share of 0 taken as 0.0001. It is 0 when a table has no rows.
//
// Source: Siddiqi, Credit Risk Scorecards, 2006, chapter 9; the sum is the
// divergence of Jeffreys, Proc. R. Soc. A 186, 1946.
func PSI(reference, current []int64) float64 {
	n, m := total(reference), total(current)
	if n == 0 || m == 0 {
		return 0
	}
	var sum sketch.Sum
	for i := range reference {
		r, c := share(reference[i], n), share(current[i], m)
		if r == 0 {
			r = floor
		}
		if c == 0 {
			c = floor
		}
		sum.Add((c - r) * vector.Log(c/r))
	}
	return sum.Value()
}

// JensenShannon is the divergence of two tables over the same bins in bits, 0
// for equal shares and 1 for tables that share no bin: the mean of the
// Kullback-Leibler divergences of both from their mean. Its square root is the
// Jensen-Shannon distance. It is 0 when a table has no rows.
//
// Source: Lin, IEEE Transactions on Information Theory 37(1), 1991, equation 4.1.
func JensenShannon(reference, current []int64) float64 {
	n, m := total(reference), total(current)
	if n == 0 || m == 0 {
		return 0
	}
	var sum sketch.Sum
	for i := range reference {
		r, c := share(reference[i], n), share(current[i], m)
		mean := (r + c) / 2
		if r > 0 {
			sum.Add(r * vector.Log(r/mean))
		}
		if c > 0 {
			sum.Add(c * vector.Log(c/mean))
		}
	}
	return max(0, sum.Value()/(2*math.Ln2))
}

// ChiSquare is Pearson's statistic of the 2 x k table of counts, without
// correction, and its degrees of freedom: one less than there are bins with any
// rows. Both are 0 when a table has no rows.
//
// Source: Pearson, Philosophical Magazine 50, 1900; Cochran, Biometrics 10(4), 1954.
func ChiSquare(reference, current []int64) (statistic float64, freedom int) {
	n, m := total(reference), total(current)
	if n == 0 || m == 0 {
		return 0, 0
	}
	var sum sketch.Sum
	freedom = -1
	for i := range reference {
		both := reference[i] + current[i]
		if both == 0 {
			continue
		}
		freedom++
		for _, side := range [2]struct{ seen, rows int64 }{{reference[i], n}, {current[i], m}} {
			expected := float64(both) * float64(side.rows) / float64(n+m)
			d := float64(side.seen) - expected
			sum.Add(d * d / expected)
		}
	}
	return sum.Value(), max(0, freedom)
}

func total(counts []int64) int64 {
	n := int64(0)
	for _, c := range counts {
		n += c
	}
	return n
}

func share(n, of int64) float64 { return float64(n) / float64(of) }

// KolmogorovSmirnov is the largest distance between the two distribution
// functions, 0 to 1. Where one side has no values it is 1, where neither has any
// 0.
//
// Source: Smirnov, Bull. Math. Univ. Moscou 2, 1939.
func KolmogorovSmirnov(reference, current *sketch.Quantiles) float64 {
	reference, current = alike(reference, current)
	n, m := reference.N(), current.N()
	if n == 0 || m == 0 {
		return oneSided(n, m)
	}
	largest := 0.0
	for s := range steps(reference, current) {
		largest = max(largest, math.Abs(share(s.reference, n)-share(s.current, m)))
	}
	return largest
}

func oneSided(n, m int64) float64 {
	if n == m {
		return 0
	}
	return 1
}

// Wasserstein is the first Wasserstein distance, the area between the two
// distribution functions, in units of the reference's standard deviation; of its
// absolute value where the reference is one value, and of 1 where that is 0.
// Infinite values are left out. Where one side has no values it is 1, where
// neither has any 0.
//
// Source: Vallender, Theory of Probability and its Applications 18(4), 1974;
// normed as by Evidently.
func Wasserstein(reference, current *sketch.Quantiles) float64 {
	reference, current = alike(reference, current)
	n, m := finite(reference), finite(current)
	if n == 0 || m == 0 {
		return oneSided(min(n, 1), min(m, 1))
	}
	unit := spread(reference, n)
	var below [2]int64 // values of -inf
	var sum sketch.Sum
	last := math.NaN()
	var gap float64
	for s := range steps(reference, current) {
		switch {
		case math.IsInf(s.value, -1):
			below = [2]int64{s.reference, s.current}
			continue
		case math.IsInf(s.value, 1):
			continue
		}
		if !math.IsNaN(last) {
			sum.Add(gap * ((s.value - last) / unit))
		}
		last = s.value
		gap = math.Abs(share(s.reference-below[0], n) - share(s.current-below[1], m))
	}
	return min(sum.Value(), math.MaxFloat64)
}

// finite counts the values that are not infinite.
func finite(q *sketch.Quantiles) int64 {
	n := int64(0)
	for v, k := range q.All() {
		if !math.IsInf(v, 0) {
			n += k
		}
	}
	return n
}

// spread returns the standard deviation of the n finite values, or what stands
// for it where that is 0.
func spread(q *sketch.Quantiles, n int64) float64 {
	var sum, squares sketch.Sum
	for v, k := range q.All() {
		if !math.IsInf(v, 0) {
			sum.AddProduct(v, float64(k))
		}
	}
	mean := sum.Value() / float64(n)
	for v, k := range q.All() {
		if d := v - mean; !math.IsInf(d, 0) {
			squares.AddProduct(float64(d*d), float64(k))
		}
	}
	switch s := math.Sqrt(squares.Value() / float64(n)); {
	case s > 0 && q.Min() < q.Max():
		return s
	case mean != 0:
		return math.Abs(mean)
	default:
		return 1
	}
}
