package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/store/s3/s3test"
)

// inBucket is an environment that finds a server's bucket, as of KEY=VALUE.
func inBucket(s *s3test.Server) []string {
	env := []string{"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=none", "AWS_SHARED_CREDENTIALS_FILE=none"}
	vars := s.Env()
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		env = append(env, name+"="+vars[name])
	}
	return env
}

const (
	bucketIn  = "--set=input=s3://lake/data/september"
	bucketOut = "--set=output=s3://lake/out/features/"
)

func TestABucketIsAFolderToEveryVerb(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	p := newPlace(t, inBucket(server)...)
	p.examples(4000)
	server.Fill(t, "data/september", filepath.Join(p.dir, "data/september"))
	alone := p.ok("features", "run", "-f", "features.yaml")
	f := p.ok("features", "run", "-f", "features.yaml", bucketIn, bucketOut)
	assert.Equal(t, alone["digest"], f["digest"])
	assert.Equal(t, "s3://lake/out/features/", f["output"])
	again := p.run("features", "run", "-f", "features.yaml", bucketIn, bucketOut)
	assert.Equal(t, 0, again.code)
	assert.Contains(t, again.stderr, "nothing to do")
	assert.Equal(t, true, p.ok("verify", "s3://lake/out/features")["verified"])
	assert.InDelta(t, 4000, p.ok("data", "show", "s3://lake/out/features", "--scan")["rows"], 0)
	assert.InDelta(t, 4000, p.ok("data", "show", "s3://lake/data/*/*.parquet")["rows"], 0)
	assert.Equal(t, p.ok("plan", "features.yaml")["shards"], p.ok("plan", "features.yaml", bucketIn)["shards"])

	part := filepath.Join(server.Root, "out/features/part-00000.parquet")
	require.NoError(t, os.Truncate(part, 100))
	assert.Equal(t, false, p.ends(3, "verify", "s3://lake/out/features")["verified"])

	assert.Contains(t, p.run("data", "show", "s3://lake/nowhere").stderr, "s3://lake/nowhere")
	p.env = append(p.env, "AWS_SECRET_ACCESS_KEY=hush-hush")
	r := p.run("features", "run", "-f", "features.yaml", "--set=input=s3://lake/data")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.stderr, "access denied")
	assert.NotContains(t, r.stdout+r.stderr, "hush-hush")
	p.env = append(p.env, "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=")
	assert.Contains(t, p.run("data", "show", "s3://lake/data").stderr, "AWS_ACCESS_KEY_ID")
	p.remembersNo(s3test.Secret, "hush-hush")
}

// remembersNo looks through all files that the program has left.
func (p *place) remembersNo(secrets ...string) {
	p.t.Helper()
	require.NoError(p.t, filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, s := range secrets {
			assert.NotContains(p.t, string(b), s, path)
		}
		return err
	}))
}

// The workers of a cluster read and write the bucket themselves.
func TestAClusterWorksInABucket(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	p := newPlace(t, inBucket(server)...)
	p.examples(4000)
	server.Fill(t, "data/september", filepath.Join(p.dir, "data/september"))
	alone := p.ok("features", "run", "-f", "features.yaml")
	up := p.begin("up", "--nodes", "3", "--data", "nodes", "--slots", "1", "-o", "json")
	up.until("the nodes were ready", func(stdout, _ string) bool { return json.Valid([]byte(stdout)) })
	stdout, _ := up.text()
	p.env = []string{"TROUPE_ADDRESS=" + one(t, stdout)["address"].(string)} // whoever submits needs no credentials
	f := p.ok("features", "run", "-f", "features.yaml", bucketIn, bucketOut)
	assert.Equal(t, alone["digest"], f["digest"])
	m := p.ok("train", "-f", "train.yaml", "--set", "epochs=2", bucketIn)
	assert.Equal(t, "succeeded", m["status"])
	logs := p.run("jobs", "logs", f["job"].(string), "-o", "json")
	assert.NotContains(t, logs.stdout, s3test.Secret)
	_, said := up.text()
	assert.False(t, strings.Contains(said, s3test.Secret))
	p.remembersNo(s3test.Secret)
}

func TestAnImportReadsFromABucket(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	p := newPlace(t, inBucket(server)...)
	var long strings.Builder
	long.WriteString("id,amount\n")
	for i := range 900_000 { // more than is looked at for the types
		fmt.Fprintf(&long, "%d,%d.5\n", i, i%1000)
	}
	require.NoError(t, os.Mkdir(filepath.Join(p.dir, "raw"), 0o755))
	p.write("raw/a.csv", long.String())
	p.write("raw/b.csv", "id,amount\n4,1.5\n")
	server.Fill(t, "raw", filepath.Join(p.dir, "raw"))
	disk := p.ok("data", "import", "raw/a.csv", "raw/b.csv", "--out", "disk")
	objects := p.ok("data", "import", "s3://lake/raw/*.csv", "--out", "objects")
	assert.Equal(t, disk["digest"], objects["digest"])
	assert.InDelta(t, 900_001, objects["rows_out"], 0)
	one, other := p.ok("data", "import", "raw/b.csv", "--out", "one"), p.ok("data", "import", "s3://lake/raw/b.csv", "--out", "s3://lake/one")
	assert.Equal(t, one["digest"], other["digest"])
	for _, none := range []string{"s3://lake/raw/c.csv", "s3://lake/raw/*.ndjson"} {
		r := p.run("data", "import", none, "--out", "none")
		assert.NotZero(t, r.code)
		assert.Contains(t, r.stderr, none)
		assert.Contains(t, r.stderr, "no ")
	}
}

func TestAnImportWritesToABucket(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	p := newPlace(t, inBucket(server)...)
	p.write("sales.csv", "id,amount\n1,2.5\n2,no number\n3,4.5\n")
	args := []string{"data", "import", "sales.csv", "--type", "amount=float64", "--out"}
	disk := p.ok(append(args, "sales")...)
	bucket := p.ok(append(args, "s3://lake/sales")...)
	assert.Equal(t, disk["digest"], bucket["digest"])
	assert.Equal(t, true, p.ok("verify", "s3://lake/sales")["verified"])
	assert.InDelta(t, 2, p.ok("data", "show", "s3://lake/sales")["rows"], 0)
	assert.FileExists(t, filepath.Join(server.Root, "sales/_rejected.ndjson"))
	assert.NoFileExists(t, filepath.Join(server.Root, "sales/_staging/import/part-00000.parquet.0"))
	r := p.run(append(args, "s3://lake/strict", "--max-rejected", "0")...)
	assert.Equal(t, 3, r.code, "a check said no")
	assert.Contains(t, r.stderr, "rejected")
	assert.NoFileExists(t, filepath.Join(server.Root, "strict/_staging/import/part-00000.parquet.0"))
	assert.NoFileExists(t, filepath.Join(server.Root, "strict/_manifest.json"))
}
