package arrow

import (
	"bytes"
	"encoding/binary"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
)

// packedStream is two record batches of two rows, with a struct, texts as views
// and a dictionary.
func packedStream(t *testing.T, option ipc.Option) []byte {
	t.Helper()
	inner := arrow.StructOf(arrow.Field{Name: "view", Type: arrow.BinaryTypes.StringView, Nullable: true}, arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int64})
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64}, {Name: "in", Type: inner},
		{Name: "kind", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}}, {Name: "last", Type: arrow.PrimitiveTypes.Float64},
	}, nil)
	var buf bytes.Buffer
	w := ipc.NewWriter(&buf, ipc.WithSchema(schema), option)
	for range 2 {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for i := range 2 {
			b.Field(0).(*array.Int64Builder).Append(int64(i))
			st := b.Field(1).(*array.StructBuilder)
			st.Append(true)
			st.FieldBuilder(0).(*array.StringViewBuilder).Append("longer than twelve bytes")
			st.FieldBuilder(1).(*array.Int64Builder).Append(7)
			require.NoError(t, b.Field(2).(*array.BinaryDictionaryBuilder).AppendString("kind"))
			b.Field(3).(*array.Float64Builder).Append(.5)
		}
		require.NoError(t, w.Write(b.NewRecordBatch()))
	}
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// eachBuffer calls fn with the place of each packed buffer of a stream, and what
// errors call it.
func eachBuffer(t *testing.T, in []byte, fn func(at int, n int64, column string, batch int)) {
	t.Helper()
	need, batch := &needs{dictionaries: map[int64]layout{}}, 0
	for at := 0; ; {
		n := int(binary.LittleEndian.Uint32(in[at+4:]))
		if n == 0 {
			return
		}
		meta := in[at+8 : at+8+n]
		length, err := bodyLength(meta)
		require.NoError(t, err)
		v := &verifier{b: meta, body: length, need: need}
		require.NoError(t, v.message())
		if len(v.batch.buffers) > 0 && !v.batch.ofValues {
			batch++
		}
		for i, place := range v.batch.buffers {
			if n := v.long(place + 8); n > 0 {
				fn(at+8+len(meta)+int(v.long(place)), n, need.columnOf(&v.batch, i), batch)
			}
		}
		at += 8 + n + int(length)
	}
}

func readStream(in []byte, maxMemory int64) error {
	r, err := NewReader(bytes.NewReader(in), ReaderConfig{MaxBody: 1 << 30, MaxMemory: maxMemory})
	if err != nil {
		return err
	}
	defer r.Close()
	for range 2 {
		rec, err := r.Next()
		if err != nil {
			return err
		}
		if _, err := rec.Batch(); err != nil {
			return err
		}
	}
	return nil
}

// What a packed buffer claims to become is held against its bytes and the memory
// there may be, before there is any, and column and batch are named.
func TestClaimsOfPackedBuffersAreNamed(t *testing.T) {
	t.Parallel()
	for _, option := range []ipc.Option{ipc.WithZstd(), ipc.WithLZ4()} {
		in := packedStream(t, option)
		require.NoError(t, readStream(in, 1<<20))
		var seen []string
		eachBuffer(t, in, func(at int, _ int64, column string, batch int) {
			seen = append(seen, column)
			for _, claim := range []int64{math.MaxInt64, -2, 1 << 40} {
				bad := bytes.Clone(in)
				binary.LittleEndian.PutUint64(bad[at:], uint64(claim))
				err := readStream(bad, 1<<20)
				require.ErrorContains(t, err, `column "`+column+`": `)
				if column != "kind" {
					require.ErrorContains(t, err, ": record batch "+string(rune('0'+batch))+": ")
				}
				require.ErrorContains(t, err, "bytes cannot become")
				require.Equal(t, fault.Corrupt, fault.Of(err))
			}
			for _, claim := range []uint64{1000, 50_000} { // which such a buffer could become, and does not
				bad := bytes.Clone(in)
				binary.LittleEndian.PutUint64(bad[at:], claim)
				err := readStream(bad, 1<<20)
				require.Error(t, err)
				require.ErrorContains(t, err, `column "`+column+`": `)
			}
		})
		rows := []string{"n", "in.view", "in.view", "in.x", "kind", "last"}
		require.Equal(t, slices.Concat([]string{"kind", "kind"}, rows, rows), seen)
	}
}

// Places may lie over each other, so that unpacking a buffer changes what the batch
// says of its arrays: that is looked at again.
func TestWhatUnpackingChangesIsCheckedAgain(t *testing.T) {
	t.Parallel()
	const pad = 4096
	in := zeroes(t, 1000, ipc.WithZstd())
	at := 8 + int(binary.LittleEndian.Uint32(in[4:])) // behind the schema
	meta := in[at+8 : at+8+int(binary.LittleEndian.Uint32(in[at+4:]))]
	need := &needs{dictionaries: map[int64]layout{}}
	require.NoError(t, verify(in[8:at], 0, need))
	length, err := bodyLength(meta)
	require.NoError(t, err)
	v := &verifier{b: meta, body: length, need: need}
	require.NoError(t, v.message())
	root, err := v.offset(0)
	require.NoError(t, err)
	size, _, err := v.field(root, messageBody)
	require.NoError(t, err)
	binary.LittleEndian.PutUint64(meta[size:], uint64(length+pad))
	for _, place := range v.batch.buffers {
		binary.LittleEndian.PutUint64(meta[place:], uint64(v.long(place)+pad))
	}
	header, _, err := v.field(root, messageHeader)
	require.NoError(t, err)
	batch, err := v.offset(header)
	require.NoError(t, err)
	nodes, _, err := v.field(batch, recordNodes)
	require.NoError(t, err)
	binary.LittleEndian.PutUint32(meta[nodes:], uint32(v.batch.buffers[0]-4-nodes)) // the buffers are the arrays, too
	bad := slices.Concat(in[:at+8+len(meta)], make([]byte, pad), in[at+8+len(meta):])
	_, err = first(bad, 1<<20)
	require.ErrorContains(t, err, "an array claims 56 values")
}

// zeroes is a column of n packed numbers.
func zeroes(t *testing.T, n int, option ipc.Option) []byte {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "few", Type: arrow.PrimitiveTypes.Int8}, {Name: "many", Type: arrow.PrimitiveTypes.Int64}}, nil)
	few := array.NewInt8Data(array.NewData(arrow.PrimitiveTypes.Int8, n, []*memory.Buffer{nil, buffer(make([]byte, n))}, nil, 0, 0))
	many := array.NewInt64Data(array.NewData(arrow.PrimitiveTypes.Int64, n, []*memory.Buffer{nil, buffer(make([]byte, 8*n))}, nil, 0, 0))
	var buf bytes.Buffer
	w := ipc.NewWriter(&buf, ipc.WithSchema(schema), option)
	require.NoError(t, w.Write(array.NewRecordBatch(schema, []arrow.Array{few, many}, int64(n))))
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// A batch that fits in its bytes may not fit when it is unpacked.
func TestPackedBuffersKeepToTheBudget(t *testing.T) {
	t.Parallel()
	const n = 1 << 20
	for _, option := range []ipc.Option{ipc.WithZstd(), ipc.WithLZ4()} {
		in := zeroes(t, n, option)
		_, err := first(in, 4<<20)
		require.Equal(t, fault.Exhausted, fault.Of(err))
		require.ErrorContains(t, err, `column "many": record batch 1: a buffer of 8388608 bytes when it is unpacked is more than there is room for within 4194304 bytes`)
		b, err := first(in, 20<<20)
		require.NoError(t, err)
		assert.Equal(t, n, b.NumRows)
		assert.Equal(t, make([]int64, n), b.Columns[1].Int64s)
	}
}

// A frame may say that it needs a window of 512 MiB. It gets what its data takes.
func TestFramesGetNoMoreThanTheirData(t *testing.T) { //nolint:paralleltest // it counts what is allocated
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 19 << 3, 16<<3 | 1, 0, 0}
	frame = append(frame, make([]byte, 16)...)
	var m messages
	room := make([]byte, 16+zstdSlack)
	require.NoError(t, m.unpackOne(codecZstd, frame, room[:16], room))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.NoError(t, m.unpackOne(codecZstd, frame, room[:16], room))
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}
