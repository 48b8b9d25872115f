package bundle

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
)

func jsonValue(t testing.TB, f data.Field, c *data.Column, i int) string {
	t.Helper()
	if !c.Valid.Get(i) {
		return "null"
	}
	var v any
	switch f.Type {
	case data.Bool:
		v = c.Bools[i]
	case data.Int32:
		v = c.Int32s[i]
	case data.Int64:
		v = c.Int64s[i]
	case data.Float32:
		v = c.Float32s[i]
	case data.Float64:
		v = c.Float64s[i]
	case data.String:
		v = c.Dict[c.Codes[i]]
	case data.Timestamp:
		if v = time.UnixMicro(c.Int64s[i]).UTC().Format(time.RFC3339Nano); i%3 == 0 {
			v = c.Int64s[i]
		}
	case data.Date:
		if v = time.Unix(int64(c.Int32s[i])*86_400, 0).UTC().Format(time.DateOnly); i%3 == 0 {
			v = c.Int32s[i]
		}
	}
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

// Every type, by name and in the order of the signature, comes back as it was.
func TestRowsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	b := &Bundle{Signature: signature}
	want := table(200)
	texts := toJSON(t, b, want)
	lists := make([]json.RawMessage, want.NumRows)
	for i := range lists {
		var values []string
		for k, f := range signature.Fields {
			values = append(values, jsonValue(t, f, want.Columns[k], i))
		}
		lists[i] = json.RawMessage(" [" + strings.Join(values, ",") + "]")
	}
	for _, rows := range [][]json.RawMessage{texts, lists} {
		got, faults := b.Rows(rows)
		require.Empty(t, faults)
		_, err := data.NewBatch(got.Schema, got.Columns)
		require.NoError(t, err)
		for k, f := range signature.Fields {
			for i := range want.NumRows {
				valid := want.Columns[k].Valid.Get(i)
				require.Equal(t, valid, got.Columns[k].Valid.Get(i), "%s of row %d", f.Name, i)
				require.True(t, !valid || same(want.Columns[k], got.Columns[k], i), "%s of row %d", f.Name, i)
			}
		}
	}
}

const good = `"amount": 1, "count": 2, "category": "toys", "vip": true, "rate": 0.5, "ts": "2026-02-28T12:00:00Z", "born": null, "code": null`

func TestWhatIsWrongWithARowIsSaid(t *testing.T) {
	t.Parallel()
	b := &Bundle{Signature: signature}
	with := func(field string) string {
		name, _, _ := strings.Cut(field, ":")
		kept := slices.DeleteFunc(strings.Split(good, ", "), func(f string) bool { return strings.HasPrefix(f, name) })
		return "{" + strings.Join(append(kept, field), ", ") + "}"
	}
	for _, c := range []struct{ row, field, message string }{
		{with(`"vip": "yes"`), "vip", `expected true or false, found the string "yes"`},
		{with(`"vip": null`), "vip", "is null, expected true or false"},
		{with(`"count": 2.5`), "count", "expected a whole number (int64), found the number 2.5"},
		{with(`"count": 1e300`), "count", "expected a whole number (int64), found the number 1e300"},
		{with(`"count": 9223372036854775808`), "count", "found the number 9223372036854775808"},
		{with(`"code": 2147483648`), "code", "expected a whole number (int32), or null, found the number 2147483648"},
		{with(`"amount": "7"`), "amount", `expected a number (float64), or null, found the string "7"`},
		{with(`"amount": 1e999`), "amount", "found the number 1e999"},
		{with(`"rate": 1e39`), "rate", "expected a number (float32), or null, found the number 1e39"},
		{with(`"category": 3`), "category", "expected a string, or null, found the number 3"},
		{with(`"category": {"a": 1}`), "category", "found an object"},
		{with(`"category": ["` + strings.Repeat("x", 90) + `"]`), "category", "found a list"},
		{with(`"ts": "yesterday"`), "ts", `expected a time such as "2026-02-28T12:00:00Z", found the string "yesterday"`},
		{with(`"ts": "2026-02-30T12:00:00Z"`), "ts", "found the string"},
		{with(`"born": "2026-13-01"`), "born", `expected a date such as "2026-02-28", or null`},
		{with(`"amuont": 1`), "amuont", `is not known to the model: did you mean "amount"?`},
		{with(`"colour": 1`), "colour", "is not known to the model"},
		{with(`"zzzzzzzzzz": 1`), "zzzzzzzzzz", "it knows amount, count, category"},
		{`{"amount": 1, ` + good + `}`, "amount", "is given twice"},
		{`{` + strings.ReplaceAll(good, `"count": 2, `, "") + `}`, "count", "is missing, expected a whole number (int64)"},
		{`[1, 2]`, "", "expected 8 values, in the order amount, count, category, vip, rate, ts, born, code, found 2"},
		{`7`, "", "expected an object of features by name, or a list of them, found the number 7"},
		{`null`, "", "found null"},
		{`{"a"`, "", "is not JSON"},
		{``, "", "is not JSON"},
	} {
		batch, faults := b.Rows([]json.RawMessage{json.RawMessage("{" + good + "}"), json.RawMessage(c.row)})
		require.Nil(t, batch, c.row)
		require.Len(t, faults, 1, c.row)
		assert.Equal(t, 1, faults[0].Row, c.row)
		assert.Equal(t, c.field, faults[0].Field, c.row)
		assert.Contains(t, faults[0].Message, c.message, c.row)
	}
}

func TestAllFaultsAreReportedUpToAHundred(t *testing.T) {
	t.Parallel()
	b := &Bundle{Signature: signature}
	_, faults := b.Rows([]json.RawMessage{json.RawMessage(`{}`), json.RawMessage("{" + good + "}"), json.RawMessage(`{"x": 1}`)})
	require.Len(t, faults, 3+4)
	assert.Equal(t, []FieldFault{{0, "count", "is missing, expected a whole number (int64)"}, {0, "vip", "is missing, expected true or false"}}, faults[:2])
	_, faults = b.Rows(slices.Repeat([]json.RawMessage{json.RawMessage(`{}`)}, 1000))
	assert.Len(t, faults, maxFaults)
}

func TestNumbersAndTimesInTheirManyForms(t *testing.T) {
	t.Parallel()
	b := &Bundle{Signature: signature}
	rows := []json.RawMessage{}
	for _, v := range []struct{ count, ts, born string }{
		{"3", `"1970-01-01T00:00:01Z"`, `"1970-01-02"`},
		{"3.0", `"1970-01-01T02:00:01+02:00"`, "1"},
		{"3e0", `"1970-01-01T00:00:01"`, "1.0"},
		{"30e-1", "1000000", "1e0"},
		{"3", `"1970-01-01T00:00:01.0000009Z"`, `"1970-01-02"`},
	} {
		rows = append(rows, json.RawMessage(fmt.Sprintf(`{"vip": false, "count": %s, "ts": %s, "born": %s}`, v.count, v.ts, v.born)))
	}
	got, faults := b.Rows(rows)
	require.Empty(t, faults)
	for i := range rows {
		assert.Equal(t, int64(3), got.Column("count").Int64s[i], i)
		assert.Equal(t, int64(1_000_000), got.Column("ts").Int64s[i], i)
		assert.Equal(t, int32(1), got.Column("born").Int32s[i], i)
	}
	before, faults := b.Rows([]json.RawMessage{json.RawMessage(`{"vip": false, "count": -9223372036854775808, "ts": "1969-12-31T23:59:59.9999999Z", "born": "1969-12-31"}`)})
	require.Empty(t, faults)
	assert.Equal(t, int64(-1), before.Column("ts").Int64s[0], "rounded down, as in files")
	assert.Equal(t, int32(-1), before.Column("born").Int32s[0])

	wall := &Bundle{Signature: data.Schema{Fields: []data.Field{{Name: "ts", Type: data.Timestamp}}}}
	_, faults = wall.Rows([]json.RawMessage{json.RawMessage(`["2026-01-01T00:00:00+02:00"]`)})
	assert.Len(t, faults, 1, "a wall time has no zone")
}

// Whatever comes in, Rows does not panic, and either answers or says why not.
func TestRowsOfAnything(t *testing.T) {
	t.Parallel()
	b := &Bundle{Signature: signature}
	pieces := []string{"{", "}", "[", "]", ",", ":", `"amount"`, `"count"`, "1", "-", "null", "true", `"x"`, "\"", " ", "\\u12", "1e5", "{}", good}
	rapid.Check(t, func(t *rapid.T) {
		row := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 8).Draw(t, "pieces"), "")
		batch, faults := b.Rows([]json.RawMessage{json.RawMessage(row)})
		require.Equal(t, batch == nil, len(faults) > 0)
	})
}

// BenchmarkOneRow is what serving does with a request of one row.
func BenchmarkOneRow(b *testing.B) {
	bundle := train(b, shapes[0])
	row := toJSON(b, bundle, table(64))[1:2]
	b.ReportAllocs()
	for b.Loop() {
		batch, faults := bundle.Rows(row)
		if len(faults) > 0 {
			b.Fatal(faults)
		}
		if _, err := bundle.Predict(batch); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBatch is what a predict job does with a row group.
func BenchmarkBatch(b *testing.B) {
	bundle, rows := train(b, shapes[0]), table(100_000)
	for b.Loop() {
		if _, err := bundle.Predict(rows); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*rows.NumRows)/b.Elapsed().Seconds(), "rows/s")
}
