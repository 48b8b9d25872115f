package parquet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// patience is a context that is over once it has been asked so often.
type patience struct {
	context.Context
	left int
}

func (p *patience) Err() error {
	if p.left--; p.left < 0 {
		return context.Canceled
	}
	return nil
}

// Who no longer wants a row group gets no further page of it: the one behind the
// last look is damaged, and nobody notices.
func TestAReadStopsBeforeTheNextPage(t *testing.T) {
	t.Parallel()
	const rows, sound = 10, 4
	number := leaf{physical: format.Int64, element: data.Int64, field: data.Field{Name: "x", Type: data.Int64}}
	list := number
	list.maxDef, list.maxRep, list.listDef, list.part, list.field.Nullable = 1, 1, 1, listLast, true
	levels := level([]byte{rows << 1, 0})
	for name, c := range map[string]struct {
		leaf leaf
		body []byte
	}{"values": {number, make([]byte, 8*rows)}, "lists": {list, append(bytes.Clone(levels), levels...)}} {
		var pages []page
		for i := range 9 {
			body := c.body
			if i >= sound {
				body = nil
			}
			pages = append(pages, onePage(format.Plain, rows, len(body), body)...)
		}
		for looks := range sound + 2 {
			w := worst{leaf: c.leaf, pages: pages, rows: rows * len(pages)}
			err := w.decode(&patience{context.Background(), looks})
			if looks <= sound {
				require.ErrorIs(t, err, context.Canceled, name)
				require.Equal(t, fault.Canceled, fault.Of(err))
			} else {
				require.ErrorContains(t, err, "page 4: ", name)
			}
		}
	}
}

// stopper counts reads, and ends a context with one of them.
type stopper struct {
	*bytes.Reader
	reads, last int
	cancel      context.CancelCauseFunc
}

var errEnough = errors.New("enough")

func (s *stopper) ReadAt(b []byte, at int64) (int, error) {
	if s.reads++; s.reads == s.last {
		s.cancel(errEnough)
	}
	return s.Reader.ReadAt(b, at)
}

// Nor is anything more fetched, in whichever way a row group is read.
func TestAReadStopsBeforeTheNextFetch(t *testing.T) {
	t.Parallel()
	schema := data.Schema{Fields: []data.Field{{Name: "x", Type: data.Int64}, {Name: "y", Type: data.Int64}}}
	cfg := DefaultWriterConfig()
	cfg.PageRows = 10
	const rows = 1000
	b := &data.Batch{Schema: schema, NumRows: rows, Columns: []*data.Column{data.NewColumn(data.Int64, rows), data.NewColumn(data.Int64, rows)}}
	for i := range rows {
		b.Columns[0].Int64s[i], b.Columns[1].Int64s[i] = int64(i), int64(i*i)
	}
	var out bytes.Buffer
	w, err := NewWriter(&out, schema, cfg)
	require.NoError(t, err)
	require.NoError(t, w.Write(b))
	require.NoError(t, w.Close())
	p, err := data.ParsePredicate("x > 7 and y in (9, 10)")
	require.NoError(t, err)
	filter, err := p.Bind(schema)
	require.NoError(t, err)
	for name, o := range map[string]ReadOptions{
		"whole": {}, "rows": {Rows: RowSpan{500, 600}}, "filter": {Filter: filter}, "rows and filter": {Rows: RowSpan{0, 50}, Filter: filter},
	} {
		for last := 1; ; last++ {
			ctx, cancel := context.WithCancelCause(context.Background())
			r := &stopper{Reader: bytes.NewReader(out.Bytes())}
			f, err := Open(r, int64(out.Len()), "f.parquet")
			require.NoError(t, err)
			r.reads, r.last, r.cancel = 0, last, cancel
			_, err = f.Read(ctx, 0, o)
			if r.reads < last { // it was through before
				require.NoError(t, err)
				require.Greater(t, last, 1, name)
				break
			}
			most := last
			if o.Filter != nil {
				most++ // both parts of an index are read together
			}
			require.LessOrEqual(t, r.reads, most, name)
			if err != nil { // but for the last of all there is more to do
				require.ErrorIs(t, err, errEnough, name)
				require.Equal(t, fault.Canceled, fault.Of(err), name)
			}
			cancel(nil)
		}
	}
}

// Nor are values of a page looked at that take long each.
func TestAReadStopsWithinALongPage(t *testing.T) {
	t.Parallel()
	const rows = 10 * stopRows
	keys := make([]byte, 0, 8*rows)
	texts := make([]byte, 0, 12*rows)
	for i := range rows {
		keys = binary.LittleEndian.AppendUint64(keys, uint64(i))
		texts = binary.LittleEndian.AppendUint64(append(texts, 8, 0, 0, 0), uint64(i))
	}
	digits := leaf{physical: format.Int64, conv: fromUint64Text, field: data.Field{Type: data.String}}
	text := leaf{physical: format.ByteArray, conv: fromBytes, field: data.Field{Type: data.String}}
	entries := page{kind: format.DictionaryPage, encoding: format.Plain, numValues: rows, body: texts, plain: len(texts)}
	all := []byte{18}
	all = binary.AppendUvarint(all, uint64(rows/8)<<1|1)
	for i := 0; i < rows; i += 4 { // four indices of 18 bits in nine bytes
		a, b, c, d := uint64(i), uint64(i+1), uint64(i+2), uint64(i+3)
		word := a | b<<18 | c<<36 | d<<54
		all = append(binary.LittleEndian.AppendUint64(all, word), byte(d>>10))
	}
	for name, w := range map[string]worst{
		"digits":     plainPage("", digits, rows, format.Plain, keys),
		"decimals":   plainPage("", leaf{physical: format.FixedLenByteArray, width: 8, conv: fromDecimalBytes, field: data.Field{Type: data.Float64}}, rows, format.Plain, keys),
		"texts":      plainPage("", text, rows, format.Plain, texts),
		"dictionary": {"", text, format.Uncompressed, append([]page{entries}, onePage(format.RLEDictionary, rows, len(all), all)...), rows, false},
		"gzip":       {"", leaf{physical: format.Int64, field: data.Field{Type: data.Int64}}, format.Gzip, onePage(format.Plain, 4<<20, 32<<20, squeeze(t, format.Gzip, make([]byte, 32<<20))), 4 << 20, false},
	} {
		require.NoError(t, w.decode(context.Background()), name)
		require.ErrorIs(t, w.decode(&patience{context.Background(), 6}), context.Canceled, name)
	}
}
