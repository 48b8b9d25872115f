package datatest

import (
	"bytes"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"
)

// Keys is a Parquet file of another writer with keys of UINT(64), column key, and
// lists of each and of 1, column list; with bounds in its statistics or without.
func Keys(t require.TestingT, bounds bool, keys ...uint64) []byte {
	type row struct {
		Key  uint64   `parquet:"key"`
		List []uint64 `parquet:"list,list"`
	}
	var options []parquet.WriterOption
	if !bounds {
		options = append(options, parquet.SkipPageBounds("key"), parquet.SkipPageBounds("list", "list", "element"))
	}
	var rows []row
	for _, k := range keys {
		rows = append(rows, row{k, []uint64{k, 1}})
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[row](&out, options...)
	_, err := w.Write(rows)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

// ArrowKeys is an Arrow stream with keys of UINT64, in batches: column key, in.key
// within a struct, and coded, which is a dictionary of them. Every third is null.
func ArrowKeys(t require.TestingT, batches ...[]uint64) []byte {
	key := arrow.Field{Name: "key", Type: arrow.PrimitiveTypes.Uint64, Nullable: true}
	coded := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.PrimitiveTypes.Uint64}
	schema := arrow.NewSchema([]arrow.Field{key, {Name: "in", Type: arrow.StructOf(key)}, {Name: "coded", Type: coded, Nullable: true}}, nil)
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema), ipc.WithDictionaryDeltas(true))
	for _, keys := range batches {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		in, dict := b.Field(1).(*array.StructBuilder), b.Field(2).(*array.Uint64DictionaryBuilder)
		for i, k := range keys {
			b.Field(0).(*array.Uint64Builder).AppendValues([]uint64{k}, []bool{i%3 != 2})
			in.Append(true)
			in.FieldBuilder(0).(*array.Uint64Builder).AppendValues([]uint64{k}, []bool{i%3 != 2})
			if i%3 == 2 {
				dict.AppendNull()
			} else {
				require.NoError(t, dict.Append(k))
			}
		}
		require.NoError(t, w.Write(b.NewRecordBatch()))
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}
