// Package shuffle brings the rows of one key together and in order of time, over
// any number of shards, and what is computed of them back to the order they came
// in. It is arithmetic: who keeps the bytes, and where, is the caller's.
//
//	sort   a shard's rows become runs of bounded size; the rows of a run are cut into
//	       partitions by their key, and those of more than a block are sorted by key,
//	       time and place (Sorter)
//	merge  whoever owns a partition merges it over all runs of all shards, looks at the
//	       rows of each key in their order, and gives each row something back (Merge)
//	place  a shard puts what came back for its runs where its rows are (Place)
//
// A key is the values of one column or of several, of any type; texts, and keys with
// a text or of three columns and more, are told apart by 128 bits of their SHA-256.
// Rows whose time or part of a key is null belong to nobody: they are left to the caller.
// Ties keep the order of shards and rows. The order of keys is that of a hash:
// fixed, and of no meaning. Memory is bounded by the sizes that Config gives,
// whatever the data, even if all rows are of one key.
package shuffle

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/block"
)

// Config says how rows are divided. All who take part must have the same.
type Config struct {
	Label      string // of the blocks: whose they are
	Partitions int    // at least 1
	RunBytes   int    // of the rows of a run, about
	RunRows    int    // of a run, at most; 0: any number
	BlockRows  int    // of a block, at most
}

// headBytes is what key, time and place of a row take.
const headBytes = 8 + 8 + 8 + 4

// Names of the columns that a block has before what it carries.
const (
	keyName  = "key"  // hash of the key, as int64
	tieName  = "tie"  // more of it, for texts and keys of several columns
	timeName = "time" // microseconds, or whatever orders
	rowName  = "row"  // place in the run, int32
)

// keys are hashes of a column's values: equal where the values are. ties are nil
// when the first are enough.
type keys struct{ first, ties []uint64 }

// key is a hash of a row's key.
type key struct{ first, tie uint64 }

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.first, o.first), cmp.Compare(k.tie, o.tie))
}

func (k keys) at(row uint32) key {
	one := key{first: k.first[row]}
	if k.ties != nil {
		one.tie = k.ties[row]
	}
	return one
}

// mix spreads the bits of a word; no two words become one.
//
// Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators,
// OOPSLA 2014 (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// keysOf hashes the columns of a key; without one, all rows have the same.
func keysOf(columns []*data.Column, numRows int) keys {
	switch len(columns) {
	case 0:
		return keys{first: make([]uint64, numRows)}
	case 1:
		return keyOf(columns[0], numRows)
	}
	parts := make([]keys, len(columns))
	for i, c := range columns {
		parts[i] = keyOf(c, numRows)
	}
	return together(parts)
}

// together makes one key of several: two hashes of 64 bits are both kept, so that
// no two keys are taken for one; of others it is the SHA-256, 16 bytes each, one
// after the other.
func together(parts []keys) keys {
	const size = 16
	k := parts[0]
	if len(parts) == 2 && k.ties == nil && parts[1].ties == nil {
		k.ties = parts[1].first
		for row, second := range k.ties {
			k.first[row] = mix(k.first[row] ^ second) // for one second no two become one
		}
		return k
	}
	if k.ties == nil {
		k.ties = make([]uint64, len(k.first))
	}
	word, numRows := make([]byte, size*len(parts)), len(k.first)
	for row := range numRows {
		for i, p := range parts {
			binary.LittleEndian.PutUint64(word[size*i:], p.first[row])
			if p.ties != nil {
				binary.LittleEndian.PutUint64(word[size*i+8:], p.ties[row])
			}
		}
		sum := sha256.Sum256(word)
		k.first[row], k.ties[row] = binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])
	}
	return k
}

// keyOf hashes a column. NaN is a key like others, and the two zeros are one.
func keyOf(c *data.Column, numRows int) keys {
	k := keys{first: make([]uint64, numRows)}
	switch c.Type {
	case data.Bool:
		for i, v := range c.Bools {
			if v {
				k.first[i] = mix(1)
			}
		}
	case data.Int32, data.Date:
		for i, v := range c.Int32s {
			k.first[i] = mix(uint64(int64(v)))
		}
	case data.Int64, data.Timestamp:
		for i, v := range c.Int64s {
			k.first[i] = mix(uint64(v))
		}
	case data.Float32:
		for i, v := range c.Float32s {
			k.first[i] = mix(floatKey(float64(v)))
		}
	case data.Float64:
		for i, v := range c.Float64s {
			k.first[i] = mix(floatKey(v))
		}
	case data.String:
		k.texts(c)
	}
	return k
}

func floatKey(v float64) uint64 {
	if v == 0 {
		return 0
	}
	if math.IsNaN(v) {
		return math.Float64bits(math.NaN())
	}
	return math.Float64bits(v)
}

func (k *keys) texts(c *data.Column) {
	k.ties = make([]uint64, len(k.first))
	first, ties := make([]uint64, len(c.Dict)), make([]uint64, len(c.Dict))
	for i, s := range c.Dict {
		sum := sha256.Sum256([]byte(s))
		first[i], ties[i] = binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])
	}
	for i, code := range c.Codes {
		if c.Valid.Get(i) {
			k.first[i], k.ties[i] = first[code], ties[code]
		}
	}
}

// partition returns which of n partitions a key belongs to: the order of keys is
// that of partitions, too.
func partition(key uint64, n int) int { return int(key >> 32 * uint64(n) >> 32) }

// head are the columns before what a block carries.
func head(k keys) data.Schema {
	s := data.Schema{Fields: []data.Field{{Name: keyName, Type: data.Int64}}}
	if k.ties != nil {
		s.Fields = append(s.Fields, data.Field{Name: tieName, Type: data.Int64})
	}
	s.Fields = append(s.Fields, data.Field{Name: timeName, Type: data.Int64}, data.Field{Name: rowName, Type: data.Int32})
	return s
}

// cut encodes rows of a run, which are given in their order, as blocks. If they are
// more than one block, they are sorted, and a key goes on in the next only if the
// whole block is of it. One block stays as it is: it is sorted with those of other
// runs.
func (c Config) cut(b *data.Batch, k keys, times []int64, rows []uint32, s *space) [][]byte {
	if len(rows) > c.BlockRows {
		s.sort(k, times, rows)
	}
	var out [][]byte
	for from := 0; from < len(rows); {
		to := min(from+c.BlockRows, len(rows))
		for whole := to; to < len(rows) && whole > from; whole-- {
			if k.at(rows[whole-1]) != k.at(rows[whole]) {
				to = whole
				break
			}
		}
		out = append(out, block.AppendRows(nil, c.Label, b, rows[from:to]))
		from = to
	}
	return out
}
