package arrow

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
)

// layout is how much arrow-go takes from the metadata of a batch. Views have a
// number of buffers that the batch itself says, by array.
type layout struct{ nodes, buffers, views int }

// needs is what a schema asks of the batches that follow it.
type needs struct {
	record       layout
	dictionaries map[int64]layout
	columns      []columnNeed // in the order in which batches have them
}

// columnNeed is what one field of a schema asks of a batch.
type columnNeed struct {
	layout
	name       string // its own
	within     int    // the field around it, -1: none
	dictionary int64
	encoded    bool
}

// path is the name of a column with those of the structs around it.
func (n *needs) path(column int) string {
	name := n.columns[column].name
	for at := n.columns[column].within; at >= 0 && len(name) < maxPath; at = n.columns[at].within {
		name = n.columns[at].name + "." + name
	}
	return name
}

// columnOf names the column that a buffer of a batch is of.
func (n *needs) columnOf(b *batchPlaces, buffer int) string {
	views := b.views
	for i, c := range n.columns {
		if b.ofValues {
			if c.encoded && c.dictionary == b.dictionary {
				return n.path(i)
			}
			continue
		}
		take := c.buffers
		if c.views > 0 && len(views) > 0 {
			take, views = take+views[0], views[1:]
		}
		if buffer < take {
			return n.path(i)
		}
		buffer -= take
	}
	return ""
}

// maxPath is how much of a column's name an error has.
const maxPath = 200

// Types in their order in Schema.fbs.
const (
	typeNull, typeBinary, typeUtf8, typeTimestamp, typeStruct = 1, 4, 5, 10, 13
	typeLargeBinary, typeLargeUtf8                            = 19, 20
	typeBinaryView, typeUtf8View                              = 23, 24
)

// layoutOf is what one column of a type takes, without those within it. Types
// that are not read have none: their schema is refused before any batch.
func layoutOf(typ byte) layout {
	switch typ {
	case typeNull:
		return layout{nodes: 1}
	case typeStruct:
		return layout{nodes: 1, buffers: 1}
	case typeBinary, typeUtf8, typeLargeBinary, typeLargeUtf8:
		return layout{nodes: 1, buffers: 3}
	case typeBinaryView, typeUtf8View:
		return layout{nodes: 1, buffers: 2, views: 1}
	}
	return layout{nodes: 1, buffers: 2}
}

// column adds what one field of a schema needs.
func (v *verifier) column(table, within int) error {
	at, ok, err := v.field(table, fieldTypeType)
	if err != nil || !ok {
		return errors.Join(err, errors.New("a field without a type"))
	}
	typ := v.b[at]
	if typ == typeTimestamp {
		at, ok, err := v.field(table, fieldType)
		if err != nil || !ok {
			return errors.Join(err, errors.New("a field without a type"))
		}
		if at, err = v.offset(at); err != nil {
			return err
		}
		if err := v.text(at, timestampZone); err != nil {
			return err
		}
	}
	own := layoutOf(typ)
	name, err := v.string(table, fieldName)
	if err != nil {
		return err
	}
	c := columnNeed{name: name, within: within}
	at, encoded, err := v.field(table, fieldDictionary)
	if err != nil {
		return err
	}
	if encoded {
		if at, err = v.offset(at); err != nil {
			return err
		}
		id, err := v.longField(at, encodingID)
		if err != nil {
			return err
		}
		if was, ok := v.need.dictionaries[id]; ok && was != own {
			return fmt.Errorf("the dictionary %d is of two types", id)
		}
		v.need.dictionaries[id] = own
		own = layout{nodes: 1, buffers: 2}
		c.dictionary, c.encoded = id, true
	}
	c.layout = own
	v.need.columns = append(v.need.columns, c)
	v.need.record.nodes += own.nodes
	v.need.record.buffers += own.buffers
	v.need.record.views += own.views
	return nil
}

// longField reads a field of eight bytes, 0 when it is not there.
func (v *verifier) longField(table, n int) (int64, error) {
	at, ok, err := v.field(table, n)
	if err != nil || !ok {
		return 0, err
	}
	if at+longBytes > len(v.b) {
		return 0, errClaim
	}
	return v.long(at), nil
}

// keyValue checks one entry of metadata.
func (v *verifier) keyValue(table int) error {
	v.copied += keyValueCopied
	if err := v.text(table, keyValueKey); err != nil {
		return err
	}
	return v.text(table, keyValueValue)
}

// string reads a text that has been checked.
func (v *verifier) string(table, field int) (string, error) {
	at, ok, err := v.field(table, field)
	if err != nil || !ok {
		return "", err
	}
	if at, err = v.offset(at); err != nil {
		return "", err
	}
	n := int(binary.LittleEndian.Uint32(v.b[at:]))
	if n > len(v.b)-at-4 {
		return "", errClaim
	}
	return string(v.b[at+4 : at+4+min(n, maxPath)]), nil
}

// text checks a text, and that all of them together are not too long to copy.
func (v *verifier) text(table, field int) error {
	at, ok, err := v.field(table, field)
	if err != nil || !ok {
		return err
	}
	if at, err = v.offset(at); err != nil {
		return err
	}
	n := int(binary.LittleEndian.Uint32(v.b[at:]))
	if n > len(v.b)-at-4 {
		return errClaim
	}
	if v.copied += n; v.copied > maxCopied {
		return fmt.Errorf("the names and other texts of a message are longer than %d bytes together", maxCopied)
	}
	return nil
}

// borneOut checks that the buffers of an array are as long as its number of
// values asks for, before anything of that number is made.
func borneOut(a interface {
	DataType() arrow.DataType
	Data() arrow.ArrayData
	NullN() int
}) error {
	d := a.Data()
	n, buffers := d.Offset()+d.Len(), d.Buffers()
	if a.NullN() > 0 && len(buffers) > 0 && buffers[0] != nil && buffers[0].Len() < (n+7)/8 {
		return fmt.Errorf("marks of %d bytes for %d values", buffers[0].Len(), n)
	}
	bits := 0
	switch t := a.DataType().(type) {
	case *arrow.BinaryType, *arrow.StringType:
		bits = 32
	case *arrow.LargeBinaryType, *arrow.LargeStringType:
		bits = 64
	case arrow.BinaryViewDataType:
		bits = 128
	case arrow.FixedWidthDataType:
		bits = t.BitWidth()
	}
	if n == 0 || bits <= 0 {
		return nil
	}
	if len(buffers) < 2 || buffers[1] == nil || buffers[1].Len() < (n*bits+7)/8 {
		return fmt.Errorf("the bytes of %d values are not there", n)
	}
	return nil
}
