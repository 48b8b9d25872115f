package csv_test

import (
	"bytes"
	stdcsv "encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/csv"
	"github.com/troupe-ml/troupe/data/datatest"
	"github.com/troupe-ml/troupe/data/text"
	"github.com/troupe-ml/troupe/internal/fault"
)

// table is what came of a text.
type table struct {
	batches []*data.Batch
	rejects []text.Reject
}

// read parses text in chunks of so many records.
func read(t require.TestingT, in io.Reader, comma byte, split func(*text.SplitterConfig), columns ...text.Format) table {
	cfg := text.DefaultSplitterConfig()
	cfg.Comma = comma
	if split != nil {
		split(&cfg)
	}
	s := text.NewSplitter(in, cfg)
	p := csv.NewParser(csv.ParserConfig{Comma: comma, Columns: columns, Nulls: text.NewNulls(text.DefaultNulls()), MaxRecord: cfg.MaxRecord})
	var out table
	for {
		c, err := s.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		b, rejects := p.Parse(c)
		_, err = data.NewBatch(b.Schema, b.Columns)
		require.NoError(t, err)
		out.batches, out.rejects = append(out.batches, b), append(out.rejects, rejects...)
	}
}

// rows writes the values; null is ⊥.
func (o table) rows() [][]string {
	out := [][]string{}
	for _, b := range o.batches {
		out = append(out, datatest.Rows(b)...)
	}
	return out
}

func strs(n int) []text.Format {
	var out []text.Format
	for i := range n {
		f, err := text.ParseFormat(csv.ColumnName(i), "string")
		if err != nil {
			panic(err)
		}
		out = append(out, f)
	}
	return out
}

func typed(t require.TestingT, types ...string) []text.Format {
	var out []text.Format
	for i, name := range types {
		f, err := text.ParseFormat(csv.ColumnName(i), name)
		require.NoError(t, err)
		out = append(out, f)
	}
	return out
}

// The standard library is the twin: for text that it takes, both say the same,
// whatever the delimiter, the line ends and the size of the chunks.
func TestTwinOfTheStandardLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		comma := rapid.SampledFrom([]byte(csv.Commas)).Draw(t, "comma")
		columns := rapid.IntRange(2, 5).Draw(t, "columns")
		cell := rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'ß', '"', '\n', rune(comma), ' ', '1', 'é', '日'}), 0, 12, -1)
		var rows [][]string
		for range rapid.IntRange(0, 30).Draw(t, "rows") {
			var row []string
			for range columns {
				row = append(row, cell.Draw(t, "cell"))
			}
			rows = append(rows, row)
		}
		var b bytes.Buffer
		w := stdcsv.NewWriter(&b)
		w.Comma, w.UseCRLF = rune(comma), rapid.Bool().Draw(t, "crlf")
		require.NoError(t, w.WriteAll(rows))
		text1 := b.String()
		if rapid.Bool().Draw(t, "mark") {
			text1 = "\ufeff" + text1
		}
		if rapid.Bool().Draw(t, "no last line end") {
			text1 = strings.TrimSuffix(strings.TrimSuffix(text1, "\n"), "\r")
		}
		got := read(t, strings.NewReader(text1), comma, func(c *text.SplitterConfig) {
			c.Records = rapid.IntRange(1, 10).Draw(t, "records of a chunk")
		}, strs(columns)...)
		require.Empty(t, got.rejects)
		want := [][]string{}
		for _, row := range rows {
			var r []string
			for _, v := range row {
				v = strings.ReplaceAll(v, "\n", map[bool]string{true: "\r\n", false: "\n"}[w.UseCRLF]) // its writer does so in quotes, too
				if v == "" {
					v = "⊥"
				}
				r = append(r, v)
			}
			want = append(want, r)
		}
		require.Equal(t, want, got.rows())
	})
}

func TestWhatIsNoRowIsRejectedWithAReason(t *testing.T) {
	t.Parallel()
	in := "1,a,2024-01-31\r\n" + // line 1
		"x,b,2024-01-31\n" + // 2: no number
		"\n" + // 3: empty
		"3,c\n" + // 4: ragged
		"4,\"d\ne\"x,2024-01-31\n" + // 5: text behind a quote, over two lines
		"5,f,2023-02-29\n" + // 7: no such day
		"6,\xff,2024-01-31\n" + // 8: not UTF-8
		"7,\"g \"\"quoted\"\"\", 2024-02-29 \n" + // 9
		"8,h\x00i,\n" + // 10: a NUL is a character
		"9,5\" pipe,2024-03-01\n" + // 11: a quote within
		"10,a,2024-01-31,\n" + // 12: one too many
		"99999999999999999999,a,2024-01-31\n" + // 13
		"11,\"open,2024-01-31\n" + // 14: never closed
		"12,z,2024-01-31" // 15
	for _, records := range []int{1, 2, 3, 100} {
		got := read(t, strings.NewReader(in), ',', func(c *text.SplitterConfig) { c.Records = records }, typed(t, "int64", "string", "date")...)
		assert.Equal(t, [][]string{{"1", "a", "19753"}, {"7", `g "quoted"`, "19782"}, {"8", "h\x00i", "⊥"}, {"9", `5" pipe`, "19783"}, {"12", "z", "19753"}}, got.rows())
		lines := map[int64]string{}
		for _, r := range got.rejects {
			lines[r.Line] = r.Reason
		}
		assert.Equal(t, map[int64]string{
			2: `column "column_1": "x" is no int64`, 4: "2 fields, expected 3", 5: `column "column_2": there is text behind the closing quote`,
			7: `column "column_3": "2023-02-29" is no date`, 8: `column "column_2": the text is not UTF-8`, 12: "4 fields, expected 3",
			13: `column "column_1": "99999999999999999999" is no int64`, 14: "it opens a quote that is never closed",
		}, lines, "%d records a chunk", records)
		assert.Equal(t, text.Reject{Line: 2, Column: "column_1", Expected: "int64", Value: "x", Reason: `column "column_1": "x" is no int64`, Raw: "x,b,2024-01-31"}, got.rejects[0])
	}
}

func TestRecordsHaveABound(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3<<20)
	for name, in := range map[string]string{
		"a long line":               "a,1\nb," + long + "\nc,3\n",
		"a long line at the end":    "a,1\nc,3\nb," + long,
		"a long quoted field":       "a,1\nb,\"" + long + "\"\nc,3\n",
		"just over the bound":       "a,1\nb," + strings.Repeat("y", 5000) + "\nc,3\n",
		"an open quote in the way":  "a,1\nb,\"\nc,3\n" + strings.Repeat("d,\n", 1<<20)[:0],
		"two long lines, no others": "a,1\n" + long + "\n" + long + "\nc,3",
	} {
		got := read(t, strings.NewReader(in), ',', func(c *text.SplitterConfig) { c.MaxRecord, c.Bytes = 4000, 8000 }, strs(2)...)
		assert.Equal(t, [][]string{{"a", "1"}, {"c", "3"}}, got.rows(), name)
		require.NotEmpty(t, got.rejects, name)
		assert.Contains(t, []int64{2, 3}, got.rejects[0].Line, name)
		assert.LessOrEqual(t, len(got.rejects[0].Raw), 1100, name)
	}
	// A quote that opens and is not closed within the bound costs its line alone.
	in := "a,1\nb,\"2\n" + strings.Repeat("c,3\n", 1<<20)
	got := read(t, strings.NewReader(in), ',', func(c *text.SplitterConfig) { c.MaxRecord = 4000 }, strs(2)...)
	assert.Len(t, got.rows(), 1+1<<20)
	assert.Equal(t, int64(2), got.rejects[0].Line)
	assert.Contains(t, got.rejects[0].Reason, "not closed within 4000 bytes")
}

func TestNothingIsNoRows(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"", "\ufeff", "\n", "\r\n\r\n", "a,b\n", "a,b"} {
		got := read(t, strings.NewReader(in), ',', func(c *text.SplitterConfig) { c.SkipFirst = true }, strs(2)...)
		assert.Empty(t, got.rows(), "%q", in)
		assert.Empty(t, got.rejects, "%q", in)
	}
	got := read(t, strings.NewReader("\n\nname\n1\n\n2\n"), ',', func(c *text.SplitterConfig) { c.SkipFirst = true }, typed(t, "int64")...)
	assert.Equal(t, [][]string{{"1"}, {"⊥"}, {"2"}}, got.rows(), "in one column an empty line is a null")
}

func TestOtherEncodingsAreNamed(t *testing.T) {
	t.Parallel()
	_, err := text.NewSplitter(strings.NewReader("\xff\xfea\x00,\x00"), text.DefaultSplitterConfig()).Next()
	assert.Equal(t, fault.Invalid, fault.Of(err))
	assert.ErrorContains(t, err, "UTF-16")
}

func TestSniffFindsTheDelimiter(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]byte{
		"a,b\n1,2\n":                      ',',
		"a;b\n1,5;2,5\n2,5;3,5\n":         ';',
		"a\tb c\n1\tx, y\n2\tz\n":         '\t',
		"a|b|c\n1|2|3\n":                  '|',
		"name\nsmith, john\ndoe\n":        ',',
		"only\n1\n2\n":                    ',',
		"\"a;b\",c\n\"1;2\",3\n\";\",4\n": ',',
		"":                                ',',
	} {
		assert.Equal(t, string(want), string(csv.Sniff([]byte(in))), in)
	}
}

func TestHeaderNames(t *testing.T) {
	t.Parallel()
	names, err := csv.Header([]byte("\n id ,\"a\"\"b\",,日\n1,2,3,4\n"), ',')
	require.NoError(t, err)
	assert.Equal(t, []string{"id", `a"b`, "column_3", "日"}, names)
	for in, says := range map[string]string{
		"a,b,a\n":   `columns 1 and 3 are both called "a"`,
		"a,\xff\n":  "not UTF-8",
		"":          "no line of names",
		"\n\n":      "no line of names",
		"a,\"b\n\n": "no line of names",
	} {
		_, err := csv.Header([]byte(in), ',')
		assert.Equal(t, fault.Invalid, fault.Of(err), in)
		assert.ErrorContains(t, err, says, in)
	}
}

// FuzzParse holds the reader to its promises on any text: no panic, each line
// with something on it a row or a reject, and the same for chunks of any size.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "\"a\"\"\n\",b\r\n", "\"", "a,\"\n\",", "\x00,\xff\n", "1,2,3\n\n4", "\"\"\"\"\"\",\"\n\"\"\n"} {
		f.Add(s, uint8(2), uint8(3))
	}
	f.Fuzz(func(t *testing.T, in string, columns, records uint8) {
		if strings.HasPrefix(in, "\xff\xfe") || strings.HasPrefix(in, "\xfe\xff") {
			return
		}
		kinds := []string{"string", "int64", "float64", "timestamp", "bool", "date", "int32", "float32"}
		var types []string
		for i := range 1 + int(columns)%8 {
			types = append(types, kinds[i])
		}
		one := read(t, strings.NewReader(in), ',', func(c *text.SplitterConfig) { c.MaxRecord = 1000 }, typed(t, types...)...)
		many := read(t, strings.NewReader(in), ',', func(c *text.SplitterConfig) { c.MaxRecord, c.Records = 1000, 1+int(records)%7 }, typed(t, types...)...)
		require.Equal(t, one.rows(), many.rows())
		require.Equal(t, one.rejects, many.rejects)
		lines := 0
		for _, l := range strings.Split(strings.TrimPrefix(in, "\ufeff"), "\n") {
			if strings.Trim(l, "\r") != "" {
				lines++
			}
		}
		if n := len(one.rows()) + len(one.rejects); n == 0 && lines > 0 {
			t.Fatalf("%d lines left nothing", lines)
		}
	})
}
