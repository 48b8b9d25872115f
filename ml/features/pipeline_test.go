package features_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/features"
)

// chain is a list of features that build on each other.
func chain() features.Config {
	return features.Config{
		Steps: []features.Step{
			step("z", "standard_scale", "amount"),
			with(step("size", "bin", "z"), "edges", []any{-10, 0, 10}, "labels", []any{"small", "large"}),
			step("share", "frequency_encode", "size"),
			step("log", "log1p", "other"),
			step("city", "one_hot", "city"),
		},
		Target: "y", Entity: features.Entity{"user"}, Keep: []string{"user", "y"},
	}
}

func chainBatch(t testing.TB) *data.Batch {
	return batch(t, named{"user", column(t, data.Int64, 1, 2, 3, 4)}, floats64(t, "amount", 1., 2., 3., 10.),
		texts(t, "city", "b", "a", "a", "b"), floats64(t, "other", 0., 0., 0., 0.), named{"y", column(t, data.Bool, true, false, true, false)},
		floats64(t, "unused", 0., 0., 0., 0.))
}

func TestPassesAreTheDepthOfWhatLearns(t *testing.T) {
	t.Parallel()
	b := chainBatch(t)
	p, err := features.Compile(chain(), b.Schema)
	require.NoError(t, err)
	assert.Equal(t, 2, p.NumPasses())
	assert.False(t, p.Ready())
	assert.Equal(t, []string{"user", "amount", "city", "other", "y"}, p.Inputs())
	assert.Equal(t, []string{"amount", "city"}, p.ObserveInputs(0))
	assert.Equal(t, []string{"amount"}, p.ObserveInputs(1))
	assert.Empty(t, p.ObserveInputs(2))
	assert.Equal(t, []string{"z", "size", "share", "log"}, p.FeatureNames(), "before it is fitted, one_hot has no names")
	_, err = p.Apply(b)
	require.ErrorContains(t, err, "fitted in 0 of 2 passes")
	_, err = p.OutputSchema()
	require.Equal(t, fault.Invalid, fault.Of(err))

	p = fitCompiled(t, p, b)
	checkApply(t, p, b, named{"user", b.Column("user")}, named{"y", b.Column("y")},
		floats64(t, "z", -3/3.5355339059327378, -2/3.5355339059327378, -1/3.5355339059327378, 6/3.5355339059327378),
		texts(t, "size", "small", "small", "small", "large"), floats64(t, "share", .75, .75, .75, .25),
		floats64(t, "log", 0., 0., 0., 0.), named{"city_a", column(t, data.Bool, false, true, true, false)},
		named{"city_b", column(t, data.Bool, true, false, false, true)}, named{"city_other", column(t, data.Bool, false, false, false, false)})
}

func TestOnlyTheRowsOfTheMaskAreLearnedFrom(t *testing.T) {
	t.Parallel()
	b := batch(t, floats64(t, "x", 1., 3., 1000.), texts(t, "c", "a", "b", "held out"))
	p, err := features.Compile(features.Config{Steps: []features.Step{step("z", "standard_scale", "x"), step("c", "one_hot", "c")}}, b.Schema)
	require.NoError(t, err)
	mask := data.NewBitmap(3)
	mask.Set(0)
	mask.Set(1)
	s := p.NewState(0)
	require.NoError(t, s.Observe(b, mask))
	p, err = p.Fit(0, s)
	require.NoError(t, err)
	assert.Equal(t, []string{"z", "c_a", "c_b", "c_other"}, p.FeatureNames())
	checkApply(t, p, batch(t, floats64(t, "x", 2.), texts(t, "c", "held out")), floats64(t, "z", 0.),
		named{"c_a", column(t, data.Bool, false)}, named{"c_b", column(t, data.Bool, false)}, named{"c_other", column(t, data.Bool, true)})
}

func TestAPipelineCanKeepOtherColumns(t *testing.T) {
	t.Parallel()
	p := fit(t, chain(), chainBatch(t))
	bare, err := p.WithKeep()
	require.NoError(t, err)
	assert.Equal(t, []string{"amount", "city", "other"}, bare.Inputs())
	got, err := bare.Apply(batch(t, texts(t, "city", "a"), named{"other", column(t, data.Int32, 0)}, named{"amount", column(t, data.Float32, 4.)}))
	require.NoError(t, err)
	assert.Equal(t, bare.FeatureNames(), got.Schema.Names())
	_, err = p.WithKeep("unused")
	require.ErrorContains(t, err, `there is no column "unused"`)
	_, err = p.WithKeep("user", "user")
	require.ErrorContains(t, err, `"user" is given twice`)
	_, err = p.WithKeep("city")
	require.NoError(t, err)
}

func TestApplyRefusesOtherTables(t *testing.T) {
	t.Parallel()
	p := fit(t, features.Config{Steps: []features.Step{step("l", "log1p", "x")}, Keep: []string{"id"}},
		batch(t, floats64(t, "x", 1.), named{"id", column(t, data.Int64, 1)}))
	id := named{"id", column(t, data.Int64, 1)}
	for want, b := range map[string]*data.Batch{
		`there is no column "x", which feature "l" (log1p) reads`: batch(t, id),
		`column "x" is string, expected float64`:                  batch(t, id, texts(t, "x", "a")),
		`there is no column "id", which is to be kept`:            batch(t, floats64(t, "x", 1.)),
		`column "id" is int32, expected int64`:                    batch(t, floats64(t, "x", 1.), named{"id", column(t, data.Int32, 1)}),
	} {
		_, err := p.Apply(b)
		require.Equal(t, fault.Invalid, fault.Of(err))
		assert.ErrorContains(t, err, want)
	}
}

func TestAColumnWithoutNullsHasNone(t *testing.T) {
	t.Parallel()
	schema := data.Schema{Fields: []data.Field{{Name: "id", Type: data.Int64}}}
	p, err := features.Compile(features.Config{Keep: []string{"id"}}, schema)
	require.NoError(t, err)
	_, err = p.Apply(batch(t, named{"id", column(t, data.Int64, 1, null{})}))
	require.ErrorContains(t, err, `column "id" has nulls, expected none`)
	_, err = p.Apply(batch(t, named{"id", column(t, data.Int64, 1)}))
	require.NoError(t, err)
}

func TestNamesMustNotCollide(t *testing.T) {
	t.Parallel()
	schema := chainBatch(t).Schema
	for want, cfg := range map[string]features.Config{
		`an earlier feature has the same name`:                   {Steps: []features.Step{step("a", "log1p", "other"), step("a", "log1p", "amount")}},
		`it makes a column "user", and so is called a column`:    {Steps: []features.Step{step("user", "log1p", "other")}, Keep: []string{"user"}},
		`it makes a column "y", and so is called the target`:     {Steps: []features.Step{step("y", "log1p", "other")}, Target: "y"},
		`feature 1 (log1p) has no name`:                          {Steps: []features.Step{step("", "log1p", "other")}},
		`keep: "user" is given twice`:                            {Keep: []string{"user", "user"}},
		`entity: there is no column "usr"; did you mean "user"?`: {Entity: features.Entity{"usr"}},
		`comes from feature "c" (one_hot), whose columns are not known before it is fitted`: {Steps: []features.Step{
			step("c", "one_hot", "city"), step("d", "log1p", "c_a")}},
	} {
		_, err := features.Compile(cfg, schema)
		assert.ErrorContains(t, err, want)
	}
	// Names that only a fit can tell.
	b := batch(t, texts(t, "city", "a"), floats64(t, "x", 1.))
	p, err := features.Compile(features.Config{Steps: []features.Step{step("c", "one_hot", "city"), step("c_a", "log1p", "x")}}, b.Schema)
	require.NoError(t, err)
	s := p.NewState(0)
	require.NoError(t, s.Observe(b, nil))
	_, err = p.Fit(0, s)
	require.ErrorContains(t, err, `it makes a column "c_a", and so is called feature "c" (one_hot)`)
}

func TestAStepMayTakeTheNameOfItsInput(t *testing.T) {
	t.Parallel()
	b := batch(t, floats64(t, "x", 1., 3.))
	p := fit(t, features.Config{Steps: []features.Step{step("x", "standard_scale", "x"), step("r", "ratio", "x", "x")}}, b)
	checkApply(t, p, b, floats64(t, "x", -1., 1.), floats64(t, "r", 1., 1.))
	assert.Equal(t, []string{"x"}, p.Inputs())
}

func TestNothingToLearnFromIsAnError(t *testing.T) {
	t.Parallel()
	b := batch(t, floats64(t, "x", null{}, nan, inf), texts(t, "c", null{}, null{}, null{}))
	p, err := features.Compile(features.Config{Steps: []features.Step{step("z", "standard_scale", "x"), step("c", "one_hot", "c")}}, b.Schema)
	require.NoError(t, err)
	s := p.NewState(0)
	require.NoError(t, s.Observe(b, nil))
	_, err = p.Fit(0, s)
	require.Equal(t, fault.Invalid, fault.Of(err))
	require.ErrorContains(t, err, `feature "z" (standard_scale): none of the rows to learn from has a finite number`)
	require.ErrorContains(t, err, `feature "c" (one_hot): none of the rows to learn from has a value`)
}

func TestStatesOfOtherPipelinesAreRefused(t *testing.T) {
	t.Parallel()
	b := chainBatch(t)
	p, err := features.Compile(chain(), b.Schema)
	require.NoError(t, err)
	q, err := features.Compile(features.Config{Steps: chain().Steps[:1]}, b.Schema)
	require.NoError(t, err)
	s, other := p.NewState(0), q.NewState(0)
	require.NoError(t, s.Observe(b, nil))
	require.ErrorContains(t, s.Merge(other), "different pipelines")
	_, err = q.Fit(0, s)
	require.ErrorContains(t, err, "of another pipeline")
	text, err := s.MarshalBinary()
	require.NoError(t, err)
	require.ErrorContains(t, other.UnmarshalBinary(text), "it is of another pipeline")
	_, err = p.Fit(1, s)
	require.ErrorContains(t, err, "pass 1 does not come next")
	require.Error(t, s.Observe(batch(t, floats64(t, "amount", 1.)), nil))
	again, err := s.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, text, again, "a batch that is refused adds nothing")
}

// The golden form of a fitted pipeline: a change here is a change of format.
func TestThePipelineAsJSON(t *testing.T) {
	t.Parallel()
	cfg := features.Config{Steps: []features.Step{
		step("z", "standard_scale", "x"), step("c", "one_hot", "c"), step("f", "frequency_encode", "c"),
		with(step("b", "bin", "x"), "edges", []any{0, 0.1, inf}),
	}, Keep: []string{"id"}}
	p := fit(t, cfg, batch(t, named{"id", column(t, data.Int64, 1, 2)}, floats64(t, "x", 0.1, 0.3), texts(t, "c", "b", "a")))
	text, err := json.Marshal(p)
	require.NoError(t, err)
	assert.JSONEq(t, `{"version": 1, "passes": 1,
		"config": {"steps": [
			{"name": "z", "op": "standard_scale", "of": ["x"]}, {"name": "c", "op": "one_hot", "of": ["c"]},
			{"name": "f", "op": "frequency_encode", "of": ["c"]},
			{"name": "b", "op": "bin", "of": ["x"], "params": {"edges": [0, 0.1, ".inf"]}}], "keep": ["id"]},
		"input": {"fields": [{"name": "id", "type": "int64", "nullable": true}, {"name": "x", "type": "float64", "nullable": true},
			{"name": "c", "type": "string", "nullable": true}]},
		"learned": [{"mean": 0.2, "std": 0.09999999999999999}, {"categories": ["a", "b"], "missing": false},
			{"n": 2, "categories": {"a": 1, "b": 1}}, null]}`, string(text))
	for name, broken := range map[string]string{
		"not JSON": `{`, "version": `{"version": 2}`, "unknown key": `{"version": 1, "more": 1}`,
		"config": `{"version":1,"config":{"steps":[{"name":"a","op":"no","of":[]}]},"input":{"fields":null},"passes":0,"learned":[null]}`,
		"length": `{"version":1,"config":{"steps":[]},"input":{"fields":null},"passes":1,"learned":[]}`,
	} {
		_, err := features.Load([]byte(broken))
		assert.Equal(t, fault.Corrupt, fault.Of(err), name)
	}
}
