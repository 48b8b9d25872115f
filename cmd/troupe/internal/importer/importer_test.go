package importer_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/importer"
	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/arrow"
	"github.com/troupe-ml/troupe/data/datatest"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is a folder of files to import.
type place struct {
	t   *testing.T
	dir string
	n   int
}

func newPlace(t *testing.T) *place { return &place{t: t, dir: t.TempDir()} }

func (p *place) write(name, text string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	require.NoError(p.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (p *place) run(change func(*importer.Config), files ...string) (*importer.Result, error) {
	p.t.Helper()
	c := importer.DefaultConfig()
	p.n++
	c.Files, c.Out, c.Threads = files, filepath.Join(p.dir, fmt.Sprint("out", p.n)), 3
	if change != nil {
		change(&c)
	}
	return importer.Run(p.t.Context(), c)
}

// ok imports, verifies the output, and returns its rows as text.
func (p *place) ok(change func(*importer.Config), files ...string) (*importer.Result, []string) {
	p.t.Helper()
	r, err := p.run(change, files...)
	require.NoError(p.t, err)
	m, errs := run.Verify(p.t.Context(), nil, r.Output)
	require.Empty(p.t, errs)
	require.Equal(p.t, r.Digest, m.Digest)
	require.Equal(p.t, r.RowsOut, m.Rows)
	require.Equal(p.t, r.RowsIn, r.RowsOut+r.RowsRejected)
	in, rejected := int64(0), int64(0)
	var rows []string
	for _, part := range m.Parts {
		in, rejected = in+part.RowsIn, rejected+part.RowsRejected
		rows = append(rows, p.rows(filepath.Join(r.Output, part.Name))...)
	}
	require.Equal(p.t, r.RowsIn, in)
	require.Equal(p.t, r.RowsRejected, rejected)
	entries, err := os.ReadDir(r.Output)
	require.NoError(p.t, err)
	for _, e := range entries {
		require.NotContains(p.t, e.Name(), "staging")
	}
	return r, rows
}

func (p *place) rows(path string) (out []string) {
	f, err := os.Open(path)
	require.NoError(p.t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(p.t, err)
	pf, err := parquet.Open(f, info.Size(), path)
	require.NoError(p.t, err)
	for g := range pf.NumRowGroups() {
		b, err := pf.ReadRowGroup(context.Background(), g, nil)
		require.NoError(p.t, err)
		for i := range b.NumRows {
			var row []string
			for _, c := range b.Columns {
				switch {
				case !c.Valid.Get(i):
					row = append(row, "-")
				case c.Type == data.String:
					row = append(row, c.Dict[c.Codes[i]])
				case c.Type == data.Float64:
					row = append(row, fmt.Sprint(c.Float64s[i]))
				case c.Type == data.Bool:
					row = append(row, fmt.Sprint(c.Bools[i]))
				case c.Type == data.Date || c.Type == data.Int32:
					row = append(row, fmt.Sprint(c.Int32s[i]))
				default:
					row = append(row, fmt.Sprint(c.Int64s[i]))
				}
			}
			out = append(out, strings.Join(row, " "))
		}
	}
	return out
}

func types(r *importer.Result) string {
	var out []string
	for _, c := range r.Columns {
		out = append(out, c.Name+"="+c.Type)
	}
	return strings.Join(out, " ")
}

// rejected returns the lines of the reject file.
func (p *place) rejected(r *importer.Result) (out []map[string]any) {
	p.t.Helper()
	f, err := os.Open(r.Rejected)
	require.NoError(p.t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var m map[string]any
		require.NoError(p.t, json.Unmarshal(lines.Bytes(), &m))
		out = append(out, m)
	}
	return out
}

func TestCSVBecomesParquet(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	in := p.write("a.csv", "\ufeffid;zip;amount;at;day;ok;text\r\n1;00451;1.5;2024-01-31T10:00:00Z;2024-01-31;true;\"a;\r\n\"\"b\"\"\"\r\n2;10115;;2024-01-31T11:00:00Z;;false;\r\n")
	r, rows := p.ok(nil, in)
	assert.Equal(t, "id=int64 zip=string amount=float64 at=timestamp with a zone day=date ok=bool text=string", types(r))
	assert.Equal(t, []string{"1 00451 1.5 1706695200000000 19753 true a;\r\n\"b\"", "2 10115 - 1706698800000000 - false -"}, rows)
	assert.Empty(t, r.Rejected)
	assert.NoFileExists(t, filepath.Join(r.Output, run.RejectedName))
	r, rows = p.ok(func(c *importer.Config) {
		c.Types = map[string]string{"id": "float64", "zip": "int32", "at": "string", "amount": "string"}
		c.Nulls = []string{"false"}
	}, in)
	assert.Equal(t, "id=float64 zip=int32 amount=string at=string day=date ok=bool text=string", types(r))
	assert.Equal(t, "2 10115 - 2024-01-31T11:00:00Z - - -", rows[1])
	_, rows = p.ok(func(c *importer.Config) { c.NoHeader = true }, p.write("b.csv", "1,x\n2,y"))
	assert.Equal(t, []string{"1 x", "2 y"}, rows)
	r, rows = p.ok(nil, p.write("head.csv", "a,b\n"))
	assert.Empty(t, rows)
	assert.Equal(t, "a=string b=string", types(r))
}

// The bytes of the output are the same for any number of threads, and for the
// same text in files that are packed or piped.
func TestTheOutputDoesNotDependOnThreads(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	var b strings.Builder
	b.WriteString("i,x,s,t\n")
	for i := range 40_000 {
		s := fmt.Sprint("name ", i*i%977)
		if i%1000 == 7 {
			s = "\"two\nlines, and \"\"quotes\"\"\""
		}
		if i%5000 == 11 {
			fmt.Fprintf(&b, "%d,no number,%s,2024-01-31\n", i, s)
			continue
		}
		fmt.Fprintf(&b, "%d,%d.%02d,%s,2024-01-31 10:%02d\n", i, i%100, i%97, s, i%60)
	}
	in := p.write("in.csv", b.String())
	change := func(threads int) func(c *importer.Config) {
		return func(c *importer.Config) {
			c.Threads, c.RowsPerGroup, c.RowsPerFile = threads, 3000, 9000
			c.Types = map[string]string{"x": "float64"}
		}
	}
	one, rows := p.ok(change(1), in)
	assert.Equal(t, int64(8), one.RowsRejected)
	assert.Equal(t, 5, one.Parts)
	assert.Len(t, rows, 39_992)
	want := p.rejected(one)
	assert.Equal(t, float64(14), want[0]["line"], "one quoted line end is before it")
	for _, threads := range []int{2, 7} {
		r, _ := p.ok(change(threads), in)
		assert.Equal(t, one.Digest, r.Digest)
		assert.Equal(t, want, p.rejected(r))
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write([]byte(b.String()))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	r, _ := p.ok(change(2), p.write("in.csv.gz", packed.String()))
	assert.Equal(t, one.Digest, r.Digest)
	zs, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	whole := zs.EncodeAll([]byte(b.String()), nil)
	r, _ = p.ok(change(2), p.write("in.csv.zst", string(whole)))
	assert.Equal(t, one.Digest, r.Digest)
	r, _ = p.ok(func(c *importer.Config) {
		change(2)(c)
		c.Format, c.Stdin = "csv", strings.NewReader(b.String())
	}, "-")
	assert.Equal(t, one.Digest, r.Digest)
	for name, cut := range map[string]string{"cut.csv.gz": packed.String()[:packed.Len()/2], "cut.csv.zst": string(whole[:len(whole)/2])} {
		_, err := p.run(change(2), p.write(name, cut))
		assert.ErrorContains(t, err, name)
		assert.Equal(t, fault.Corrupt, fault.Of(err), "%v", err)
	}
}

func TestSeveralFilesHaveOneHeader(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write("a1.csv", "x,y\n1,2\n")
	p.write("a2.csv", "x,y\n3,4")
	p.write("a3.csv", "")
	_, rows := p.ok(nil, filepath.Join(p.dir, "a*.csv"))
	assert.Equal(t, []string{"1 2", "3 4"}, rows)
	other := p.write("b.csv", "x,z\n1,2\n")
	_, err := p.run(nil, filepath.Join(p.dir, "a1.csv"), other)
	assert.ErrorContains(t, err, "b.csv")
	assert.ErrorContains(t, err, "a1.csv")
	assert.ErrorContains(t, err, `"z"`)
	wider := p.write("c.csv", "x,y,z\n1,2,3\n")
	_, err = p.run(nil, filepath.Join(p.dir, "a1.csv"), wider)
	assert.ErrorContains(t, err, "3 columns")
}

func TestLinesThatAreNoRowsAreWrittenDown(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	var b strings.Builder
	b.WriteString("a,b\n")
	for i := range 200 {
		fmt.Fprintf(&b, "%d,x\n", i)
	}
	in := p.write("in.csv", b.String()+"1,2,3\n\"open\n")
	r, rows := p.ok(nil, in)
	assert.Len(t, rows, 200)
	assert.Equal(t, []map[string]any{
		{"file": in, "line": 202.0, "reason": "3 fields, expected 2", "raw": "1,2,3"},
		{"file": in, "line": 203.0, "reason": "it opens a quote that is never closed", "raw": "\"open"},
	}, p.rejected(r))
	for limit, fails := range map[string]bool{"0": true, "1": true, "2": false, "0.5%": true, "1%": false, "0%": true} {
		out := filepath.Join(p.dir, "limit")
		_, err := p.run(func(c *importer.Config) { c.MaxRejected, c.Out = limit, out }, in)
		assert.Equal(t, fails, err != nil, limit)
		if fails {
			assert.Equal(t, fault.Invalid, fault.Of(err))
			assert.ErrorContains(t, err, "line 202 of "+in)
			assert.NoDirExists(t, out, "a failed import leaves nothing")
		} else {
			require.NoError(t, os.RemoveAll(out))
		}
	}
	_, err := p.run(func(c *importer.Config) { c.Types = map[string]string{"b": "date"} }, in)
	assert.ErrorContains(t, err, "none of 202 lines is a row")
	assert.ErrorContains(t, err, `column "b": "x" is no date`)
	// Another import into the same folder leaves no reject file of the old one.
	_, err = p.run(func(c *importer.Config) { c.Out = r.Output }, p.write("good.csv", "a,b\n1,2\n"))
	require.NoError(t, err)
	assert.NoFileExists(t, filepath.Join(r.Output, run.RejectedName))
	_, errs := run.Verify(t.Context(), nil, r.Output)
	assert.Empty(t, errs)
}

// Verify covers the file of rejected lines, too.
func TestAChangedRejectFileIsFound(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	r, _ := p.ok(nil, p.write("in.csv", "a,b\n1,2\n1\n"))
	require.NoError(t, os.WriteFile(r.Rejected, []byte("{}\n"), 0o600))
	_, errs := run.Verify(t.Context(), nil, r.Output)
	require.Len(t, errs, 1)
	assert.ErrorContains(t, errs[0], run.RejectedName)
}

func TestNDJSONBecomesParquet(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	in := p.write("in.ndjson", `{"id":1,"who":{"name":"Ann"},"tags":["a"]}`+"\n"+`{"id":2.5,"who":null}`+"\n"+`{"id":"x"`+"\n")
	r, rows := p.ok(nil, in)
	assert.Equal(t, "id=float64 who.name=string tags=string", types(r))
	assert.Equal(t, []string{`1 Ann ["a"]`, "2.5 - -"}, rows)
	assert.Equal(t, 3.0, p.rejected(r)[0]["line"])
	_, err := p.run(nil, p.write("array.json", "[{\"a\":1}]\n"))
	assert.ErrorContains(t, err, "array.json")
	assert.ErrorContains(t, err, "found an array")
	_, err = p.run(nil, p.write("empty.json", ""))
	assert.ErrorContains(t, err, "no fields")
	r, _ = p.ok(func(c *importer.Config) { c.Types = map[string]string{"more": "int64"} }, in)
	assert.Contains(t, types(r), "more=int64")
}

func TestArrowBecomesParquet(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	schema := data.Schema{Fields: []data.Field{{Name: "x", Type: data.Int64, Nullable: true}, {Name: "s", Type: data.String, Nullable: true}}}
	write := func(file bool) string {
		var b bytes.Buffer
		w, err := arrow.NewWriter(&b, schema, file)
		require.NoError(t, err)
		for i := range 5 {
			require.NoError(t, w.Write(&data.Batch{Schema: schema, NumRows: 2, Columns: []*data.Column{
				{Type: data.Int64, Int64s: []int64{int64(2 * i), int64(2*i + 1)}}, {Type: data.String, Codes: []uint32{0, 0}, Dict: []string{fmt.Sprint("v", i)}},
			}}))
		}
		require.NoError(t, w.Close())
		return b.String()
	}
	file, stream := p.write("in.arrow", write(true)), p.write("in.arrows", write(false))
	small := func(c *importer.Config) { c.RowsPerGroup, c.RowsPerFile = 3, 6 }
	one, rows := p.ok(small, file)
	assert.Equal(t, "x=int64 s=string", types(one))
	assert.Len(t, rows, 10)
	assert.Equal(t, "9 v4", rows[9])
	r, _ := p.ok(small, stream)
	assert.Equal(t, one.Digest, r.Digest)
	r, _ = p.ok(func(c *importer.Config) {
		small(c)
		c.Format, c.Stdin = "arrow", strings.NewReader(write(false))
	}, "-")
	assert.Equal(t, one.Digest, r.Digest)
	_, rows = p.ok(nil, file, stream)
	assert.Len(t, rows, 20)
	_, err := p.run(nil, p.write("cut.arrow", write(true)[:900]))
	assert.ErrorContains(t, err, "cut.arrow")
	assert.Equal(t, fault.Corrupt, fault.Of(err))
}

// Unsigned numbers that int64 does not hold make their column text in all files;
// nulls may hold what they like.
func TestUnsignedKeysOfArrowAreText(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	const big = math.MaxUint64
	small := p.write("a.arrows", string(datatest.ArrowKeys(t, []uint64{1, 2, big}, []uint64{math.MaxInt64})))
	beyond := p.write("b.arrows", string(datatest.ArrowKeys(t, []uint64{3}, []uint64{4, big})))
	r, rows := p.ok(nil, small)
	assert.Equal(t, "key=int64 in.key=int64 coded=int64", types(r))
	assert.Equal(t, []string{"1 1 1", "2 2 2", "- - -", "9223372036854775807 9223372036854775807 9223372036854775807"}, rows)
	r, rows = p.ok(nil, small, beyond)
	assert.Equal(t, "key=string in.key=string coded=string", types(r))
	assert.Equal(t, []string{"1 1 1", "2 2 2", "- - -", "9223372036854775807 9223372036854775807 9223372036854775807", "3 3 3", "4 4 4", "18446744073709551615 18446744073709551615 18446744073709551615"}, rows)
	_, err := p.run(func(c *importer.Config) {
		c.Format, c.Stdin = "arrow", bytes.NewReader(datatest.ArrowKeys(t, []uint64{3}, []uint64{4, big}))
	}, "-")
	assert.ErrorContains(t, err, `column "key": rows from 2 on: an unsigned number does not fit int64, as which the column is read; from a file, not a pipe, it is read as text: 18446744073709551615`)
	assert.Equal(t, fault.Invalid, fault.Of(err))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = arrow.Beyond(ctx, bytes.NewReader(datatest.ArrowKeys(t, []uint64{1})), arrow.DefaultReaderConfig())
	assert.Equal(t, fault.Canceled, fault.Of(err))
}

// What record batches take when they are unpacked has to fit in the memory that
// was given.
func TestArrowKeepsToItsMemory(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	in := p.write("a.arrows", string(datatest.ArrowKeys(t, make([]uint64, 10_000))))
	p.ok(func(c *importer.Config) { c.Memory = 1 << 20 }, in)
	var many [][]uint64
	for range 40 {
		many = append(many, make([]uint64, 10_000))
	}
	long := p.write("b.arrows", string(datatest.ArrowKeys(t, many...)))
	for range 3 { // batches under way wait for each other
		_, rows := p.ok(func(c *importer.Config) { c.Memory, c.Threads = 600<<10, 8 }, long)
		assert.Len(t, rows, 400_000)
	}
	_, err := p.run(func(c *importer.Config) { c.Memory = 1 << 16 }, in)
	assert.Equal(t, fault.Exhausted, fault.Of(err))
	assert.ErrorContains(t, err, "a.arrows")
}

func TestWhatCannotBeImportedIsNamed(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	good := p.write("good.csv", "a,b\n1,2\n")
	for _, c := range []struct {
		says   string
		change func(*importer.Config)
		files  []string
	}{
		{"name the files", nil, nil},
		{"no such file", nil, []string{filepath.Join(p.dir, "none.csv")}},
		{"no file matches", nil, []string{filepath.Join(p.dir, "none*.csv")}},
		{"is a folder", nil, []string{p.dir}},
		{"named twice", nil, []string{good, good}},
		{"does not say the format", nil, []string{p.write("data.bin", "x")}},
		{"is Parquet already", nil, []string{p.write("x.parquet", "x")}},
		{"import them apart", nil, []string{good, p.write("x.ndjson", "{}")}},
		{"say what standard input is", func(c *importer.Config) { c.Stdin = strings.NewReader("") }, []string{"-"}},
		{"expected csv, ndjson or arrow", func(c *importer.Config) { c.Format = "xml" }, []string{good}},
		{`no column "z"; there are a, b`, func(c *importer.Config) { c.Types = map[string]string{"z": "int64"} }, []string{good}},
		{`no type "number"`, func(c *importer.Config) { c.Types = map[string]string{"a": "number"} }, []string{good}},
		{"one character", func(c *importer.Config) { c.Delimiter = "::" }, []string{good}},
		{"--max-rejected", func(c *importer.Config) { c.MaxRejected = "many" }, []string{good}},
		{"--threads 0", func(c *importer.Config) { c.Threads = 0 }, []string{good}},
		{"is empty", nil, []string{p.write("empty.csv", "")}},
		{"is empty", func(c *importer.Config) { c.NoHeader = true }, []string{p.write("empty.csv", "")}},
		{`both called "a"`, nil, []string{p.write("twice.csv", "a,a\n1,2\n")}},
		{"UTF-16", nil, []string{p.write("wide.csv", "\xff\xfea\x00")}},
		{"looks like UTF-16 without a mark", nil, []string{p.write("le.csv", "a\x00,\x00b\x00\n\x001\x00,\x00x\x00\n\x00")}},
		{"looks like UTF-16 without a mark", nil, []string{p.write("be.ndjson", "\x00{\x00\"\x00a\x00\"\x00:\x001\x00}\x00\n")}},
		{"its lines end with CR alone", nil, []string{p.write("mac.csv", "a,b\r1,2\r3,4\r")}},
		{"jq -c . writes each object as a line", nil, []string{p.write("pretty.json", "{\n  \"a\": 1\n}\n")}},
		{"has more than 10000 names", nil, []string{p.write("broad.csv", strings.Repeat("c,", 10_001)+"c\n1\n")}},
	} {
		out := filepath.Join(p.dir, "none")
		_, err := p.run(func(cfg *importer.Config) {
			if c.change != nil {
				c.change(cfg)
			}
			cfg.Out = out
		}, c.files...)
		require.ErrorContains(t, err, c.says, "%v", c.files)
		assert.Contains(t, []fault.Kind{fault.Invalid, fault.NotFound}, fault.Of(err), c.says)
		assert.NoDirExists(t, out, c.says)
	}
	_, err := p.run(nil, p.write("no.csv.gz", "a,b\n1,2\n"))
	assert.ErrorContains(t, err, "its name says that it is packed with gzip, its bytes do not begin so")
	assert.Equal(t, fault.Corrupt, fault.Of(err))
	_, err = p.run(func(c *importer.Config) { c.Out = p.dir }, good)
	assert.Equal(t, fault.Conflict, fault.Of(err), "a folder with other things is not touched")
}

// Types come from the beginning, the middle and the end of a long file.
func TestTheSampleReachesTheEnd(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	var b strings.Builder
	b.WriteString("a,b,c\n")
	pad := strings.Repeat("x", 200)
	for b.Len() < 20<<20 {
		at := b.Len()
		middle, end := "1", "2"
		if at > 10<<20 && at < 10<<20+1000 {
			middle = "1.5"
		}
		if at > 20<<20-1000 {
			end = "text"
		}
		b.WriteString(middle + "," + end + "," + pad + "\n")
	}
	r, err := p.run(func(c *importer.Config) { c.Out = "" }, p.write("long.csv", b.String()))
	require.NoError(t, err)
	assert.Equal(t, "a=float64 b=string c=string", types(r))
	assert.Equal(t, "planned", r.Status)
}
