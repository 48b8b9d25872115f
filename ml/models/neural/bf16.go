package neural

import "math"

// GradientFormat is what numbers the mean gradient is made of.
type GradientFormat string

// BF16 is bfloat16: a float32 of 8 bits of precision. A network of ours computes in
// float32 all the same; but whoever sends such a gradient may leave out half of it.
const BF16 GradientFormat = "bf16"

// rounded brings a mean gradient to the format that the optimizer is to have. It is
// done to every mean, whoever makes it of however many ranks' sums, so that the model
// does not depend on what is sent.
func (f *fit) rounded(grad []float32) {
	if f.mover.Gradient == BF16 {
		roundBF16(grad)
	}
}

// roundBF16 rounds each number to the nearest whose last 16 bits are zero, halves to
// even, as PyTorch does: what is beyond the largest becomes infinite, and NaN stays so.
func roundBF16(v []float32) {
	for i, x := range v {
		b := math.Float32bits(x)
		if x != x { //nolint:gocritic // NaN alone
			b |= 1 << 22 // or it could become infinite
		} else {
			b += 1<<15 - 1 + b>>16&1
		}
		v[i] = math.Float32frombits(b &^ (1<<16 - 1))
	}
}
