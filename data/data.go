// Package data is tables in memory: typed columns of known length, nulls as
// bitmaps, strings as codes into a dictionary. Batches are values that many may
// read and nobody changes once made.
package data

import "fmt"

// Type is the type of a column's values in memory.
type Type uint8

// The types. Their values are part of on-disk documents: only append.
const (
	Bool      Type = iota // []bool
	Int32                 // []int32
	Int64                 // []int64
	Float32               // []float32
	Float64               // []float64
	String                // []uint32 codes into a dictionary of strings
	Timestamp             // []int64, microseconds since 1970-01-01T00:00:00 (UTC when the field has UTC set, else wall time)
	Date                  // []int32, days since 1970-01-01
)

var typeNames = [...]string{"bool", "int32", "int64", "float32", "float64", "string", "timestamp", "date"}

// String returns the type's name as specs and schemas write it.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// MarshalText writes the type's name.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a name that String has written.
func (t *Type) UnmarshalText(b []byte) error {
	for i, n := range typeNames {
		if n == string(b) {
			*t = Type(i)
			return nil
		}
	}
	return fmt.Errorf("unknown column type %q", b)
}

// Numeric reports whether values of the type can be read as float64.
func (t Type) Numeric() bool { return t <= Float64 }

// Field is one column of a schema.
type Field struct {
	Name     string `json:"name"`
	Type     Type   `json:"type"`
	Nullable bool   `json:"nullable,omitempty"` // the column may hold nulls; a column without this has no Valid bitmap
	UTC      bool   `json:"utc,omitempty"`      // Timestamp only: an instant, not a wall time
}

// Schema is the ordered, named, typed columns of a table. Names are unique.
type Schema struct {
	Fields []Field `json:"fields"`
}

// Index returns the place of the column called name, or -1.
func (s Schema) Index(name string) int {
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return i
		}
	}
	return -1
}

// Names returns the names of the columns in order.
func (s Schema) Names() []string {
	names := make([]string, len(s.Fields))
	for i := range s.Fields {
		names[i] = s.Fields[i].Name
	}
	return names
}

// Bitmap is one bit a row, least significant first; a set bit means the value
// is there. A nil Bitmap means that no value is null.
type Bitmap []uint64

// NewBitmap returns a bitmap of numRows clear bits.
func NewBitmap(numRows int) Bitmap { return make(Bitmap, (numRows+63)/64) }

// Get reports whether row i is set; every row of a nil bitmap is.
func (b Bitmap) Get(i int) bool { return b == nil || b[i>>6]>>(uint(i)&63)&1 != 0 }

// Set sets row i.
func (b Bitmap) Set(i int) { b[i>>6] |= 1 << (uint(i) & 63) }

// Clear clears row i.
func (b Bitmap) Clear(i int) { b[i>>6] &^= 1 << (uint(i) & 63) }
