package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is brought in is looked at, written out, and brought in again as it was.
func TestTablesComeInAndGoOut(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write("in.csv", "id,zip,amount,at,note\n1,00451,1.5,2024-01-31 10:00,\"a, b\"\n2,10115,,2024-01-31 11:00,\"\"\nx,1\n3,10117,-2,2024-02-01 00:00,NULL\n")
	v := p.ok("data", "import", "in.csv", "--out", "in", "--null", "NULL", "--type", "amount=float64")
	assert.Equal(t, []any{"import", "succeeded", 4.0, 3.0, 1.0}, []any{v["kind"], v["status"], v["rows_in"], v["rows_out"], v["rows_rejected"]})
	rejected, err := os.ReadFile(filepath.Join(p.dir, "in", "_rejected.ndjson"))
	require.NoError(t, err)
	assert.Contains(t, string(rejected), `"line":4,"reason":"2 fields, expected 5"`)
	assert.Equal(t, true, p.ok("verify", "in")["verified"])
	help := p.run("data", "import", "in.csv", "--dry-run")
	assert.Equal(t, 0, help.code)
	assert.Regexp(t, `zip +string`, help.stdout)
	told := p.run("data", "import", "in.csv", "--out", "again")
	assert.Regexp(t, `at +timestamp`, told.stderr, "the types are shown before the rows are read")

	show := p.ok("data", "show", "in", "--columns", "amount,zip")
	require.Len(t, show["columns"], 2)
	footer := show["columns"].([]any)[0].(map[string]any)["footer"].(map[string]any)
	assert.Equal(t, map[string]any{"nulls": 1.0, "min": "-2", "max": "1.5"}, footer)
	head := p.ok("data", "head", "in", "--limit", "2", "--columns", "zip,note")
	assert.Equal(t, []any{map[string]any{"zip": "00451", "note": "a, b"}, map[string]any{"zip": "10115", "note": ""}}, head["rows"])
	assert.Contains(t, p.run("data", "head", "in").stdout, "00451")

	for _, format := range []string{"csv", "ndjson", "arrow"} {
		out := p.ok("data", "export", "in", "--out", "out."+format)
		assert.Equal(t, []any{format, 3.0}, []any{out["format"], out["rows"]})
		args := []string{"data", "import", "out." + format, "--out", "back-" + format}
		if format != "arrow" {
			args = append(args, "--type", "zip=string")
		}
		back := p.ok(args...)
		assert.Equal(t, v["digest"] == back["digest"], false, "the manifest counts a rejected line")
		assert.Equal(t, p.run("data", "export", "in", "--to", "ndjson").stdout, p.run("data", "export", "back-"+format, "--to", "ndjson").stdout)
		one, err := os.ReadFile(filepath.Join(p.dir, "in", "part-00000.parquet"))
		require.NoError(t, err)
		other, err := os.ReadFile(filepath.Join(p.dir, "back-"+format, "part-00000.parquet"))
		require.NoError(t, err)
		assert.True(t, string(one) == string(other), "%s gives the same file", format)
	}
	assert.Equal(t, "zip\n00451\n", p.run("data", "export", "in", "--to", "csv", "--columns", "zip", "--limit", "1").stdout)
}

func TestWhatDataCannotDo(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write("a.csv", "a,b\n1,2\n")
	p.write("bad.csv", "a,b\n1\n")
	p.write("cut.parquet", "PAR1 and no more PAR")
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"import", "--out", "o"}, "name the files to read"},
		{[]string{"import", "a.csv"}, "--out DIR"},
		{[]string{"import", "none.csv", "--out", "o"}, "none.csv: there is no such file"},
		{[]string{"import", "a.csv", "--out", "o", "--type", "a"}, "expected COLUMN=TYPE"},
		{[]string{"import", "a.csv", "--out", "o", "--type", "a=int"}, `no type "int"`},
		{[]string{"import", "a.csv", "--out", "o", "--type", "a=bool", "--type", "a=date"}, "has a type already"},
		{[]string{"import", "bad.csv", "--out", "o"}, "none of 1 lines is a row; the first is line 2 of bad.csv: 1 fields, expected 2"},
		{[]string{"import", "a.csv", "--out", "."}, "which Troupe has not written"},
		{[]string{"export", "cut.parquet"}, "--to"},
		{[]string{"export", "cut.parquet", "--to", "csv"}, "cut.parquet"},
		{[]string{"show", "cut.parquet"}, "cut.parquet"},
		{[]string{"head", "cut.parquet", "--limit", "0"}, "--limit 0"},
	} {
		r := p.run(append([]string{"data"}, c.args...)...)
		assert.Contains(t, []int{1, 2}, r.code, "%v", c.args)
		assert.Contains(t, r.stderr, c.says, "%v", c.args)
		assert.Empty(t, r.stdout, "%v", c.args)
	}
	entries, err := os.ReadDir(p.dir)
	require.NoError(t, err)
	for _, e := range entries {
		assert.False(t, strings.HasPrefix(e.Name(), ".tmp") || e.Name() == "o", e.Name())
	}
}
