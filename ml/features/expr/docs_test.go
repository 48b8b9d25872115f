package expr_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/expr"
)

// manual is the page that people read.
func manual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/features/expr.md")
	require.NoError(t, err)
	return string(text)
}

func manualRow() *data.Batch {
	texts := func(s string) *data.Column {
		return &data.Column{Type: data.String, Codes: []uint32{0}, Dict: []string{s}}
	}
	columns := []*data.Column{
		{Type: data.Float64, Float64s: []float64{150}}, {Type: data.Int64, Int64s: []int64{2}}, texts("DE"), texts(""),
		{Type: data.Timestamp, Int64s: []int64{time.Date(2024, 2, 29, 13, 34, 56, 0, time.UTC).UnixMicro()}},
		{Type: data.Date, Int32s: []int32{int32(time.Date(1990, 6, 15, 0, 0, 0, 0, time.UTC).Unix() / 86400)}}, texts(" 0815"),
	}
	columns[3].Valid = data.NewBitmap(1)
	b := &data.Batch{Columns: columns, NumRows: 1}
	for i, name := range []string{"amount", "count", "country", "city", "ts", "born", "zip"} {
		b.Schema.Fields = append(b.Schema.Fields, data.Field{Name: name, Type: columns[i].Type, Nullable: true})
	}
	return b
}

func TestTheExamplesOfTheManualAreTrue(t *testing.T) {
	t.Parallel()
	_, examples, found := strings.Cut(manual(t), "## Examples")
	require.True(t, found)
	examples, _, _ = strings.Cut(examples, "## Errors")
	b, n := manualRow(), 0
	for _, m := range regexp.MustCompile("(?m)^\\| `(.*)` \\| (.*) \\|$").FindAllStringSubmatch(examples, -1) {
		p, err := expr.Compile(m[1], b.Schema)
		require.NoError(t, err, m[1])
		c := p.Eval(columnsOf(b, p), 1)
		got := strings.Trim(show(p.Field(), c, 0), "'")
		if f, err := strconv.ParseFloat(got, 64); err == nil {
			got = strconv.FormatFloat(f, 'g', -1, 64)
		}
		if !c.Valid.Get(0) {
			got = "null"
		}
		require.Equal(t, m[2], got, m[1])
		n++
	}
	require.Greater(t, n, 15)
}

func TestTheManualNamesEveryFunction(t *testing.T) {
	t.Parallel()
	text := manual(t)
	for _, name := range expr.Functions() {
		require.Regexp(t, "`"+name+"[(`]", text, name)
	}
}

func TestTheErrorOfTheManual(t *testing.T) {
	t.Parallel()
	_, err := expr.Compile("amount / (cuont + 1)", manualRow().Schema)
	for line := range strings.SplitSeq(err.Error(), "\n") {
		require.Contains(t, manual(t), line)
	}
}
