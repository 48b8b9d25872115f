package parquet

import (
	"fmt"
	"math"

	"github.com/parquet-go/parquet-go/format"

	"github.com/troupe-ml/troupe/data"
)

// Fields of the union LogicalType in parquet.thrift.
const (
	logicalString    = 1
	logicalEnum      = 4
	logicalDecimal   = 5
	logicalDate      = 6
	logicalTime      = 7
	logicalTimestamp = 8
	logicalInteger   = 10
	logicalJSON      = 12
	logicalUUID      = 14
	logicalFloat16   = 15
)

// Values of the older enum ConvertedType in parquet.thrift.
const (
	convertedUTF8            = 0
	convertedEnum            = 4
	convertedDecimal         = 5
	convertedDate            = 6
	convertedTimeMillis      = 7
	convertedTimeMicros      = 8
	convertedTimestampMillis = 9
	convertedTimestampMicros = 10
	convertedUint8           = 11
	convertedUint64          = 14
	convertedJSON            = 19
	convertedInterval        = 21
)

// conversion is what turns a physical value into the column's.
type conversion uint8

const (
	asIs             conversion = iota
	fromUint32                  // INT32 without sign -> int64
	fromUint64                  // INT64 without sign, below 1<<63 -> int64
	fromUint64Text              // INT64 without sign -> its digits
	fromMillis                  // INT64 -> microseconds
	fromNanos                   // INT64 -> microseconds, rounded down
	fromMillis32                // INT32 -> microseconds
	fromInt96                   // INT96 -> microseconds
	fromDecimal32               // INT32 times a power of ten -> float64
	fromDecimal64               // INT64 times a power of ten -> float64
	fromDecimalBytes            // big-endian bytes times a power of ten -> float64
	fromFloat16                 // 2 bytes -> float32
	fromUUID                    // 16 bytes -> text
	fromText                    // BYTE_ARRAY which must be UTF-8
	fromBytes                   // BYTE_ARRAY or FIXED of whatever bytes
)

// leaf is one column that can be read.
type leaf struct {
	field    data.Field
	physical format.Type
	width    int // bytes of a FIXED_LEN_BYTE_ARRAY
	maxDef   int // definition level of a value that is there
	conv     conversion
	scale    int32 // of a decimal
	unsigned bool  // INT32 or INT64 without sign
	at       int   // place among a row group's chunks
}

// Unsupported is a column of a file that cannot be read, and why.
type Unsupported struct {
	Name   string // path of the column, parts joined with dots
	Reason string
}

// maxDepth bounds the nesting of structs, which is walked by recursion.
const maxDepth = 64

// schemaWalk turns the flattened tree into leaves.
type schemaWalk struct {
	elements []element
	next     int
	numLeaf  int
	leaves   []leaf
	refused  []Unsupported
	physical []format.Type // by chunk
}

// leavesOf lists the columns of the schema: leaves of structs are named by
// path (a.b); columns below a list or map, and types that have no counterpart,
// are refused one by one.
func leavesOf(elements []element) (*schemaWalk, error) {
	if len(elements) == 0 {
		return nil, fmt.Errorf("the schema is empty")
	}
	if len(elements) > maxSchemaSize {
		return nil, fmt.Errorf("%d schema elements are too many", len(elements))
	}
	w := &schemaWalk{elements: elements, next: 1}
	if err := w.children(elements[0].children, "", 0, false, 0); err != nil {
		return nil, err
	}
	if w.next != len(elements) {
		return nil, fmt.Errorf("%d schema elements are no children of anything", len(elements)-w.next)
	}
	seen := make(map[string]bool, len(w.leaves))
	for _, l := range w.leaves {
		if seen[l.field.Name] {
			return nil, fmt.Errorf("column %q occurs twice", l.field.Name)
		}
		seen[l.field.Name] = true
	}
	return w, nil
}

func (w *schemaWalk) children(n int32, path string, def int, repeated bool, depth int) error {
	if n < 0 || int(n) > len(w.elements)-w.next {
		return fmt.Errorf("schema element %q claims %d children, %d follow", path, n, len(w.elements)-w.next)
	}
	if depth > maxDepth {
		return fmt.Errorf("schema element %q is nested too deeply", path)
	}
	for range n {
		if w.next >= len(w.elements) {
			return fmt.Errorf("schema element %q lacks children", path)
		}
		e := &w.elements[w.next]
		w.next++
		name := e.name
		if depth > 0 {
			name = path + "." + e.name
		}
		d, rep := def, repeated
		switch e.repetition {
		case format.Required:
		case format.Optional:
			d++
		case format.Repeated:
			d, rep = d+1, true
		default:
			return fmt.Errorf("column %q: repetition %d", name, e.repetition)
		}
		if !e.isLeaf {
			if err := w.children(e.children, name, d, rep, depth+1); err != nil {
				return err
			}
			continue
		}
		if e.physical < format.Boolean || e.physical > format.FixedLenByteArray {
			return fmt.Errorf("column %q: physical type %d", name, e.physical)
		}
		w.leaf(e, name, d, rep)
	}
	return nil
}

func (w *schemaWalk) leaf(e *element, name string, def int, repeated bool) {
	at := w.numLeaf
	w.numLeaf++
	w.physical = append(w.physical, e.physical)
	if repeated {
		w.refused = append(w.refused, Unsupported{name, "it is a list or a map, or lies within one; only flat columns and structs are supported"})
		return
	}
	l := leaf{physical: e.physical, width: int(e.width), maxDef: def, at: at}
	l.field = data.Field{Name: name, Nullable: def > 0}
	if reason := l.interpret(e); reason != "" {
		w.refused = append(w.refused, Unsupported{name, reason})
		return
	}
	w.leaves = append(w.leaves, l)
}

// interpret decides the type in memory from physical, logical and converted
// type; it returns why it cannot.
func (l *leaf) interpret(e *element) string {
	switch e.physical {
	case format.Boolean:
		l.field.Type = data.Bool
	case format.Int32:
		return l.interpretInt32(e)
	case format.Int64:
		return l.interpretInt64(e)
	case format.Int96:
		l.field.Type, l.conv, l.width = data.Timestamp, fromInt96, 12
	case format.Float:
		l.field.Type = data.Float32
	case format.Double:
		l.field.Type = data.Float64
	case format.ByteArray, format.FixedLenByteArray:
		return l.interpretBytes(e)
	}
	return ""
}

func (l *leaf) interpretInt32(e *element) string {
	l.field.Type, l.unsigned = data.Int32, e.unsigned()
	switch {
	case e.logical.id == logicalDate || e.converted == convertedDate:
		l.field.Type = data.Date
	case e.isDecimal():
		l.field.Type, l.conv, l.scale = data.Float64, fromDecimal32, e.decimalScale()
		return scaleFault(l.scale)
	case e.logical.id == logicalTime || e.converted == convertedTimeMillis:
		l.field.Type, l.conv = data.Int64, fromMillis32
	case l.unsigned && e.intBits() == 32:
		l.field.Type, l.conv = data.Int64, fromUint32
	}
	return ""
}

func (l *leaf) interpretInt64(e *element) string {
	l.field.Type, l.unsigned = data.Int64, e.unsigned()
	switch {
	case e.logical.id == logicalTimestamp:
		l.field.Type, l.field.UTC = data.Timestamp, e.logical.utc
		return l.interpretUnit(e.logical.unit)
	case e.logical.id == logicalTime:
		return l.interpretUnit(e.logical.unit)
	case e.converted == convertedTimestampMillis:
		l.field.Type, l.field.UTC, l.conv = data.Timestamp, true, fromMillis
	case e.converted == convertedTimestampMicros:
		l.field.Type, l.field.UTC = data.Timestamp, true
	case e.isDecimal():
		l.field.Type, l.conv, l.scale = data.Float64, fromDecimal64, e.decimalScale()
		return scaleFault(l.scale)
	case l.unsigned && e.intBits() == 64:
		l.conv = fromUint64
	}
	return ""
}

func (l *leaf) interpretUnit(unit int16) string {
	switch unit {
	case 1:
		l.conv = fromMillis
	case 2:
	case 3:
		l.conv = fromNanos
	default:
		return fmt.Sprintf("its unit of time is %d, which is unknown", unit)
	}
	return ""
}

func (l *leaf) interpretBytes(e *element) string {
	fixed := e.physical == format.FixedLenByteArray
	if fixed && (e.width <= 0 || e.width > math.MaxInt16) {
		return fmt.Sprintf("its values are %d bytes long", e.width)
	}
	l.field.Type = data.String
	switch {
	case e.isDecimal():
		l.field.Type, l.conv, l.scale = data.Float64, fromDecimalBytes, e.decimalScale()
		return scaleFault(l.scale)
	case e.logical.id == logicalFloat16:
		l.field.Type, l.conv = data.Float32, fromFloat16
		if !fixed || e.width != 2 {
			return "it is a FLOAT16 of other than 2 bytes"
		}
	case e.logical.id == logicalUUID:
		l.conv = fromUUID
		if !fixed || e.width != 16 {
			return "it is a UUID of other than 16 bytes"
		}
	case e.converted == convertedInterval:
		return "it is an INTERVAL"
	case fixed:
		l.conv = fromBytes
	case e.isText():
		l.conv = fromText
	default:
		l.conv = fromBytes
	}
	return ""
}

func (e *element) isText() bool {
	switch e.logical.id {
	case logicalString, logicalEnum, logicalJSON:
		return true
	}
	return e.converted == convertedUTF8 || e.converted == convertedEnum || e.converted == convertedJSON
}

func (e *element) isDecimal() bool {
	return e.logical.id == logicalDecimal || e.converted == convertedDecimal
}

func (e *element) decimalScale() int32 {
	if e.logical.id == logicalDecimal {
		return e.logical.scale
	}
	return e.scale
}

func scaleFault(scale int32) string {
	if scale < 0 || scale > 300 {
		return fmt.Sprintf("it is a DECIMAL of scale %d", scale)
	}
	return ""
}

func (e *element) unsigned() bool {
	if e.logical.id == logicalInteger {
		return !e.logical.sign
	}
	return e.converted >= convertedUint8 && e.converted <= convertedUint64
}

func (e *element) intBits() int {
	if e.logical.id == logicalInteger {
		return int(e.logical.bits)
	}
	if e.converted >= convertedUint8 && e.converted <= convertedUint64 {
		return 8 << (e.converted - convertedUint8)
	}
	return 0
}
