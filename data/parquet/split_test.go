package parquet

import (
	"bytes"
	"context"
	"math"
	"testing"

	"github.com/klauspost/compress/zstd"
	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
)

func TestStreamsOfBytes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ws := rapid.SliceOfN(rapid.Uint64(), 0, 40).Draw(t, "values")
		split := appendSplit(nil, ws)
		for i, w := range ws {
			for k := range 8 {
				require.Equal(t, byte(w>>(8*k)), split[k*len(ws)+i])
			}
		}
		var buf []byte
		require.True(t, bytes.Equal(appendWords(nil, ws), joinStreams(split, len(ws), 8, &buf)))
		narrow := make([]uint32, len(ws))
		for i, w := range ws {
			narrow[i] = uint32(w)
		}
		require.True(t, bytes.Equal(appendWords(nil, narrow), joinStreams(appendSplit(nil, narrow), len(ws), 4, &buf)))
	})
}

// Noise is split into streams where zstd would be slow; what repeats is not, nor are
// few rows, nor is anything without zstd.
func TestFloatsThatAreNoiseAreSplit(t *testing.T) {
	t.Parallel()
	const rows = 1 << 17
	noise, repeats := make([]uint64, rows), make([]uint64, rows)
	for i := range noise {
		noise[i] = math.Float64bits(math.Sqrt(float64(i)))
		repeats[i] = math.Float64bits(math.Sqrt(float64(i / 2)))
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	require.NoError(t, err)
	e := &chunkEncoder{cfg: DefaultWriterConfig(), zstd: z}
	chosen := func(ws []uint64) format.Encoding {
		return numberValues(e, data.Words64[float64](ws), ws, &e.table64).encoding
	}
	require.Equal(t, format.ByteStreamSplit, chosen(noise))
	require.Equal(t, format.Plain, chosen(repeats))
	require.Equal(t, format.Plain, chosen(noise[:1<<15-1]))
	e.cfg.Codec = None
	require.Equal(t, format.Plain, chosen(noise))
}

// An independent reader and this one find what was split, nulls between and all.
func TestSplitFloatsAreReadBack(t *testing.T) {
	t.Parallel()
	const rows = 40_003
	schema := data.Schema{Fields: []data.Field{{Name: "wide", Type: data.Float64}, {Name: "narrow", Type: data.Float32, Nullable: true}}}
	wide, narrow := data.NewColumn(data.Float64, rows), data.NewColumn(data.Float32, rows)
	narrow.Valid = data.NewBitmap(rows)
	for i := range rows {
		wide.Float64s[i], narrow.Float32s[i] = math.Sqrt(float64(i)), 1/float32(math.Float64bits(math.Cbrt(float64(i)))%(1<<22))
		if i%10 != 0 {
			narrow.Valid.Set(i)
		}
	}
	var file bytes.Buffer
	w, err := NewWriter(&file, schema, DefaultWriterConfig())
	require.NoError(t, err)
	require.NoError(t, w.Write(&data.Batch{Schema: schema, NumRows: rows, Columns: []*data.Column{wide, narrow}}))
	require.NoError(t, w.Close())
	b := file.Bytes()

	theirs, err := pq.OpenFile(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	for _, c := range theirs.Metadata().RowGroups[0].Columns {
		require.Contains(t, c.MetaData.Encoding, format.ByteStreamSplit)
	}
	f, err := Open(bytes.NewReader(b), int64(len(b)), "split.parquet")
	require.NoError(t, err)
	got, err := f.ReadRowGroup(context.Background(), 0, nil)
	require.NoError(t, err)
	require.Equal(t, wide.Float64s, got.Column("wide").Float64s)
	at := theirs.RowGroups()[0].Rows()
	defer at.Close()
	row := make([]pq.Row, 1)
	for i := range rows {
		_, err := at.ReadRows(row)
		if i+1 < rows {
			require.NoError(t, err)
		}
		require.Equal(t, wide.Float64s[i], row[0][0].Double())
		require.Equal(t, narrow.Valid.Get(i), !row[0][1].IsNull())
		require.Equal(t, narrow.Valid.Get(i), got.Column("narrow").Valid.Get(i))
		if narrow.Valid.Get(i) {
			require.Equal(t, narrow.Float32s[i], row[0][1].Float())
			require.Equal(t, narrow.Float32s[i], got.Column("narrow").Float32s[i])
		}
	}
}
