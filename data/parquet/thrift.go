package parquet

import "encoding/binary"

// compactWriter writes the thrift compact protocol; compact is its reader.
type compactWriter struct {
	b    []byte
	last []int16 // id of the last field, of each open struct
}

// begin opens a struct, end closes it. A struct that is a field or an element
// of a list is begun after its header.
func (w *compactWriter) begin() { w.last = append(w.last, 0) }

func (w *compactWriter) end() {
	w.b = append(w.b, 0)
	w.last = w.last[:len(w.last)-1]
}

// field writes the header of a field; ids must ascend.
func (w *compactWriter) field(id int16, t byte) {
	last := &w.last[len(w.last)-1]
	if d := id - *last; d > 0 && d < 16 {
		w.b = append(w.b, byte(d)<<4|t)
	} else {
		w.b = append(w.b, t)
		w.b = binary.AppendVarint(w.b, int64(id))
	}
	*last = id
}

func (w *compactWriter) i32(id int16, v int32) {
	w.field(id, thriftI32)
	w.b = binary.AppendVarint(w.b, int64(v))
}

func (w *compactWriter) i64(id int16, v int64) {
	w.field(id, thriftI64)
	w.b = binary.AppendVarint(w.b, v)
}

func (w *compactWriter) bool(id int16, v bool) {
	if v {
		w.field(id, thriftTrue)
	} else {
		w.field(id, thriftFalse)
	}
}

func (w *compactWriter) bytes(id int16, v []byte) {
	w.field(id, thriftBinary)
	w.element(v)
}

func (w *compactWriter) string(id int16, v string) {
	w.field(id, thriftBinary)
	w.b = binary.AppendUvarint(w.b, uint64(len(v)))
	w.b = append(w.b, v...)
}

// element writes a binary within a list.
func (w *compactWriter) element(v []byte) {
	w.b = binary.AppendUvarint(w.b, uint64(len(v)))
	w.b = append(w.b, v...)
}

// list writes the header of a list field of n elements.
func (w *compactWriter) list(id int16, elem byte, n int) {
	w.field(id, thriftList)
	if n < 15 {
		w.b = append(w.b, byte(n)<<4|elem)
		return
	}
	w.b = append(w.b, 0xf0|elem)
	w.b = binary.AppendUvarint(w.b, uint64(n))
}

// empty writes a field that is a struct without fields, as unions often have.
func (w *compactWriter) empty(id int16) {
	w.field(id, thriftStruct)
	w.b = append(w.b, 0)
}

// open writes the header of a field that is a struct and begins it.
func (w *compactWriter) open(id int16) {
	w.field(id, thriftStruct)
	w.begin()
}
