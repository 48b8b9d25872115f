package drift

import (
	"encoding/binary"
	"math"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/unpack"
	"github.com/troupe-ml/troupe/ml/sketch"
)

const (
	profileMagic   = "TDP"
	profileVersion = 1
	maxRows        = 1 << 56 // that an encoded profile may claim, so that sums cannot overflow
)

// MarshalBinary writes the profile: the same bytes for the same multiset of
// rows, whatever their order and however they were split and merged.
//
// Layout, version 1: the letters TDP and the version; rows; number of columns;
// for each its name, kind, missing values, and then of numbers the encoded
// sketch.Quantiles, of bools and strings the limits and whether strings are in
// groups, and the strings in ascending order, each with its count, or the counts
// of all groups; last, xxh3 of all that is before it, 8 bytes, little endian.
// Numbers are varints; names, strings and quantiles follow their length.
func (p *Profile) MarshalBinary() ([]byte, error) {
	b := append([]byte(profileMagic), profileVersion)
	b = binary.AppendUvarint(b, uint64(p.rows))
	b = binary.AppendUvarint(b, uint64(len(p.columns)))
	for _, c := range p.columns {
		b = appendString(b, c.name)
		b = append(b, byte(c.kind))
		b = binary.AppendUvarint(b, uint64(c.missing))
		if c.kind != Number {
			b = c.values.append(b)
			continue
		}
		q, err := c.numbers.MarshalBinary()
		if err != nil {
			return nil, err
		}
		b = appendString(b, string(q))
	}
	return binary.LittleEndian.AppendUint64(b, xxh3.Hash(b)), nil
}

func (v *values) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(v.maxStrings))
	b = binary.AppendUvarint(b, uint64(v.maxBytes))
	if v.groups != nil {
		b = append(b, 1)
		for _, n := range v.groups {
			b = binary.AppendUvarint(b, uint64(n))
		}
		return b
	}
	b = append(b, 0)
	b = binary.AppendUvarint(b, uint64(len(v.counts)))
	for _, s := range v.sorted() {
		b = appendString(b, s)
		b = binary.AppendUvarint(b, uint64(v.counts[s]))
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// UnmarshalBinary replaces p by what MarshalBinary has written. The error is of
// kind Corrupt, and p is left as it was, when b is anything else. Memory is
// bounded by a small multiple of len(b) and 32 KiB a column.
func (p *Profile) UnmarshalBinary(b []byte) error {
	if len(b) < len(profileMagic)+1+8 || string(b[:len(profileMagic)]) != profileMagic {
		return fault.New(fault.Corrupt, "drift: decode profile: the %d bytes are no profile", len(b))
	}
	if v := b[len(profileMagic)]; v != profileVersion {
		return fault.New(fault.Corrupt, "drift: decode profile: version %d, expected %d", v, profileVersion)
	}
	body, sum := b[:len(b)-8], binary.LittleEndian.Uint64(b[len(b)-8:])
	if xxh3.Hash(body) != sum {
		return fault.New(fault.Corrupt, "drift: decode profile: the checksum does not fit the %d bytes", len(b))
	}
	r := &reader{unpack.New("drift: decode profile", body[len(profileMagic)+1:])}
	got := &Profile{rows: r.count()}
	for range r.count() {
		if r.Err() != nil {
			break
		}
		c := r.column(got.rows)
		if got.column(c.name) != nil {
			r.Fail("column %q twice", c.name)
		}
		got.columns = append(got.columns, c)
	}
	if err := r.End(); err != nil {
		return err
	}
	*p = *got
	return nil
}

// reader decodes a profile.
type reader struct{ unpack.Reader }

func (r *reader) count() int64 { return r.Count(min(maxRows, math.MaxInt)) }

func (r *reader) string() string { return string(r.Nested()) }

func (r *reader) column(rows int64) *column {
	c := &column{name: r.string(), kind: Kind(r.Byte()), rows: rows, missing: r.count()}
	n := c.missing
	switch {
	case int(c.kind) >= len(kindNames):
		r.Fail("column %q: unknown kind %d", c.name, c.kind)
	case c.kind == Number:
		c.numbers = new(sketch.Quantiles)
		if encoded := r.Nested(); r.Err() == nil {
			if err := c.numbers.UnmarshalBinary(encoded); err != nil {
				r.Fail("column %q: %w", c.name, err)
			}
		}
		n += c.numbers.N()
	default:
		c.values = r.values()
		for _, k := range c.values.counts {
			n += k
		}
		if c.values.groups != nil {
			for _, k := range c.values.groups {
				n += k
			}
		}
	}
	if r.Err() == nil && n != rows {
		r.Fail("column %q accounts for %d of %d rows", c.name, n, rows)
	}
	return c
}

func (r *reader) values() *values {
	v := &values{maxStrings: int(r.count()), maxBytes: int(r.count())}
	switch form := r.Byte(); form {
	case 0:
		v.counts = make(map[string]int64)
		last := ""
		for i := range r.count() {
			s, n := r.string(), r.count()
			if r.Err() != nil {
				break
			}
			if n == 0 || i > 0 && s <= last {
				r.Fail("strings are not in ascending order, each with a count")
			}
			v.counts[s], last = n, s
			v.bytes += len(s)
		}
		if len(v.counts) > v.maxStrings || v.bytes > v.maxBytes {
			r.Fail("more strings than the limit of %d, or %d bytes", v.maxStrings, v.maxBytes)
		}
	case 1:
		v.groups = new([numGroups]int64)
		for g := range v.groups {
			v.groups[g] = r.count()
		}
	default:
		r.Fail("unknown form %d of strings", form)
	}
	return v
}
