package features

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// drawnKeys is a column of whole numbers, with nulls.
func drawnKeys(t *rapid.T, typ data.Type) *data.Column {
	c := &data.Column{Type: typ}
	valid := rapid.SliceOfN(rapid.Bool(), 1, 40).Draw(t, "valid")
	c.Valid = data.NewBitmap(len(valid))
	for i, v := range valid {
		key := rapid.OneOf(rapid.Int64Range(-5, 5), rapid.Int64()).Draw(t, "key")
		if typ == data.Int64 {
			c.Int64s = append(c.Int64s, key)
		} else {
			c.Int32s = append(c.Int32s, int32(key))
		}
		if v {
			c.Valid.Set(i)
		}
	}
	return c
}

// asTexts is the same column as texts.
func asTexts(c *data.Column) *data.Column {
	coded := codes(c)
	return &data.Column{Type: data.String, Codes: coded.codes, Dict: coded.dict, Valid: coded.valid}
}

// Whole numbers are counted as such: the result must be that of their texts,
// whatever the split, and the bytes those of one shard.
func TestKeysAreCountedAsTheirTextsWouldBe(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom([]data.Type{data.Int64, data.Int32, data.Date}).Draw(t, "type")
		var whole, merged, texts counts
		for range rapid.IntRange(1, 4).Draw(t, "shards") {
			column := drawnKeys(t, typ)
			whole.observe([]*data.Column{column}, nil)
			texts.observe([]*data.Column{asTexts(column)}, nil)
			var shard, back counts
			shard.observe([]*data.Column{column}, nil)
			require.NoError(t, back.decode(shard.append(nil)))
			if rapid.Bool().Draw(t, "the other way round") {
				back.merge(&merged)
				merged = back
			} else {
				merged.merge(&back)
			}
		}
		require.Equal(t, whole.append(nil), merged.append(nil))
		require.Equal(t, whole.counted("x").Values, texts.counted("x").Values)
		merged.flush()
		require.Equal(t, texts.append(nil), merged.append(nil))
	})
}

// Beyond the most values only an estimate remains, of the same bytes however the
// shards were cut.
func TestMoreKeysThanAreToldApartLeaveAnEstimate(t *testing.T) {
	t.Parallel()
	var whole, first, second counts
	most := whole.values.MaxDistinct()
	column := &data.Column{Type: data.Int64, Int64s: make([]int64, most+1)}
	for i := range column.Int64s {
		column.Int64s[i] = int64(i) * 7919
	}
	whole.observe([]*data.Column{column}, nil)
	require.ErrorContains(t, whole.check(), "distinct values, more than can be told apart")
	first.observe([]*data.Column{{Type: data.Int64, Int64s: column.Int64s[:most/2]}}, nil)
	second.observe([]*data.Column{{Type: data.Int64, Int64s: column.Int64s[most/2:]}}, nil)
	first.merge(&second)
	require.Equal(t, whole.append(nil), first.append(nil))
	require.Equal(t, Counted{Column: "x"}, first.counted("x")) // nothing is told apart
}

func TestEncodedKeysThatAreDamagedAreCorrupt(t *testing.T) {
	t.Parallel()
	var c counts
	c.observe([]*data.Column{{Type: data.Int64, Int64s: []int64{3, -1, 3}}}, nil)
	b := c.append(nil)
	for i := range b {
		var back counts
		require.Equal(t, fault.Corrupt, fault.Of(back.decode(b[:i])), "cut at %d", i)
	}
	for _, wrong := range [][]byte{
		append([]byte{}, append(b, 0)...),
		{0, countedKeys, byte(data.Float64), 1, 5, 1},
		{0, countedKeys, byte(data.Int64), 2, 5, 1, 0, 1},
		{0, countedKeys, byte(data.Int64), 1, 5, 0},
		{0, countedKeys, byte(data.Int64), 0},
		{0, 2},
	} {
		var back counts
		require.Equal(t, fault.Corrupt, fault.Of(back.decode(wrong)), "%v", wrong)
	}
}

// Against encoding/json, which writes what bundles hold.
func TestFrequenciesAreWrittenAsAMapIs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.MapOfN(rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z0-9\\"<>&\x00-\x1f]{0,5}`)), rapid.Int64Range(1, 1<<40), 1, 20).Draw(t, "times")
		var c counts
		rows := int64(0)
		for text, n := range times {
			c.values.Add(text, n)
			rows += n
		}
		f := &frequencyFit{rows: c.values.N()}
		for text, n := range c.values.All() {
			require.True(t, f.add(text, n))
		}
		want, err := json.Marshal(map[string]any{"categories": times})
		require.NoError(t, err)
		got, err := json.Marshal(f)
		require.NoError(t, err)
		require.Equal(t, `{"n":`+strconv.FormatInt(rows, 10)+","+string(want[1:]), string(got))
		indented, err := json.MarshalIndent(f, "", "  ")
		require.NoError(t, err)
		for _, text := range [][]byte{got, indented} {
			back, err := decodeLearned(text, func(f frequencyFit) bool { return f.sound() })
			require.NoError(t, err)
			again, err := json.Marshal(back)
			require.NoError(t, err)
			require.Equal(t, string(got), string(again))
		}
	})
	for _, wrong := range []string{
		`{}`, `{"n":1}`, `{"n":1,"categories":[]}`, `{"n":1,"categories":{"a":"b"}}`, `{"n":2,"categories":{"a":1,"a":1}}`,
		`{"n":1,"categories":{"a":1.0}}`, `{"n":3,"categories":{"a":1}}`, `{"n":1,"categories":{"a":1},"more":1}`, `{"n":1,"categories":{"a":{}}}`,
	} {
		_, err := decodeLearned([]byte(wrong), func(f frequencyFit) bool { return f.sound() })
		require.Error(t, err, wrong)
	}
}
