package parquet_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"testing"

	pq "github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/fault"
)

// counted is a row of unsigned numbers, alone, missing, and in lists.
type counted struct {
	Key  uint64   `parquet:"key"`
	Opt  *uint64  `parquet:"opt,optional"`
	List []uint64 `parquet:"list,list"`
	Map  map[string]uint64
	Last uint64 `parquet:"last,dict"`
}

// writeCounted writes row groups, with bounds of the columns or without.
func writeCounted(t *testing.T, bounds bool, groups ...[]counted) []byte {
	t.Helper()
	options := []pq.WriterOption{pq.PageBufferSize(200)}
	if !bounds {
		for _, path := range [][]string{{"key"}, {"opt"}, {"list", "list", "element"}, {"Map", "key_value", "value"}, {"last"}} {
			options = append(options, pq.SkipPageBounds(path...))
		}
	}
	var out bytes.Buffer
	w := pq.NewGenericWriter[counted](&out, options...)
	for _, rows := range groups {
		_, err := w.Write(rows)
		require.NoError(t, err)
		require.NoError(t, w.Flush())
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func row(v uint64) counted {
	return counted{Key: v, Opt: &v, List: []uint64{1, v}, Map: map[string]uint64{"k": v}, Last: v}
}

func typesOf(f *parquet.File) (out []data.Type) {
	for _, f := range f.Schema().Fields {
		out = append(out, f.Type)
	}
	return out
}

const big = math.MaxUint64 - 1

// The type of a column of UINT(64) is the same whether statistics tell it or its
// values have to be looked at.
func TestUnsignedNumbersBeyondInt64AreTexts(t *testing.T) {
	t.Parallel()
	small := []counted{row(1), {}, row(math.MaxInt64)}
	beyond := []counted{row(7), {}, row(big)}
	for name, c := range map[string]struct {
		groups [][]counted
		texts  bool
	}{
		"all fit":               {[][]counted{small, small}, false},
		"none is there":         {[][]counted{{{}, {}}}, false},
		"one does not":          {[][]counted{beyond}, true},
		"one of the last group": {[][]counted{small, beyond}, true},
	} {
		for _, bounds := range []bool{true, false} {
			f := open(t, writeCounted(t, bounds, c.groups...))
			require.Equal(t, bounds && c.texts, len(f.Digits()) > 0, "%s, bounds %v: Open believes the footer alone", name, bounds)
			require.NoError(t, f.SettleUnsigned(context.Background()))
			want := []data.Type{data.Int64, data.Int64, data.Int32, data.Int64, data.Int64, data.Int32, data.Int64}
			if c.texts {
				want = []data.Type{data.String, data.String, data.Int32, data.String, data.String, data.Int32, data.String}
				require.Equal(t, []string{"key", "opt", "list.first", "list.last", "last"}, f.Digits())
			}
			require.Equal(t, want, typesOf(f), "%s, bounds %v: %v", name, bounds, f.Schema().Names())
			batches := readAll(t, f)
			got := batches[len(batches)-1]
			rows := c.groups[len(c.groups)-1]
			for i, r := range rows {
				if !c.texts {
					require.Equal(t, int64(r.Key), cell(got.Columns[0], i))
					continue
				}
				digits := map[uint64]string{0: "0", 7: "7", big: "18446744073709551614"}[r.Key]
				require.Equal(t, digits, cell(got.Columns[0], i), name)
				require.Equal(t, digits, cell(got.Columns[6], i), name)
				if r.Opt == nil {
					require.Nil(t, cell(got.Columns[1], i))
					require.Nil(t, cell(got.Columns[3], i))
				} else {
					require.Equal(t, "1", cell(got.Columns[3], i))
					require.Equal(t, digits, cell(got.Columns[4], i))
				}
			}
		}
	}
}

// Files with statistics cost nothing.
func TestStatisticsSettleUnsignedNumbers(t *testing.T) {
	t.Parallel()
	for _, bounds := range []bool{true, false} {
		b := writeCounted(t, bounds, []counted{row(5)}, []counted{{}, {}})
		r := &counting{ReaderAt: bytes.NewReader(b)}
		f, err := parquet.Open(r, int64(len(b)), "f.parquet")
		require.NoError(t, err)
		r.n = 0
		require.NoError(t, f.SettleUnsigned(context.Background()))
		require.Equal(t, bounds, r.n == 0)
	}
}

// A column that is text in one file of a folder is read so in the others.
func TestUnsignedNumbersAreReadAsDigitsOnDemand(t *testing.T) {
	t.Parallel()
	b := writeCounted(t, true, []counted{row(5), {}})
	f := open(t, b)
	before := f.Schema()
	f.ReadDigits([]string{"opt", "list.last", "no such", "list.count"})
	require.Equal(t, []string{"opt", "list.first", "list.last"}, f.Digits(), "the ends of a list are alike")
	require.Equal(t, data.Int64, before.Fields[1].Type, "what was handed out stays")
	got := readAll(t, f)[0]
	require.Equal(t, []any{int64(5), "5", int32(2), "1", "5"}, []any{cell(got.Columns[0], 0), cell(got.Columns[1], 0), cell(got.Columns[2], 0), cell(got.Columns[3], 0), cell(got.Columns[4], 0)})

	rows, err := open(t, b).Explode("list")
	require.NoError(t, err)
	rows.ReadDigits([]string{"list"})
	one, err := rows.ReadRowGroup(context.Background(), 0, []string{"list"})
	require.NoError(t, err)
	require.Equal(t, []any{"1", "5", nil}, []any{cell(one.Columns[0], 0), cell(one.Columns[0], 1), cell(one.Columns[0], 2)})
}

// What a look at the values meets besides: damage is found by who reads the
// column, faults of the reader end it.
func TestALookAtUnsignedNumbersFails(t *testing.T) {
	t.Parallel()
	b := writeCounted(t, false, []counted{row(5), row(big)})
	f := open(t, b)
	_, err := f.ReadRowGroup(context.Background(), 0, []string{"key"})
	require.ErrorContains(t, err, `column "key": row group 0: page 0: the unsigned number does not fit int64`)
	require.Equal(t, fault.Corrupt, fault.Of(err))

	damaged := bytes.Clone(b)
	chunks, err := f.Chunks(0, []string{"key"})
	require.NoError(t, err)
	clear(damaged[chunks[0].Start:chunks[0].End])
	f = open(t, damaged)
	require.NoError(t, f.SettleUnsigned(context.Background()))
	require.Equal(t, data.Int64, f.Schema().Fields[0].Type)
	require.Equal(t, data.String, f.Schema().Fields[1].Type)

	ctx, cancel := context.WithCancelCause(context.Background())
	enough := errors.New("enough")
	cancel(enough)
	err = open(t, b).SettleUnsigned(ctx)
	require.ErrorIs(t, err, enough)
	require.Equal(t, fault.Canceled, fault.Of(err), "the file is sound")
	f, err = parquet.Open(&failing{bytes.NewReader(b), 1}, int64(len(b)), "f.parquet")
	require.NoError(t, err)
	require.Equal(t, fault.Unavailable, fault.Of(f.SettleUnsigned(context.Background())))
}
