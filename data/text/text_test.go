package text_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/text"
	"github.com/troupe-ml/troupe/internal/fault"
)

func builder(t require.TestingT, typ string, most int) *text.Builder {
	f, err := text.ParseFormat("c", typ)
	require.NoError(t, err)
	b := text.NewBuilder(f, text.NewNulls(text.DefaultNulls()))
	b.Begin(most)
	return b
}

// one reads a single value; nil when it is no value of the type.
func one(t require.TestingT, typ, in string) any {
	b := builder(t, typ, 1)
	if !b.Append([]byte(in), false) {
		return nil
	}
	c := b.End()
	switch {
	case !c.Valid.Get(0):
		return "null"
	case c.Type == data.Float64:
		return c.Float64s[0]
	case c.Type == data.Float32:
		return c.Float32s[0]
	case c.Type == data.Int64 || c.Type == data.Timestamp:
		return c.Int64s[0]
	case c.Type == data.Bool:
		return c.Bools[0]
	case c.Type == data.String:
		return c.Dict[c.Codes[0]]
	}
	return c.Int32s[0]
}

// Numbers are those that the standard library reads, to the bit.
func TestNumbersAreThoseOfTheStandardLibrary(t *testing.T) {
	t.Parallel()
	digits := rapid.StringMatching(`[+-]?[0-9]{0,25}(\.[0-9]{0,25})?([eE][+-]?[0-9]{1,3})?`)
	rapid.Check(t, func(t *rapid.T) {
		in := digits.Draw(t, "number")
		if rapid.Bool().Draw(t, "shortest") {
			in = strconv.FormatFloat(rapid.Float64().Draw(t, "v"), 'g', -1, 64)
		}
		want, err := strconv.ParseFloat(in, 64)
		got := one(t, "float64", in)
		switch {
		case in == "":
			require.Equal(t, "null", got)
		case err != nil:
			require.Nil(t, got, in)
		default:
			require.Equal(t, math.Float64bits(want), math.Float64bits(got.(float64)), in)
		}
		if narrow, err := strconv.ParseFloat(in, 32); err == nil {
			require.Equal(t, float32(narrow), one(t, "float32", in))
		}
		whole, err := strconv.ParseInt(in, 10, 64)
		if got := one(t, "int64", in); in != "" && err != nil {
			require.Nil(t, got, in)
		} else if in != "" {
			require.Equal(t, whole, got, in)
		}
	})
}

func TestTimesAreThoseOfTheStandardLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMicro(rapid.Int64Range(-62135596800e6, 253402300799e6).Draw(t, "micros")).UTC()
		zone := time.FixedZone("", 60*rapid.IntRange(-720, 840).Draw(t, "minutes"))
		require.Equal(t, at.UnixMicro(), one(t, "timestamp", at.Format("2006-01-02 15:04:05.999999")))
		require.Equal(t, at.UnixMicro(), one(t, "timestamp", at.Format("2006-01-02T15:04:05.000000000")))
		if local := at.In(zone); local.Year() > 0 && local.Year() < 10_000 {
			for _, layout := range []string{"2006-01-02T15:04:05.999999Z07:00", "2006-01-02 15:04:05.000000-0700"} {
				require.Equal(t, at.UnixMicro(), one(t, "timestamp_utc", local.Format(layout)), local.Format(layout))
			}
		}
		require.Equal(t, int32(math.Floor(float64(at.Unix())/86400)), one(t, "date", at.Format(time.DateOnly)))
	})
}

func TestValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ, in string
		want    any
	}{
		{"bool", "TRUE", true}, {"bool", "False", false}, {"bool", "1", nil}, {"bool", "", "null"},
		{"int64", " 12\t", int64(12)}, {"int64", "NULL", "null"}, {"int64", `\N`, "null"}, {"int64", "1e3", nil}, {"int64", "1.0", nil}, {"int64", "-", nil},
		{"int32", "2147483647", int32(math.MaxInt32)}, {"int32", "2147483648", nil},
		{"float64", "-inf", math.Inf(-1)}, {"float64", "1e400", nil}, {"float64", "0x10", nil}, {"float64", "1_000", nil}, {"float64", "1,5", nil}, {"float64", ".", nil},
		{"float64", " ", "null"}, {"string", "null", "null"}, {"string", " ", " "}, {"string", "\xff", nil},
		{"date", "2024-02-29", int32(19782)}, {"date", "2023-02-29", nil}, {"date", "2024-2-9", nil}, {"date", "0000-01-01", nil}, {"date", "31.01.2024", nil},
		{"timestamp", "2024-01-31", int64(19753 * 86_400_000_000)}, {"timestamp", "2024-01-31T10:00:00Z", nil}, {"timestamp", "2024-01-31 24:00", nil},
		{"timestamp", "2024-01-31 10:00:60", nil}, {"timestamp", "2024-01-31 10:00:00.", nil}, {"timestamp", "2024-01-31 10", nil},
		{"timestamp_utc", "2024-01-31 10:00", int64(19753*86_400_000_000 + 36_000_000_000)}, {"timestamp_utc", "2024-01-31 10:00+1", nil},
		{"timestamp_s", "1700000000", int64(1_700_000_000_000_000)}, {"timestamp_ms", "-1", int64(-1000)}, {"timestamp_s", "9300000000000", nil}, {"timestamp_us", "5", int64(5)},
	} {
		assert.Equal(t, c.want, one(t, c.typ, c.in), "%s %q", c.typ, c.in)
	}
	_, err := text.ParseFormat("c", "decimal")
	assert.Equal(t, fault.Invalid, fault.Of(err))
	assert.ErrorContains(t, err, "timestamp_ms")
}

func TestQuotesMakeTextOfNullsSpelling(t *testing.T) {
	t.Parallel()
	b := builder(t, "string", 4)
	for _, quoted := range []bool{true, false} {
		require.True(t, b.Append([]byte("NULL"), quoted))
		require.True(t, b.Append(nil, quoted))
	}
	c := b.End()
	assert.Equal(t, []string{"NULL", ""}, c.Dict)
	assert.Equal(t, 2, c.NumNulls())
}

// What is taken away leaves nothing behind, neither strings nor nulls.
func TestTruncateIsAsIfItHadNotBeen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := builder(t, "string", 100)
		var kept []string
		for range rapid.IntRange(0, 60).Draw(t, "values") {
			v := rapid.SampledFrom([]string{"", "a", "b", "c", "dd", "ee"}).Draw(t, "value") + rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "more")
			require.True(t, b.Append([]byte(v), false))
			if rapid.IntRange(0, 2).Draw(t, "drop") == 0 {
				b.Truncate(len(kept))
			} else {
				kept = append(kept, v)
			}
		}
		plain := builder(t, "string", len(kept))
		for _, v := range kept {
			plain.Append([]byte(v), false)
		}
		got, want := b.End(), plain.End()
		require.Equal(t, want.Dict, got.Dict)
		require.Equal(t, want.Codes, got.Codes)
		require.Equal(t, want.NumNulls(), got.NumNulls())
	})
}

func TestGuesses(t *testing.T) {
	t.Parallel()
	nulls := text.NewNulls(text.DefaultNulls())
	for _, c := range []struct{ values, typ, note string }{
		{"1 -2 NULL", "int64", ""}, {"1 2.5 1e9", "float64", ""}, {"1 NaN", "float64", ""}, {"true False", "bool", ""},
		{"2024-01-31 2024-02-01", "date", ""}, {"2024-01-31 2024-02-01T10:00", "timestamp", ""}, {"2024-02-01T10:00Z", "timestamp with a zone", ""},
		{"2024-02-01T10:00Z 2024-02-01T10:00", "string", "--type c=timestamp_utc"}, {"00451 10115", "string", ""}, {"+4930 +4940", "string", ""},
		{"1 NA 3 NA", "string", `--null "NA"`}, {"1 x y", "string", ""}, {"1 true", "string", "several types"},
		{"99999999999999999999 1", "string", "beyond 64 bits"}, {"9223372036854775807", "int64", ""}, {"NULL", "string", "no value"}, {"", "string", "no value"}, {"-0 0 0.5", "float64", ""},
	} {
		var g text.Guess
		for _, v := range strings.Fields(c.values) {
			g.Observe([]byte(v), false, nulls)
		}
		f, note := g.Format("c")
		assert.Equal(t, c.typ, f.String(), c.values)
		assert.True(t, f.Nullable)
		if c.note == "" {
			assert.Empty(t, note, c.values)
		} else {
			assert.Contains(t, note, c.note, c.values)
		}
	}
}

// Chunks are whole records, none is lost, and how the bytes arrive changes
// nothing.
func TestChunksAreTheStream(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.StringOf(rapid.SampledFrom([]rune("ab,\"\n\r"))).Draw(t, "text")
		cfg := text.DefaultSplitterConfig()
		cfg.Records = rapid.IntRange(1, 5).Draw(t, "records")
		cfg.Bytes = rapid.IntRange(1, 100).Draw(t, "bytes")
		split := func(s *text.Splitter) (all string, lines []string) {
			for {
				c, err := s.Next()
				if err != nil {
					require.EqualError(t, err, "EOF")
					return all, lines
				}
				require.LessOrEqual(t, c.Records, cfg.Records)
				require.Equal(t, int64(1+strings.Count(all, "\n")), c.Line)
				require.GreaterOrEqual(t, cap(c.Text), len(c.Text)+text.Slack)
				all += string(c.Text)
				lines = append(lines, fmt.Sprint(c.Line, c.Records, string(c.Text)))
				s.Reuse(c)
			}
		}
		all, lines := split(text.NewSplitter(strings.NewReader(in), cfg))
		want := in
		if in != "" && !strings.HasSuffix(in, "\n") {
			want += "\n"
		}
		require.Equal(t, want, all)
		_, slowly := split(text.NewSplitter(iotest.OneByteReader(strings.NewReader(in)), cfg))
		require.Equal(t, lines, slowly)
	})
}

func TestRejectsAreCutShort(t *testing.T) {
	t.Parallel()
	raw := text.Raw([]byte(strings.Repeat("é", 2000)))
	assert.Less(t, len(raw), 1100)
	assert.True(t, strings.HasSuffix(raw, "é…"))
}
