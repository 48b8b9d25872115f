package features_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features"
)

func TestAnEntityIsWrittenAsATextOrAList(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]features.Entity{
		`{"entity":"shop","steps":null}`:          {"shop"},
		`{"entity":["shop","user"],"steps":null}`: {"shop", "user"},
		`{"entity":[],"steps":null}`:              {},
		`{"entity":"","steps":null}`:              nil,
		`{"entity":null,"steps":null}`:            nil,
		`{"steps":null}`:                          nil,
	} {
		var c features.Config
		require.NoError(t, json.Unmarshal([]byte(text), &c))
		require.Equal(t, want, c.Entity, text)
		b, err := json.Marshal(c)
		require.NoError(t, err)
		var again features.Config
		require.NoError(t, json.Unmarshal(b, &again))
		require.Len(t, again.Entity, len(want), text)
		if len(want) > 0 {
			require.Contains(t, string(b), text[1:len(text)-len(`,"steps":null}`)], "the same form")
		}
	}
	var c features.Config
	require.Error(t, json.Unmarshal([]byte(`{"entity":7}`), &c))
}

func TestAnEntityOfSeveralColumns(t *testing.T) {
	t.Parallel()
	schema := data.Schema{Fields: []data.Field{
		{Name: "shop", Type: data.Int32}, {Name: "user", Type: data.String}, {Name: "ts", Type: data.Timestamp}, {Name: "x", Type: data.Float64}, {Name: "y", Type: data.Bool},
	}}
	cfg := features.Config{Steps: []features.Step{step("before", "lag", "x")}, Entity: features.Entity{"user", "shop"}, Timestamp: "ts", Target: "y"}
	p, err := features.Compile(cfg, schema)
	require.NoError(t, err)
	require.Equal(t, cfg.Entity, p.Windows(0).Entity())
	require.Equal(t, []string{"shop", "user", "ts", "x"}, p.Windows(0).Inputs())
	text, err := json.Marshal(p)
	require.NoError(t, err)
	read, err := features.Load(text)
	require.NoError(t, err)
	require.Equal(t, cfg.Entity, read.Windows(0).Entity())

	cfg.Steps = append(cfg.Steps, with(step("enc", "target_encode", "user"), "fold_by", "group"))
	cfg.Entity = features.Entity{"usr", "shop", "shop"}
	_, err = features.Compile(cfg, schema)
	for _, want := range []string{
		`entity: there is no column "usr"; did you mean "user"?`, `entity: "shop" is given twice`,
		`fold_column: missing: fold_by: group needs one column, and the entity is usr, shop, shop; name one of them`,
	} {
		require.ErrorContains(t, err, want)
	}
}
