package run

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/jobs/spec"
)

// lintOf judges specs, whose texts may name folders by {NAME}.
func lintOf(t *testing.T, o LintOptions, folders map[string]string, texts ...string) (*LintReport, error) {
	t.Helper()
	text := strings.Join(texts, "\n---\n")
	for name, dir := range folders {
		text = strings.ReplaceAll(text, "{"+name+"}", dir)
	}
	specs, err := spec.Parse("specs", []byte(text))
	require.NoError(t, err)
	return (&Env{Threads: 3}).Lint(t.Context(), specs, o)
}

// named returns the findings as codes with columns.
func named(r *LintReport) []string {
	out := []string{}
	for _, f := range r.Findings {
		out = append(out, strings.TrimSpace(f.Code+" "+f.Column))
	}
	slices.Sort(out)
	return out
}

// late is the flights, each with whether it was more than a quarter of an hour
// late.
func late(t *testing.T, shared string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "late.parquet")
	var out []*data.Batch
	for _, b := range readTable(t, filepath.Join(shared, "flights", "flights.parquet")) {
		delay := b.Column("arr_delay")
		c := data.NewColumn(data.Bool, b.NumRows)
		c.Valid = delay.Valid
		for i := range c.Bools {
			switch {
			case delay.Type == data.Int32:
				c.Bools[i] = delay.Int32s[i] > 15
			case delay.Type == data.Int64:
				c.Bools[i] = delay.Int64s[i] > 15
			default:
				c.Bools[i] = delay.Float64s[i] > 15
			}
		}
		fields := append(slices.Clone(b.Schema.Fields), data.Field{Name: "late", Type: data.Bool, Nullable: true})
		with, err := data.NewBatch(data.Schema{Fields: fields}, append(slices.Clone(b.Columns), c))
		require.NoError(t, err)
		out = append(out, with)
	}
	writeTable(t, path, out)
	return path
}

const model = "\nmodel: {type: mlp}\n"

// What is found in real tables, and nothing else.
func TestLintOfRealTables(t *testing.T) {
	t.Parallel()
	shared := sharedData(t)
	folders := map[string]string{"data": shared, "flights": late(t, shared)}
	train := func(input, target, task, more string) string {
		return fmt.Sprintf("kind: train\nname: t\ninput: %s\ntarget: %s\ntask: %s\n%s%s", input, target, task, more, model)
	}
	hits, missed, wrong := 0, 0, 0
	for _, c := range []struct {
		name, spec string
		want       []string
	}{
		{"adult", train("{data}/adult/train.parquet", "income", "binary", ""), nil},
		{"titanic", train("{data}/small/titanic.parquet", "survived", "binary", ""), nil},
		{"penguins", train("{data}/small/penguins.parquet", "species", "multiclass", ""), nil},
		{"abalone", train("{data}/small/abalone.parquet", "rings", "regression", ""), nil},
		{"diamonds", train("{data}/diamonds/diamonds.parquet", "price", "regression", ""), nil},
		{"higgs", train("{data}/higgs/train.parquet", "label", "binary", ""), nil},
		{"beans", train("{data}/drybean/drybean.parquet", "Class", "multiclass", ""), nil},
		{"retail", train("{data}/retail/features.parquet", "bought_next_30d", "binary", ""), nil},
		{"bike: hires are those of members and of others", train("{data}/bike/hour.parquet", "cnt", "regression", ""), []string{"TL008 registered", "TL009 casual"}},
		{"bike, without them", train("{data}/bike/hour.parquet", "cnt", "regression", "columns: {exclude: [casual, registered]}"), nil},
		{"icu: the days until death, and who it was", train("{data}/icu/stays.parquet", "died", "binary", ""), []string{"TL008 survival_days", "TL010 survival_days", "TL012 record_id"}},
		{
			"icu, what was known", train("{data}/icu/stays.parquet", "died", "binary",
				"features: [{name: age, op: standard_scale, of: age}, {name: sofa, op: impute, of: sofa, strategy: median}, {name: unit, op: one_hot, of: icu_type}]"), nil,
		},
		{
			"flights: known after landing", train("{flights}", "late", "binary", ""),
			[]string{"TL008 arr_delay", "TL013 cancellation_code", "TL013 cancelled", "TL013 diverted"},
		},
		{
			"flights, before they start", train("{flights}", "late", "binary",
				"features: [{name: dep, op: standard_scale, of: dep_delay}, {name: to, op: target_encode, of: dest}, {name: way, op: log1p, of: distance}]"), nil,
		},
		{"connections: the kind of attack says its category, rows are copies", train("{data}/kddcup99/kddcup99.parquet", "category", "multiclass", ""),
			[]string{"TL007", "TL008 label", "TL013 is_host_login", "TL013 num_outbound_cmds"}},
	} {
		r, err := lintOf(t, LintOptions{}, folders, c.spec)
		require.NoError(t, err, c.name)
		got := named(r)
		for _, w := range c.want {
			if slices.Contains(got, w) {
				hits++
			} else {
				missed++
				t.Errorf("%s: %s was not found; found %v", c.name, w, got)
			}
		}
		for _, g := range got {
			if !slices.Contains(c.want, g) {
				wrong++
				t.Errorf("%s: %s was found; expected %v", c.name, g, c.want)
			}
		}
	}
	t.Logf("real tables: recall %.3f, precision %.3f of %d findings", float64(hits)/float64(hits+missed), float64(hits)/float64(hits+wrong), hits+missed)
}

// orders is a generated table in files of several row groups: customers with an
// amount, a state that says whether it was paid, and when.
func orders(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	draw := rng.New(1, "orders")
	for file := range 2 {
		var groups []*data.Batch
		for range 3 {
			cols := []*data.Column{data.NewColumn(data.Int64, n), data.NewColumn(data.Float64, n), data.NewColumn(data.String, n), data.NewColumn(data.Timestamp, n), data.NewColumn(data.Bool, n)}
			cols[2].Dict = []string{"open", "settled"}
			for i := range n {
				cols[0].Int64s[i] = int64(draw.IntN(50))
				cols[1].Float64s[i] = draw.ExpFloat64()
				cols[3].Int64s[i] = int64(draw.IntN(1_000_000)) * 1e6
				cols[4].Bools[i] = draw.Float64() < 0.3
				if cols[4].Bools[i] {
					cols[2].Codes[i] = 1
				}
			}
			b, err := data.NewBatch(data.Schema{Fields: []data.Field{
				{Name: "customer", Type: data.Int64}, {Name: "amount", Type: data.Float64}, {Name: "state", Type: data.String}, {Name: "ts", Type: data.Timestamp}, {Name: "paid", Type: data.Bool},
			}}, cols)
			require.NoError(t, err)
			groups = append(groups, b)
		}
		writeTable(t, filepath.Join(dir, fmt.Sprintf("part-%d.parquet", file)), groups)
	}
	return dir
}

const (
	makes = "kind: features\nname: f\ninput: {orders}\noutput: {out}\nentity: customer\ntimestamp: ts\n" +
		"features: [{name: a, op: standard_scale, of: amount}, {name: s, op: one_hot, of: state}, {name: l, op: lag, of: amount}]\nkeep: [customer, ts, paid]\n"
	reads = "kind: train\nname: t\ninput: {out}\ntarget: paid\ntask: binary\n" + model
)

// A train job is judged with the features job before it, whether its output is
// there or not.
func TestLintOfJobsThatBelongTogether(t *testing.T) {
	t.Parallel()
	folders := map[string]string{"orders": orders(t, 400), "out": filepath.Join(t.TempDir(), "out")}
	r, err := lintOf(t, LintOptions{}, folders, makes, reads)
	require.NoError(t, err)
	want := []string{"TL003", "TL005", "TL006 customer", "TL008 state"}
	assert.Equal(t, want, named(r))
	assert.Equal(t, []int{1, 3}, []int{r.Errors, r.Warnings})
	require.Len(t, r.Notes, 1)
	assert.Contains(t, r.Notes[0], "has not been written yet")
	assert.Equal(t, []int64{2400, 2400}, []int64{r.Jobs[0].Rows, r.Jobs[1].RowsRead})
	for _, f := range r.Findings {
		job := map[bool]string{true: `features "f"`, false: `train "t"`}[f.Code == "TL008"]
		assert.Equal(t, job, f.Job, f.Code)
	}

	twice, err := lintOf(t, LintOptions{}, folders, reads, makes)
	require.NoError(t, err, "in the other order")
	assert.Equal(t, want, named(twice))

	alone, err := lintOf(t, LintOptions{Static: true}, folders, makes, reads)
	require.NoError(t, err, "specs alone")
	assert.Equal(t, []string{"TL003", "TL005"}, named(alone))
	assert.Zero(t, alone.Jobs[0].RowsRead)

	r.Ignore([]string{"TL003", "TL008"})
	assert.Equal(t, []string{"TL005", "TL006 customer"}, named(r))
	assert.Equal(t, []int{0, 2}, []int{r.Errors, r.Warnings})
}

// A sample is of whole shards, and found again.
func TestLintOfASample(t *testing.T) {
	t.Parallel()
	folders := map[string]string{"orders": orders(t, 80_000), "out": "nowhere"} // of 12 MB decoded
	d, err := openDataset(t.Context(), nil, folders["orders"], nil)
	require.NoError(t, err)
	require.Greater(t, len(d.Shards), 1)
	r, err := lintOf(t, LintOptions{Rows: 300}, folders, makes+"target: paid\n")
	require.NoError(t, err)
	assert.Equal(t, []string{"TL008 state"}, named(r))
	assert.Less(t, r.Jobs[0].RowsRead, r.Jobs[0].Rows)
	again, err := lintOf(t, LintOptions{Rows: 300}, folders, makes+"target: paid\n")
	require.NoError(t, err)
	assert.Equal(t, r, again)
}

func TestLintErrors(t *testing.T) {
	t.Parallel()
	folders := map[string]string{"orders": orders(t, 400), "out": filepath.Join(t.TempDir(), "out")}
	require.NoError(t, os.MkdirAll(folders["out"], 0o755))
	for _, c := range []struct{ name, spec, says string }{
		{"a column that is not there", strings.Replace(makes, "of: amount", "of: amuont", 1), `did you mean "amount"?`},
		{"a target that is not there", makes + "---\n" + strings.Replace(reads, "{out}", "{orders}", 1) + "features: [{name: a, op: log1p, of: amont}]", `no column "amont"`},
		{"an input that is not there", strings.Replace(makes, "{orders}", "{orders}/none", 1), "there is no such file or folder"},
		{"a split by what is no part", strings.Replace(reads, "{out}", "{orders}", 1) + "split: {by: column, column: state}", "it must say train, validation or test"},
	} {
		_, err := lintOf(t, LintOptions{}, folders, c.spec)
		require.Error(t, err, c.name)
		assert.ErrorContains(t, err, c.says, c.name)
		assert.Contains(t, []fault.Kind{fault.Invalid, fault.NotFound}, fault.Of(err), c.name)
	}
	r, err := lintOf(t, LintOptions{Static: true}, folders, makes, "kind: drift\nname: d\nreference: a\ncurrent: b\n")
	require.NoError(t, err)
	assert.Equal(t, []string{`drift "d" was passed over: only features and train jobs are looked at`}, r.Notes)
}

// A feature of the target is told, although the job would be refused.
func TestLintTellsOfTheTargetWhatTheCompilerRefuses(t *testing.T) {
	t.Parallel()
	folders := map[string]string{"orders": orders(t, 400), "out": "nowhere"}
	r, err := lintOf(t, LintOptions{}, folders, strings.Replace(makes, "of: state}", "of: paid}", 1)+"target: paid\n")
	require.NoError(t, err)
	assert.Equal(t, []string{"TL001 paid"}, named(r))
}
