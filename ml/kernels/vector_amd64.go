package kernels

// The vector kernels take whole vectors; what they leave, the portable twins
// compute, with the same bits. They are called for at most maxChunk elements at
// a time, since the scheduler cannot interrupt them.

const maxChunk = 1 << 15

// width returns the number of floats in a vector of v.
func (v Variant) width() int {
	if v == AVX512 {
		return 16
	}
	return 8
}

// chunkRows returns the number of rows of m that one call may take.
func chunkRows(m Matrix) int { return max(1, maxChunk/PadCols(m.Cols)) }

// chunk returns how many rows of m, from the first on, one call is to take; more is
// false when none is left.
func (m Matrix) chunk(first int) (rows int, more bool) {
	rows = min(chunkRows(m), m.Rows-first)
	return rows, rows > 0
}

func transposeVector(v Variant, d Dense, t, w []float32) bool {
	td := d.Transposed()
	width, tWidth := d.Width(), td.Width()
	blocksIn, blocksOut := d.In/8*8, d.Out/8*8
	if td.In%8 != 0 || td.Out%tWidth != 0 {
		clear(t[max(0, len(t)-td.In*tWidth):]) // the last panel has padding
	}
	for o := 0; o < blocksOut; o += width {
		blocks := min(width, blocksOut-o) / 8
		for i := 0; i < blocksIn; i += 8 {
			transpose8(&t[td.Index(o, i)], &w[d.Index(i, o)], int64(tWidth*floatSize), int64(width*floatSize), int64(blocks))
		}
	}
	for o := range d.Out {
		first := blocksIn
		if o >= blocksOut {
			first = 0
		}
		for i := first; i < d.In; i++ {
			t[td.Index(o, i)] = w[d.Index(i, o)]
		}
	}
	return true
}

func sumColumnsVector(v Variant, db []float32, dz Matrix) bool {
	for i := 0; ; {
		rows, more := dz.chunk(i)
		if !more {
			return true
		}
		vectors, stride := int64(len(db)/v.width()), int64(dz.Stride*floatSize)
		if v == AVX512 {
			addRows512(&db[0], &dz.Data[i*dz.Stride], int64(rows), vectors, stride)
		} else {
			addRows256(&db[0], &dz.Data[i*dz.Stride], int64(rows), vectors, stride)
		}
		i += rows
	}
}

func dropVector(v Variant, y Matrix, s *dropping) bool {
	part := *s
	for i := 0; ; {
		rows, more := y.chunk(i)
		if !more {
			return true
		}
		vectors, stride := int64(PadCols(y.Cols)/v.width()), int64(y.Stride*floatSize)
		if v == AVX512 {
			dropRows512(&y.Data[i*y.Stride], int64(rows), vectors, stride, &part)
		} else {
			dropRows256(&y.Data[i*y.Stride], int64(rows), vectors, stride, &part)
		}
		i += rows
		part.row += uint64(rows)
	}
}

func maskVector(v Variant, g, a Matrix, scale float32) bool {
	for i := 0; ; {
		rows, more := g.chunk(i)
		if !more {
			return true
		}
		vectors, gStride, aStride := int64(PadCols(g.Cols)/v.width()), int64(g.Stride*floatSize), int64(a.Stride*floatSize)
		if v == AVX512 {
			maskRows512(&g.Data[i*g.Stride], &a.Data[i*a.Stride], int64(rows), vectors, gStride, aStride, scale)
		} else {
			maskRows256(&g.Data[i*g.Stride], &a.Data[i*a.Stride], int64(rows), vectors, gStride, aStride, scale)
		}
		i += rows
	}
}

// pairKernels replace the elements of a matrix by what they make of them and those
// of another, with AVX2 and with AVX-512.
type pairKernels [2]func(g, y *float32, rows, vectors, gStride, yStride int64)

// maps and slopeMaps are the kernels of a function, with AVX2 and with AVX-512.
var (
	maps = [numFunctions][2]func(y *float32, rows, vectors, stride int64){
		tanhFunction:    {tanhRows256, tanhRows512},
		sigmoidFunction: {sigmoidRows256, sigmoidRows512},
		geluFunction:    {geluRows256, geluRows512},
		siluFunction:    {siluRows256, siluRows512},
		reluFunction:    {reluRows256, reluRows512},
	}
	slopeMaps = [numFunctions]pairKernels{
		tanhFunction:    {tanhSlopes256, tanhSlopes512},
		sigmoidFunction: {sigmoidSlopes256, sigmoidSlopes512},
		geluFunction:    {geluSlopes256, geluSlopes512},
		siluFunction:    {siluSlopes256, siluSlopes512},
	}
)

// wide returns 1 for AVX-512 and 0 for AVX2.
func (v Variant) wide() int {
	if v == AVX512 {
		return 1
	}
	return 0
}

func mapVector(v Variant, f function, y Matrix) bool {
	kernel := maps[f][v.wide()]
	for i := 0; ; {
		rows, more := y.chunk(i)
		if !more {
			return true
		}
		kernel(&y.Data[i*y.Stride], int64(rows), int64(PadCols(y.Cols)/v.width()), int64(y.Stride*floatSize))
		i += rows
	}
}

func slopeVector(v Variant, f function, g, y Matrix) bool { return slopeMaps[f].run(v, g, y) }

func addVector(v Variant, y, x Matrix) bool {
	return pairKernels{plusRows256, plusRows512}.run(v, y, x)
}

func (k pairKernels) run(v Variant, g, y Matrix) bool {
	kernel := k[v.wide()]
	for i := 0; ; {
		rows, more := g.chunk(i)
		if !more {
			return true
		}
		kernel(&g.Data[i*g.Stride], &y.Data[i*y.Stride], int64(rows), int64(PadCols(g.Cols)/v.width()),
			int64(g.Stride*floatSize), int64(y.Stride*floatSize))
		i += rows
	}
}
