package parquet_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"testing"

	pq "github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
)

type lasting struct {
	Dict [12]byte `parquet:"dict,dict"`
	List []within `parquet:"list"`
	Opt  *within  `parquet:"opt,optional"`
	Span [12]byte `parquet:"span"`
}

type within struct {
	Span [12]byte `parquet:"span"`
}

// lastingSchema says that the 12 bytes are intervals.
func lastingSchema() *pq.Schema {
	interval := pq.IntervalNode()
	return pq.NewSchema("rows", pq.Group{
		"dict": pq.Encoded(interval, &pq.RLEDictionary), "list": pq.Repeated(pq.Group{"span": interval}), "opt": pq.Optional(pq.Group{"span": interval}), "span": interval,
	})
}

func drawLasting(t *rapid.T) (rows []lasting, file []byte) {
	one := rapid.Custom(func(t *rapid.T) (out [12]byte) {
		number := rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(0, 2), rapid.Just(uint32(math.MaxUint32)))
		for k := range 3 {
			binary.LittleEndian.PutUint32(out[4*k:], number.Draw(t, "part"))
		}
		return out
	})
	for range rapid.IntRange(1, 30).Draw(t, "rows") {
		r := lasting{Span: one.Draw(t, "span"), Dict: one.Draw(t, "dict")}
		if rapid.Bool().Draw(t, "is there") {
			r.Opt = &within{one.Draw(t, "opt")}
		}
		for range rapid.IntRange(0, 2).Draw(t, "elements") {
			r.List = append(r.List, within{one.Draw(t, "element")})
		}
		rows = append(rows, r)
	}
	var buf bytes.Buffer
	w := pq.NewGenericWriter[lasting](&buf, lastingSchema(), pq.PageBufferSize(100))
	_, err := w.Write(rows)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return rows, buf.Bytes()
}

// requireParts holds the three columns of an interval against its bytes, nil: none.
func requireParts(t *rapid.T, b *data.Batch, name, end string, row int, want *[12]byte) {
	for k, part := range []string{".months", ".days", ".millis"} {
		got := cell(b.Column(name+part+end), row)
		if want == nil {
			require.Nil(t, got)
			continue
		}
		require.Equal(t, int64(binary.LittleEndian.Uint32(want[4*k:])), got, name+part+end)
	}
}

// An INTERVAL is three columns, alone and in lists, whole and in part.
func TestIntervalsBecomeTheirParts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows, file := drawLasting(t)
		f := open(t, file)
		require.Empty(t, f.Unsupported())
		require.Equal(t, []string{
			"dict.months", "dict.days", "dict.millis",
			"list.count", "list.span.months.first", "list.span.months.last", "list.span.days.first", "list.span.days.last", "list.span.millis.first", "list.span.millis.last",
			"opt.span.months", "opt.span.days", "opt.span.millis", "span.months", "span.days", "span.millis",
		}, f.Schema().Names())
		b := readAll(t, f)[0]
		for i, r := range rows {
			requireParts(t, b, "span", "", i, &r.Span)
			requireParts(t, b, "dict", "", i, &r.Dict)
			var opt, first, last *[12]byte
			if r.Opt != nil {
				opt = &r.Opt.Span
			}
			requireParts(t, b, "opt.span", "", i, opt)
			if n := len(r.List); n > 0 {
				first, last = &r.List[0].Span, &r.List[n-1].Span
			}
			require.Equal(t, int32(len(r.List)), cell(b.Column("list.count"), i))
			requireParts(t, b, "list.span", ".first", i, first)
			requireParts(t, b, "list.span", ".last", i, last)
		}
	})
}

// What else is done with columns, and that no row is ruled out by the order of
// the 12 bytes.
func TestPartsOfIntervalsAreColumnsAsOthers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows, file := drawLasting(t)
		f := open(t, file)
		b := readAll(t, f)[0]
		last := len(rows) - 1
		for _, name := range []string{"span.days", "dict.millis"} {
			r, ok := f.Statistics(0, name)
			require.True(t, ok)
			require.False(t, r.Bounded)
			p := data.Compare(name, data.Eq, data.IntValue(b.Column(name).Int64s[rapid.IntRange(0, last).Draw(t, "row")]))
			requireFiltered(t, f, 0, p, []string{name}, nil)
		}
		window, err := f.Read(context.Background(), 0, parquet.ReadOptions{Columns: []string{"dict.days"}, Rows: parquet.RowSpan{From: int64(last), To: int64(last + 1)}})
		require.NoError(t, err)
		require.Equal(t, cell(b.Column("dict.days"), last), cell(window.Columns[0], 0))
		exploded, err := f.Explode("list")
		require.NoError(t, err)
		elements, err := exploded.ReadRowGroup(context.Background(), 0, []string{"list.span.millis", "span.days"})
		require.NoError(t, err)
		at := 0
		for _, r := range rows {
			for _, e := range r.List {
				require.Equal(t, int64(binary.LittleEndian.Uint32(e.Span[8:])), cell(elements.Columns[0], at))
				require.Equal(t, int64(binary.LittleEndian.Uint32(r.Span[4:])), cell(elements.Columns[1], at))
				at++
			}
			at += max(0, 1-len(r.List))
		}
		require.Equal(t, elements.NumRows, at)
	})
}
