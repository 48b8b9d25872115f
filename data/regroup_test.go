package data_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
)

// regroupable is a batch of rows first to first+n-1 of an endless table.
func regroupable(first, n int) *data.Batch {
	s := data.Schema{Fields: []data.Field{{Name: "i", Type: data.Int64}, {Name: "s", Type: data.String, Nullable: true}, {Name: "b", Type: data.Bool, Nullable: true},
		{Name: "d", Type: data.Date}, {Name: "f", Type: data.Float64}, {Name: "g", Type: data.Float32}}}
	b := &data.Batch{Schema: s, NumRows: n}
	for _, f := range s.Fields {
		b.Columns = append(b.Columns, data.NewColumn(f.Type, n))
	}
	c := b.Columns
	if n > 0 {
		c[1].Valid, c[2].Valid = data.NewBitmap(n), data.NewBitmap(n)
	}
	codes := map[string]uint32{}
	for i := range n {
		k := first + i
		c[0].Int64s[i], c[3].Int32s[i], c[4].Float64s[i], c[5].Float32s[i] = int64(k), int32(k), float64(k)/2, float32(k)
		if k%7 != 3 {
			c[1].Valid.Set(i)
			s := fmt.Sprint("s", k*k%11)
			if _, ok := codes[s]; !ok {
				codes[s] = uint32(len(c[1].Dict))
				c[1].Dict = append(c[1].Dict, s)
			}
			c[1].Codes[i] = codes[s]
		}
		if k%5 != 0 {
			c[2].Valid.Set(i)
			c[2].Bools[i] = k%3 == 0
		}
	}
	return b
}

// plain writes the rows of batches, each as text.
func plain(batches []*data.Batch) (out []string) {
	for _, b := range batches {
		for i := range b.NumRows {
			s, n := "null", "null"
			if b.Columns[1].Valid.Get(i) {
				s = b.Columns[1].Dict[b.Columns[1].Codes[i]]
			}
			if b.Columns[2].Valid.Get(i) {
				n = fmt.Sprint(b.Columns[2].Bools[i])
			}
			out = append(out, fmt.Sprint(b.Columns[0].Int64s[i], s, n, b.Columns[3].Int32s[i], b.Columns[4].Float64s[i], b.Columns[5].Float32s[i]))
		}
	}
	return out
}

// However the rows come, the batches that go out are the same ones.
func TestRegroupDoesNotDependOnHowRowsCome(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.IntRange(0, 300).Draw(t, "rows")
		size := rapid.IntRange(1, 70).Draw(t, "size")
		r := data.NewRegroup(regroupable(0, 0).Schema, size, 1<<40)
		var got []*data.Batch
		for at := 0; at < total; {
			n := rapid.IntRange(0, total-at).Draw(t, "n")
			got = append(got, r.Add(regroupable(at, n))...)
			if at += n; n == 0 {
				got = append(got, r.Add(regroupable(at, 1))...)
				at++
			}
		}
		if rest := r.Rest(); rest != nil {
			got = append(got, rest)
		}
		require.Nil(t, r.Rest())
		var want []*data.Batch
		for at := 0; at < total; at += size {
			want = append(want, regroupable(at, min(size, total-at)))
		}
		require.Len(t, got, len(want))
		for i := range got {
			require.Equal(t, want[i].NumRows, got[i].NumRows)
			require.Equal(t, want[i].Columns[1].Dict, got[i].Columns[1].Dict, "strings in order of first appearance")
			require.Equal(t, want[i].Columns[2].NumNulls(), got[i].Columns[2].NumNulls())
		}
		require.Equal(t, plain(want), plain(got))
	})
}

func TestRegroupLetsLongStringsGo(t *testing.T) {
	t.Parallel()
	r := data.NewRegroup(regroupable(0, 0).Schema, 1000, 10)
	require.Len(t, r.Add(regroupable(0, 30)), 1)
	require.Nil(t, r.Rest())
}
