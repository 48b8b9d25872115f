package csv_test

import (
	"bytes"
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

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := datatest.Writable(t, rapid.IntRange(0, 12).Draw(t, "rows"))
		var buf bytes.Buffer
		w, err := csv.NewWriter(&buf, b.Schema, ',')
		require.NoError(t, err)
		require.NoError(t, w.Write(b))
		var formats []text.Format
		for _, f := range b.Schema.Fields {
			formats = append(formats, text.Format{Field: f})
		}
		got := read(t, strings.NewReader(buf.String()), ',', func(c *text.SplitterConfig) { c.SkipFirst = true }, formats...)
		require.Empty(t, got.rejects)
		require.Equal(t, datatest.Rows(b), got.rows())
	})
}

func TestBytesThatAreNoTextAreRefused(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	b := &data.Batch{NumRows: 1, Schema: data.Schema{Fields: []data.Field{{Name: "raw", Type: data.String}}}, Columns: []*data.Column{{Type: data.String, Codes: []uint32{0}, Dict: []string{"\xff"}}}}
	w, err := csv.NewWriter(&buf, b.Schema, ',')
	require.NoError(t, err)
	err = w.Write(b)
	assert.ErrorContains(t, err, `column "raw"`)
	assert.Equal(t, fault.Invalid, fault.Of(err))
}
