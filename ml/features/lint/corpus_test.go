package lint_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/features/lint"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// table is a generated table in the making.
type table struct {
	*rand.Rand
	n      int
	fields []data.Field
	cols   []*data.Column
}

func (t *table) add(name string, c *data.Column) {
	t.fields = append(t.fields, data.Field{Name: name, Type: c.Type, Nullable: c.Valid != nil})
	t.cols = append(t.cols, c)
}

func (t *table) float(name string, of func(i int) float64) []float64 {
	c := data.NewColumn(data.Float64, t.n)
	for i := range c.Float64s {
		c.Float64s[i] = of(i)
	}
	t.add(name, c)
	return c.Float64s
}

func (t *table) int(name string, of func(i int) int) []int64 {
	c := data.NewColumn(data.Int64, t.n)
	for i := range c.Int64s {
		c.Int64s[i] = int64(of(i))
	}
	t.add(name, c)
	return c.Int64s
}

func (t *table) text(name string, of func(i int) string) {
	c := data.NewColumn(data.String, t.n)
	codes := map[string]uint32{}
	for i := range c.Codes {
		s := of(i)
		code, ok := codes[s]
		if !ok {
			code = uint32(len(c.Dict))
			codes[s] = code
			c.Dict = append(c.Dict, s)
		}
		c.Codes[i] = code
	}
	t.add(name, c)
}

func (t *table) time(name string, of func(i int) int) {
	c := data.NewColumn(data.Timestamp, t.n)
	for i := range c.Int64s {
		c.Int64s[i] = int64(of(i)) * 1e6
	}
	t.add(name, c)
}

// nulls takes values out of the last column.
func (t *table) nulls(at func(i int) bool) {
	c := t.cols[len(t.cols)-1]
	c.Valid = data.NewBitmap(t.n)
	t.fields[len(t.fields)-1].Nullable = true
	for i := range t.n {
		if at(i) {
			c.Zero(i)
		} else {
			c.Valid.Set(i)
		}
	}
	if c.Type == data.String && len(c.Dict) == 0 {
		c.Dict = []string{""}
	}
}

// yes draws a truth.
func (t *table) yes(p float64) bool { return t.Float64() < p }

// base makes what most cases have: an honest number and category, an entity, a
// time, and a target that the number says something of.
func (t *table) base() []int64 {
	x := t.float("x", func(int) float64 { return t.NormFloat64() })
	t.text("city", func(int) string { return fmt.Sprint("city", t.IntN(8)) })
	t.int("user", func(int) int { return t.IntN(200) })
	t.time("ts", func(i int) int { return 1_700_000_000 + 60*i })
	return t.int("y", func(i int) int {
		if t.yes(1 / (1 + math.Exp(-1.5*x[i]))) {
			return 1
		}
		return 0
	})
}

// raw is a train job over columns as they are.
func raw(inputs ...string) *lint.Subject {
	return &lint.Subject{Job: "train", Target: "y", Task: metrics.Binary, Inputs: inputs, Split: &lint.Split{By: "time", Column: "ts", Test: 0.2}}
}

// with is a train job with a list of features.
func with(steps ...features.Step) *lint.Subject {
	s := raw()
	s.Steps, s.Entity, s.Timestamp = steps, features.Entity{"user"}, "ts"
	return s
}

// over is a train job over the output of a features job.
func over(steps ...features.Step) *lint.Subject {
	s := raw()
	s.Made = &lint.Subject{Job: "features", Steps: steps, Entity: features.Entity{"user"}, Timestamp: "ts"}
	return s
}

func (s split) of(j *lint.Subject) *lint.Subject {
	j.Split = &lint.Split{By: s.by, Column: s.column, Test: 0.2, Validation: 0.1, Seed: 1}
	return j
}

type split struct{ by, column string }

var random = split{by: "random"}

func hashed(column string) split { return split{"hash", column} }

func step(name, op string, of ...string) features.Step {
	return features.Step{Name: name, Op: op, Of: of}
}

func window(name, op, of string, current bool) features.Step {
	return features.Step{Name: name, Op: op, Of: []string{of}, Params: map[string]any{"window": 3, "include_current": current}}
}

func expression(name, text string) features.Step {
	return features.Step{Name: name, Op: "expr", Params: map[string]any{"expr": text}}
}

// example is a job and its rows, and what must be found: codes with columns.
type example struct {
	name string
	make func(t *table) *lint.Subject
	want []string
	rows int // 0: 4000
}

// look is what the rules find in an example, as codes with columns.
func look(t *testing.T, e example, seed uint64) []string {
	t.Helper()
	tb := &table{Rand: rng.New(seed, e.name), n: e.rows}
	if tb.n == 0 {
		tb.n = 4000
	}
	s := e.make(tb)
	b, err := data.NewBatch(data.Schema{Fields: tb.fields}, tb.cols)
	require.NoError(t, err)
	var out []string
	for _, f := range judged(t, s, b) {
		out = append(out, strings.TrimSpace(f.Code+" "+f.Column))
		assert.NotEmpty(t, f.Evidence, e.name)
		assert.NotEmpty(t, f.Fix, e.name)
	}
	slices.Sort(out)
	return out
}

// judged applies all rules.
func judged(t *testing.T, s *lint.Subject, b *data.Batch) []lint.Finding {
	t.Helper()
	s.Schema = b.Schema
	found := lint.Static(s)
	looked := s
	if s.Made != nil { // its output has not been written: the rows are those of the features job's input
		s.Made.Schema = b.Schema
		looked = &lint.Subject{Job: s.Job, Target: s.Target, Task: s.Task, Split: s.Split, Steps: s.Made.Steps, Entity: s.Made.Entity, Timestamp: s.Made.Timestamp, Schema: b.Schema}
	}
	p, err := lint.NewProfile(looked)
	require.NoError(t, err)
	numbers := make([]int64, b.NumRows)
	for i := range numbers {
		numbers[i] = int64(i)
	}
	require.NoError(t, p.Observe(b, numbers))
	a := p.Association()
	if a != nil {
		a.Observe(b, numbers)
	}
	return append(found, lint.Check(p, a)...)
}

// The corpus is what the lint is measured by: of the leaks that were planted the
// share that is found, of what is found the share that was planted.
func TestTheCorpus(t *testing.T) {
	t.Parallel()
	planted, controls := leaks(), honest()
	assert.GreaterOrEqual(t, len(planted), 30)
	assert.GreaterOrEqual(t, len(controls), 30)
	type score struct{ hit, missed, wrong int }
	scores := map[string]*score{}
	for _, r := range lint.Rules() {
		scores[r.Code] = &score{}
	}
	seeds := []uint64{1, 2, 3}
	for i, e := range slices.Repeat(slices.Concat(planted, controls), len(seeds)) {
		got := look(t, e, seeds[i/(len(planted)+len(controls))])
		for _, w := range e.want {
			if slices.Contains(got, w) {
				scores[w[:5]].hit++
			} else {
				scores[w[:5]].missed++
				t.Logf("%s: %s was not found; found %v", e.name, w, got)
			}
		}
		for _, g := range got {
			if !slices.Contains(e.want, g) {
				scores[g[:5]].wrong++
				t.Logf("%s: %s was found; expected %v", e.name, g, e.want)
			}
		}
	}
	for _, r := range lint.Rules() {
		s := scores[r.Code]
		recall, precision := float64(s.hit)/float64(s.hit+s.missed), float64(s.hit)/float64(s.hit+s.wrong)
		t.Logf("%s %-18s planted %2d  recall %.3f  precision %.3f", r.Code, r.Name, s.hit+s.missed, recall, precision)
		assert.Positive(t, s.hit+s.missed, "%s is not in the corpus", r.Code)
		assert.InDelta(t, 1, recall, 0, "%s: recall", r.Code)
		assert.InDelta(t, 1, precision, 0, "%s: precision", r.Code)
	}
	t.Logf("%d jobs with leaks and %d without, of %d seeds each", len(planted), len(controls), len(seeds))
}

// How bad a finding is depends on what was seen.
func TestSeverities(t *testing.T) {
	t.Parallel()
	noisy := func(mistakes float64) func(t *table) *lint.Subject {
		return func(t *table) *lint.Subject {
			y := t.base()
			t.int("c", func(i int) int {
				if t.yes(mistakes) {
					return int(1 - y[i])
				}
				return int(y[i])
			})
			return raw("x", "c")
		}
	}
	lagged := func(s split) func(t *table) *lint.Subject {
		return func(t *table) *lint.Subject {
			t.base()
			return s.of(with(step("l", "lag", "y")))
		}
	}
	fitted := func(op, of string) func(t *table) *lint.Subject {
		return func(t *table) *lint.Subject {
			t.base()
			return over(step("f", op, of))
		}
	}
	closed := func(chance float64) func(t *table) *lint.Subject {
		return func(t *table) *lint.Subject {
			y := t.base()
			t.float("c", func(int) float64 { return t.NormFloat64() })
			t.nulls(func(i int) bool { return y[i] == 0 || t.yes(chance) })
			return raw("x", "c")
		}
	}
	for _, c := range []struct {
		code string
		want lint.Severity
		make func(t *table) *lint.Subject
	}{
		{"TL008", lint.Error, noisy(0.003)},
		{"TL008", lint.Warning, noisy(0.02)},
		{"TL002", lint.Warning, lagged(split{"time", "ts"})},
		{"TL002", lint.Error, lagged(random)},
		{"TL003", lint.Warning, fitted("standard_scale", "x")},
		{"TL003", lint.Error, fitted("target_encode", "city")},
		{"TL010", lint.Error, closed(0)},
		{"TL010", lint.Warning, closed(0.5)},
	} {
		tb := &table{Rand: rng.New(4, c.code), n: 4000}
		s := c.make(tb)
		b, err := data.NewBatch(data.Schema{Fields: tb.fields}, tb.cols)
		require.NoError(t, err)
		found := judged(t, s, b)
		i := slices.IndexFunc(found, func(f lint.Finding) bool { return f.Code == c.code })
		require.GreaterOrEqual(t, i, 0, "%s %s", c.code, c.want)
		assert.Equal(t, c.want, found[i].Severity, "%v", found[i])
	}
}
