package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// summaryFields are what the final JSON of every job has.
var summaryFields = []string{"job", "kind", "status", "digest", "rows_in", "rows_out", "rows_rejected", "shards", "workers", "seconds"}

func checkSummary(t *testing.T, s map[string]any, kind string) {
	t.Helper()
	for _, f := range summaryFields {
		assert.Contains(t, s, f)
	}
	assert.Equal(t, kind, s["kind"])
	assert.Equal(t, "succeeded", s["status"])
	assert.True(t, strings.HasPrefix(s["digest"].(string), "sha256:"), s["digest"])
}

// What the page of the examples tells a newcomer to do, in one process.
func TestTheExamplesRunAsTheirPageSays(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	const rows = 6000
	p.examples(rows)
	plans := p.ok("plan", "features.yaml", "train.yaml")[""].([]any)
	require.Len(t, plans, 2)
	assert.InDelta(t, rows, plans[0].(map[string]any)["input"].(map[string]any)["rows"], 0)
	assert.NoDirExists(t, filepath.Join(p.dir, "out"), "a plan runs nothing")

	f := p.ok("features", "run", "-f", "features.yaml")
	checkSummary(t, f, "features")
	assert.InDelta(t, rows, f["rows_out"], 0)
	assert.Equal(t, filepath.Join(p.dir, "out/features"), f["output"])
	again := p.run("features", "run", "--config", "features.yaml", "-o", "json")
	assert.Equal(t, 0, again.code)
	assert.Contains(t, again.stderr, "nothing to do")
	assert.Equal(t, true, one(t, again.stdout)["unchanged"])
	assert.Equal(t, f["digest"], one(t, again.stdout)["digest"])

	m := p.ok("train", "-f", "train.yaml", "--set", "epochs=5", "--set", "batch_size=64", "--experiment", "exp_002")
	checkSummary(t, m, "train")
	uri := m["model_uri"].(string)
	assert.Equal(t, "runs:/"+m["run"].(string)+"/model", uri)
	assert.Greater(t, m["metrics"].(map[string]any)["test"].(map[string]any)["auc"], 0.5)
	run := p.ok("runs", "show", m["run"].(string)[:8])
	assert.Equal(t, "exp_002", run["experiment"])
	assert.Len(t, p.ok("runs", "list", "--experiment", "exp_002")[""], 1)
	assert.Empty(t, p.ok("runs", "list", "--kind", "nothing")[""])

	p.trainsNetwork()
	d := p.ok("deploy", "--model-uri", uri, "--env", "production")
	assert.Equal(t, "models:/fraud/1", d["model_uri"])
	s := p.ok("predict", "-f", "predict.yaml")
	checkSummary(t, s, "predict")
	assert.InDelta(t, s["rows_in"], s["rows_out"], 0)
	direct := p.ok("predict", "--model", uri, "--input", "data/october", "--out", "elsewhere", "--set", "keep=[transaction_id, user_id, ts]")
	assert.Equal(t, s["digest"], direct["digest"], "flags alone say the same")

	v := p.ok("verify", "out/scored")
	assert.Equal(t, true, v["verified"])
	part := filepath.Join(p.dir, "out/scored/part-00000.parquet")
	text, err := os.ReadFile(part)
	require.NoError(t, err)
	text[len(text)/2] ^= 1
	require.NoError(t, os.WriteFile(part, text, 0o644))
	v = p.ends(3, "verify", "out/scored")
	assert.Contains(t, v["faults"].([]any)[0], "part-00000.parquet", "one bit is enough")

	drift := p.ends(3, "drift", "check", "-f", "drift.yaml")
	checkSummary(t, drift, "drift")
	assert.Equal(t, true, drift["drift_detected"])
	assert.Contains(t, drift["drifted_features"], "amount")
	assert.Contains(t, drift["columns"].(map[string]any)["amount"], "threshold")
	assert.FileExists(t, filepath.Join(p.dir, "out/drift.html"))
	same := p.ok("drift", "check", "--reference", "data/september", "--current", "data/september", "--set", "columns.exclude=[ts]")
	assert.Equal(t, false, same["drift_detected"])

	p.looksBack(m)
}

// trainsNetwork is the spec that has more to it.
func (p *place) trainsNetwork() {
	t := p.t
	t.Helper()
	n := p.ok("train", "-f", "network.yaml", "--set", "epochs=3", "--set", "batch_size=256")
	checkSummary(t, n, "train")
	assert.Greater(t, n["metrics"].(map[string]any)["test"].(map[string]any)["auc"], 0.6)
	assert.Contains(t, n["slices"].([]any)[0], "value")
	assert.Len(t, n["baseline"].(map[string]any)["models"], 2)
}

// looksBack is the rest of the story: a second model, the way back, and what
// the verbs that look say of it all.
func (p *place) looksBack(m map[string]any) {
	t := p.t
	t.Helper()
	second := p.ok("train", "-f", "train.yaml", "--set", "epochs=1")
	on := p.ok("train", "--resume", second["run"].(string)[:8], "--set", "epochs=2")
	assert.Equal(t, p.ok("train", "-f", "train.yaml", "--set", "epochs=2")["digest"], on["digest"])
	p.ok("deploy", "--model-uri", second["model_uri"].(string))
	back := p.ok("rollback", "fraud@production")
	assert.InDelta(t, 1, back["version"], 0)
	models := p.ok("models", "list")[""].([]any)
	assert.Len(t, models[0].(map[string]any)["versions"], 2)
	assert.Len(t, p.ok("models", "show", "fraud")["aliases"].([]any)[0].(map[string]any)["history"], 3)

	list := p.ok("jobs", "list")[""].([]any)
	assert.GreaterOrEqual(t, len(list), 7)
	id := m["job"].(string)
	assert.Equal(t, m["digest"], p.ok("jobs", "show", id)["digest"])
	log := p.ok("jobs", "logs", id)[""].([]any)
	assert.Equal(t, "submitted", log[0].(map[string]any)["event"])
	assert.Equal(t, "succeeded", log[len(log)-1].(map[string]any)["event"])
	for _, verb := range [][]string{{"jobs", "list"}, {"jobs", "show", id}, {"jobs", "logs", id}, {"runs", "list"}, {"models", "list"}, {"nodes", "list"}, {"plan", "features.yaml"}} {
		for _, format := range []string{"table", "yaml"} {
			r := p.run(append(verb, "-o", format)...)
			assert.Equal(t, 0, r.code, r.stderr)
			assert.NotEmpty(t, r.stdout)
		}
	}
}

func TestSeveralJobsRunInOrderAndStopAtTheFirstFailure(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.examples(2000)
	p.write("broken.yaml", "kind: features\nname: b\ninput: nowhere\noutput: out/b\nfeatures: [{name: a, op: log1p, of: x}]\n")
	p.write("both.yaml", strings.Replace(p.read("features.yaml"), "output: out/features", "output: out/x", 1)+"---\n"+strings.Replace(p.read("features.yaml"), "output: out/features", "output: out/y", 1))
	list := p.ok("run", "both.yaml")[""].([]any)
	require.Len(t, list, 2)
	assert.Equal(t, list[0].(map[string]any)["digest"], list[1].(map[string]any)["digest"])
	r := p.run("run", "features.yaml", "broken.yaml", "train.yaml", "-o", "json")
	assert.Equal(t, 1, r.code)
	list = one(t, r.stdout)[""].([]any)
	require.Len(t, list, 2, "what comes after a failure is not run")
	assert.Equal(t, "failed", list[1].(map[string]any)["status"])
	assert.Contains(t, r.stderr, "nowhere")
}

func (p *place) read(name string) string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	require.NoError(p.t, err)
	return string(text)
}

// endless is a job that somebody has to end.
var endless = []string{"train", "-f", "train.yaml", "--set", "epochs=100000", "--set", "early_stopping.patience=100000"}

func TestCtrlCCancelsTheJobAndSaysSo(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		p := newPlace(t)
		p.examples(2000)
		pr := p.begin(append(endless, "-o", "json")...)
		pr.says("train: 0/1")
		require.NoError(t, pr.cmd.Process.Signal(sig))
		r := pr.ended()
		assert.Equal(t, 130, r.code, r.stderr)
		assert.Contains(t, r.stderr, "interrupted: job ")
		assert.Contains(t, r.stderr, "is cancelled")
		assert.Equal(t, "cancelled", one(t, r.stdout)["status"])
		list := p.ok("jobs", "list")[""].([]any)
		assert.Equal(t, "cancelled", list[0].(map[string]any)["status"])
	}
}

func TestATimeoutCancelsTheJob(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.examples(2000)
	r := p.run(append(endless, "--timeout", "1500ms", "-o", "json", "-q")...)
	assert.Equal(t, 124, r.code, r.stderr)
	assert.Contains(t, r.stderr, "--timeout has passed")
	assert.Equal(t, "cancelled", one(t, r.stdout)["status"])
}

func TestAJobWhoseProcessWasKilledIsNotShownAsRunning(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.examples(2000)
	pr := p.begin(endless...)
	pr.says("train: 0/1")
	require.NoError(t, pr.cmd.Process.Kill())
	pr.ended()
	job := p.ok("jobs", "list")[""].([]any)[0].(map[string]any)
	assert.Equal(t, "cancelled", job["status"])
	assert.Contains(t, job["error"].(map[string]any)["message"], "run it again")
}

// A cluster of processes, as people start it, and what they do with it.
func TestUpIsAClusterUntilCtrlC(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.examples(4000)
	alone := p.ok("features", "run", "-f", "features.yaml", "--out", "alone")
	up := p.begin("up", "--nodes", "3", "--data", "nodes", "--slots", "1", "-o", "json")
	up.until("the nodes were ready", func(stdout, _ string) bool { return json.Valid([]byte(stdout)) })
	stdout, _ := up.text()
	cluster := one(t, stdout)
	nodes := cluster["nodes"].([]any)
	require.Len(t, nodes, 3)
	assert.JSONEq(t, stdout, p.read("nodes/cluster.json"), "programs find it there")
	assert.Contains(t, p.run("up", "--data", "nodes").stderr, "another `troupe up` runs there")
	p.env = []string{"TROUPE_ADDRESS=" + cluster["address"].(string)}

	assert.Len(t, p.ok("nodes", "list")[""], 3)
	doctor := p.run("doctor")
	assert.Equal(t, 0, doctor.code, doctor.stdout)
	f := p.ok("features", "run", "-f", "features.yaml")
	assert.Equal(t, alone["digest"], f["digest"], "a cluster makes the same bytes")
	m := p.ok("train", "-f", "train.yaml", "--set", "epochs=2")
	p.ok("deploy", "--model-uri", m["model_uri"].(string))
	p.predicts(cluster["address"].(string))

	detached := p.ok(append(endless, "--detach")...)
	id := detached["job"].(string)
	watch := p.begin("jobs", "watch", id, "-o", "json")
	watch.says("train:")
	assert.Equal(t, 124, p.run("jobs", "watch", id, "--timeout", "100ms").code)
	victim := nodes[2].(map[string]any)
	require.NoError(t, syscall.Kill(int(victim["pid"].(float64)), syscall.SIGKILL))
	up.says("node n3 (process " + strconv.Itoa(int(victim["pid"].(float64))) + ") has ended: signal: killed; 2 nodes left")
	assert.Equal(t, "running", p.ok("jobs", "show", id)["status"], "the job goes on without the node")
	p.ok("jobs", "cancel", id)
	end := watch.ended()
	assert.Equal(t, 1, end.code, end.stderr)
	assert.Equal(t, "cancelled", one(t, end.stdout)["status"])
	assert.NotEmpty(t, p.ok("jobs", "logs", id)[""])
	assert.Equal(t, 1, p.run("jobs", "cancel", id).code, "it has ended already")

	interrupted := p.begin(append(endless, "--set", "seed=7", "-o", "json")...)
	interrupted.says("train:")
	require.NoError(t, interrupted.cmd.Process.Signal(os.Interrupt))
	end = interrupted.ended()
	assert.Equal(t, 130, end.code, end.stderr)
	assert.Equal(t, "cancelled", one(t, end.stdout)["status"])

	require.NoError(t, up.cmd.Process.Signal(syscall.SIGTERM))
	end = up.ended()
	assert.Equal(t, 0, end.code, end.stderr)
	for _, n := range nodes {
		pid := int(n.(map[string]any)["pid"].(float64))
		assert.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, "process %d is left", pid)
	}
	assert.NoFileExists(t, filepath.Join(p.dir, "nodes/cluster.json"))
	p.env = []string{"TROUPE_ADDRESS=127.0.0.1:1"} // the cluster's own may be another's by now
	assert.Equal(t, 4, p.run("jobs", "list").code)
}

// predicts asks for a prediction over HTTP until the model is warm.
func (p *place) predicts(address string) {
	p.t.Helper()
	const row = `{"features":{"amount":12.5,"total_amount":100,"transaction_count":4,"category":"fuel","country":"DE","ts":"2024-10-01T12:00:00"}}`
	var status int
	var body []byte
	require.Eventually(p.t, func() bool {
		resp, err := http.Post("http://"+address+"/v1/predict/fraud", "application/json", strings.NewReader(row))
		if err != nil {
			return false
		}
		defer resp.Body.Close() //nolint:errcheck // nothing was written
		status = resp.StatusCode
		body, err = io.ReadAll(resp.Body)
		return err == nil && status != http.StatusServiceUnavailable
	}, patience, 100*time.Millisecond)
	require.Equal(p.t, 200, status, string(body))
	assert.Contains(p.t, string(body), `"probability"`)
}
