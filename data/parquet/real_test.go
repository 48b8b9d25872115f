package parquet_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/fault"
)

// dataDir is where the real data lies, beside the repository.
const dataDir = "../../../shared/data"

// readData reads a file below dataDir, and skips the test when there is none.
func readData(t testing.TB, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dataDir, filepath.Join(path...)))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the real data is not there: ", err)
	}
	require.NoError(t, err)
	return b
}

type catalogTable struct {
	Rows    int64
	Codec   string
	Columns []struct {
		Name, Type string
		Missing    int
		Distinct   int `json:"distinct_about"`
	}
}

// Every file has the rows, types and nulls that the catalogue says, survives
// being written and read again, and, where that is not too slow, holds what an
// independent reader finds.
func TestTheRealDataIsRead(t *testing.T) {
	t.Parallel()
	var catalog struct{ Tables map[string]catalogTable }
	require.NoError(t, json.Unmarshal(readData(t, "catalog.json"), &catalog))
	for pattern, table := range catalog.Tables {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			paths, err := filepath.Glob(filepath.Join(dataDir, pattern))
			require.NoError(t, err)
			require.NotEmpty(t, paths)
			rows := int64(0)
			missing := make([]int, len(table.Columns))
			distinct := make([]map[string]bool, len(table.Columns))
			for _, path := range paths {
				b, err := os.ReadFile(path)
				require.NoError(t, err)
				f := open(t, b)
				rows += f.NumRows()
				batches := readAll(t, f)
				for i, c := range table.Columns {
					field := f.Schema().Fields[i]
					require.Equal(t, c.Name, field.Name)
					require.Equal(t, typeOf(c.Type), field.Type, c.Name)
					require.Equal(t, c.Type == "TIMESTAMP WITH TIME ZONE", field.UTC)
					if distinct[i] == nil {
						distinct[i] = map[string]bool{}
					}
					for _, b := range batches {
						missing[i] += b.Columns[i].NumNulls()
						for _, s := range b.Columns[i].Dict {
							distinct[i][s] = true
						}
					}
				}
				back := readAll(t, open(t, write(t, parquet.DefaultWriterConfig(), f.Schema(), batches...)))
				for i := range batches {
					requireSame(t, batches[i], back[i])
				}
				if int(f.NumRows())*len(f.Schema().Fields) < 150_000 && table.Codec != "LZ4_RAW" { // which parquet-go decompresses wrongly
					requireForeign(t, b, b)
				}
			}
			assert.Equal(t, table.Rows, rows)
			for i, c := range table.Columns {
				assert.Equal(t, c.Missing, missing[i], c.Name)
				if typeOf(c.Type) == data.String {
					assert.InDelta(t, c.Distinct, len(distinct[i]), 2+.3*float64(c.Distinct), c.Name)
				}
			}
		})
	}
}

func typeOf(name string) data.Type {
	return map[string]data.Type{
		"BOOLEAN": data.Bool, "TINYINT": data.Int32, "INTEGER": data.Int32, "BIGINT": data.Int64, "FLOAT": data.Float32, "DOUBLE": data.Float64,
		"VARCHAR": data.String, "DATE": data.Date, "TIMESTAMP": data.Timestamp, "TIMESTAMP WITH TIME ZONE": data.Timestamp,
	}[name]
}

type nasty struct {
	File, Expect, Why string
	Rows              int64
}

func nastyFiles(t testing.TB) (files []nasty) {
	t.Helper()
	require.NoError(t, json.Unmarshal(readData(t, "nasty", "manifest.json"), &files))
	return files
}

func TestNastyFilesAreReadOrRefused(t *testing.T) {
	t.Parallel()
	for _, n := range nastyFiles(t) {
		if strings.HasSuffix(n.File, "/") {
			continue // several files as one table: not this room's
		}
		t.Run(n.File, func(t *testing.T) {
			t.Parallel()
			b := readData(t, "nasty", n.File)
			batches, schema, err := tryAll(b, n.File)
			switch n.Expect {
			case "fail":
				requireRefusal(t, err, n.File)
			case "either", "read-or-refuse":
				if err != nil {
					requireRefusal(t, err, n.File)
					break
				}
				fallthrough
			case "read":
				require.NoError(t, err)
				if strings.Contains(n.File, "nested_list") || strings.Contains(n.File, "nested_map") {
					requireLists(t, n, batches)
					break
				}
				requireExpected(t, n, b, batches, schema)
			default:
				require.Fail(t, n.Expect)
			}
		})
	}
}

func tryAll(b []byte, name string) ([]*data.Batch, data.Schema, error) {
	f, err := parquet.Open(bytes.NewReader(b), int64(len(b)), name)
	if err != nil {
		return nil, data.Schema{}, err
	}
	var out []*data.Batch
	for g := range f.NumRowGroups() {
		batch, err := f.ReadRowGroup(context.Background(), g, nil)
		if err != nil {
			return nil, f.Schema(), err
		}
		out = append(out, batch)
	}
	return out, f.Schema(), tryLists(f)
}

// tryLists makes rows of each list that a file has.
func tryLists(f *parquet.File) error {
	for _, name := range f.Schema().Names() {
		list, isList := strings.CutSuffix(name, ".count")
		if !isList {
			continue
		}
		rows, err := f.Explode(list)
		for g := 0; err == nil && g < f.NumRowGroups(); g++ {
			_, err = rows.Read(context.Background(), g, parquet.ReadOptions{Columns: rows.Schema().Names()})
		}
		if err != nil && fault.Of(err) != fault.Invalid { // a list that cannot become rows
			return err
		}
	}
	return nil
}

// requireRefusal checks that an error names the file and is the file's fault.
func requireRefusal(t *testing.T, err error, file string) {
	t.Helper()
	require.ErrorContains(t, err, file)
	require.Contains(t, []fault.Kind{fault.Corrupt, fault.Invalid}, fault.Of(err), err.Error())
	require.NotContains(t, err.Error(), "cannot be decoded", "a panic")
}

// requireExpected compares with the expected values, or where there are none
// with an independent reader.
func requireExpected(t *testing.T, n nasty, b []byte, batches []*data.Batch, schema data.Schema) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dataDir, "nasty/expected", n.File+".csv"))
	if errors.Is(err, fs.ErrNotExist) {
		if n.Rows > 0 {
			requireForeign(t, b, b)
		}
		return
	}
	require.NoError(t, err)
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = -1
	lines, err := r.ReadAll()
	require.NoError(t, err)
	header, lines := lines[0], lines[1:]
	row := 0
	for _, batch := range batches {
		for i := range batch.NumRows {
			at := 0
			for k := range header {
				if at == len(batch.Columns) {
					break
				}
				if field := schema.Fields[at].Name; strings.HasPrefix(field, header[k]+".") && header[k] != "a" {
					assert.Equal(t, lines[row][k], structText(batch, schema, &at, header[k], i))
					continue
				}
				want := lines[row][k]
				if got := cell(batch.Columns[at], i); !sameText(batch.Columns[at], got, want) {
					require.Fail(t, "value", "row %d, %s: %q expected, not %v", row, header[k], want, got)
				}
				at++
			}
			require.Len(t, batch.Columns, at)
			row++
		}
	}
	require.Len(t, lines, row)
}

// structText writes the columns of a struct as the expected values do.
func structText(b *data.Batch, schema data.Schema, at *int, name string, row int) string {
	var parts []string
	for ; *at < len(b.Columns) && strings.HasPrefix(schema.Fields[*at].Name, name+"."); *at++ {
		v := cell(b.Columns[*at], row)
		if v == nil {
			v = "NULL"
		}
		parts = append(parts, fmt.Sprintf("'%s': %v", strings.TrimPrefix(schema.Fields[*at].Name, name+"."), v))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// sameText reports whether a cell is what the text says.
func sameText(c *data.Column, got any, text string) bool {
	if got == nil || text == `\N` {
		return got == nil && text == `\N`
	}
	switch v := got.(type) {
	case bool:
		return strconv.FormatBool(v) == text
	case int32:
		if c.Type == data.Date {
			d, err := time.Parse(time.DateOnly, text)
			return err == nil && d.Unix() == int64(v)*86400
		}
		return strconv.FormatInt(int64(v), 10) == text
	case int64:
		if c.Type == data.Timestamp {
			at, err := time.Parse("2006-01-02 15:04:05", strings.TrimSuffix(text, "+00"))
			return err == nil && at.UnixMicro() == v
		}
		if at, err := time.Parse("15:04:05", text); err == nil {
			return at.Sub(at.Truncate(24*time.Hour)).Microseconds() == v
		}
		return strconv.FormatInt(v, 10) == text
	case uint32:
		f, err := strconv.ParseFloat(text, 32)
		return err == nil && (math.Float32bits(float32(f)) == v || math.IsNaN(f) && math.Float32frombits(v) != math.Float32frombits(v))
	case uint64:
		f, err := strconv.ParseFloat(text, 64)
		return err == nil && (math.Float64bits(f) == v || math.IsNaN(f) && math.IsNaN(math.Float64frombits(v)))
	default:
		return v == text || blobText(v.(string)) == text
	}
}

func blobText(s string) string {
	var out strings.Builder
	for _, c := range []byte(s) {
		if c >= ' ' && c < 0x7f && !strings.ContainsRune(`'"\`, rune(c)) {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, `\x%02X`, c)
		}
	}
	return out.String()
}
