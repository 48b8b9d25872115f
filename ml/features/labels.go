package features

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

// labels gives the categories of a column places, in the order in which they are
// first seen; nulls have the first. Whole numbers are told apart without texts.
type labels struct {
	of       data.Type // as which the column was compiled
	n        uint32    // places
	keys     vector.Places
	ofKey    []uint32 // the places of keys
	texts    map[string]uint32
	numBytes int // of texts
}

func newLabels(of data.Type) *labels { return &labels{of: of, n: 1, texts: map[string]uint32{}} }

// key returns the place of a whole number, or of a date.
func (l *labels) key(key int64) uint32 {
	at := l.keys.Number(key)
	if int(at) == len(l.ofKey) {
		l.ofKey = append(l.ofKey, l.n)
		l.n++
	}
	return l.ofKey[at]
}

// text returns the place of any category.
func (l *labels) text(text string) uint32 {
	if l.of != data.String {
		if key, ok := textKey(l.of, text); ok {
			return l.key(key)
		}
	}
	place, ok := l.texts[text]
	if !ok {
		place = l.n
		l.texts[strings.Clone(text)] = place // it may be a small part of something large
		l.numBytes += len(text)
		l.n++
	}
	return place
}

// number writes the places of the rows that are set; those of others are left as
// they are.
func (l *labels) number(c *data.Column, rows data.Bitmap, places []uint32) {
	switch c.Type {
	case data.Int64:
		numberKeys(l, c.Int64s, c.Valid, rows, places)
	case data.Int32, data.Date:
		numberKeys(l, c.Int32s, c.Valid, rows, places)
	default:
		const unknown = ^uint32(0)
		column := codes(c)
		table := make([]uint32, len(column.dict))
		for i := range table {
			table[i] = unknown
		}
		for i, code := range column.codes {
			switch {
			case !rows.Get(i):
			case !column.valid.Get(i):
				places[i] = 0
			default:
				if table[code] == unknown {
					table[code] = l.text(column.dict[code])
				}
				places[i] = table[code]
			}
		}
	}
}

func numberKeys[T int32 | int64](l *labels, keys []T, valid, rows data.Bitmap, places []uint32) {
	places = places[:len(keys)]
	if rows == nil && valid == nil {
		for i, key := range keys {
			places[i] = l.key(int64(key))
		}
		return
	}
	for i, key := range keys {
		switch {
		case !rows.Get(i):
		case !valid.Get(i):
			places[i] = 0
		default:
			places[i] = l.key(int64(key))
		}
	}
}

// merge gives the categories of o places, and returns these by their places in o.
func (l *labels) merge(o *labels) []uint32 {
	out := make([]uint32, o.n)
	for i, key := range o.keys.Keys {
		out[o.ofKey[i]] = l.key(key)
	}
	for text, place := range o.texts {
		out[place] = l.text(text)
	}
	return out
}

// placed is a category and its place.
type placed[T any] struct {
	category T
	place    uint32
}

// sorted returns the categories that are whole numbers and those that are not,
// both ascending.
func (l *labels) sorted() ([]placed[int64], []placed[string]) {
	keys := make([]placed[int64], len(l.ofKey))
	for i, key := range l.keys.Keys {
		keys[i] = placed[int64]{key, l.ofKey[i]}
	}
	slices.SortFunc(keys, func(a, b placed[int64]) int { return cmp.Compare(a.category, b.category) })
	texts := make([]placed[string], 0, len(l.texts))
	for _, text := range slices.Sorted(maps.Keys(l.texts)) {
		texts = append(texts, placed[string]{text, l.texts[text]})
	}
	return keys, texts
}

// all returns all categories as texts, by their bytes.
func (l *labels) all() []placed[string] {
	keys, out := l.sorted()
	for _, key := range keys {
		out = append(out, placed[string]{keyText(l.of, key.category), key.place})
	}
	slices.SortFunc(out, func(a, b placed[string]) int { return cmp.Compare(a.category, b.category) })
	return out
}
