package parquet_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
)

// survive reads all of a file that may be anything, and returns why that is not
// right: a panic, columns that do not fit each other, an error of no kind. Each
// column is read by itself, so that one which is damaged hides no other.
func survive(b []byte) error {
	f, err := parquet.Open(bytes.NewReader(b), int64(len(b)), "damaged.parquet")
	if err != nil {
		return checkFault(err)
	}
	for g := range min(f.NumRowGroups(), 4) {
		for _, field := range f.Schema().Fields[:min(len(f.Schema().Fields), 20)] {
			batch, err := f.ReadRowGroup(context.Background(), g, []string{field.Name})
			if err != nil {
				if err := checkFault(err); err != nil {
					return err
				}
				continue
			}
			if n := f.RowGroup(g).Rows; n > 0 {
				part, err := f.Read(context.Background(), g, parquet.ReadOptions{Columns: []string{field.Name}, Rows: parquet.RowSpan{From: n / 3, To: n/3 + 1}})
				if err == nil && part.NumRows != 1 {
					return fmt.Errorf("%d rows of 1", part.NumRows)
				}
				if err != nil {
					if err := checkFault(err); err != nil {
						return err
					}
				}
			}
			c := batch.Columns[0]
			if int64(c.Len()) != f.RowGroup(g).Rows || batch.NumRows != c.Len() || c.Valid != nil && len(c.Valid) != (c.Len()+63)/64 {
				return fmt.Errorf("%d rows of %d, marks for %d", c.Len(), f.RowGroup(g).Rows, 64*len(c.Valid))
			}
			for i, code := range c.Codes {
				if int(code) >= len(c.Dict) && c.Valid.Get(i) {
					return fmt.Errorf("code %d of %d strings", code, len(c.Dict))
				}
			}
		}
	}
	return nil
}

func checkFault(err error) error {
	switch kind := fault.Of(err); {
	case strings.Contains(err.Error(), "cannot be decoded"):
		return fmt.Errorf("a panic: %w", err)
	case kind != fault.Corrupt && kind != fault.Invalid && kind != fault.Exhausted:
		return fmt.Errorf("%v: %w", kind, err)
	case !strings.Contains(err.Error(), "damaged.parquet"):
		return fmt.Errorf("the file is not named: %w", err)
	}
	return nil
}

// damage changes a file in one of many ways, most often in its footer and page
// headers, where lengths and counts are.
func damage(r *rand.Rand, b []byte) []byte {
	b = slices.Clone(b)
	at := r.IntN(len(b))
	if len(b) > 8 && r.IntN(2) == 0 {
		footer := int(binary.LittleEndian.Uint32(b[len(b)-8:]))
		if footer < len(b)-8 {
			at = len(b) - 8 - 1 - r.IntN(footer+1)
		}
	}
	switch r.IntN(8) {
	case 0:
		b[at] ^= 1 << r.IntN(8)
	case 1:
		b[at] = byte(r.Uint32())
	case 2:
		b[at] = []byte{0, 1, 0x7f, 0x80, 0xff}[r.IntN(5)]
	case 3: // a large varint
		copy(b[at:], []byte{0xff, 0xff, 0xff, 0xff, byte(r.IntN(128))})
	case 4: // a large length
		if at+4 <= len(b) {
			binary.LittleEndian.PutUint32(b[at:], uint32(1)<<r.IntN(32)-uint32(r.IntN(2)))
		}
	case 5: // bytes that are missing
		b = slices.Delete(b, at, min(len(b), at+1+r.IntN(16)))
	case 6: // bytes too many
		more := make([]byte, 1+r.IntN(16))
		for i := range more {
			more[i] = byte(r.Uint32())
		}
		b = slices.Insert(b, at, more...)
	case 7: // bytes of elsewhere
		copy(b[at:min(len(b), at+1+r.IntN(64))], b[r.IntN(len(b)):])
	}
	if r.IntN(3) == 0 && len(b) > 0 {
		return damage(r, b)
	}
	return b
}

// samples are small files that reach every encoding and codec.
func samples(t testing.TB) (files [][]byte) {
	t.Helper()
	var schema data.Schema
	for i, typ := range allTypes {
		schema.Fields = append(schema.Fields,
			data.Field{Name: fmt.Sprint("required", i), Type: typ}, data.Field{Name: fmt.Sprint("nullable", i), Type: typ, Nullable: true})
	}
	for seed, codec := range []parquet.Codec{parquet.Zstd, parquet.Snappy, parquet.None} {
		for _, few := range []bool{false, true} {
			b := &data.Batch{Schema: schema, NumRows: 150}
			for k, f := range schema.Fields {
				c := data.NewColumn(f.Type, b.NumRows)
				codes := map[string]uint32{}
				if f.Nullable {
					c.Valid = data.NewBitmap(b.NumRows)
				}
				for i := range b.NumRows {
					v := mix(uint64(seed), uint64(k*1000+i))
					if f.Nullable && v%3 == 0 {
						continue
					}
					if f.Nullable {
						c.Valid.Set(i)
					}
					if few {
						v = mix(1, v%4)
					}
					set(c, i, v>>(k%2*20), codes)
				}
				b.Columns = append(b.Columns, c)
			}
			cfg := parquet.DefaultWriterConfig()
			cfg.Codec, cfg.PageRows, cfg.MaxDictionaryBytes = codec, 64, 200
			files = append(files, write(t, cfg, schema, b, b))
		}
	}
	return files
}

// No damage makes the reader panic, hang, or take memory out of proportion to
// the file. This test runs alone, since it counts what is allocated.
func TestNoDamageIsFatal(t *testing.T) { //nolint:paralleltest // it counts what is allocated
	files := samples(t)
	paths, err := filepath.Glob(filepath.Join(dataDir, "nasty/*/*.parquet"))
	require.NoError(t, err)
	for _, path := range paths {
		if b := readData(t, strings.TrimPrefix(path, dataDir)); len(b) > 0 && len(b) < 100_000 && !strings.Contains(path, "wide") {
			files = append(files, b)
		}
	}
	for i, b := range files {
		require.NoError(t, survive(b), "file %d", i)
	}
	const rounds = 3000
	for seed := range uint64(rounds) {
		r := rng.New(seed, "damage")
		file := files[r.IntN(len(files))]
		b := damage(r, file)
		var err error
		taken := allocated(func() { err = survive(b) })
		require.NoError(t, err, "seed %d", seed)
		require.Less(t, taken, uint64(256<<20), "seed %d: bytes allocated for a file of %d", seed, len(b))
	}
}

// A reader that fails is not a damaged file.
func TestFaultsOfTheReaderKeepTheirKind(t *testing.T) {
	t.Parallel()
	b := samples(t)[0]
	for after := range 3 {
		f, err := parquet.Open(&failing{bytes.NewReader(b), after}, int64(len(b)), "x.parquet")
		if err == nil {
			_, err = f.ReadRowGroup(context.Background(), 0, nil)
		}
		if after < 2 {
			require.Equal(t, fault.Unavailable, fault.Of(err), "%d", after)
			require.ErrorContains(t, err, "x.parquet")
		} else {
			require.NoError(t, err)
		}
	}
}

type failing struct {
	r    *bytes.Reader
	left int
}

func (f *failing) ReadAt(b []byte, at int64) (int, error) {
	if f.left--; f.left < 0 {
		return 0, fault.New(fault.Unavailable, "the disk is away")
	}
	return f.r.ReadAt(b, at)
}

func FuzzRead(f *testing.F) {
	for _, b := range samples(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := survive(b); err != nil {
			t.Fatal(err)
		}
	})
}
