package arrow

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// arrow-go allocates for as many fields, nodes and buffers as a message claims.
// It also reads nodes, buffers and counts by their number in the schema, without
// asking whether a message has so many, and copies a text as often as it is
// pointed at. verify walks the tables of the message before it does, and holds
// every such claim against the bytes that are there.
//
// Source: Message.fbs and Schema.fbs of Apache Arrow; the FlatBuffers binary
// format.

// Places of fields in their tables.
const (
	messageHeaderType, messageHeader, messageMetadata           = 1, 2, 4
	schemaFields, schemaMetadata, schemaFeatures                = 1, 2, 3
	fieldName, fieldTypeType, fieldType                         = 0, 2, 3
	fieldDictionary, fieldChildren, fieldMetadata               = 4, 5, 6
	encodingID, timestampZone, keyValueKey, keyValueValue       = 0, 1, 0, 1
	recordNodes, recordBuffers                                  = 1, 2
	recordCompression, recordVariadic, compressionCodec         = 3, 4, 0
	dictionaryID, dictionaryData                                = 0, 1
	isSchema, isDictionaryBatch, isRecordBatch            uint8 = 1, 2, 3
	tableBytes, longBytes, structBytes                          = 4, 8, 16
	maxTables                                                   = 200_000
	maxVerifyDepth                                              = 3 * maxDepth
	maxCopied                                                   = maxMetadata
	keyValueCopied                                              = 32 // two headers of strings
)

var errClaim = errors.New("the metadata of a message points or claims beyond its end")

// verifier walks through one message.
type verifier struct {
	b      []byte
	body   int64 // bytes that follow the message
	tables int   // seen so far: tables may point at each other again and again
	copied int   // bytes of texts so far: they may be pointed at again and again
	need   *needs
	batch  batchPlaces
}

// batchPlaces is where a batch says how its buffers lie.
type batchPlaces struct {
	packed     bool
	codec      byte
	buffers    []int // places of their offset and length
	views      []int // numbers of buffers of the arrays that have any
	dictionary int64
	ofValues   bool // it is a dictionary
}

// verify checks one message's metadata. Of a schema it adds to need what batches
// must have; of a batch it checks that they have it.
func verify(b []byte, body int64, need *needs) error {
	return (&verifier{b: b, body: body, need: need}).message()
}

// message is verify for one who wants to know what it has found.
func (v *verifier) message() error {
	b := v.b
	root, err := v.offset(0)
	if err != nil {
		return err
	}
	header, ok, err := v.field(root, messageHeader)
	if err != nil {
		return err
	}
	kind, there, err := v.field(root, messageHeaderType)
	if err != nil || !ok || !there || kind >= len(b) {
		return errors.Join(err, errors.New("a message without a header"))
	}
	if err := v.vector(root, messageMetadata, tableBytes, v.keyValue); err != nil {
		return err
	}
	if header, err = v.offset(header); err != nil {
		return err
	}
	switch b[kind] {
	case isSchema:
		return v.schema(header)
	case isRecordBatch:
		return v.record(header, v.need.record)
	case isDictionaryBatch:
		return v.dictionary(header)
	}
	return fmt.Errorf("a message of kind %d", b[kind])
}

func (v *verifier) dictionary(table int) error {
	id, err := v.longField(table, dictionaryID)
	if err != nil {
		return err
	}
	need, known := v.need.dictionaries[id]
	if !known {
		return fmt.Errorf("a dictionary %d that no column has", id)
	}
	at, ok, err := v.field(table, dictionaryData)
	if err != nil || !ok {
		return errors.Join(err, errors.New("a dictionary without values"))
	}
	if at, err = v.offset(at); err != nil {
		return err
	}
	v.batch.dictionary, v.batch.ofValues = id, true
	return v.record(at, need)
}

func (v *verifier) schema(table int) error {
	if err := v.vector(table, schemaMetadata, tableBytes, v.keyValue); err != nil {
		return err
	}
	if err := v.vector(table, schemaFeatures, longBytes, nil); err != nil {
		return err
	}
	return v.vector(table, schemaFields, tableBytes, func(at int) error { return v.columns(at, 0, -1) })
}

// columns checks one field of a schema and those below it.
func (v *verifier) columns(table, depth, within int) error {
	if v.tables++; v.tables > maxTables || depth > maxVerifyDepth {
		return errors.New("the schema has too many fields, or they lie too deep in each other")
	}
	if err := v.vector(table, fieldMetadata, tableBytes, v.keyValue); err != nil {
		return err
	}
	if err := v.text(table, fieldName); err != nil {
		return err
	}
	if err := v.column(table, within); err != nil {
		return err
	}
	own := len(v.need.columns) - 1
	return v.vector(table, fieldChildren, tableBytes, func(at int) error { return v.columns(at, depth+1, own) })
}

// record checks a record batch: how many rows it says there are, in all and by
// array, where it says that their bytes lie, and that there are as many of all as
// its schema needs.
func (v *verifier) record(table int, need layout) error {
	at, ok, err := v.field(table, 0)
	if err != nil {
		return err
	}
	if ok && (at+8 > len(v.b) || v.long(at) > maxRows) {
		return fmt.Errorf("a record batch claims more than %d rows", maxRows)
	}
	var got layout
	err = v.vector(table, recordNodes, structBytes, func(at int) error {
		got.nodes++
		if n := v.long(at); n < 0 || n > 64*maxRows || v.long(at+8) > n {
			return fmt.Errorf("an array claims %d values", n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = v.vector(table, recordBuffers, structBytes, func(at int) error {
		got.buffers++
		v.batch.buffers = append(v.batch.buffers, at)
		if start, n := v.long(at), v.long(at+8); start < 0 || n < 0 || start > v.body || n > v.body-start {
			return fmt.Errorf("a buffer of %d bytes at %d in a body of %d", n, start, v.body)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = v.vector(table, recordVariadic, longBytes, func(at int) error {
		got.views++
		if n := v.long(at); n < 0 || n > int64(len(v.b)/structBytes) {
			return fmt.Errorf("an array claims %d buffers", n)
		}
		if got.views <= need.views {
			need.buffers += int(v.long(at))
			v.batch.views = append(v.batch.views, int(v.long(at)))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if got.nodes < need.nodes || got.buffers < need.buffers || got.views < need.views {
		return fmt.Errorf("a batch of %d arrays, %d buffers, %d of views; its columns need %d, %d, %d", got.nodes, got.buffers, got.views, need.nodes, need.buffers, need.views)
	}
	return v.compression(table)
}

// compression finds out how the buffers of a batch are packed.
func (v *verifier) compression(table int) error {
	at, ok, err := v.field(table, recordCompression)
	if err != nil || !ok {
		return err
	}
	if at, err = v.offset(at); err != nil {
		return err
	}
	v.batch.packed = true
	if at, ok, err = v.field(at, compressionCodec); err != nil || !ok {
		return err
	}
	v.batch.codec = v.b[at]
	return nil
}

// long reads eight bytes.
func (v *verifier) long(at int) int64 { return int64(binary.LittleEndian.Uint64(v.b[at:])) }

// vector checks that a vector's elements are there, and visits them: of tables,
// what they point at.
func (v *verifier) vector(table, field, size int, visit func(at int) error) error {
	at, ok, err := v.field(table, field)
	if err != nil || !ok {
		return err
	}
	if at, err = v.offset(at); err != nil {
		return err
	}
	if at+4 > len(v.b) {
		return errClaim
	}
	n := int(binary.LittleEndian.Uint32(v.b[at:]))
	if n > (len(v.b)-at-4)/size {
		return errClaim
	}
	for i := 0; visit != nil && i < n; i++ {
		to := at + 4 + i*size
		if size == tableBytes {
			if to, err = v.offset(to); err != nil {
				return err
			}
		}
		if err := visit(to); err != nil {
			return err
		}
	}
	return nil
}

// offset follows the offset at a place.
func (v *verifier) offset(at int) (int, error) {
	if at < 0 || at+4 > len(v.b) {
		return 0, errClaim
	}
	to := at + int(binary.LittleEndian.Uint32(v.b[at:]))
	if to <= at || to+4 > len(v.b) {
		return 0, errClaim
	}
	return to, nil
}

// field returns the place of a table's field, and whether it is there.
func (v *verifier) field(table, n int) (at int, ok bool, err error) {
	if table < 0 || table+4 > len(v.b) {
		return 0, false, errClaim
	}
	vtable := table - int(int32(binary.LittleEndian.Uint32(v.b[table:])))
	if vtable < 0 || vtable+4 > len(v.b) {
		return 0, false, errClaim
	}
	size := int(binary.LittleEndian.Uint16(v.b[vtable:]))
	if vtable+size > len(v.b) {
		return 0, false, errClaim
	}
	if entry := 4 + 2*n; entry < size { // as flatbuffers asks, which takes two bytes then
		if vtable+entry+2 > len(v.b) {
			return 0, false, errClaim
		}
		if off := int(binary.LittleEndian.Uint16(v.b[vtable+entry:])); off != 0 {
			if table+off >= len(v.b) {
				return 0, false, errClaim
			}
			return table + off, true, nil
		}
	}
	return 0, false, nil
}
