package kernels

import "unsafe"

// tile is the argument of the tiles of a product. The assembly knows the order
// of the fields; all steps are in bytes. The places that move are numbers, so
// that no pointer ever points past the end of what it is in.
type tile struct {
	k                    int64
	a                    unsafe.Pointer
	rowStep, innerStep   int64
	b                    unsafe.Pointer
	bStep                int64
	c                    unsafe.Pointer
	cStep                int64
	bias                 unsafe.Pointer
	flags                int64
	strips, aJump, cJump int64
	aPlace, cPlace       uintptr
	bPanel, cPanel       int64
}

// The flags of a tile.
const (
	tileContinue = 1 << iota // start from what C holds instead of from zero
	tileBias                 // at the end add the bias
	tileReLU                 // and then apply ReLU
)

const (
	floatSize = 4
	maxFlops  = 8 << 20 // of one call: about 100 microseconds

	blockSteps  = 512     // most steps along k in a block: 64 KiB of a panel of B
	blockFloats = 1 << 16 // floats of A in a block
)

// multiplyVector computes p in blocks that stay in the caches: A's block in the
// second level, and of B one panel's in the first.
func multiplyVector(v Variant, p *product) bool {
	if p.k == 0 {
		return false
	}
	part := *p
	for l := 0; l < p.k; l += part.k {
		part.k = evenly(p.k-l, blockSteps)
		part.a, part.b = p.a[l*p.innerStep:], p.b[l*p.bStride:]
		part.accumulate = p.accumulate || l > 0
		if l+part.k < p.k {
			part.bias, part.relu = nil, false
		} else {
			part.bias, part.relu = p.bias, p.relu
		}
		for i := 0; i < p.m; i += part.m {
			part.m = evenly(p.m-i, blockFloats/part.k)
			block := part
			block.a, block.c = part.a[i*p.rowStep:], p.c[i*p.cStride:]
			block.panels(v)
		}
	}
	return true
}

// evenly returns the size of the first of as few parts of n as can be, none of
// which is much above most, and all of which are multiples of 12 but the last.
func evenly(n, most int) int {
	parts := (n + most - 1) / most
	return min(n, (n/parts+11)/12*12)
}

// panels computes p panel by panel, or some panels at once where the rows are
// too few to keep the multipliers busy.
func (p *product) panels(v Variant) {
	atOnce := 1
	switch p.m {
	case 1:
		atOnce = 4
	case 2, 3:
		atOnce = 2
	}
	for j := 0; j < p.n; {
		padded := PadCols(p.n - j)
		n := 1
		if padded >= atOnce*panel {
			n = atOnce
		}
		switch {
		case v == AVX512 && padded >= panel:
			p.strips(v, columns{j, 2, n})
		case v == AVX512:
			p.strips(v, columns{j, 1, 1})
		default:
			p.strips(v, columns{j, 2, n})
			if padded >= panel {
				p.strips(v, columns{j + lanes, 2, n})
			}
		}
		j += n * panel
	}
}

// columns are those of a tile: so many vectors of so many panels, from the
// first column on.
type columns struct {
	first, vectors, panels int
}

// strips computes some columns. It cuts the rows into strips of nearly equal
// height, the higher ones first.
func (p *product) strips(v Variant, c columns) {
	most := 12
	if v == AVX2 {
		most = 6
	}
	count := (p.m + most - 1) / most
	height := p.m / count
	higher := p.m - count*height
	p.run(v, c, 0, height+1, higher)
	p.run(v, c, higher*(height+1), height, count-higher)
}

// run computes count strips of so many rows from row i on.
func (p *product) run(v Variant, c columns, i, rows, count int) {
	q, within := c.first/panel, c.first%panel
	t := tile{
		k: int64(p.k), rowStep: int64(p.rowStep * floatSize), innerStep: int64(p.innerStep * floatSize),
		b: unsafe.Pointer(&p.b[q*p.bPanel+within]), bStep: int64(p.bStride * floatSize), bPanel: int64(p.bPanel * floatSize),
		cStep: int64(p.cStride * floatSize), cPanel: int64(p.cPanel * floatSize),
		aJump: int64(rows * p.rowStep * floatSize), cJump: int64(rows * p.cStride * floatSize),
	}
	if p.accumulate {
		t.flags |= tileContinue
	}
	if p.bias != nil {
		t.flags |= tileBias
		t.bias = unsafe.Pointer(&p.bias[c.first])
	}
	if p.relu {
		t.flags |= tileReLU
	}
	atOnce := max(1, maxFlops/(2*panel*c.panels*rows*p.k))
	for count > 0 {
		n := min(atOnce, count)
		t.strips = int64(n)
		t.a = unsafe.Pointer(&p.a[i*p.rowStep])
		t.c = unsafe.Pointer(&p.c[q*p.cPanel+within+i*p.cStride])
		if v == AVX512 {
			tile512(rows, c.vectors, c.panels, &t)
		} else {
			tile256(rows, c.vectors, c.panels, &t)
		}
		i, count = i+n*rows, count-n
	}
}
