package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/rng"
)

// stones writes a table such as that of diamonds: a price that follows from a
// weight, a cut, and columns that nothing can be learnt from.
func (p *place) stones(file string, rows int) {
	t := p.t
	t.Helper()
	schema := data.Schema{Fields: []data.Field{
		{Name: "carat", Type: data.Float64}, {Name: "price", Type: data.Float64}, {Name: "cut", Type: data.String},
		{Name: "same", Type: data.String}, {Name: "empty", Type: data.Float64, Nullable: true}, {Name: "unknown", Type: data.String, Nullable: true},
	}}
	r := rng.New(1, "stones")
	columns := make([]*data.Column, len(schema.Fields))
	for i, f := range schema.Fields {
		columns[i] = data.NewColumn(f.Type, rows)
	}
	columns[2].Dict, columns[3].Dict = []string{"fair", "good"}, []string{"one"}
	columns[4].Valid, columns[5].Valid = data.NewBitmap(rows), data.NewBitmap(rows)
	for i := range rows {
		carat := 0.2 + 2*r.Float64()
		columns[0].Float64s[i], columns[1].Float64s[i] = carat, 4000*math.Pow(carat, 1.6)
		columns[2].Codes[i] = uint32(i % 2)
	}
	b, err := data.NewBatch(schema, columns)
	require.NoError(t, err)
	path := filepath.Join(p.dir, file)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	f, err := os.Create(path)
	require.NoError(t, err)
	w, err := parquet.NewWriter(f, schema, parquet.DefaultWriterConfig())
	require.NoError(t, err)
	require.NoError(t, w.Write(b))
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
}

// Bad input ends a job with an exit code that scripts can rely on, a reason that
// names what is wrong, and no output that anybody could take for one: in this
// process and on a cluster alike.
func TestBadInputEndsTheJobAndLeavesNoOutput(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.stones("stones/part-000.parquet", 2000)
	require.NoError(t, os.MkdirAll(filepath.Join(p.dir, "hollow"), 0o755))
	part := p.read("stones/part-000.parquet")
	p.write("short/part-000.parquet", part[:len(part)/2])
	p.write("text/part-000.parquet", "a,b\n1,2\n")
	p.write("torn/part-000.parquet", part[:4]+string(make([]byte, 64))+part[68:])
	const features = "kind: features\nname: f\ninput: %s\noutput: out\nfeatures: [{name: a, op: %s, of: %s}]\n"
	const train = "kind: train\nname: t\ninput: stones\ntask: %s\ntarget: %s\nfeatures: [{name: a, op: standard_scale, of: %s}]\nmodel: {type: mlp, hidden: [4]}\nepochs: 3\nbatch_size: 64\nsplit: {by: random}\noptimizer: {learning_rate: %s}\n"
	const predict = "kind: predict\nname: p\nmodel: %s\ninput: stones\noutput: out\n"
	cases := []struct {
		name, spec string
		code       int
		says       []string
	}{
		{"a missing file", fmt.Sprintf(features, "nowhere.parquet", "log1p", "carat"), 1, []string{"nowhere.parquet", "no such file"}},
		{"a folder without Parquet", fmt.Sprintf(features, "hollow", "log1p", "carat"), 1, []string{"hollow", "*.parquet"}},
		{"a truncated file", fmt.Sprintf(features, "short", "log1p", "carat"), 1, []string{"short/part-000.parquet"}},
		{"a text file", fmt.Sprintf(features, "text", "log1p", "carat"), 1, []string{"text/part-000.parquet"}},
		{"a damaged page", fmt.Sprintf(features, "torn", "log1p", "carat"), 1, []string{"torn/part-000.parquet", "row group 0", "carat"}},
		{"a wrong column", fmt.Sprintf(features, "stones", "log1p", "carrat"), 1, []string{"carrat", `did you mean "carat"?`}},
		{"a column of nothing but nulls", fmt.Sprintf(features, "stones", "standard_scale", "empty"), 1, []string{`feature "a"`, "finite", "check the column"}},
		{"an unknown key", fmt.Sprintf(features, "stones", "log1p", "carat") + "targett: price\n", 2, []string{"targett", `did you mean "target"?`}},
		{"a target of no column", fmt.Sprintf(train, "regression", "prize", "carat", "0.001"), 1, []string{"prize", `it has ["carat","price",`}},
		{"a target of one class", fmt.Sprintf(train, "binary", "same", "carat", "0.001"), 1, []string{"same", "nothing to learn"}},
		{"a target of too many classes", fmt.Sprintf(train, "binary", "carat", "price", "0.001"), 1, []string{"carat"}},
		{"a learning rate that cannot work", fmt.Sprintf(train, "regression", "price", "carat", "1.0e+30"), 2, []string{"learning_rate", "at most 10"}},
		{"a training that diverges", fmt.Sprintf(train, "regression", "price", "carat", "10, weight_decay: 10"), 1, []string{"diverged in epoch 1", "lower the learning rate (now 10)"}},
		{"a model of no run", fmt.Sprintf(predict, "runs:/0123456789abcdef0123456789abcdef/model"), 1, []string{"0123456789abcdef0123456789abcdef"}},
	}
	c := startCluster(t, 2, 1)
	for i, address := range []string{"", c.Records[1].HTTP} {
		p.env = []string{"TROUPE_ADDRESS=" + address}
		for _, c := range cases {
			p.write("spec.yaml", c.spec)
			r := p.run("run", "spec.yaml", "-o", "json")
			what := fmt.Sprintf("%s, %s", c.name, []string{"embedded", "on a cluster"}[i])
			assert.Equal(t, c.code, r.code, "%s: %s", what, r.stderr)
			if c.code == 1 {
				assert.Equal(t, "failed", one(t, r.stdout)["status"], what)
			} else {
				assert.Empty(t, r.stdout, what)
			}
			for _, says := range c.says {
				assert.Contains(t, r.stderr, says, what)
			}
			assert.NotContains(t, r.stderr, "goroutine", what)
			assert.NoFileExists(t, filepath.Join(p.dir, "out", "_manifest.json"), what)
			parts, err := filepath.Glob(filepath.Join(p.dir, "out", "part-*"))
			require.NoError(t, err)
			assert.Empty(t, parts, what)
		}
	}
}
