package kernels

// CrossEntropy replaces the logits z by the gradient of the loss with respect
// to them, (softmax(z) - onehot(label)) * scale, and writes the loss of each
// row, log(sum(exp(z - max))) - (z[label] - max), to loss, in nats and without
// scale. Shapes: z (rows, classes), padded; labels (rows,), each from 0 to
// classes-1; loss (rows,). A row with NaN or +Inf becomes NaN.
//
// The sum over the classes of a row is that of 16 sums, of the classes whose
// numbers are equal modulo 16, in order of number; the 16 are added in halves:
// i with i+8, then i with i+4, with i+2, with i+1. So it is the same whatever
// the width of the vectors. Sums over rows are the caller's: they must be made
// in the order of rows, or as integers.
func CrossEntropy(z Matrix, labels []int32, scale float32, loss []float32) {
	crossEntropy(Active(), z, labels, scale, loss)
}

func crossEntropy(v Variant, z Matrix, labels []int32, scale float32, loss []float32) {
	z.padded("cross entropy")
	check(len(labels) == z.Rows && len(loss) == z.Rows, "cross entropy: %d rows, %d labels, room for %d losses", z.Rows, len(labels), len(loss))
	for i, l := range labels {
		if uint(l) >= uint(z.Cols) {
			fail("cross entropy: row %d has label %d of %d classes", i, int(l), z.Cols)
		}
	}
	if v != Portable && crossVector(v, z, labels, scale, loss) {
		return
	}
	for i, label := range labels {
		row := z.Row(i)
		most := rowMax(row)
		own := row[label] - most
		sum := expSum(row, most)
		for j, e := range row {
			row[j] = e / sum
		}
		row[label]--
		for j, g := range row {
			row[j] = g * scale
		}
		loss[i] = log32(sum) - own
	}
	z.clearPadding()
}

// Softmax replaces each row z by its probabilities exp(z) / sum(exp(z)), summed
// as in [CrossEntropy]. z is padded. A row with NaN or +Inf becomes NaN.
func Softmax(z Matrix) { softmax(Active(), z) }

func softmax(v Variant, z Matrix) {
	z.padded("softmax")
	if v != Portable && softmaxVector(v, z) {
		return
	}
	for i := range z.Rows {
		row := z.Row(i)
		sum := expSum(row, rowMax(row))
		for j, e := range row {
			row[j] = e / sum
		}
	}
	z.clearPadding()
}

func rowMax(row []float32) float32 {
	most := row[0]
	for _, x := range row[1:] {
		if x > most {
			most = x
		}
	}
	return most
}

// expSum replaces each x of row by exp(x-most) and returns their sum.
func expSum(row []float32, most float32) float32 {
	var sums [lanes]float32
	for j, x := range row {
		e := exp32(x - most)
		row[j] = e
		sums[j%lanes] += e
	}
	return foldLanes(&sums)
}

// foldLanes adds the sums in halves.
func foldLanes(sums *[lanes]float32) float32 {
	for half := lanes / 2; half > 0; half /= 2 {
		for i := range half {
			sums[i] += sums[i+half]
		}
	}
	return sums[0]
}

// SquaredError replaces the outputs y by the gradient of the loss with respect
// to them, 2 * (y - target) * scale, and writes the loss of each row, the sum
// over its columns of (y - target)^2, to loss, without scale. Shapes: y and
// target (rows, columns), y padded; loss (rows,). The sum is made as in
// [CrossEntropy]. It is the same code for all variants: regression has few
// columns.
func SquaredError(y, target Matrix, scale float32, loss []float32) {
	y.padded("squared error: y")
	target.readable("squared error: target")
	check(y.Rows == target.Rows && y.Cols == target.Cols && len(loss) == y.Rows,
		"squared error: y (%d, %d), target (%d, %d), room for %d losses", y.Rows, y.Cols, target.Rows, target.Cols, len(loss))
	twice := 2 * scale
	for i := range y.Rows {
		row := y.Row(i)
		if len(row) == 1 {
			d := row[0] - target.Data[i*target.Stride]
			loss[i], row[0] = d*d, d*twice
			continue
		}
		var sums [lanes]float32
		for j, t := range target.Row(i) {
			d := row[j] - t
			sums[j%lanes] += float32(d * d)
			row[j] = d * twice
		}
		loss[i] = foldLanes(&sums)
	}
	y.clearPadding()
}
