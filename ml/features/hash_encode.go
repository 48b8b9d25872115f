package features

import (
	"encoding/binary"
	"math/bits"
	"strconv"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

// maxBuckets is the most buckets that an int32 has room for.
const maxBuckets = 1 << 31

// hashEncode is the bucket of a category, or of a combination of some.
type hashEncode struct {
	out     data.Field
	buckets uint64
	seed    uint64
}

func newHashEncode(b *builder) operation {
	o := hashEncode{out: b.field(data.Int32), buckets: uint64(b.count("buckets", 1024, 2)), seed: uint64(b.count("seed", 0, 0))}
	if o.buckets > maxBuckets {
		b.fault("buckets: expected at most %d, found %d", maxBuckets, o.buckets)
	}
	return o
}

func (o hashEncode) outputs() []data.Field { return []data.Field{o.out} }

func (o hashEncode) apply(in []*data.Column, numRows int) []*data.Column {
	hashes := make([]uint64, numRows)
	valid := hashCategories(hashes, in[0], o.seed)
	if len(in) > 1 {
		// The hashes of the columns, one after the other, are what is hashed.
		const size = 8
		joined := make([]byte, numRows*len(in)*size)
		for at, c := range in {
			if at > 0 {
				valid = vector.And(valid, hashCategories(hashes, c, o.seed))
			}
			for i, h := range hashes {
				binary.LittleEndian.PutUint64(joined[(i*len(in)+at)*size:], h)
			}
		}
		for i := range hashes {
			hashes[i] = xxh3.HashSeed(joined[i*len(in)*size:(i+1)*len(in)*size], o.seed)
		}
	}
	out := make([]int32, numRows)
	for i, h := range hashes {
		bucket, _ := bits.Mul64(h, o.buckets)
		out[i] = int32(bucket)
	}
	return []*data.Column{int32Column(out, valid)}
}

// hashCategories writes the hashes of the texts of a column's values, and returns
// which rows have one.
func hashCategories(hashes []uint64, c *data.Column, seed uint64) data.Bitmap {
	switch c.Type {
	case data.Int64:
		hashKeys(hashes, c.Int64s, seed)
		return c.Valid
	case data.Int32:
		hashKeys(hashes, c.Int32s, seed)
		return c.Valid
	}
	column := codes(c)
	table := make([]uint64, max(1, len(column.dict)))
	for code, text := range column.dict {
		table[code] = xxh3.HashStringSeed(text, seed)
	}
	vector.Gather(hashes, column.codes, table)
	return column.valid
}

func hashKeys[T int32 | int64](hashes []uint64, keys []T, seed uint64) {
	var text [20]byte
	for i, key := range keys {
		hashes[i] = xxh3.HashSeed(strconv.AppendInt(text[:0], int64(key), 10), seed)
	}
}
