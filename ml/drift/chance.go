package drift

import (
	"math"
	"strconv"
)

// significance is how often chance alone may look like drift in a column.
const significance = 0.05

// chiSquareTail returns the probability that a chi-square variable of the given
// degrees of freedom is at least x: the regularised upper incomplete gamma
// function Q(freedom/2, x/2), by its series below the mean and its continued
// fraction above.
//
// Source: Abramowitz and Stegun, 26.4.19, 6.5.29 and 6.5.31; the fraction by
// Lentz's method as modified by Thompson and Barnett, J. Comput. Phys. 64, 1986.
func chiSquareTail(x float64, freedom int) float64 {
	if freedom <= 0 || x <= 0 {
		return 1
	}
	a, h := float64(freedom)/2, x/2
	logGamma, _ := math.Lgamma(a)
	front := math.Exp(float64(a*math.Log(h)) - h - logGamma)
	const small, rounds = 1e-16, 100_000
	if h < a+1 {
		term := 1 / a
		sum := term
		for k := 1.0; k < rounds && term > sum*small; k++ {
			term = float64(term * (h / (a + k)))
			sum += term
		}
		return max(0, 1-float64(front*sum))
	}
	const tiny = 1e-300
	b := h + 1 - a
	c, d := 1/tiny, 1/b
	f := d
	for k := 1.0; k < rounds; k++ {
		numerator := -k * (k - a)
		b += 2
		d = float64(numerator*d) + b
		if math.Abs(d) < tiny {
			d = tiny
		}
		c = b + numerator/c
		if math.Abs(c) < tiny {
			c = tiny
		}
		d = 1 / d
		f *= d * c
		if math.Abs(float64(d*c)-1) < small {
			break
		}
	}
	return min(1, front*f)
}

// kolmogorovTail returns the probability that Kolmogorov's limiting variable is
// at least x.
//
// Source: Kolmogorov, Giorn. Ist. Ital. Attuari 4, 1933; below 1 the other form
// of the theta function, which converges faster there.
func kolmogorovTail(x float64) float64 {
	if x <= 0 {
		return 1
	}
	if x < 1 {
		sum := 0.0
		for k := 1.0; k <= 9; k += 2 {
			sum += math.Exp(-k * k * math.Pi * math.Pi / (8 * x * x))
		}
		return max(0, 1-float64(math.Sqrt(2*math.Pi)/x*sum))
	}
	sum, sign := 0.0, 1.0
	for k := 1.0; k <= 10; k++ {
		sum += float64(sign * math.Exp(-2*k*k*x*x))
		sign = -sign
	}
	return min(1, 2*sum)
}

// critical returns where a falling tail reaches the significance, by bisection.
func critical(tail func(float64) float64) float64 {
	low, high := 0.0, 1.0
	for tail(high) > significance {
		low, high = high, 2*high
	}
	for range 60 {
		if mid := (low + high) / 2; tail(mid) > significance {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// rounded keeps 6 significant digits of v, so that processors whose exponential
// functions differ in the last bit report the same.
func rounded(v float64) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 6, 64), 64)
	if err != nil {
		return v
	}
	return r
}
