package render_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/internal/fault"
)

type result struct {
	Job     string                        `json:"job"`
	RowsIn  int64                         `json:"rows_in"`
	Hidden  []int                         `json:"hidden"`
	Metrics map[string]map[string]float64 `json:"metrics,omitempty"`
	Nodes   []node                        `json:"nodes,omitempty"`
	Empty   map[string]int                `json:"empty"`
	Note    *string                       `json:"note"`
}

type node struct {
	Name  string `json:"name"`
	Slots int    `json:"slots"`
}

func sample() result {
	return result{
		Job: "j<1>", RowsIn: 12, Hidden: []int{64, 32}, Empty: map[string]int{},
		Metrics: map[string]map[string]float64{"test": {"auc": 0.9}, "validation": {"auc": 0.95, "log_loss": 0.1}},
		Nodes:   []node{{"a", 4}, {"bb", 16}},
	}
}

func write(t require.TestingT, f render.Format, v any) string {
	var b bytes.Buffer
	require.NoError(t, render.Write(&b, f, v))
	return b.String()
}

func TestAnyResultHasATable(t *testing.T) {
	t.Parallel()
	want := strings.Join([]string{
		"job:      j<1>",
		"rows in:  12",
		"hidden:   64, 32",
		"empty:    ",
		"note:     ",
		"",
		"metrics",
		"NAME         AUC  LOG LOSS",
		"test         0.9",
		"validation  0.95       0.1",
		"",
		"nodes",
		"NAME  SLOTS",
		"a         4",
		"bb       16",
		"",
	}, "\n")
	assert.Equal(t, want, write(t, render.Table, sample()))
	assert.Equal(t, "NAME  SLOTS\na         4\n", write(t, render.Table, []node{{"a", 4}}))
	assert.Equal(t, "none\n", write(t, render.Table, []node{}))
}

type withSections struct{}

func (withSections) Sections() []render.Section {
	return []render.Section{
		{Title: "first", Facts: []render.Fact{{Name: "a", Value: "1"}, {Name: "long", Value: "2 +\n  ^\x1b"}}},
		{Columns: []render.Column{{Title: "n", Right: true}, {Title: "text"}}, Rows: [][]string{{"5", "x"}, {"10"}}},
		{Text: "as it is\n"},
	}
}

func TestAResultMaySayHowItIsSeen(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "first\na:     1\nlong:  2 +\n         ^\\x1b\n\n N  TEXT\n 5  x\n10\n\nas it is\n", write(t, render.Table, withSections{}))
}

func TestJSONIsExactlyOneDocument(t *testing.T) {
	t.Parallel()
	text := write(t, render.JSON, sample())
	d := json.NewDecoder(strings.NewReader(text))
	var v map[string]any
	require.NoError(t, d.Decode(&v))
	assert.False(t, d.More())
	assert.True(t, strings.HasSuffix(text, "}\n"))
	assert.Contains(t, text, `"j<1>"`, "nothing is escaped for browsers")
}

func TestYAMLKeepsTheOrderOfTheFields(t *testing.T) {
	t.Parallel()
	want := strings.Join([]string{
		`job: "j<1>"`, "rows_in: 12", "hidden:", "- 64", "- 32",
		"metrics:", "  test:", "    auc: 0.9", "  validation:", "    auc: 0.95", "    log_loss: 0.1",
		"nodes:", "- name: a", "  slots: 4", "- name: bb", "  slots: 16",
		"empty: {}", "note: null", "",
	}, "\n")
	assert.Equal(t, want, write(t, render.YAML, sample()))
}

// What is written as YAML means the same to another reader as its JSON.
func TestYAMLMeansWhatJSONMeans(t *testing.T) {
	t.Parallel()
	awkward := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"", "yes", "No", "null", "~", "012", "1e3", ".inf", "-", "- a", "a: b", "#x", "a #b", "@x", "0x1f", "1_000", " a", "a ", "a\nb", "'", "\"", "%", "a:", "2026-01-01", "12:30", "=", "<<", "!x", "*a", "&a", "{", "[",
	}))
	scalar := rapid.OneOf(rapid.Map(awkward, func(s string) any { return s }), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.IntRange(-1000, 1000), func(i int) any { return float64(i) }), rapid.Just[any](nil))
	rapid.Check(t, func(rt *rapid.T) {
		list := rapid.Map(rapid.SliceOfN(scalar, 0, 3), func(l []any) any { return l })
		inner := rapid.Map(rapid.MapOfN(awkward, rapid.OneOf(scalar, list), 0, 3), func(m map[string]any) any { return m })
		rows := rapid.Map(rapid.SliceOfN(inner, 0, 3), func(l []any) any { return l })
		v := rapid.MapOfN(awkward, rapid.OneOf(scalar, list, inner, rows), 1, 4).Draw(rt, "v")
		var fromJSON, fromYAML any
		require.NoError(rt, json.Unmarshal([]byte(write(rt, render.JSON, v)), &fromJSON))
		text := write(rt, render.YAML, v)
		var read any
		require.NoError(rt, yaml.Unmarshal([]byte(text), &read), text)
		again, err := json.Marshal(read)
		require.NoError(rt, err)
		require.NoError(rt, json.Unmarshal(again, &fromYAML), text)
		require.Equal(rt, fromJSON, fromYAML, text)
	})
}

func TestTextFromElsewhereCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"grün 東京":          "grün 東京",
		"\x1b[2Jgone":      `\x1b[2Jgone`,
		"a\nb\tc":          `a\x0ab\x09c`,
		"\xff":             `\xff`,
		"a\u202eb\u0085":   `a\u202eb\x85`,
		"line\u2028break":  `line\u2028break`,
		"\u009b31mcolours": `\x9b31mcolours`,
	} {
		assert.Equal(t, want, render.Clean(text))
	}
	assert.NotContains(t, write(t, render.Table, map[string]string{"x": "\x1b[2J"}), "\x1b")
	assert.NotContains(t, write(t, render.Table, []map[string]string{{"\x1b": "\x1b[2J"}}), "\x1b")
}

func TestNumbersJSONCannotWriteBecomeText(t *testing.T) {
	t.Parallel()
	got := write(t, render.JSON, []render.Number{render.Number(math.NaN()), render.Number(math.Inf(-1)), 1.5})
	assert.Equal(t, "[\n  \"NaN\",\n  \"-Infinity\",\n  1.5\n]\n", got)
	assert.Equal(t, "1234567", render.Number(1234567).String())
	assert.Equal(t, "0.333333", render.Number(1.0/3).String())
	assert.Equal(t, "NaN", render.Number(math.NaN()).String())
}

func TestUnknownFormatsAreRefused(t *testing.T) {
	t.Parallel()
	_, err := render.ParseFormat("xml")
	require.ErrorContains(t, err, "-o xml: expected table, json or yaml")
	assert.Equal(t, fault.Invalid, fault.Of(err))
	f, err := render.ParseFormat("JSON")
	require.NoError(t, err)
	assert.Equal(t, render.JSON, f)
}
