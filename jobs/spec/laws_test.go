package spec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/spec"
)

// base is a small valid file of each kind.
var base = map[spec.Kind]string{
	spec.KindFeatures: "kind: features\nname: f\ninput: in\noutput: out\nfeatures:\n  - {name: a, op: bin, of: amount}\n",
	spec.KindTrain:    "kind: train\nname: t\ninput: in\ntarget: y\ntask: binary\nmodel: {type: mlp}\n",
	spec.KindPredict:  "kind: predict\nname: p\nmodel: m\ninput: in\noutput: out\n",
	spec.KindDrift:    "kind: drift\nname: d\nreference: r\ncurrent: c\n",
}

// variants are values of fields that may be changed at will. Those of effort
// cannot change the result.
var (
	variants = map[spec.Kind]map[string][]string{
		spec.KindFeatures: {
			"name": {"g", "a-b_9"}, "input": {"s3://b/x", "other/*.parquet"}, "output": {"o2"}, "target": {"y"}, "entity": {"u"}, "timestamp": {"ts"},
			"seed": {"0", "7", "18446744073709551615"}, "features[0].labels": {"[low, high]"}, "features[0].of": {"[a, b]"}, "features[0].edges": {"[0, 1.5, .inf]", "[-.inf, 1]"},
		},
		spec.KindTrain: {
			"experiment": {"e"}, "input": {"x/y"}, "features": {"f.yaml", "[{name: a, op: bin, of: b, edges: [1, 2]}]"}, "target": {"z"},
			"split":        {"{by: time, column: ts}", "{by: hash, column: u, test: 0.5}", "{by: column, column: part}", "{validation: 0.3, seed: 9}"},
			"model.hidden": {"[]", "[1]", "[64, 32, 16]"}, "model.activation": {"tanh"}, "model.dropout": {"0.5"}, "optimizer.learning_rate": {"1e-5", "0.25"},
			"scheduler": {"{type: reduce_on_plateau, patience: 0}", "{type: cosine, warmup_iterations: 5, min_learning_rate: 1e-5}", "{type: step, every: 2, interval: iteration}"}, "epochs": {"1"}, "class_weights": {"balanced", "{'0': 1, '1': 2.5}"}, "label_smoothing": {"0.1"}, "weight": {"w"}, "batch_size": {"7"}, "early_stopping": {"{metric: auc}", "{patience: 9, min_delta: 0.5}"}, "seed": {"1"},
		},
		spec.KindPredict: {"model": {"models:/m@production", "runs:/a/model"}, "keep": {"[a]", "[a, b]"}, "output": {"q"}},
		spec.KindDrift: {
			"columns": {"{include: [a, b]}", "{exclude: [z]}"}, "target": {"y"}, "method": {"psi"}, "methods": {"{a: ks}", "{a: js, b: psi}"},
			"threshold.share": {"0.1", "1"}, "report": {"r.html"}, "publish": {"true"},
		},
	}
	effort = map[spec.Kind]map[string][]string{
		spec.KindFeatures: {"workers": {"{min: 2}", "{max: 3}"}},
		spec.KindTrain:    {"workers": {"{min: 2}", "{max: 3}"}, "threads": {"1", "16"}},
		spec.KindPredict:  {"workers": {"{min: 2}"}},
		spec.KindDrift:    {"workers": {"{min: 2}"}},
	}
)

// draw returns overrides of some fields.
func draw(t *rapid.T, fields map[string][]string, label string) []spec.Set {
	var sets []spec.Set
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if values := fields[field]; len(values) > 0 && rapid.Bool().Draw(t, label+" "+field) {
			sets = append(sets, spec.Override(field, rapid.SampledFrom(values).Draw(t, field)))
		}
	}
	return sets
}

func drawSpec(t *rapid.T) (spec.Spec, []spec.Set) {
	kind := rapid.SampledFrom(spec.Kinds()).Draw(t, "kind")
	sets := draw(t, variants[kind], "set")
	return parse(t, kind, sets...), sets
}

func parse(t require.TestingT, kind spec.Kind, sets ...spec.Set) spec.Spec {
	specs, err := spec.Parse("f.yaml", []byte(base[kind]), sets...)
	require.NoError(t, err)
	s, err := spec.One(specs)
	require.NoError(t, err)
	return s
}

// Every reader of the canonical form gets the same spec back, and it has one
// canonical form only.
func TestTheCanonicalFormIsTheSpec(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, _ := drawSpec(t)
		text := s.Canonical()
		decoded, err := spec.Decode(text)
		require.NoError(t, err, string(text))
		require.Empty(t, cmp.Diff(s, decoded))
		require.Equal(t, string(text), string(decoded.Canonical()))
		parsed, err := spec.Parse("c.json", text)
		require.NoError(t, err)
		require.Equal(t, []spec.Spec{s}, parsed)
		var viaJSON spec.Spec
		b, err := json.Marshal(s)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &viaJSON))
		require.Equal(t, s, viaJSON)
		require.Equal(t, s, s.Clone())
	})
}

// Workers and threads cannot change a result, so they are no part of what names
// it. Everything else is.
func TestTheDigestNamesWhatIsComputed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, sets := drawSpec(t)
		same := parse(t, s.Kind, append(sets, draw(t, effort[s.Kind], "effort")...)...)
		require.Equal(t, s.Digest(), same.Digest())
	})
	for kind, fields := range variants {
		plain := parse(t, kind)
		seen := map[string]string{plain.Digest(): "the plain spec"}
		for field, values := range fields {
			for _, v := range values {
				s := parse(t, kind, spec.Override(field, v))
				if s.Digest() == plain.Digest() && string(s.Canonical()) == string(plain.Canonical()) {
					continue // the value is the default
				}
				what := fmt.Sprintf("%s %s=%s", kind, field, v)
				assert.Empty(t, seen[s.Digest()], "%s has the digest of %s", what, seen[s.Digest()])
				seen[s.Digest()] = what
			}
		}
		assert.Greater(t, len(seen), len(fields)/2)
	}
}

// The JSON Schema takes what Parse takes, and refuses what it refuses of single
// fields.
func TestTheSchemaSaysWhatParseSays(t *testing.T) {
	t.Parallel()
	schemas := map[spec.Kind]*jsonschema.Resolved{}
	for _, kind := range spec.Kinds() {
		text, err := spec.Schema(kind)
		require.NoError(t, err)
		var schema jsonschema.Schema
		require.NoError(t, json.Unmarshal(text, &schema))
		schemas[kind], err = schema.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true})
		require.NoError(t, err)
	}
	validate := func(kind spec.Kind, text []byte) error {
		var v any
		require.NoError(t, json.Unmarshal(text, &v))
		return schemas[kind].Validate(v)
	}
	rapid.Check(t, func(rt *rapid.T) {
		s, _ := drawSpec(rt)
		require.NoError(rt, validate(s.Kind, s.Canonical()), string(s.Canonical()))
	})
	for _, c := range []struct {
		kind spec.Kind
		text string
	}{
		{spec.KindDrift, `{"kind":"drift","name":"d","reference":"r","current":"c","curent":1}`},
		{spec.KindDrift, `{"kind":"train","name":"d","reference":"r","current":"c"}`},
		{spec.KindDrift, `{"kind":"drift","name":"d","reference":"r"}`},
		{spec.KindDrift, `{"kind":"drift","name":"d","reference":"r","current":"c","method":"kss"}`},
		{spec.KindDrift, `{"kind":"drift","name":"d","reference":"r","current":"c","threshold":{"share":0}}`},
		{spec.KindDrift, `{"kind":"drift","name":"a b","reference":"r","current":"c"}`},
		{spec.KindTrain, `{"kind":"train","name":"t","input":"i","target":"y","task":"binary","model":{"type":"mlp","hidden":[0]}}`},
		{spec.KindTrain, `{"kind":"train","name":"t","input":"i","target":"y","task":"binary","model":{"type":"mlp"},"epochs":1.5}`},
		{spec.KindTrain, `{"kind":"train","name":"t","input":"i","target":"y","task":"binary","model":{"type":"mlp"},"seed":-1}`},
		{spec.KindPredict, `{"kind":"predict","name":"p","model":"m","input":"i","output":"o","keep":[]}`},
		{spec.KindFeatures, `{"kind":"features","name":"f","input":"i","output":"o","features":[{"name":"a","op":"lag","of":"x","windw":3}]}`},
		{spec.KindFeatures, `{"kind":"features","name":"f","input":"i","output":"o","features":[{"name":"a","op":"lag"}]}`},
		{spec.KindFeatures, `{"kind":"features","name":"f","input":"i","output":"o","features":[{"name":"a","op":"expr","expr":"x","of":"x"}]}`},
	} {
		_, err := spec.Parse("f", []byte(c.text))
		assert.True(t, err != nil || c.kind == spec.KindDrift && strings.Contains(c.text, `"train"`), "Parse takes %s", c.text)
		assert.Error(t, validate(c.kind, []byte(c.text)), "the schema takes %s", c.text)
	}
	_, err := spec.Schema("trian")
	assert.ErrorContains(t, err, `did you mean "train"?`)
}

func TestPathsAreResolvedAndAddressesAreNot(t *testing.T) {
	t.Parallel()
	s := parse(t, spec.KindTrain, spec.Override("input", "../x/*.parquet"), spec.Override("features", "f.yaml")).Resolve("/p/q")
	assert.Equal(t, []spec.Path{{Field: "input", Value: "/p/x/*.parquet"}, {Field: "features", Value: "/p/q/f.yaml"}}, s.Paths())
	for _, kept := range []string{"s3://b/c", "runs:/a/model", "models:/a/1", "models:/a@b", "/abs"} {
		s := parse(t, spec.KindPredict, spec.Override("model", kept)).Resolve("/p")
		assert.Equal(t, kept, s.Predict.Model)
	}
	for _, file := range []string{"a:b", "c:/x", "./runs:/a"} { // a colon alone makes no address
		s := parse(t, spec.KindPredict, spec.Override("input", file)).Resolve("/p")
		assert.True(t, strings.HasPrefix(s.Predict.Input, "/p/"), s.Predict.Input)
	}
	unresolved := parse(t, spec.KindDrift)
	assert.NotEqual(t, unresolved.Digest(), unresolved.Resolve("/p").Digest())
	assert.Equal(t, "r", unresolved.Drift.Reference, "Resolve leaves its receiver as it was")
}

func TestSetsAreReadOrRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "=1", "a", ".a=1", "a[x]=1", "a[1=2", "a..b=1"} {
		_, err := spec.ParseSet(bad)
		assert.Equal(t, fault.Invalid, fault.Of(err), bad)
	}
	s, err := spec.ParseSet("a.b[1].c=x=y")
	require.NoError(t, err)
	assert.Equal(t, spec.Override("a.b[1].c", "x=y"), s)
	assert.Equal(t, "--set a.b[1].c=x=y", s.String())
	two, err := spec.Parse("f", []byte(base[spec.KindTrain]+"---\n"+base[spec.KindDrift]), spec.Override("epochs", "3"), spec.Override("workers.min", "2"))
	require.NoError(t, err)
	assert.Equal(t, 3, two[0].Train.Epochs, "a field goes to the jobs that have it")
	assert.Equal(t, 2, two[1].Drift.Workers.Min)
	_, err = spec.One(two)
	assert.ErrorContains(t, err, "2 jobs")
}

// Whatever the bytes, Parse ends, and what it takes has a canonical form that
// it takes again.
func FuzzParse(f *testing.F) {
	for _, text := range base {
		f.Add([]byte(text))
	}
	for _, hostile := range []string{
		strings.Repeat("[", 5000), strings.Repeat("- ", 5000) + "a", strings.Repeat("a: {", 500), "&a [*a, *a]", "a: *a", "a: &a [1]\nb: [*a, *a]",
		"? a\n: b", "!!binary x", "%YAML 9.9\n---\na: b", "\x00", "\xff\xfe", "a: \"\\u0000\"", "---\n---\n---", "a:\n\tb: 1", "{a: 1, a: 2}", "- - - - a", "a: 1e999999", "a: 0x" + strings.Repeat("f", 100),
		"x: &a [l,l,l,l,l,l,l,l]\ny: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nz: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nw: &d [*c,*c,*c,*c,*c,*c,*c,*c]\nv: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nu: &f [*e,*e,*e,*e,*e,*e,*e,*e]\nt: &g [*f,*f,*f,*f,*f,*f,*f,*f]",
	} {
		f.Add([]byte(hostile))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		specs, err := spec.Parse("f", text)
		var faults spec.Faults
		if err != nil && (fault.Of(err) != fault.Invalid || !errors.As(err, &faults) || len(faults) == 0) {
			t.Fatalf("the error is not a list of faults: %v", err)
		}
		for _, s := range specs {
			again, err := spec.Decode(s.Canonical())
			if err != nil || again.Digest() != s.Digest() {
				t.Fatalf("the canonical form %s is not taken again: %v", s.Canonical(), err)
			}
		}
	})
}
