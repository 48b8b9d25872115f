package ndjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/datatest"
	"github.com/troupe-ml/troupe/data/ndjson"
	"github.com/troupe-ml/troupe/data/text"
)

// read parses text in chunks of so many records.
func read(t require.TestingT, in string, records int, columns ...text.Format) (rows [][]string, rejects []text.Reject) {
	cfg := text.DefaultSplitterConfig()
	cfg.Records, cfg.MaxRecord = records, 2000
	s := text.NewSplitter(strings.NewReader(in), cfg)
	p := ndjson.NewParser(ndjson.ParserConfig{Columns: columns, MaxRecord: cfg.MaxRecord})
	rows = [][]string{}
	for {
		c, err := s.Next()
		if errors.Is(err, io.EOF) {
			return rows, rejects
		}
		require.NoError(t, err)
		b, bad := p.Parse(c)
		_, err = data.NewBatch(b.Schema, b.Columns)
		require.NoError(t, err)
		rejects = append(rejects, bad...)
		rows = append(rows, datatest.Rows(b)...)
	}
}

func columns(t require.TestingT, nameTypes ...string) (out []text.Format) {
	for _, nt := range nameTypes {
		name, typ, _ := strings.Cut(nt, "=")
		f, err := text.ParseFormat(name, typ)
		require.NoError(t, err)
		out = append(out, f)
	}
	return out
}

func TestObjectsAreFlattenedByPath(t *testing.T) {
	t.Parallel()
	in := `{"id": 1, "who": {"name": "Ann", "at": {"city": "Köln"}}, "tags": ["a", 1], "ok": true, "when": "2024-01-31"}
{"who": {"at": {"city": "é\"\n😀"}, "name": null}, "id": 2, "tags": [ ], "ok": null}

{"id": 3.5, "who": null, "who.name": "Bob", "when": "2024-02-01"}
`
	s := ndjson.NewSample()
	for line := range strings.Lines(in) {
		if strings.TrimSpace(line) != "" {
			require.NoError(t, s.Observe([]byte(strings.TrimSpace(line))))
		}
	}
	paths, guesses := s.Fields()
	assert.Equal(t, []string{"id", "who.name", "who.at.city", "tags", "ok", "when"}, paths)
	var formats []text.Format
	var types []string
	for i, g := range guesses {
		f, note := g.Format(paths[i])
		assert.Empty(t, note)
		formats, types = append(formats, f), append(types, f.String())
	}
	assert.Equal(t, []string{"float64", "string", "string", "string", "bool", "date"}, types)
	for _, n := range []int{1, 2, 100} {
		rows, rejects := read(t, in, n, formats...)
		assert.Empty(t, rejects)
		assert.Equal(t, [][]string{
			{"1", "Ann", "Köln", `["a", 1]`, "true", "19753"},
			{"2", "⊥", "é\"\n😀", `[ ]`, "⊥", "⊥"},
			{"3.5", "Bob", "⊥", "⊥", "⊥", "19754"},
		}, rows)
	}
}

func TestWhatIsNoRowIsRejectedWithAReason(t *testing.T) {
	t.Parallel()
	cases := []struct{ line, reason string }{
		{`{"a": 1}`, ""},
		{`{"a": 1, "a": 2}`, `the field "a" occurs twice`},
		{`{"a": "x"}`, `column "a": "x" is no int64`},
		{`{"a": 1.5}`, `column "a": "1.5" is no int64`},
		{`{"a": 9223372036854775808}`, `column "a": "9223372036854775808" is no int64`},
		{`{"a": [1]}`, `column "a": "[1]" is no int64`},
		{`{"a": {"b": 1}}`, `the field "a.b" is not in the sample: --type a.b=TYPE makes it a column`},
		{`{"z": 1}`, `the field "z" is not in the sample: --type z=TYPE makes it a column`},
		{`{"o": 1}`, `field "o": expected an object`},
		{`{"o": null}`, ""},
		{`{"o": {}}`, ""},
		{`{"t": "2024-01-31T10:00:00Z"}`, `column "t": "2024-01-31T10:00:00Z" is no timestamp`},
		{`{"t": 5}`, `column "t": "5" is no timestamp`},
		{`{"t": ""}`, `column "t": "" is no timestamp`},
		{`{"s": ""}`, ""},
		{`{"s": "\ud83d"}`, "not JSON at byte 14: half a surrogate pair"},
		{"{\"s\": \"\xff\"}", `column "s": the text is not UTF-8`},
		{`{"a": 01}`, "not JSON at byte 9: not a number"},
		{`{"a": +1}`, "not JSON at byte 7: expected a value"},
		{`{"a": 1`, "not JSON at byte 8: expected , or }"},
		{`{"a": 1}}`, "not JSON at byte 9: more behind the object"},
		{"{\"a\": 1}\x00}", "not JSON at byte 9: more behind the object"},
		{"{\"a\": \x00}", "not JSON at byte 7: expected a value"},
		{`{"a":`, "not JSON at byte 6: it ends in the middle"},
		{`{"a"}`, `not JSON at byte 5: expected ':'`},
		{`{"a": nul}`, "not JSON at byte 7: expected null"},
		{`{"s": "x`, "not JSON at byte 9: a string does not end"},
		{`{"s": "` + "\t" + `"}`, "not JSON at byte 8: a control character in a string"},
		{`{"s": "\q"}`, "not JSON at byte 8: no such escape"},
		{`[1]`, "expected an object, found an array; jq -c '.[]' writes the members of one as lines"},
		{`5`, "expected an object"},
		{`{"s": "` + strings.Repeat("x", 3000) + `"}`, "the line is longer than 2000 bytes"},
		{`{"s": ` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, "objects or arrays lie too deep in each other"},
		{`{"a": 2}`, ""},
	}
	var in strings.Builder
	want := map[int64]string{}
	for i, c := range cases {
		in.WriteString(c.line + "\n")
		if c.reason != "" {
			want[int64(i+1)] = c.reason
		}
	}
	for _, n := range []int{1, 3, 100} {
		rows, rejects := read(t, in.String(), n, columns(t, "a=int64", "s=string", "t=timestamp", "o.x=int64")...)
		got := map[int64]string{}
		for _, r := range rejects {
			got[r.Line] = r.Reason
			assert.NotEmpty(t, r.Raw)
		}
		assert.Equal(t, want, got)
		assert.Equal(t, [][]string{{"1", "⊥", "⊥", "⊥"}, {"⊥", "⊥", "⊥", "⊥"}, {"⊥", "⊥", "⊥", "⊥"}, {"⊥", "", "⊥", "⊥"}, {"2", "⊥", "⊥", "⊥"}}, rows)
	}
}

// A line that is no object says nothing of the fields, even one that goes wrong
// behind its object.
func TestALineThatIsNoObjectAddsNothingToTheSample(t *testing.T) {
	t.Parallel()
	s := ndjson.NewSample()
	for _, line := range []string{`{"a": 1} {`, "{\"a\": 1}\x00", `{"a": 1, "b"}`, `[{"a": 1}]`, `"a"`, ""} {
		require.Error(t, s.Observe([]byte(line)), "%q", line)
	}
	paths, _ := s.Fields()
	assert.Empty(t, paths)
}

// What the standard library writes is read as it was.
func TestTwinOfTheStandardLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var in strings.Builder
		var want [][]string
		for range rapid.IntRange(0, 20).Draw(t, "rows") {
			row := struct {
				I int64   `json:"i"`
				S string  `json:"s"`
				F float64 `json:"f"`
				B bool    `json:"b"`
			}{rapid.Int64().Draw(t, "i"), rapid.String().Draw(t, "s"), rapid.Float64().Draw(t, "f"), rapid.Bool().Draw(t, "b")}
			b, err := json.Marshal(row)
			require.NoError(t, err)
			in.Write(append(b, '\n'))
			var back struct{ S string }
			require.NoError(t, json.Unmarshal(b, &back))
			want = append(want, []string{fmt.Sprint(row.I), back.S, fmt.Sprint(row.F), fmt.Sprint(row.B)})
		}
		rows, rejects := read(t, in.String(), rapid.IntRange(1, 9).Draw(t, "records"), columns(t, "i=int64", "s=string", "f=float64", "b=bool")...)
		require.Empty(t, rejects)
		require.Equal(t, append([][]string{}, want...), rows)
	})
}

// FuzzParse holds the reader to its promises on any text: no panic; each line
// with something on it a row or a reject; rows only for what the standard
// library, too, calls JSON.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":1}`, "{\"s\":\"\\u00e9\"}\n{}", `{"o":{"x":null}}`, "\n \n[", `{"a":1e5,"t":"2024-01-31 10:00"}`, "{\"s\":[[{}]]}\r\n", "{}\x00\x1a}\n{}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if strings.HasPrefix(in, "\xff\xfe") || strings.HasPrefix(in, "\xfe\xff") {
			return
		}
		s := ndjson.NewSample()
		for line := range strings.Lines(in) {
			_ = s.Observe([]byte(line)) //nolint:errcheck // anything may be wrong with it
		}
		paths, guesses := s.Fields()
		for i, g := range guesses {
			g.Format(paths[i])
		}
		c := columns(t, "a=int64", "s=string", "t=timestamp", "o.x=float64", "b=bool")
		rows, rejects := read(t, in, 1000, c...)
		again, others := read(t, in, 2, c...)
		require.Equal(t, rows, again)
		require.Equal(t, rejects, others)
		lines, valid := 0, 0
		for _, l := range strings.Split(strings.TrimPrefix(in, "\ufeff"), "\n") {
			if strings.TrimSpace(strings.TrimSuffix(l, "\r")) != "" {
				lines++
				if json.Valid([]byte(l)) {
					valid++
				}
			}
		}
		require.LessOrEqual(t, len(rows), valid)
		require.GreaterOrEqual(t, len(rows)+len(rejects), lines)
	})
}
