package bundle

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/drift"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models/neural"
)

func TestWhatONNXCannotSayIsRefusedByName(t *testing.T) {
	t.Parallel()
	withFeatures := sample(t, shapes[0])
	whole, err := withFeatures.ONNX(false)
	require.NoError(t, err)
	require.NotEmpty(t, whole)
	hashed, err := features.Compile(features.Config{Steps: []features.Step{
		{Name: "bucket", Op: "hash_encode", Of: []string{"category"}, Params: map[string]any{"buckets": 8}},
	}}, signature)
	require.NoError(t, err)
	err = (&exporter{bundle: &Bundle{Signature: signature, Pipeline: hashed}, values: map[string]value{}}).pipeline()
	require.ErrorContains(t, err, `feature "bucket" (op hash_encode) cannot be written as ONNX`)
	require.Equal(t, fault.Invalid, fault.Of(err))
	alone, err := withFeatures.ONNX(true)
	require.NoError(t, err)
	require.NotEmpty(t, alone)

	other := sample(t, shapes[1])
	other.Kind = "gbt"
	_, err = other.ONNX(true)
	require.ErrorContains(t, err, `a model of kind "gbt"`)
}

func TestWeightsGoOutAndComeBack(t *testing.T) {
	t.Parallel()
	for _, s := range shapes {
		b := sample(t, s)
		file, err := b.Weights()
		require.NoError(t, err)
		back, err := b.WithWeights(file)
		require.NoError(t, err)
		require.NoError(t, back.CheckGolden())
		require.Empty(t, back.Metrics)
		want, err := b.Predict(b.Golden())
		require.NoError(t, err)
		got, err := back.Predict(b.Golden())
		require.NoError(t, err)
		require.Equal(t, want, got)
		_, err = back.Encode()
		require.NoError(t, err)
	}
}

func TestWeightsOfAnotherModelAreRefused(t *testing.T) {
	t.Parallel()
	two, three := sample(t, shapes[1]), sample(t, shapes[3])
	file, err := three.Weights()
	require.NoError(t, err)
	_, err = two.WithWeights(file)
	require.Error(t, err)
	_, err = two.WithWeights([]byte("\x80\x04pickle"))
	require.ErrorContains(t, err, "Python pickle")
	_, err = two.WithWeights(torchFile(t))
	require.ErrorContains(t, err, "safetensors.torch.save_file")
	own, err := two.Encode()
	require.NoError(t, err)
	_, err = two.WithWeights(own)
	require.ErrorContains(t, err, "no safetensors file")
	_, err = Decode(file)
	require.ErrorContains(t, err, "troupe models import")
	graph, err := two.ONNX(true)
	require.NoError(t, err)
	_, err = Decode(graph)
	require.ErrorContains(t, err, "looks like ONNX")
	_, err = two.WithWeights([]byte("no safetensors"))
	require.Equal(t, fault.Corrupt, fault.Of(err))
}

func TestADescriptionIsTheNetwork(t *testing.T) {
	t.Parallel()
	b := sample(t, shapes[4])
	raw, err := b.Weights()
	require.NoError(t, err)
	d, err := neural.Describe(raw)
	require.NoError(t, err)
	require.Equal(t, metrics.Regression, d.Problem.Task)
	require.Equal(t, b.Encoder.NumFeatures(), d.Layers[0].In)
	last := d.Layers[len(d.Layers)-1]
	require.Equal(t, 1, last.Out)
	require.Empty(t, last.Activation)
	require.Positive(t, d.Std)
}

// What an expression cannot say in ONNX is refused, with the function.
func TestExpressionsThatONNXLacks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"lower(category) = 'a'":                  "lower has no counterpart",
		"contains(category, 'a')":                "contains has no counterpart",
		"category + 'a' = 'ba'":                  "joining texts has no counterpart",
		"category < 'b'":                         "a comparison of texts other than = or !=",
		"category = coalesce(category, 'b')":     "a comparison of texts other than = or !=",
		"category = ''":                          "an empty text in a column that may be null",
		"category in ('a', '')":                  "an empty text in a column that may be null",
		"int(category)":                          "int of a text",
		"float(category)":                        "float of a text",
		"bool(category)":                         "bool of a text",
		"date(category) = born":                  "date of a text",
		"string(count) = '1'":                    "string of a number or a time",
		"is_nan(amount)":                         "is_nan of a column that may be null or NaN",
		"is_nan(if(vip, 1.5, amount * 2))":       "is_nan of a column that may be null or NaN",
		"amount ** count":                        "a power whose exponent may be 0",
		"1.0 ** amount":                          "a power whose exponent may be 0 or whose base 1",
		"amount ** 0 + count":                    "a power whose exponent may be 0",
		"length(category) > 2 and category > ''": "length has no counterpart",
	} {
		pipeline, err := features.Compile(features.Config{Steps: []features.Step{
			{Name: "f", Op: "expr", Params: map[string]any{"expr": text}},
		}}, signature)
		require.NoError(t, err, text)
		err = (&exporter{bundle: &Bundle{Signature: signature, Pipeline: pipeline}, values: map[string]value{}}).pipeline()
		require.ErrorContains(t, err, `onnx: feature "f" (op expr): expr: `, text)
		require.ErrorContains(t, err, want, text)
		require.Equal(t, fault.Invalid, fault.Of(err))
	}
}

// Where empty texts are known among the training rows of a column that may be null,
// nothing that tells them apart from nulls is written.
func TestEmptyTextsBesideNullsAreKnownFromTheProfile(t *testing.T) {
	t.Parallel()
	for _, empty := range []bool{false, true} {
		rows := table(64)
		if empty {
			rows.Columns[2] = &data.Column{Type: data.String, Codes: make([]uint32, 64), Dict: []string{""}}
		}
		profile := drift.NewProfile(signature)
		require.NoError(t, profile.Observe(rows, nil))
		require.Equal(t, empty, profile.HasText("category", ""))
		require.False(t, profile.HasText("amount", ""))
		for _, c := range []struct {
			step    features.Step
			refused bool
		}{
			{features.Step{Op: "impute", Of: []string{"category"}, Params: map[string]any{"strategy": "constant", "value": "none"}}, empty},
			{features.Step{Op: "impute", Of: []string{"category"}, Params: map[string]any{"strategy": "constant", "value": ""}}, false},
			{features.Step{Op: "expr", Params: map[string]any{"expr": "category != 'food'"}}, empty},
			{features.Step{Op: "expr", Params: map[string]any{"expr": "coalesce(category, '') != 'food'"}}, false},
			{features.Step{Op: "expr", Params: map[string]any{"expr": "coalesce(category, '') != 'food' or category = 'toys'"}}, empty},
		} {
			c.step.Name = "f"
			pipeline, err := features.Compile(features.Config{Steps: []features.Step{c.step}}, signature)
			require.NoError(t, err)
			err = (&exporter{bundle: &Bundle{Signature: signature, Pipeline: pipeline, Profile: profile}, values: map[string]value{}}).pipeline()
			if c.refused {
				require.ErrorContains(t, err, "there are empty texts in a column that may be null", c.step)
			} else {
				require.NoError(t, err, c.step)
			}
		}
	}
}

// Categories that ONNX cannot look up are refused, each with its reason.
func TestCategoriesThatONNXCannotLookUp(t *testing.T) {
	t.Parallel()
	e := &exporter{bundle: sample(t, shapes[1]), values: map[string]value{}}
	for want, c := range map[string]struct {
		of  value
		all []string
	}{
		`category "x" is no number`:        {value{name: "c", kind: data.Float64, nullable: true}, []string{"x"}},
		`category "0.10" is no number`:     {value{name: "c", kind: data.Float64, nullable: true}, []string{"0.1", "0.10"}},
		`category "01" is no whole number`: {value{name: "c", kind: data.Int64, nullable: true}, []string{"01"}},
		`category "May" is no date`:        {value{name: "c", kind: data.Date, nullable: true}, []string{"May"}},
		"nulls and empty texts, and ONNX":  {value{name: "c", kind: data.String, merged: true}, []string{"a", ""}},
		"both nulls and empty texts":       {value{name: "c", kind: data.String, nullable: true}, []string{"", "a"}},
		`category "x" is no whole number`:  {value{name: "c", kind: data.Int64, nullable: true}, []string{"x"}},
	} {
		_, err := e.categories(c.of, c.all, 2, 3)
		require.ErrorContains(t, err, want)
		require.Equal(t, fault.Invalid, fault.Of(err))
	}
	_, err := e.categories(value{name: "c", kind: data.String}, []string{"", "a"}, 2, 3)
	require.NoError(t, err, "without nulls the empty text is a category")
	e.values["c"] = value{name: "the name of a result", kind: data.String, nullable: true}
	_, err = e.column(features.EncodedColumn{Name: "c", Coded: true, Categories: []string{"", "a"}})
	require.ErrorContains(t, err, `onnx: column "c": there are both nulls and empty texts`)
	_, err = e.source("nothing")
	require.ErrorContains(t, err, `no column "nothing"`)
}
