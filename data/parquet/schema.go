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
	logicalMap       = 2
	logicalList      = 3
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
	convertedMap             = 1
	convertedMapKeyValue     = 2
	convertedList            = 3
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
	asIs               conversion = iota
	fromUint32                    // INT32 without sign -> int64
	fromUint64                    // INT64 without sign, below 1<<63 -> int64
	fromUint64Text                // INT64 without sign -> its digits
	fromMillis                    // INT64 -> microseconds
	fromNanos                     // INT64 -> microseconds, rounded down
	fromMillis32                  // INT32 -> microseconds
	fromInt96                     // INT96 -> microseconds
	fromDecimal32                 // INT32 times a power of ten -> float64
	fromDecimal64                 // INT64 times a power of ten -> float64
	fromDecimalBytes              // big-endian bytes times a power of ten -> float64
	fromFloat16                   // 2 bytes -> float32
	fromUUID                      // 16 bytes -> text
	fromText                      // BYTE_ARRAY which must be UTF-8
	fromBytes                     // BYTE_ARRAY or FIXED of whatever bytes
	fromInterval                  // 12 bytes: months, days and milliseconds
	fromMonths                    // the first 4 of these, without sign -> int64
	fromDays                      // the next 4
	fromIntervalMillis            // and the last
)

// intervalParts are the columns that an INTERVAL becomes, behind its own name, as
// if it were a struct.
var intervalParts = []struct {
	name string
	conv conversion
}{{"months", fromMonths}, {"days", fromDays}, {"millis", fromIntervalMillis}}

const intervalBytes = 12

// leaf is one column that can be read.
type leaf struct {
	field    data.Field
	physical format.Type
	width    int // bytes of a FIXED_LEN_BYTE_ARRAY
	maxDef   int // definition level of a value that is there
	conv     conversion
	scale    int32     // of a decimal
	unsigned bool      // INT32 or INT64 without sign
	at       int       // place among a row group's chunks
	sharers  int       // columns that come of the same chunk
	part     part      // what of a list the column is
	maxRep   int       // repetition level of an element of the innermost list, 0: no list
	element  data.Type // of a list
	listDef  int       // definition level of an element of the outermost list
	list     string    // name of the outermost list
	path     string    // of the value itself
	isMap    bool      // it is within a map
}

// leastBytes returns how few bytes a value takes that is written out.
func (l *leaf) leastBytes() int {
	switch l.physical {
	case format.Int64, format.Double:
		return 8
	case format.Int96, format.FixedLenByteArray:
		return l.width
	default: // byte arrays have their length before them
		return 4
	}
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
		l.field.Type, l.conv = data.Int64, fromInterval
		if !fixed || e.width != intervalBytes {
			return "it is an INTERVAL of other than 12 bytes"
		}
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
