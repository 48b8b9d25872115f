package arrow_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"runtime"
	"testing"

	goarrow "github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/arrow"
	"github.com/troupe-ml/troupe/data/datatest"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
)

// read returns all batches of a stream or file.
func read(in []byte, cfg arrow.ReaderConfig) (out []*data.Batch, err error) {
	r, err := arrow.NewReader(bytes.NewReader(in), cfg)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		b, err := rec.Batch()
		if err != nil {
			return out, err
		}
		out = append(out, b)
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := datatest.Batch(t, rapid.IntRange(1, 20).Draw(t, "rows"))
		batches := []*data.Batch{first, datatest.Batch(t, 1)}
		var buf bytes.Buffer
		w, err := arrow.NewWriter(&buf, first.Schema, rapid.Bool().Draw(t, "file"))
		require.NoError(t, err)
		for _, b := range batches {
			require.NoError(t, w.Write(b))
		}
		require.NoError(t, w.Close())
		got, err := read(buf.Bytes(), arrow.DefaultReaderConfig())
		require.NoError(t, err)
		require.Len(t, got, 2)
		for i := range got {
			require.Equal(t, batches[i].Schema, got[i].Schema)
			for k, c := range batches[i].Columns {
				require.Equal(t, c, got[i].Columns[k], batches[i].Schema.Fields[k].Name)
			}
		}
		_, err = read(buf.Bytes()[:buf.Len()-rapid.IntRange(9, buf.Len()/2).Draw(t, "cut")], arrow.DefaultReaderConfig())
		if err != nil { // a stream may end between batches
			require.Contains(t, []fault.Kind{fault.Corrupt, fault.Invalid}, fault.Of(err))
		}
	})
}

// foreign writes what other programs write: structs, dictionaries, decimals,
// times of other units, small and unsigned numbers.
func foreign(t testing.TB, options ...ipc.Option) []byte {
	t.Helper()
	inner := goarrow.StructOf(goarrow.Field{Name: "city", Type: goarrow.BinaryTypes.LargeString, Nullable: true}, goarrow.Field{Name: "zip", Type: goarrow.PrimitiveTypes.Uint16})
	schema := goarrow.NewSchema([]goarrow.Field{
		{Name: "at", Type: inner, Nullable: true},
		{Name: "kind", Type: &goarrow.DictionaryType{IndexType: goarrow.PrimitiveTypes.Int8, ValueType: goarrow.BinaryTypes.String}, Nullable: true},
		{Name: "price", Type: &goarrow.Decimal128Type{Precision: 10, Scale: 2}},
		{Name: "ns", Type: &goarrow.TimestampType{Unit: goarrow.Nanosecond, TimeZone: "Europe/Berlin"}},
		{Name: "s", Type: &goarrow.TimestampType{Unit: goarrow.Second}},
		{Name: "t", Type: goarrow.FixedWidthTypes.Time32ms},
		{Name: "d", Type: goarrow.FixedWidthTypes.Date64},
		{Name: "u", Type: goarrow.PrimitiveTypes.Uint64},
		{Name: "view", Type: goarrow.BinaryTypes.StringView},
		{Name: "none", Type: goarrow.Null, Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	st := b.Field(0).(*array.StructBuilder)
	st.Append(true)
	st.FieldBuilder(0).(*array.LargeStringBuilder).Append("Köln")
	st.FieldBuilder(1).(*array.Uint16Builder).Append(50667)
	st.AppendNull()
	require.NoError(t, b.Field(1).(*array.BinaryDictionaryBuilder).AppendString("b"))
	b.Field(1).AppendNull()
	b.Field(2).(*array.Decimal128Builder).AppendValues([]decimal128.Num{decimal128.FromI64(1999), decimal128.FromI64(-5)}, nil)
	b.Field(3).(*array.TimestampBuilder).AppendValues([]goarrow.Timestamp{1500, -1}, nil)
	b.Field(4).(*array.TimestampBuilder).AppendValues([]goarrow.Timestamp{1, 2}, nil)
	b.Field(5).(*array.Time32Builder).AppendValues([]goarrow.Time32{1, 2}, nil)
	b.Field(6).(*array.Date64Builder).AppendValues([]goarrow.Date64{86_400_000, -1}, nil)
	b.Field(7).(*array.Uint64Builder).AppendValues([]uint64{1, math.MaxInt64}, nil)
	b.Field(8).(*array.StringViewBuilder).AppendValues([]string{"short", "longer than twelve bytes"}, nil)
	b.Field(9).AppendNulls(2)
	rec := b.NewRecordBatch()
	defer rec.Release()
	var buf bytes.Buffer
	w := ipc.NewWriter(&buf, append(options, ipc.WithSchema(schema))...)
	require.NoError(t, w.Write(rec))
	require.NoError(t, w.Close())
	return buf.Bytes()
}

func TestForeignTypes(t *testing.T) {
	t.Parallel()
	for _, options := range [][]ipc.Option{nil, {ipc.WithZstd()}, {ipc.WithLZ4()}} {
		got, err := read(foreign(t, options...), arrow.DefaultReaderConfig())
		require.NoError(t, err)
		require.Len(t, got, 1)
		b := got[0]
		assert.Equal(t, []string{"at.city", "at.zip", "kind", "price", "ns", "s", "t", "d", "u", "view", "none"}, b.Schema.Names())
		c := b.Columns
		assert.Equal(t, []string{"Köln"}, c[0].Dict)
		assert.False(t, c[0].Valid.Get(1), "the struct around it is null")
		assert.Equal(t, []int32{50667, 0}, c[1].Int32s)
		assert.Equal(t, []string{"b"}, c[2].Dict)
		assert.Equal(t, 1, c[2].NumNulls())
		assert.Equal(t, []float64{19.99, -0.05}, c[3].Float64s)
		assert.Equal(t, []int64{1, -1}, c[4].Int64s)
		assert.True(t, b.Schema.Fields[4].UTC)
		assert.Equal(t, []int64{1_000_000, 2_000_000}, c[5].Int64s)
		assert.False(t, b.Schema.Fields[5].UTC)
		assert.Equal(t, []int64{1000, 2000}, c[6].Int64s)
		assert.Equal(t, []int32{1, -1}, c[7].Int32s)
		assert.Equal(t, []int64{1, math.MaxInt64}, c[8].Int64s)
		assert.Equal(t, []string{"short", "longer than twelve bytes"}, c[9].Dict)
		assert.Equal(t, 2, c[10].NumNulls())
	}
}

func TestWhatIsNotReadIsNamed(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	list := goarrow.NewSchema([]goarrow.Field{{Name: "tags", Type: goarrow.ListOf(goarrow.BinaryTypes.String)}}, nil)
	require.NoError(t, ipc.NewWriter(&buf, ipc.WithSchema(list)).Close())
	for in, says := range map[string]string{
		buf.String():       `column "tags": list<`,
		"":                 "empty",
		"FEA1\x00\x00\x00": "Feather version 1",
		"ARROW1\x00\x00":   "arrow",
		"a,b\n1,2\n3,4\n":  "arrow/ipc: could not read message schema: a message claims 174206049 bytes of metadata, of at most 67108864: it is cut short, or no Arrow",
	} {
		_, err := read([]byte(in), arrow.DefaultReaderConfig())
		require.Error(t, err, "%q", in)
		assert.ErrorContains(t, err, says)
		assert.NotContains(t, err.Error(), "arrow: arrow")
		assert.NotEqual(t, fault.Internal, fault.Of(err))
	}
	_, err := read(foreign(t), arrow.ReaderConfig{MaxBody: 100, MaxMemory: 1 << 20})
	assert.Error(t, err, "a body beyond the bound")
	_, err = read(foreign(t, ipc.WithZstd()), arrow.ReaderConfig{MaxBody: 1 << 20, MaxMemory: 300})
	assert.Equal(t, fault.Exhausted, fault.Of(err))
}

// Memory is given back: many batches need no more than a few at a time.
func TestBatchesGiveTheirMemoryBack(t *testing.T) {
	t.Parallel()
	for _, file := range []bool{false, true} {
		schema := data.Schema{Fields: []data.Field{{Name: "x", Type: data.Int64, Nullable: true}, {Name: "s", Type: data.String, Nullable: true}}}
		b := &data.Batch{Schema: schema, NumRows: 1000, Columns: []*data.Column{data.NewColumn(data.Int64, 1000), {Type: data.String, Codes: make([]uint32, 1000), Dict: []string{"text"}}}}
		var buf bytes.Buffer
		w, err := arrow.NewWriter(&buf, schema, file)
		require.NoError(t, err)
		for range 300 {
			require.NoError(t, w.Write(b))
		}
		require.NoError(t, w.Close())
		got, err := read(buf.Bytes(), arrow.ReaderConfig{MaxBody: 1 << 20, MaxMemory: 100_000})
		require.NoError(t, err)
		assert.Len(t, got, 300)
	}
}

// Bytes that were changed at random give a table or an error, and neither fill
// the memory nor take long.
func TestDamagedStreams(t *testing.T) {
	t.Parallel()
	random := rng.New(1, "damage")
	refused := 0
	const rounds = 600
	for _, in := range [][]byte{foreign(t), foreign(t, ipc.WithZstd())} {
		for range rounds {
			b := bytes.Clone(in)
			for range 1 + random.IntN(3) {
				b[random.IntN(len(b))] = byte(random.IntN(256))
			}
			if _, err := read(b, arrow.ReaderConfig{MaxBody: 1 << 20, MaxMemory: 1 << 22}); err != nil {
				refused++
				require.NotEqual(t, fault.Internal, fault.Of(err), "%v", err)
			}
		}
	}
	assert.Greater(t, refused, rounds/2)
}

// everyType writes three rows, the second null, of the types that foreign has not.
func everyType(t testing.TB, options ...ipc.Option) []byte {
	t.Helper()
	types := []goarrow.DataType{
		goarrow.FixedWidthTypes.Boolean, goarrow.PrimitiveTypes.Int8, goarrow.PrimitiveTypes.Uint32, goarrow.FixedWidthTypes.Float16, goarrow.PrimitiveTypes.Float32,
		&goarrow.Decimal32Type{Precision: 9, Scale: 2}, &goarrow.Decimal64Type{Precision: 18, Scale: 2}, &goarrow.Decimal256Type{Precision: 76, Scale: 2},
		goarrow.BinaryTypes.Binary, goarrow.BinaryTypes.LargeBinary, goarrow.BinaryTypes.BinaryView, goarrow.BinaryTypes.String, &goarrow.FixedSizeBinaryType{ByteWidth: 3},
		goarrow.FixedWidthTypes.Date32, goarrow.FixedWidthTypes.Time64ns, goarrow.FixedWidthTypes.Duration_s, goarrow.FixedWidthTypes.Timestamp_us,
		&goarrow.DictionaryType{IndexType: goarrow.PrimitiveTypes.Uint16, ValueType: goarrow.PrimitiveTypes.Float64},
	}
	var fields []goarrow.Field
	for i, typ := range types {
		fields = append(fields, goarrow.Field{Name: string(rune('a' + i)), Type: typ, Nullable: true})
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, goarrow.NewSchema(fields, nil))
	defer b.Release()
	for i := range types {
		b.Field(i).AppendEmptyValue()
		b.Field(i).AppendNull()
		b.Field(i).AppendEmptyValue()
	}
	var buf bytes.Buffer
	w := ipc.NewWriter(&buf, append(options, ipc.WithSchema(b.Schema()))...)
	require.NoError(t, w.Write(b.NewRecordBatch()))
	require.NoError(t, w.Close())
	return buf.Bytes()
}

func TestEveryTypeHasNulls(t *testing.T) {
	t.Parallel()
	for _, options := range [][]ipc.Option{nil, {ipc.WithLZ4()}} {
		got, err := read(everyType(t, options...), arrow.DefaultReaderConfig())
		require.NoError(t, err)
		require.Len(t, got, 1)
		require.Len(t, got[0].Columns, 18)
		for i, c := range got[0].Columns {
			assert.Equal(t, 3, c.Len(), got[0].Schema.Fields[i].Name)
			assert.Equal(t, []bool{true, false, true}, []bool{c.Valid.Get(0), c.Valid.Get(1), c.Valid.Get(2)}, got[0].Schema.Fields[i].Name)
		}
	}
}

// FuzzRead: whatever the bytes, a table or an error of a kind, within bounds.
func FuzzRead(f *testing.F) {
	f.Add(foreign(f))
	f.Add(foreign(f, ipc.WithZstd()))
	f.Add(everyType(f))
	f.Add(everyType(f, ipc.WithLZ4()))
	f.Fuzz(func(t *testing.T, in []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		defer func() { // all that was allocated, the most of it garbage of one value each
			if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 100<<20 {
				t.Fatalf("%d bytes of input took %d", len(in), after.TotalAlloc-before.TotalAlloc)
			}
		}()
		_, err := read(in, arrow.ReaderConfig{MaxBody: 1 << 20, MaxMemory: 1 << 22})
		if err != nil && fault.Of(err) == fault.Internal {
			t.Fatalf("%v has no kind", err)
		}
	})
}
