package kernels

// Dropout says which elements of which layer's output are dropped. It keeps no
// state: whether an element is dropped is a function of these fields, its row's
// number and its column, so any rows may be computed anywhere, again, and in
// any order, and no mask need be kept.
//
// A row's key is the SplitMix64 finaliser of the layer's key plus the row's
// number times an odd constant; its two halves steer, for each column, a 32-bit
// mix of two multiplications and three shifts with small bias, which is
// compared with Rate times 2^32. The key is 64 bits wide, so that rows and
// layers are as good as independent; within a row the draws pass tests of
// frequency and of correlation between neighbours. It is no cipher.
//
// Sources: Steele, Lea and Flood, OOPSLA 2014 (SplitMix64); the constants of
// the mix are from Wellons, hash-prospector ("lowbias32", second generation).
type Dropout struct {
	Seed      uint64  // of the training
	Iteration uint64  // number of the optimizer's update
	Layer     uint64  // number of the layer in the model
	Rate      float64 // share of elements to drop, from 0 to below 1
}

// Scale returns what kept elements are multiplied by: 1 / (1 - Rate).
func (d Dropout) Scale() float32 { return float32(1 / (1 - d.Rate)) }

const (
	goldenWord = 0x9e3779b97f4a7c15
	goldenHalf = 0x9e3779b9
	mixFirst   = 0x21f0aaad
	mixSecond  = 0xd35a2d97
)

// dropping is a Dropout as the loops need it.
type dropping struct {
	key       uint64 // of layer and iteration
	row       uint64 // number of the first row
	threshold uint32 // a draw below is a drop
	scale     float32
}

func (d Dropout) dropping(firstRow uint64) dropping {
	key := finalise(d.Seed + goldenWord)
	key = finalise(key ^ d.Iteration*goldenWord)
	key = finalise(key ^ d.Layer*goldenWord)
	return dropping{key: key, row: firstRow, threshold: uint32(d.Rate * (1 << 32)), scale: d.Scale()}
}

func finalise(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Apply drops elements of y: it makes those zero and multiplies the others by
// Scale. Row i of y is row firstRow+i of the whole training data (or of
// whatever the caller numbers), column j unit j. Applied to a gradient with the
// same fields it is its own gradient. y is padded; a Rate that is not in 0 to
// below 1 panics.
func (d Dropout) Apply(y Matrix, firstRow uint64) { d.apply(Active(), y, firstRow) }

func (d Dropout) apply(v Variant, y Matrix, firstRow uint64) {
	y.padded("dropout")
	check(d.Rate >= 0 && d.Rate < 1, "dropout: a rate that is not from 0 to below 1")
	if d.Rate == 0 {
		return
	}
	s := d.dropping(firstRow)
	if v != Portable && dropVector(v, y, &s) {
		return
	}
	n := PadCols(y.Cols)
	for i := range y.Rows {
		s.dropRow(y.Data[i*y.Stride:i*y.Stride+n], s.row+uint64(i))
	}
}

// dropRow drops elements of one row.
func (s *dropping) dropRow(y []float32, row uint64) {
	key := finalise(s.key + row*goldenWord)
	low, high := uint32(key), uint32(key>>32)
	for j, x := range y {
		h := uint32(j)*goldenHalf ^ low
		h ^= h >> 16
		h *= mixFirst
		h ^= h >> 15
		h += high
		h *= mixSecond
		h ^= h >> 15
		if h < s.threshold {
			y[j] = 0
		} else {
			y[j] = x * s.scale
		}
	}
}
