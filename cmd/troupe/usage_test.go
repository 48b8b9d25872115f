package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheProgramDescribesItself(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	v := p.ok("version")
	assert.NotEmpty(t, v["version"])
	assert.Contains(t, v["go"], "go1")
	assert.Equal(t, "portable", p.ok("version", "--simd", "portable")["simd"])
	help := p.run("--help")
	assert.Equal(t, 0, help.code)
	for _, verb := range []string{"run", "up", "node", "features", "train", "predict", "drift", "deploy", "promote", "rollback", "jobs", "nodes", "runs", "models", "plan", "verify", "data", "init", "schema", "token", "doctor", "version", "completion"} {
		assert.Contains(t, help.stdout, "\n  "+verb+" ")
		assert.Equal(t, 0, p.run(verb, "--help").code, verb)
	}
	assert.Contains(t, p.run("completion", "bash").stdout, "troupe")
	assert.Equal(t, "https://json-schema.org/draft/2020-12/schema", p.ok("schema", "train")["$schema"])
	assert.Contains(t, p.run("version", "-o", "yaml").stdout, "version: ")
	entries, err := os.ReadDir(p.dir)
	require.NoError(t, err)
	assert.Empty(t, entries, "looking leaves nothing behind")
}

// What is wrong with the command line or a spec is exit code 2, on stderr, and
// leaves nothing on stdout.
func TestUsageErrors(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write("bad.yaml", "kind: drift\nname: d\nrefrence: x\ncurent: y\n")
	p.write("worse.yaml", "kind: predict\nname: [p\n")
	p.write("good.yaml", "kind: drift\nname: d\nreference: r\ncurrent: c\n")
	p.write("features.yaml", "kind: features\nname: f\ninput: in\noutput: out\nfeatures: [{name: a, op: log1, of: x}]\n")
	p.write("train.yaml", "kind: train\nname: t\ninput: in\ntarget: y\ntask: binary\nmodel: {type: mlp}\nfeatures: features.yaml\n")
	p.write("settings.yaml", "adress: 127.0.0.1:1\nnode:\n  slotz: 3\n")
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"jbos"}, []string{`unknown command "jbos"`, `did you mean "jobs"?`}},
		{[]string{"jobs", "lst"}, []string{`did you mean "list"?`, "troupe jobs --help"}},
		{[]string{"run", "--ste", "a=1"}, []string{"unknown flag: --ste; did you mean --set?"}},
		{[]string{"node", "--http", "a=1"}, []string{"unknown flag: --http; did you mean --http-port?"}},
		{[]string{"runs", "list", "--xyzzyx", "1"}, []string{"unknown flag: --xyzzyx\nsee"}},
		{[]string{"run"}, []string{"name a spec file"}},
		{[]string{"train"}, []string{"-f FILE"}},
		{[]string{"run", "nowhere.yaml"}, []string{"nowhere.yaml: there is no such file"}},
		{[]string{"run", "bad.yaml", "worse.yaml"}, []string{`bad.yaml:3:1: refrence: unknown field; did you mean "reference"?`, `bad.yaml:4:1: curent: unknown field; did you mean "current"?`, "worse.yaml:2:7: not YAML"}},
		{[]string{"run", "features.yaml"}, []string{`features.yaml:5:26: features[0].op: "log1" is not one of`, `did you mean "log1p"?`}},
		{[]string{"run", "train.yaml"}, []string{`features[0].op: "log1" is not one of`}},
		{[]string{"run", "good.yaml", "--set", "treshold.share=0.1"}, []string{`--set treshold.share=0.1: treshold: unknown field; did you mean "threshold"?`}},
		{[]string{"run", "good.yaml", "--set", "nonsense"}, []string{"expected PATH=VALUE"}},
		{[]string{"run", "good.yaml", "--timeout", "-1s"}, []string{"must not be negative"}},
		{[]string{"run", "good.yaml", "--detach"}, []string{"pass --address"}},
		{[]string{"train", "-f", "good.yaml"}, []string{"runs train jobs"}},
		{[]string{"drift", "check", "--current", "x"}, []string{"reference: missing"}},
		{[]string{"predict", "--model", "models:/fraud", "--input", "a", "--out", "b"}, []string{"models:/NAME/VERSION"}},
		{[]string{"predict", "--model", "m.pkl", "--input", "a", "--out", "b"}, []string{"pickles are not read"}},
		{[]string{"jobs", "show"}, []string{"accepts 1 arg"}},
		{[]string{"jobs", "list", "-o", "xml"}, []string{"expected table, json or yaml"}},
		{[]string{"jobs", "list", "--address", "ftp://x"}, []string{"expected HOST:PORT"}},
		{[]string{"version", "--simd", "mmx"}, []string{"mmx"}},
		{[]string{"version", "--settings", "settings.yaml"}, []string{"unknown setting adress", "unknown setting node.slotz"}},
		{[]string{"version", "--settings", "nowhere.yaml"}, []string{"nowhere.yaml"}},
		{[]string{"schema", "trian"}, []string{`did you mean "train"?`}},
		{[]string{"deploy"}, []string{"--model-uri"}},
		{[]string{"verify", "."}, []string{"not an output of Troupe"}},
		{[]string{"nodes", "drain", "n1"}, []string{"pass --address"}},
		{[]string{"data", "generate", "transactions"}, []string{"--out DIR"}},
		{[]string{"data", "generate", "transactions", "--out", "x", "--rows", "-1"}, []string{"rows"}},
		{[]string{"data", "generate", "transactions", "--out", "x", "--start", "yesterday"}, []string{"2024-01-31"}},
		{[]string{"up", "--servers", "2"}, []string{"1, 3 or 5"}},
		{[]string{"up", "--nodes", "1", "--servers", "3"}, []string{"3 servers among 1 nodes"}},
		{[]string{"node", "--bind", "0.0.0.0"}, []string{"openssl rand -hex 32"}},
		{[]string{"node", "--servers", "2", "--memory", "lots", "--log-level", "loud", "--secret-file", "none"}, []string{"servers is 2", "8GiB", "debug, info", "--secret-file"}},
		{[]string{"node", "--role", "worker"}, []string{"--join"}},
	} {
		r := p.run(c.args...)
		assert.Equal(t, 2, r.code, "%v: %s", c.args, r.stderr)
		assert.Empty(t, r.stdout, "%v", c.args)
		for _, says := range c.says {
			assert.Contains(t, r.stderr, says, "%v", c.args)
		}
	}
}

func TestOtherExitCodes(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	assert.Equal(t, 1, p.run("jobs", "show", "none").code)
	assert.Equal(t, 1, p.run("runs", "show", "ffff").code)
	assert.Equal(t, 1, p.run("models", "show", "none").code)
	assert.Equal(t, 1, p.run("rollback", "none").code)
	assert.Equal(t, 1, p.run("deploy", "--model-uri", "runs:/ffff/model").code)
	r := p.run("jobs", "list", "--address", "127.0.0.1:1")
	assert.Equal(t, 4, r.code)
	assert.Contains(t, r.stderr, "127.0.0.1:1")
	assert.Equal(t, 3, p.run("doctor", "--address", "127.0.0.1:1").code)
	assert.Equal(t, 0, p.run("doctor").code)
}

// Flags win over the environment, which wins over the file.
func TestSettingsHaveAnOrder(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write("troupe.yaml", "output: yaml\nsimd: portable\ndir: elsewhere\n")
	assert.Contains(t, p.run("version").stdout, "simd: portable", "the file in the working folder is read")
	p.env = []string{"TROUPE_OUTPUT=json"}
	assert.Equal(t, "portable", one(t, p.run("version").stdout)["simd"])
	assert.Contains(t, p.run("version", "-o", "table").stdout, "simd:     portable")
	assert.Equal(t, 0, p.run("jobs", "list").code)
	assert.DirExists(t, filepath.Join(p.dir, "elsewhere", "store"))
	p.env = []string{"TROUPE_ADDRESS=127.0.0.1:1"}
	assert.Equal(t, 4, p.run("jobs", "list").code)
	p.env = []string{"TROUPE_NODE_SERVERS=2"}
	assert.Contains(t, p.run("node").stderr, "servers is 2")
	p.env = []string{"TROUPE_NODE_SERVERS=many"}
	assert.Contains(t, p.run("node").stderr, "TROUPE_NODE_SERVERS")
}

func TestTwoProcessesDoNotShareAFolder(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.examples(2000)
	long := p.begin("train", "-f", "train.yaml", "--set", "epochs=100000", "--set", "early_stopping.patience=100000")
	long.says("train: 0/1")
	r := p.run("jobs", "list")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.stderr, strconv.Itoa(long.cmd.Process.Pid), "it names the process that is in the way")
}

func TestAPortInUseIsNamed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // nothing was sent
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	p := newPlace(t)
	r := p.run("node", "--http-port", port, "--actor-port", "0", "--gossip-port", "0", "--nats-port", "0", "--route-port", "0")
	assert.Equal(t, 1, r.code, r.stderr)
	assert.Contains(t, r.stderr, port)
	assert.Empty(t, r.stdout)
}

// examples makes a project with small data.
func (p *place) examples(rows int) {
	p.t.Helper()
	p.ok("init")
	p.ok("data", "generate", "transactions", "--rows", strconv.Itoa(rows), "--rows-per-group", "1000", "--start", "2024-09-01", "--out", "data/september", "--files", "2")
	p.ok("data", "generate", "transactions", "--rows", strconv.Itoa(rows), "--rows-per-group", "1000", "--start", "2024-10-01", "--seed", "2", "--drift", "1", "--out", "data/october")
}

func TestAProjectIsNotWrittenOver(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write("p/train.yaml", "mine")
	r := p.run("init", "p")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.stderr, "train.yaml")
	entries, err := os.ReadDir(filepath.Join(p.dir, "p"))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "all or nothing is written")
	p.write("d/notes.txt", "mine")
	r = p.run("data", "generate", "transactions", "--rows", "10", "--out", "d")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.stderr, "notes.txt")
}

func TestDataIsShown(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.examples(3000)
	v := p.ok("data", "show", "data/september")
	assert.InDelta(t, 3000, v["rows"], 0)
	assert.InDelta(t, 2, v["files"], 0)
	assert.InDelta(t, 3, v["row_groups"], 0)
	v = p.ok("data", "show", "data/september", "--scan")
	columns := map[string]map[string]any{}
	for _, c := range v["columns"].([]any) {
		column := c.(map[string]any)
		columns[column["name"].(string)] = column["values"].(map[string]any)
	}
	assert.InDelta(t, 2, columns["is_fraud"]["distinct"], 0)
	assert.InDelta(t, 3000, columns["transaction_id"]["distinct"], 0)
	assert.Equal(t, "2999", columns["transaction_id"]["max"])
	assert.InDelta(t, 1499.5, columns["transaction_id"]["quantiles"].(map[string]any)["p50"], 0)
	assert.True(t, strings.HasPrefix(columns["ts"]["min"].(string), "2024-09-01T"))
	assert.Len(t, columns["category"]["top"], 5)
	assert.Greater(t, columns["category"]["nulls"], 0.0)
	again := p.run("data", "show", "data/september", "--scan", "-o", "json")
	b, err := json.Marshal(v)
	require.NoError(t, err)
	assert.JSONEq(t, string(b), again.stdout, "what is seen does not depend on who reads first")
	table := p.run("data", "show", "data/september", "--scan")
	assert.Contains(t, table.stdout, "█")
	require.NoError(t, os.MkdirAll(filepath.Join(p.dir, "empty"), 0o755))
	assert.Equal(t, 2, p.run("data", "show", "empty").code, "a folder without Parquet")
	assert.Equal(t, 1, p.run("data", "show", "nowhere").code)
}
