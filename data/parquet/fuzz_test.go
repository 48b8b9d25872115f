package parquet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
)

// kinds are the sorts of columns that pages are decoded as: every type, alone,
// nullable, in a struct and in a list.
func kinds() (out []leaf) {
	base := []element{
		{physical: format.Boolean}, {physical: format.Int32}, {physical: format.Int64}, {physical: format.Int96}, {physical: format.Float}, {physical: format.Double},
		{physical: format.ByteArray}, {physical: format.FixedLenByteArray, width: 5},
		{physical: format.ByteArray, logical: logical{id: logicalString}},
		{physical: format.Int32, logical: logical{id: logicalDate}}, {physical: format.Int32, logical: logical{id: logicalDecimal, scale: 2}},
		{physical: format.Int32, logical: logical{id: logicalInteger, bits: 32}}, {physical: format.Int64, logical: logical{id: logicalInteger, bits: 64}},
		{physical: format.Int64, logical: logical{id: logicalTimestamp, unit: 1}}, {physical: format.Int64, logical: logical{id: logicalTimestamp, unit: 3}},
		{physical: format.Int64, logical: logical{id: logicalDecimal, scale: 4}}, {physical: format.ByteArray, logical: logical{id: logicalDecimal, scale: 4}},
		{physical: format.FixedLenByteArray, width: 16, logical: logical{id: logicalUUID}}, {physical: format.FixedLenByteArray, width: 2, logical: logical{id: logicalFloat16}},
		{physical: format.FixedLenByteArray, width: 12, logical: logical{id: logicalDecimal, scale: 10}},
		{physical: format.FixedLenByteArray, width: intervalBytes, converted: convertedInterval},
	}
	for _, e := range base {
		if e.converted == 0 { // as nobody has said
			e.converted = -1
		}
		l := leaf{width: int(e.width), physical: e.physical}
		if reason := l.interpret(&e); reason != "" {
			panic(reason)
		}
		if l.conv == fromInterval {
			l.conv = fromDays
		}
		l.element = l.field.Type
		for _, def := range []int{0, 1, 2} {
			one := l
			one.maxDef, one.field.Nullable = def, def > 0
			out = append(out, one)
		}
		list := l
		list.maxDef, list.maxRep, list.listDef, list.part, list.field.Nullable = 3, 1, 2, listLast, true
		out = append(out, list)
	}
	return out
}

// checkColumn says what is wrong with a column that was decoded without error.
func checkColumn(c *data.Column, l *leaf, rows int) error {
	switch {
	case c.Type != l.field.Type || c.Len() != rows:
		return fmt.Errorf("%v of %d rows, %v of %d expected", c.Type, c.Len(), l.field.Type, rows)
	case c.Valid != nil && len(c.Valid) != (rows+63)/64:
		return fmt.Errorf("marks for %d rows of %d", 64*len(c.Valid), rows)
	case !l.field.Nullable && c.NumNulls() > 0:
		return errors.New("nulls where there are none")
	}
	for i, code := range c.Codes {
		if c.Valid.Get(i) && int(code) >= len(c.Dict) {
			return fmt.Errorf("code %d of %d strings", code, len(c.Dict))
		}
	}
	return nil
}

// decodeChunk decodes a chunk as Read would.
func decodeChunk(l *leaf, codec format.CompressionCodec, b []byte, rows int) (*data.Column, error) {
	s := &scratch{maxBytes: 64 << 20}
	s.list.at = -1
	pages, err := splitPages(b, nil)
	if err != nil {
		return nil, err
	}
	return s.decodePages(l, codec, pages, int64(len(b)), rows)
}

func (s *scratch) decodePages(l *leaf, codec format.CompressionCodec, pages []page, packed int64, rows int) (*data.Column, error) {
	n := numRows(pages)
	switch {
	case plainBytes(pages) > s.maxBytes:
		return nil, errStrings(s.maxBytes)
	case l.part != whole:
		return s.readList(context.Background(), l, &chunk{codec: codec, numValues: n, packed: packed}, pages, rows, nil)
	case n != int64(rows):
		return nil, errShort
	}
	return s.readColumn(context.Background(), l, codec, pages, rows, nil)
}

// seedFiles are files of this writer, and the awkward and broken ones where they
// are there.
func seedFiles(t testing.TB) (files [][]byte) {
	t.Helper()
	schema := data.Schema{Fields: []data.Field{
		{Name: "i", Type: data.Int64, Nullable: true}, {Name: "f", Type: data.Float64}, {Name: "s", Type: data.String, Nullable: true}, {Name: "b", Type: data.Bool},
	}}
	for _, codec := range []Codec{Zstd, Snappy, None} {
		b := &data.Batch{Schema: schema, NumRows: 100}
		for _, f := range schema.Fields {
			c := data.NewColumn(f.Type, b.NumRows)
			if f.Nullable {
				c.Valid = data.NewBitmap(b.NumRows)
			}
			for i := range b.NumRows {
				switch {
				case f.Nullable && i%3 == 0:
					continue
				case f.Nullable:
					c.Valid.Set(i)
				}
				switch f.Type {
				case data.Int64:
					c.Int64s[i] = int64(i * i)
				case data.Float64:
					c.Float64s[i] = float64(i % 7)
				case data.String:
					c.Codes[i] = uint32(i % 5)
				}
			}
			if f.Type == data.String {
				c.Dict = []string{"", "a", "bc", "déf", "ghij"}
			}
			b.Columns = append(b.Columns, c)
		}
		var out bytes.Buffer
		cfg := DefaultWriterConfig()
		cfg.Codec, cfg.PageRows = codec, 40
		w, err := NewWriter(&out, schema, cfg)
		require.NoError(t, err)
		require.NoError(t, errors.Join(w.Write(b), w.Close()))
		files = append(files, out.Bytes())
	}
	paths, err := filepath.Glob("../../../shared/data/nasty/*/*.parquet")
	require.NoError(t, err)
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || len(b) > 20_000 {
			continue
		}
		require.NoError(t, err)
		files = append(files, b)
	}
	return files
}

func FuzzFooter(f *testing.F) {
	for _, b := range seedFiles(f) {
		if n := len(b); n > 12 {
			if size := int(binary.LittleEndian.Uint32(b[n-8:])); size < n-12 {
				f.Add(b[n-8-size : n-8])
			}
		}
	}
	f.Fuzz(func(t *testing.T, footer []byte) {
		// The pages are missing, so that only what the footer says can matter.
		b := append([]byte(magic), make([]byte, 4096)...)
		b = append(b, footer...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(footer)))
		b = append(b, magic...)
		file, err := Open(bytes.NewReader(b), int64(len(b)), "f.parquet")
		if err != nil {
			requireSaid(t, err)
			return
		}
		for g := range min(file.NumRowGroups(), 3) {
			for _, field := range file.Schema().Fields[:min(len(file.Schema().Fields), 20)] {
				_, ok := file.Statistics(g, field.Name)
				require.True(t, ok)
				filter, err := data.Not(data.IsNull(field.Name)).Bind(file.Schema())
				require.NoError(t, err)
				_, err = file.Read(context.Background(), g, ReadOptions{Columns: []string{field.Name}, Filter: filter, MaxBytes: 64 << 20})
				if err != nil {
					requireSaid(t, err)
				}
			}
		}
	})
}

// requireSaid checks that an error names the file and is no panic.
func requireSaid(t *testing.T, err error) {
	t.Helper()
	if strings.Contains(err.Error(), "cannot be decoded") || !strings.Contains(err.Error(), "f.parquet") {
		t.Fatal(err)
	}
}

func FuzzPage(f *testing.F) {
	all := kinds()
	for _, b := range seedFiles(f) {
		file, err := Open(bytes.NewReader(b), int64(len(b)), "f.parquet")
		if err != nil {
			continue
		}
		for g := range min(file.NumRowGroups(), 2) {
			for i := range file.leaves {
				l := &file.leaves[i]
				c := &file.foot.groups[g].chunks[l.at]
				for k := range all {
					a := &all[k]
					if a.physical == l.physical && a.conv == l.conv && a.width == l.width && a.maxDef == l.maxDef && a.maxRep == l.maxRep {
						f.Add(byte(k), byte(c.codec), uint16(file.foot.groups[g].numRows), b[c.start:c.start+c.packed])
						break
					}
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind, codec byte, rows uint16, chunk []byte) {
		l := &all[int(kind)%len(all)]
		c, err := decodeChunk(l, format.CompressionCodec(codec%8), chunk, int(rows))
		if err == nil {
			require.NoError(t, checkColumn(c, l, int(rows)))
		}
	})
}

func FuzzDictionary(f *testing.F) {
	all := kinds()
	for k := range all {
		f.Add(byte(k), uint16(2), uint16(9), []byte{4, 0, 0, 0, 'a', 'b', 'c', 'd', 0, 0, 0, 0, 0, 0, 0, 0}, []byte{1, 3, 0b01010101, 2, 1})
		f.Add(byte(k), uint16(1), uint16(8), bytes.Repeat([]byte{0}, 16), []byte{0, 16})
	}
	f.Fuzz(func(t *testing.T, kind byte, entries, rows uint16, dict, values []byte) {
		l := all[int(kind)%len(all)]
		if l.part != whole || l.maxDef > 1 {
			return // FuzzPage has levels
		}
		l.maxDef, l.field.Nullable = 0, false
		s := &scratch{maxBytes: 64 << 20}
		c, err := s.decodePages(&l, format.Uncompressed, []page{
			{kind: format.DictionaryPage, encoding: format.Plain, numValues: int(entries), body: dict, plain: len(dict)},
			{kind: format.DataPage, encoding: format.RLEDictionary, numValues: int(rows), body: values, plain: len(values), levelsKind: format.RLE},
		}, int64(len(dict)+len(values)), int(rows))
		if err == nil {
			require.NoError(t, checkColumn(c, &l, int(rows)))
		}
	})
}
