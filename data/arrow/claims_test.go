package arrow

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// stream writes arrays of n values as one record batch, each a column c0, c1, ...
func stream(t *testing.T, n int, metadata *arrow.Metadata, arrays ...arrow.Array) []byte {
	t.Helper()
	var fields []arrow.Field
	for i, a := range arrays {
		fields = append(fields, arrow.Field{Name: fmt.Sprint("c", i), Type: a.DataType(), Nullable: true})
	}
	var buf bytes.Buffer
	schema := arrow.NewSchema(fields, metadata)
	w := ipc.NewWriter(&buf, ipc.WithSchema(schema))
	if n > 0 {
		require.NoError(t, w.Write(array.NewRecordBatch(schema, arrays, int64(n))))
	}
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// first reads the first batch of a stream.
func first(in []byte, maxMemory int64) (*data.Batch, error) {
	r, err := NewReader(bytes.NewReader(in), ReaderConfig{MaxBody: 1 << 30, MaxMemory: maxMemory})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	rec, err := r.Next()
	if err != nil {
		return nil, err
	}
	return rec.Batch()
}

func buffer(b []byte) *memory.Buffer { return memory.NewBufferBytes(b) }

// Views and offsets may lie over each other, so that a few bytes are many texts.
func TestTextsThatLieOverEachOtherAreBounded(t *testing.T) {
	t.Parallel()
	const n, long = 1000, 100_000
	var headers, offsets []byte
	for i := range n {
		headers = binary.LittleEndian.AppendUint32(headers, long-uint32(i))
		headers = append(headers, "xxxx"...)
		headers = binary.LittleEndian.AppendUint32(headers, 0)
		headers = binary.LittleEndian.AppendUint32(headers, uint32(i))
		offsets = binary.LittleEndian.AppendUint32(offsets, uint32(i%2*long))
	}
	offsets = binary.LittleEndian.AppendUint32(offsets, long)
	text := buffer([]byte(strings.Repeat("x", long)))
	marks := buffer(bytes.Repeat([]byte{0b01010101}, n/8)) // offsets fall only in nulls
	views := array.MakeFromData(array.NewData(arrow.BinaryTypes.StringView, n, []*memory.Buffer{nil, buffer(headers), text}, nil, 0, 0))
	_, err := first(stream(t, n, nil, views), 10<<20)
	require.ErrorContains(t, err, "no room for the batch's texts")
	assert.Equal(t, fault.Exhausted, fault.Of(err))
	b, err := first(stream(t, n, nil, views), 110<<20)
	require.NoError(t, err)
	assert.Len(t, b.Columns[0].Dict, n)
	strs := array.MakeFromData(array.NewData(arrow.BinaryTypes.Binary, n, []*memory.Buffer{marks, buffer(offsets), text}, nil, n/2, 0))
	b, err = first(stream(t, n, nil, strs), 1<<20)
	require.NoError(t, err)
	assert.Len(t, b.Columns[0].Dict, 1, "equal texts take the room of one")
}

// arrow-go reads the counts of views by their number, also those behind the last.
func TestABatchHasWhatItsColumnsNeed(t *testing.T) {
	t.Parallel()
	b := array.NewStringViewBuilder(memory.DefaultAllocator)
	b.AppendValues([]string{"short", "longer than twelve bytes"}, nil)
	in := stream(t, 2, nil, b.NewArray())
	_, err := first(in, 1<<20)
	require.NoError(t, err)
	none := bytes.Clone(in)
	at := bytes.LastIndex(none, []byte("\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00")) // one count, of one buffer
	require.Positive(t, at)
	none[at] = 0
	_, err = first(none, 1<<20)
	require.ErrorContains(t, err, "a batch of 1 arrays, 3 buffers, 0 of views; its columns need 1, 2, 1")
	two := bytes.Clone(in)
	two[at+4] = 2
	_, err = first(two, 1<<20)
	require.ErrorContains(t, err, "a batch of 1 arrays, 3 buffers, 1 of views; its columns need 1, 4, 1")
	assert.Equal(t, fault.Corrupt, fault.Of(err))
}

// Entries of metadata may all be the same one, which arrow-go copies for each.
func TestTextsThatAreCopiedAgainAndAgainAreBounded(t *testing.T) {
	t.Parallel()
	const n, long = 2000, 100_000
	keys, values := make([]string, n), make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	values[0] = strings.Repeat("v", long)
	metadata := arrow.NewMetadata(keys, values)
	in := stream(t, 0, &metadata, array.NewNull(0))
	need := func() *needs { return &needs{dictionaries: map[int64]layout{}} }
	meta := in[8 : 8+binary.LittleEndian.Uint32(in[4:])]
	require.NoError(t, verify(meta, 0, need()))
	v := &verifier{b: meta, need: need()}
	root, err := v.offset(0)
	require.NoError(t, err)
	header, _, err := v.field(root, messageHeader)
	require.NoError(t, err)
	schema, err := v.offset(header)
	require.NoError(t, err)
	at, ok, err := v.field(schema, schemaMetadata)
	require.NoError(t, err)
	require.True(t, ok)
	vector, err := v.offset(at)
	require.NoError(t, err)
	one, err := v.offset(vector + 4)
	require.NoError(t, err)
	for i := range n {
		entry := vector + 4 + 4*i
		require.Greater(t, one, entry)
		binary.LittleEndian.PutUint32(meta[entry:], uint32(one-entry))
	}
	require.ErrorContains(t, verify(meta, 0, need()), "longer than")
	_, err = first(in, 1<<30)
	assert.Equal(t, fault.Corrupt, fault.Of(err))
}

// What a schema may say of a column that makes each of its values, or its name,
// as long as it likes.
func TestColumnsThatBlowUpAreRefused(t *testing.T) {
	t.Parallel()
	var inner []arrow.Field
	for i := range 20 {
		inner = append(inner, arrow.Field{Name: fmt.Sprint(i), Type: arrow.PrimitiveTypes.Int32})
	}
	for says, f := range map[string]arrow.Field{
		`column "c": decimal(1000000000, 2) has more than 76 digits`: {Name: "c", Type: &arrow.Decimal128Type{Precision: 1e9, Scale: 2}},
		`column "c": decimal(10, -77) has more than 76 digits`:       {Name: "c", Type: &arrow.Decimal128Type{Precision: 10, Scale: -77}},
		`column "c": decimal32(9, 77) has more than 76 digits`:       {Name: "c", Type: &arrow.Decimal32Type{Precision: 9, Scale: 77}},
		"values of no bytes":                      {Name: "c", Type: &arrow.FixedSizeBinaryType{}},
		"the names of the columns take more than": {Name: strings.Repeat("n", 1<<20), Type: arrow.StructOf(inner...)},
	} {
		var buf bytes.Buffer
		require.NoError(t, ipc.NewWriter(&buf, ipc.WithSchema(arrow.NewSchema([]arrow.Field{f}, nil))).Close())
		_, err := first(buf.Bytes(), 1<<30)
		require.ErrorContains(t, err, says)
		assert.Equal(t, fault.Invalid, fault.Of(err))
	}
}

func TestNumbersOfValuesAreBorneOut(t *testing.T) {
	t.Parallel()
	for _, typ := range []arrow.DataType{arrow.FixedWidthTypes.Boolean, arrow.FixedWidthTypes.Date32, arrow.BinaryTypes.StringView} {
		for n, ok := range map[int]bool{0: true, 1: true, 1 << 29: false} {
			a := &claimed{typ, array.NewData(typ, n, []*memory.Buffer{nil, buffer(make([]byte, 16))}, nil, 0, 0)}
			assert.Equal(t, ok, borneOut(a) == nil, "%v %d", typ, n)
		}
		marked := &claimed{typ, array.NewData(typ, 9, []*memory.Buffer{buffer([]byte{1}), buffer(make([]byte, 160))}, nil, 1, 0)}
		require.ErrorContains(t, borneOut(marked), "marks of 1 bytes for 9 values")
	}
	// No bytes bear out nulls, and none are needed of a dictionary of them.
	typ := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.Null}
	of := array.NewDictionaryArray(typ, array.MakeArrayOfNull(memory.DefaultAllocator, arrow.PrimitiveTypes.Int8, 2), array.NewNull(1<<50))
	room := int64(0)
	c, err := decode(of, data.NewBitmap(2), making{room: &room})
	require.NoError(t, err)
	assert.Len(t, c.Codes, 2)
}

// A number that the bytes do not bear out is found before anything is made of it.
func TestClaimsOfValuesAreNamed(t *testing.T) {
	t.Parallel()
	const n, claim = 1234, 1 << 20
	bools := array.NewBooleanData(array.NewData(arrow.FixedWidthTypes.Boolean, n, []*memory.Buffer{nil, buffer(make([]byte, n/8+1))}, nil, 0, 0))
	index := array.NewInt8Data(array.NewData(arrow.PrimitiveTypes.Int8, 2, []*memory.Buffer{nil, buffer(make([]byte, 2))}, nil, 0, 0))
	typ := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.FixedWidthTypes.Boolean}
	for in, says := range map[string]string{
		string(stream(t, n, nil, bools)):                                       `column "c0": rows from 1 on: the bytes of 1048576 values are not there`,
		string(stream(t, 2, nil, array.NewDictionaryArray(typ, index, bools))): `column "c0": rows from 1 on: dictionary: the bytes of 1048576 values are not there`,
	} {
		_, err := first([]byte(in), 1<<30)
		require.NoError(t, err)
		length := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
		_, err = first(bytes.ReplaceAll([]byte(in), length(n), length(claim)), 1<<30)
		require.ErrorContains(t, err, says)
		assert.Equal(t, fault.Corrupt, fault.Of(err))
	}
}

// claimed is an array of any length, which arrow-go's own would not let pass.
type claimed struct {
	typ  arrow.DataType
	data arrow.ArrayData
}

func (c *claimed) DataType() arrow.DataType { return c.typ }
func (c *claimed) Data() arrow.ArrayData    { return c.data }
func (c *claimed) NullN() int               { return c.data.NullN() }

// A body that is not there takes no more room than what is.
func TestBodiesAreReadAsTheyCome(t *testing.T) {
	t.Parallel()
	b := array.NewInt64Builder(memory.DefaultAllocator)
	const n = 3 * firstBody / 8
	for i := range n {
		b.Append(int64(i))
	}
	in := stream(t, n, nil, b.NewArray())
	got, err := first(in, 100<<20)
	require.NoError(t, err)
	for i, v := range got.Columns[0].Int64s {
		if v != int64(i) {
			t.Fatalf("row %d is %d", i, v)
		}
	}
	r, err := NewReader(bytes.NewReader(in[:len(in)/2]), ReaderConfig{MaxBody: 1 << 30, MaxMemory: 36 << 20})
	require.NoError(t, err)
	_, err = r.Next()
	require.ErrorContains(t, err, "cut short within a message")
}
