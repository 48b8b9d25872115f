package query_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/query"
)

var grammar = query.Grammar{
	Kinds:   []query.Kind{query.Attribute, query.Metric, query.Param, query.Tag, query.Dataset},
	Numbers: []string{"start_time"}, Texts: []string{"status", "run_id", "run_name"},
	Aliases: map[string]string{"created": "start_time", "Run name": "run_name"},
}

type subject struct {
	numbers map[string]float64
	texts   map[string][]string
}

func (s subject) Number(f query.Field) (float64, bool) {
	v, ok := s.numbers[f.String()]
	return v, ok
}

func (s subject) Texts(f query.Field) []string { return s.texts[f.String()] }

var one = subject{
	numbers: map[string]float64{"metrics.test.auc": 0.9, "metrics.a b": 1, "metrics.nan": math.NaN(), "attributes.start_time": 100},
	texts: map[string][]string{
		"params.lr": {"0.1"}, "params.model.hidden": {"[64,32]"}, "tags.team": {"Fraud"}, "tags.it's": {"a'b"}, "tags.empty": {""},
		"attributes.status": {"FINISHED"}, "attributes.run_id": {"r1"}, "attributes.run_name": {"base"},
		"datasets.name": {"train", "test"}, "datasets.digest": {"d1", "d2"},
	},
}

func TestAFilterHoldsOrNot(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"":                                      true,
		"  ":                                    true,
		"metrics.test.auc > 0.5":                true,
		"metric.test.auc>=0.9":                  true,
		"metrics.test.auc > 0.9":                false,
		"metrics.test.auc != 0.9":               false,
		"metrics.test.auc < 1e3":                true,
		"metrics.test.auc <= -1":                false,
		"metrics.`a b` = 1":                     true,
		`metrics."a b" = 1`:                     true,
		"metrics.none != 1":                     false, // as a missing one compares with nothing
		"metrics.nan = 1":                       false,
		"metrics.nan != 1":                      true,
		"params.lr = '0.1'":                     true,
		`params.lr = "0.1"`:                     true,
		"param.lr != '0.1'":                     false,
		"parameters.model.hidden LIKE '[64%'":   true,
		"tags.team like 'fraud'":                false,
		"tags.team ILIKE 'fr_ud'":               true,
		"tags.team LIKE 'Fr'":                   false,
		"tags.team LIKE '%aud'":                 true,
		"tags.team LIKE 'F.aud'":                false, // a dot is a dot
		"tags.team IS NULL":                     false,
		"tags.none IS NULL":                     true,
		"tags.none is not null":                 false,
		"tags.empty = ''":                       true,
		"tags.`it's` = 'a''b'":                  true,
		"status = 'FINISHED'":                   true,
		"attributes.status = 'FINISHED'":        true,
		"run.status IN ('RUNNING', 'FINISHED')": true,
		"run_id IN ()":                          false,
		"run_id NOT IN ('r2')":                  true,
		"attr.created > 99 and start_time <= 100 AND `Run name` = 'base'": true,
		"start_time > 100":                         false,
		"datasets.name = 'test'":                   true,
		"dataset.digest IN ('d3', 'd4')":           false,
		"params.lr = '0.1' AND status = 'RUNNING'": false,
	} {
		f, err := grammar.Parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, f.Match(one), text)
	}
}

func TestAFilterThatIsWrongIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"metrics.a":                        "at character 10: expected a comparison",
		"metrics.a > 'x'":                  "with a number without quotes",
		"metrics.a LIKE 'x'":               "which LIKE does not compare",
		"params.a > 'x'":                   "which > does not compare",
		"params.a = 1":                     "with a text in quotes",
		"params.a = 'x":                    "is not closed",
		"params.a = 'x' OR params.b = 'y'": "expected AND or the end",
		"(params.a = 'x')":                 "expected a field",
		"foo.a = 'x'":                      `"foo" is not something`,
		"speed > 1":                        `no attribute "speed"; there are run_id, run_name, start_time, status`,
		"datasets.size = 'x'":              `no "size"`,
		"params. = 'x'":                    "is missing",
		"run_id IN ('a' 'b')":              "expected , or )",
		"run_id IN (a)":                    "texts in quotes",
		"run_id IN 'a'":                    "expected (",
		"tags.a IS 'x'":                    "expected a comparison",
		"tags.a IS NOT 'x'":                "expected NULL",
		"params.a = 'x' AND":               "expected a field",
		"metrics.a > 1 metrics.b > 1":      "expected AND",
	} {
		_, err := grammar.Parse(text)
		require.ErrorContains(t, err, want, text)
		assert.Equal(t, fault.Invalid, fault.Of(err), text)
	}
	for text, want := range map[string]string{
		"metrics.a up": "expected ASC or DESC", "metrics.a asc x": "end of the clause", "'a'": "expected a field", "": "expected a field", "x.y": `"x" is not`,
	} {
		_, err := grammar.ParseOrder(text)
		require.ErrorContains(t, err, want, text)
	}
	_, err := query.Grammar{Kinds: []query.Kind{query.Tag}}.Parse("metrics.a > 1")
	require.ErrorContains(t, err, "it can be of tags")
}

func TestWhatHasNoValueIsSortedLastWhateverTheDirection(t *testing.T) {
	t.Parallel()
	named := func(name string, v float64) subject {
		s := subject{numbers: map[string]float64{}, texts: map[string][]string{"params.p": {name}}}
		if v != 99 {
			s.numbers["metrics.m"] = v
		}
		return s
	}
	all := func() []subject {
		return []subject{named("none", 99), named("nan", math.NaN()), named("b", 2), named("a", 1), named("c", 2)}
	}
	for clauses, want := range map[string]string{
		"metrics.m":                    "a b c nan none",
		"metrics.m DESC":               "b c a nan none",
		"metrics.m desc,params.p DESC": "c b a nan none",
		"params.p":                     "a b c nan none",
		"params.none":                  "none nan b a c",
	} {
		o, err := grammar.ParseOrder(strings.Split(clauses, ",")...)
		require.NoError(t, err)
		rows := all()
		query.Sort(o, rows)
		var got []string
		for _, r := range rows {
			got = append(got, r.texts["params.p"][0])
		}
		assert.Equal(t, want, strings.Join(got, " "), clauses)
	}
}

// Any text that is quoted comes through a filter as it is.
func TestAnyTextCanBeAskedFor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key, value := rapid.StringN(1, 20, 40).Draw(t, "key"), rapid.String().Draw(t, "value")
		f, err := grammar.Parse("tags.`" + strings.ReplaceAll(key, "`", "``") + "` = '" + strings.ReplaceAll(value, "'", "''") + "'")
		if err != nil {
			t.Fatal(err)
		}
		if s := (subject{texts: map[string][]string{"tags." + key: {value}}}); !f.Match(s) {
			t.Fatalf("%q = %q does not match itself", key, value)
		}
	})
}

func TestNoTextMakesItPanic(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([]string{"metrics.a", "tags.", "`", "'", `"`, "AND", "IN", "NOT", "IS", "NULL", "(", ")", ",", ">", "=", "1", "-", " ", ".", "status"})).Draw(t, "parts")
		f, err := grammar.Parse(strings.Join(parts, ""))
		if err == nil {
			f.Match(one)
		}
	})
}
