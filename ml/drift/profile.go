// Package drift says whether two tables differ: a Profile is the distribution
// of every column, mergeable and exact for any split of the rows; Compare holds
// two of them against each other, column by column, and reaches a verdict.
//
// Numbers are binned by the deciles of the reference, never by those of both
// tables together, so that one outlier in the current rows moves one row and
// not all of the bins. Missing values, and values that the reference does not
// have, are bins of their own.
package drift

import (
	"math"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// Kind is how a column is profiled. The values are part of encoded profiles:
// only append.
type Kind uint8

// The kinds.
const (
	Number Kind = iota // int32, int64, float32 and float64, as float64
	Bool               // the values false and true
	String             // how often each string occurs
)

var kindNames = [...]string{"number", "bool", "string"}

// String returns the kind's name.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// MarshalText writes the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a name that String has written.
func (k *Kind) UnmarshalText(b []byte) error {
	i := slices.Index(kindNames[:], string(b))
	if i < 0 {
		return fault.New(fault.Corrupt, "drift: unknown kind %q", b)
	}
	*k = Kind(i)
	return nil
}

// kindOf reports false for times, which are not profiled.
func kindOf(t data.Type) (Kind, bool) {
	switch {
	case t.Numeric() && t != data.Bool:
		return Number, true
	case t == data.Bool:
		return Bool, true
	case t == data.String:
		return String, true
	}
	return 0, false
}

// Limits bound the memory of a profile, for each column. Within them everything
// is exact. Whether a column is beyond its bound depends on the set of its
// values alone, so a profile stays the same for any split of the rows.
type Limits struct {
	// MaxNumbers is how many distinct numbers are kept as they are; beyond,
	// numbers are rounded by less than 1 % (sketch.Quantiles). Default 65,536,
	// which takes 1 MiB.
	MaxNumbers int
	// MaxStrings is how many distinct strings, and MaxStringBytes how many bytes
	// of them together, are kept as they are; beyond, strings are counted in
	// 4,096 groups by their hash. Groups can only hide drift, never feign it.
	// Default 65,536 and 4 MiB.
	MaxStrings     int
	MaxStringBytes int
}

// DefaultLimits returns the defaults.
func DefaultLimits() Limits {
	return Limits{MaxNumbers: sketch.DefaultMaxDistinct, MaxStrings: 65_536, MaxStringBytes: 4 << 20}
}

// Profile is the distribution of each column of a table: of numbers how often
// each value occurs, of bools and strings likewise, and how often a value is
// missing. Its state, and so its encoding, is a function of the multiset of rows
// seen: any order and any split over shards gives the same bytes. It is not safe
// for concurrent use; what UnmarshalBinary or Flush has left may be read by many.
type Profile struct {
	rows    int64
	columns []*column
}

// column is one column of a profile. Rows that are not missing are in numbers or
// values.
type column struct {
	name    string
	kind    Kind
	rows    int64
	missing int64             // rows that are null or NaN
	numbers *sketch.Quantiles // Number only
	values  *values           // Bool and String
}

// Profiled returns the columns of a schema that can be profiled: all but
// timestamps and dates. Time passes, so a column of times always drifts; where
// the hour or the weekday matters, compute it as a feature.
func Profiled(s data.Schema) []string {
	var names []string
	for _, f := range s.Fields {
		if _, ok := kindOf(f.Type); ok {
			names = append(names, f.Name)
		}
	}
	return names
}

// NewProfile returns a profile of all the columns of Profiled, with
// DefaultLimits, that has seen no rows.
func NewProfile(s data.Schema) *Profile {
	p, err := NewProfileOf(s, Profiled(s), DefaultLimits())
	if err != nil {
		panic(err) // a bug: the names are the schema's own
	}
	return p
}

// NewProfileOf returns a profile of the named columns, in that order, that has
// seen no rows. Profiles that are merged must have the same limits. A column
// that is not there, is named twice or holds times, and a limit below 1, are
// errors of kind Invalid.
func NewProfileOf(s data.Schema, columns []string, l Limits) (*Profile, error) {
	if l.MaxNumbers < 1 || l.MaxStrings < 1 || l.MaxStringBytes < 1 {
		return nil, fault.New(fault.Invalid, "drift: profile: limits must be at least 1, got %+v", l)
	}
	p := &Profile{}
	for _, name := range columns {
		i := s.Index(name)
		if i < 0 {
			return nil, fault.New(fault.Invalid, "drift: profile: no column %q; there are %s", name, strings.Join(s.Names(), ", "))
		}
		if p.column(name) != nil {
			return nil, fault.New(fault.Invalid, "drift: profile: column %q is named twice", name)
		}
		kind, ok := kindOf(s.Fields[i].Type)
		if !ok {
			return nil, fault.New(fault.Invalid,
				"drift: profile: column %q holds values of type %v, which always drift; leave it out, or compare features of it, such as the hour",
				name, s.Fields[i].Type)
		}
		c := &column{name: name, kind: kind}
		if kind == Number {
			c.numbers = sketch.NewQuantiles(l.MaxNumbers)
		} else {
			c.values = newValues(l)
		}
		p.columns = append(p.columns, c)
	}
	return p, nil
}

func (p *Profile) column(name string) *column {
	for _, c := range p.columns {
		if c.name == name {
			return c
		}
	}
	return nil
}

// HasText reports whether a text is known to be among the rows of a column. Of a
// column with so many texts that they are counted in groups nothing is known.
func (p *Profile) HasText(column, text string) bool {
	c := p.column(column)
	return c != nil && c.kind == String && c.values.counts[text] > 0
}

// Rows returns the number of rows seen.
func (p *Profile) Rows() int64 { return p.rows }

// Columns returns the names of the columns in order.
func (p *Profile) Columns() []string {
	names := make([]string, len(p.columns))
	for i, c := range p.columns {
		names[i] = c.name
	}
	return names
}

// Kind returns how the column called name is profiled; false when there is none.
func (p *Profile) Kind(name string) (Kind, bool) {
	if c := p.column(name); c != nil {
		return c.kind, true
	}
	return 0, false
}

// Select returns the profile of some of the columns, in the order given. It
// shares them with p. A column that is not there is an error of kind Invalid.
func (p *Profile) Select(columns []string) (*Profile, error) {
	s := &Profile{rows: p.rows}
	for _, name := range columns {
		c := p.column(name)
		if c == nil {
			return nil, fault.New(fault.Invalid, "drift: no column %q in the profile, it has %s", name, strings.Join(p.Columns(), ", "))
		}
		s.columns = append(s.columns, c)
	}
	return s, nil
}

// Observe adds the rows of b whose bit in mask is set; a nil mask means all.
// Columns are found by name. NaN is missing, as null is. Numbers may be of any
// numeric type; a column that is not there or of another kind is an error of
// kind Invalid, and p is left as it was.
func (p *Profile) Observe(b *data.Batch, mask data.Bitmap) error {
	from := make([]*data.Column, len(p.columns))
	for i, c := range p.columns {
		if from[i] = b.Column(c.name); from[i] == nil {
			return fault.New(fault.Invalid, "drift: observe: no column %q; there are %s", c.name, strings.Join(b.Schema.Names(), ", "))
		}
		if kind, ok := kindOf(from[i].Type); !ok || kind != c.kind {
			return fault.New(fault.Invalid, "drift: observe: column %q is of type %v, expected a %v", c.name, from[i].Type, c.kind)
		}
	}
	rows := int64(b.NumRows)
	if mask != nil {
		rows = 0
		for i := range b.NumRows {
			if mask.Get(i) {
				rows++
			}
		}
	}
	for i, c := range p.columns {
		c.observe(from[i], mask)
		c.rows += rows
	}
	p.rows += rows
	return nil
}

func (c *column) observe(from *data.Column, mask data.Bitmap) {
	switch from.Type {
	case data.Bool:
		c.observeBools(from, mask)
	case data.String:
		c.observeStrings(from, mask)
	case data.Int32:
		observeNumbers(c, from.Int32s, from.Valid, mask)
	case data.Int64:
		observeNumbers(c, from.Int64s, from.Valid, mask)
	case data.Float32:
		observeNumbers(c, from.Float32s, from.Valid, mask)
	case data.Float64:
		observeNumbers(c, from.Float64s, from.Valid, mask)
	default: // Observe has refused times
	}
}

func observeNumbers[T int32 | int64 | float32 | float64](c *column, from []T, valid, mask data.Bitmap) {
	for i, v := range from {
		if !mask.Get(i) {
			continue
		}
		if f := float64(v); !valid.Get(i) || math.IsNaN(f) {
			c.missing++
		} else {
			c.numbers.Add(f)
		}
	}
}

func (c *column) observeBools(from *data.Column, mask data.Bitmap) {
	var counts [2]int64
	for i, v := range from.Bools {
		switch {
		case !mask.Get(i):
		case !from.Valid.Get(i):
			c.missing++
		case v:
			counts[1]++
		default:
			counts[0]++
		}
	}
	c.values.add("false", counts[0])
	c.values.add("true", counts[1])
}

func (c *column) observeStrings(from *data.Column, mask data.Bitmap) {
	counts := make([]int64, len(from.Dict))
	for i, code := range from.Codes {
		switch {
		case !mask.Get(i):
		case !from.Valid.Get(i):
			c.missing++
		default:
			counts[code]++
		}
	}
	for code, n := range counts {
		c.values.add(from.Dict[code], n)
	}
}

// Flush brings numbers that Observe has set aside into the summaries. All methods
// do so themselves.
func (p *Profile) Flush() {
	for _, c := range p.columns {
		if c.kind == Number {
			c.numbers.Flush()
		}
	}
}

// Merge adds the rows that o has seen, which must have the same columns in the
// same order, and the same limits; else the error is of kind Invalid and p is
// left as it was. O stays as it is.
func (p *Profile) Merge(o *Profile) error {
	if !slices.Equal(p.Columns(), o.Columns()) {
		return fault.New(fault.Invalid, "drift: merge: columns %v and %v", p.Columns(), o.Columns())
	}
	for i, c := range p.columns {
		d := o.columns[i]
		if c.kind != d.kind {
			return fault.New(fault.Invalid, "drift: merge: column %q is a %v and a %v", c.name, c.kind, d.kind)
		}
		if c.kind == Number && c.numbers.MaxDistinct() != d.numbers.MaxDistinct() || c.kind != Number && !c.values.sameLimits(d.values) {
			return fault.New(fault.Invalid, "drift: merge: column %q was profiled with different limits", c.name)
		}
	}
	for i, c := range p.columns {
		d := o.columns[i]
		c.rows, c.missing = c.rows+d.rows, c.missing+d.missing
		if c.kind == Number {
			c.numbers.Merge(d.numbers)
		} else {
			c.values.merge(d.values)
		}
	}
	p.rows += o.rows
	return nil
}
