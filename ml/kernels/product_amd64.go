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

// tileKind is one of the families of tiles, which differ in their columns.
type tileKind uint8

const (
	wide512   tileKind = iota // 32 columns in two vectors of AVX-512
	narrow512                 // 16 columns in one
	narrow256                 // 16 columns in two vectors of AVX2
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
// which is above most, and all of which are multiples of 12 but the last.
func evenly(n, most int) int {
	parts := (n + most - 1) / most
	return min(n, (n/parts+11)/12*12)
}

// panels computes p panel by panel.
func (p *product) panels(v Variant) {
	for j := 0; j < p.n; j += panel {
		width := min(panel, PadCols(p.n-j))
		switch {
		case v == AVX512 && width == panel:
			p.strips(wide512, j)
		case v == AVX512:
			p.strips(narrow512, j)
		default:
			for half := 0; half < width; half += lanes {
				p.strips(narrow256, j+half)
			}
		}
	}
}

// strips computes the columns of a tile from column j on. It cuts the rows into
// strips of nearly equal height, the higher ones first.
func (p *product) strips(kind tileKind, j int) {
	most := 12
	if kind == narrow256 {
		most = 6
	}
	count := (p.m + most - 1) / most
	height := p.m / count
	higher := p.m - count*height
	p.run(kind, j, 0, height+1, higher)
	p.run(kind, j, higher*(height+1), height, count-higher)
}

// run computes count strips of so many rows from row i and column j on.
func (p *product) run(kind tileKind, j, i, rows, count int) {
	q, within := j/panel, j%panel
	t := tile{
		k: int64(p.k), rowStep: int64(p.rowStep * floatSize), innerStep: int64(p.innerStep * floatSize),
		b: unsafe.Pointer(&p.b[q*p.bPanel+within]), bStep: int64(p.bStride * floatSize), cStep: int64(p.cStride * floatSize),
		aJump: int64(rows * p.rowStep * floatSize), cJump: int64(rows * p.cStride * floatSize),
	}
	if p.accumulate {
		t.flags |= tileContinue
	}
	if p.bias != nil {
		t.flags |= tileBias
		t.bias = unsafe.Pointer(&p.bias[j])
	}
	if p.relu {
		t.flags |= tileReLU
	}
	atOnce := max(1, maxFlops/(2*panel*rows*p.k))
	for count > 0 {
		n := min(atOnce, count)
		t.strips = int64(n)
		t.a = unsafe.Pointer(&p.a[i*p.rowStep])
		t.c = unsafe.Pointer(&p.c[q*p.cPanel+within+i*p.cStride])
		switch kind {
		case wide512:
			tile512x2(rows, &t)
		case narrow512:
			tile512x1(rows, &t)
		case narrow256:
			tile256x2(rows, &t)
		}
		i, count = i+n*rows, count-n
	}
}
