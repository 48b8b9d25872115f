package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cluster/bus"
	"github.com/troupe-ml/troupe/internal/clock"
)

// The verbs that look and act, as they are used with a cluster and without one.
func TestLookingAndActing(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"embedded", "cluster"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.examples(3000)
			var c *testCluster
			if where == "cluster" {
				c = startCluster(t, 2, 1)
				p.env = []string{"TROUPE_ADDRESS=" + c.Records[0].HTTP}
			}
			lookAndAct(t, p)
			if c != nil {
				actOnACluster(t, p, c)
			}
		})
	}
}

// giveUp deletes a run for good.
func giveUp(t *testing.T, p *place, id string) {
	t.Helper()
	p.ok("runs", "delete", id)
	assert.Equal(t, 2, p.run("runs", "gc", "--unused-for", "5m").code)
	would := p.ok("runs", "gc", "--deleted-for", "0h")
	assert.Equal(t, false, would["done"])
	assert.Len(t, would["runs"], 1)
	assert.Positive(t, would["kept"])
	assert.InDelta(t, 0, would["blobs"], 0, "all are young")
	assert.Contains(t, p.run("runs", "gc", "--deleted-for", "0h").stdout, "pass --yes to do it")
	assert.Len(t, p.ok("runs", "list", "--deleted")[""], 1, "it was only said")
	assert.Len(t, p.ok("runs", "gc", "--deleted-for", "0h", "--yes")["runs"], 1)
	assert.Empty(t, p.ok("runs", "list", "--deleted")[""])
	assert.Contains(t, p.run("runs", "show", id).stderr, "purged")
}

// takeArtifacts writes artifacts of a train run to files.
func takeArtifacts(t *testing.T, p *place, id, uri string) {
	t.Helper()
	got := p.ok("runs", "download", id[:12], "evaluation.json", "--out", "got")[""].([]any)
	require.Len(t, got, 1)
	assert.FileExists(t, filepath.Join(p.dir, "got", "evaluation.json"))
	again := p.run("runs", "download", id, "--out", "got")
	assert.Equal(t, 1, again.code)
	assert.Contains(t, again.stderr, "evaluation.json is there already")
	assert.NoFileExists(t, filepath.Join(p.dir, "got", "model"), "all or none")
	assert.Len(t, p.ok("runs", "download", uri, "--out", "all")[""], 2)
	assert.Contains(t, p.run("runs", "download", id, "plots").stderr, `no artifact "plots"; it has evaluation.json, model`)
}

func lookAndAct(t *testing.T, p *place) {
	t.Helper()
	one := p.ok("train", "-f", "train.yaml", "--set", "epochs=1")
	two := p.ok("train", "-f", "train.yaml", "--set", "epochs=2")
	bad := p.ends(1, "train", "-f", "train.yaml", "--set", "target=nope")
	bads := bad["job"].(string)

	var failed map[string]any
	require.Eventually(t, func() bool { // a cluster records it a moment later
		for _, r := range p.ok("runs", "list")[""].([]any) {
			if r := r.(map[string]any); r["status"] == "failed" {
				failed = r
			}
		}
		return failed != nil
	}, patience, 100*time.Millisecond, "the failed job is no run")
	assert.Equal(t, bads, failed["job"])
	assert.Contains(t, failed["error"], `no column "nope"`)
	assert.Contains(t, p.run("runs", "list").stdout, "no column", "the reason is in the table")

	diff := p.ok("runs", "compare", one["run"].(string), two["run"].(string)[:12])
	assert.Equal(t, map[string]any{"epochs": []any{"1", "2"}}, diff["params"], "what is equal is left out")
	assert.Empty(t, diff["data"])
	assert.Len(t, diff["metrics"].(map[string]any)["test.auc"], 2)
	assert.Contains(t, p.run("runs", "compare", one["run"].(string), failed["id"].(string)).stdout, "params.target")

	assert.Contains(t, p.run("runs", "compare", one["run"].(string), two["run"].(string)).stdout, "train.loss\n", "its curves are drawn")
	found := p.ok("runs", "list", "--filter", "params.epochs = '2' AND metrics.test.auc >= 0", "--order-by", "start_time")[""]
	require.Len(t, found, 1)
	assert.Equal(t, two["run"], found.([]any)[0].(map[string]any)["id"])
	assert.Equal(t, 2, p.run("runs", "list", "--filter", "speed > 1").code)
	assert.InDelta(t, 1, p.ok("runs", "export", "--mlflow", "mlruns", "--filter", "params.epochs = '2'")["runs"], 0)
	written, err := filepath.Glob(filepath.Join(p.dir, "mlruns", "*", two["run"].(string), "artifacts", "model"))
	require.NoError(t, err)
	assert.Len(t, written, 1)
	takeArtifacts(t, p, two["run"].(string), two["model_uri"].(string))
	p.ok("runs", "delete", failed["id"].(string))
	assert.Len(t, p.ok("runs", "list", "--deleted")[""], 1)
	p.ok("runs", "restore", failed["id"].(string)[:12])
	assert.Empty(t, p.ok("runs", "list", "--deleted")[""])
	giveUp(t, p, failed["id"].(string))

	p.ok("deploy", "--model-uri", one["model_uri"].(string), "--env", "staging")
	assert.Equal(t, "models:/fraud/1", p.ok("promote", "fraud")["model_uri"])
	assert.InDelta(t, 1, p.ok("deploy", "--model-uri", two["model_uri"].(string))["previous"], 0)
	assert.InDelta(t, 1, p.ok("rollback", "fraud")["version"], 0)
	assert.InDelta(t, 2, p.ok("models", "alias", "fraud", "champion", "2")["version"], 0)
	assert.Equal(t, 1, p.run("models", "alias", "fraud", "champion", "7").code)
	assert.InDelta(t, 2, p.ok("models", "alias", "fraud", "champion", "--delete")["previous"], 0)
	assert.Equal(t, 1, p.run("models", "alias", "fraud", "champion", "--delete").code, "there is none any more")
	assert.Equal(t, 1, p.run("promote", "fraud", "--from", "nowhere").code)
	assert.Equal(t, 2, p.run("models", "alias", "fraud", "champion").code)

	lookAtPlansAndBundles(t, p)
	lookAtJobs(t, p, bads)
}

func lookAtPlansAndBundles(t *testing.T, p *place) {
	t.Helper()
	plan := p.ok("plan", "predict.yaml", "--set", "model=models:/fraud@production")
	assert.Equal(t, "models:/fraud/1", plan["model"], "who keeps the model makes the plan")
	assert.InDelta(t, 3000, plan["input"].(map[string]any)["rows"], 0)
	assert.Equal(t, true, plan["worker"].(map[string]any)["fits"])
	assert.Equal(t, 1, p.run("plan", "predict.yaml", "--set", "model=models:/nobody/1").code)
	assert.NoDirExists(t, p.dir+"/out")

	p.ok("models", "export", "models:/fraud@production", "--out", "fraud.bundle")
	file, shown := p.ok("models", "show", "fraud.bundle"), p.ok("models", "show", "models:/fraud@production")
	assert.Equal(t, "binary", shown["task"])
	assert.NotEmpty(t, shown["columns"])
	assert.Contains(t, shown["metrics"], "test")
	file["model"] = shown["model"]
	assert.Equal(t, shown, file)
	assert.Contains(t, p.run("models", "show", "fraud.bundle").stdout, "columns it needs")
	assert.Contains(t, p.run("models", "show", "nobody").stderr, `no model "nobody", and no file`)
	assert.Equal(t, 1, p.run("models", "export", "models:/fraud/1", "--out", "fraud.bundle").code, "nothing is written over")
	assert.Equal(t, 1, p.run("models", "export", "models:/fraud/9", "--out", "other").code)
	p.ok("models", "export", "models:/fraud/1", "--format", "safetensors", "--out", "fraud.safetensors")
	p.ok("models", "import", "fraud.safetensors", "--like", "models:/fraud/1", "--out", "again.bundle")
	p.ok("predict", "--model", "again.bundle", "--input", "data/october", "--out", "out/again")
	p.ok("models", "export", "models:/fraud/1", "--format", "onnx", "--model-only", "--out", "fraud.onnx")
	p.ok("models", "export", "models:/fraud/1", "--format", "onnx", "--out", "all.onnx")
	assert.Contains(t, p.run("models", "export", "models:/fraud/1", "--format", "pkl", "--out", "x").stderr, `no format "pkl"`)
	scored := p.ok("predict", "--model", "fraud.bundle", "--input", "data/october", "--out", "out/file")
	assert.Equal(t, scored["digest"], p.ok("predict", "--model", "models:/fraud/1", "--input", "data/october", "--out", "out/name")["digest"])
}

func lookAtJobs(t *testing.T, p *place, bads string) {
	t.Helper()
	for _, follow := range [][]string{nil, {"-f"}} {
		logs := p.run(append([]string{"jobs", "logs", bads}, follow...)...)
		assert.Equal(t, 0, logs.code, logs.stderr)
		assert.Contains(t, logs.stdout, "task failed")
		assert.Contains(t, logs.stdout, `no column "nope"`)
		events := p.ok(append([]string{"jobs", "logs", bads}, follow...)...)[""].([]any)
		assert.Equal(t, "submitted", events[0].(map[string]any)["event"])
	}
	assert.Equal(t, "failed", p.ends(1, "jobs", "watch", bads)["status"])
	assert.Equal(t, bads, p.ok("jobs", "show", bads)["job"])
	for _, verb := range [][]string{{"jobs", "list"}, {"nodes", "list"}, {"models", "list"}, {"models", "show", "fraud"}, {"doctor"}, {"schema", "predict"}} {
		for _, format := range []string{"table", "json", "yaml"} {
			r := p.run(append(verb, "-o", format)...)
			assert.Equal(t, 0, r.code, "%v: %s", verb, r.stderr)
			assert.NotEmpty(t, r.stdout, "%v", verb)
		}
	}
}

func actOnACluster(t *testing.T, p *place, c *testCluster) {
	t.Helper()
	long := p.ok("train", "-f", "train.yaml", "--set", "epochs=100000", "--set", "early_stopping.patience=100000", "--detach")
	id := long["job"].(string)
	logs := p.begin("jobs", "logs", id, "--follow")
	logs.until("train", func(stdout, _ string) bool { return strings.Contains(stdout, "train: 1 tasks") })
	p.ok("jobs", "cancel", id)
	r := logs.ended()
	assert.Equal(t, 0, r.code, r.stderr)
	assert.Contains(t, r.stdout, "cancelled")
	assert.Equal(t, 1, strings.Count(r.stdout, "submitted"), "no line is written twice")

	lost := c.Records[1]
	require.NoError(t, c.Signal(1, syscall.SIGKILL))
	conn, err := bus.Connect(t.Context(), bus.ConnectConfig{Name: "test", URLs: func() []string { return []string{"nats://" + c.Records[0].NATS} }, Log: slog.New(slog.DiscardHandler), Clock: clock.Real{}})
	require.NoError(t, err)
	defer conn.Close()
	wanted := []string{"node.joined n1", "node.joined n2", "job.train.failed fraud", "job.train.cancelled fraud", "job.predict.succeeded predict", "model.registered", "model.deployed", "model.rolled_back", "model.undeployed"}
	var seen []string
	assert.Eventually(t, func() bool {
		seen = nil
		for seq := 1; ; seq++ {
			answers, err := conn.Gather(t.Context(), "$JS.API.STREAM.MSG.GET.TROUPE_EVENTS", fmt.Appendf(nil, `{"seq":%d}`, seq), 1)
			var got struct {
				Message struct {
					Subject string
					Data    []byte
				}
			}
			if err != nil || len(answers) == 0 || json.Unmarshal(answers[0], &got) != nil || got.Message.Subject == "" {
				break
			}
			var e struct{ Data struct{ Name, Reason string } }
			require.NoError(t, json.Unmarshal(got.Message.Data, &e))
			seen = append(seen, strings.TrimSpace(strings.TrimPrefix(got.Message.Subject, bus.EventPrefix)+" "+e.Data.Name+" "+e.Data.Reason))
		}
		told := func(event string) bool { return slices.Contains(seen, event) } // each a moment after what it tells of
		return told("node.left "+lost.Name+" lost") && !slices.ContainsFunc(wanted, func(event string) bool { return !told(event) })
	}, patience, 200*time.Millisecond, "the death of a node is an event")
	for _, want := range wanted {
		assert.Contains(t, seen, want)
	}
}
