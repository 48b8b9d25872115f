package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/backend"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/client"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/embedded"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/local"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/progress"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/data/generate"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
)

// demo shows the whole of it: a real cluster of processes on this machine runs
// the four kinds of jobs, loses one process on the way, serves the model, and
// gives the same bytes as the same jobs in this process.
type demo struct {
	rows    int64
	nodes   int
	dir     string
	flights string
	kill    bool
}

func (a *app) demoCommand() *cobra.Command {
	d := &demo{}
	c := a.verb("demo", "Run all kinds of jobs on a local cluster, kill a process on the way, and compare digests", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return a.demo(ctx, d)
	})
	c.Flags().Int64Var(&d.rows, "rows", 1_000_000, "transactions to generate")
	c.Flags().IntVar(&d.nodes, "nodes", 3, "node processes")
	c.Flags().StringVar(&d.dir, "out", "out/demo", "the folder for data, specs and outputs; what is in it is replaced")
	c.Flags().StringVar(&d.flights, "flights", "", "a Parquet file of flights (columns as of hflights) to run the jobs on, too")
	c.Flags().BoolVar(&d.kill, "kill", true, "kill -9 a worker while it trains")
	return c
}

// demoJob is a line of the table.
type demoJob struct {
	Data     string  `json:"data"`
	Job      string  `json:"job"`
	Rows     int64   `json:"rows"`
	Seconds  float64 `json:"seconds"`
	Rate     float64 `json:"rows_per_second"`
	Digest   string  `json:"digest"`
	Embedded string  `json:"embedded_digest"`
	Equal    bool    `json:"equal"`
	Note     string  `json:"note,omitempty"`
}

type demoResult struct {
	Nodes  int       `json:"nodes"`
	Killed string    `json:"killed,omitempty"`
	Jobs   []demoJob `json:"jobs"`
	Equal  bool      `json:"equal"`
}

// Sections says what was run and that the answers agree.
func (r demoResult) Sections() []render.Section {
	t := render.Section{Columns: []render.Column{{Title: "data"}, {Title: "job"}, {Title: "rows", Right: true}, {Title: "seconds", Right: true}, {Title: "rows/s", Right: true}, {Title: "digest"}, {Title: "embedded"}, {Title: ""}}}
	for _, j := range r.Jobs {
		same := "= embedded"
		if !j.Equal {
			same = "DIFFERS: " + shortDigest(j.Embedded)
		}
		t.Rows = append(t.Rows, []string{j.Data, j.Job, progress.Thousands(j.Rows), fmt.Sprintf("%.2f", j.Seconds), progress.Thousands(int64(j.Rate)), shortDigest(j.Digest), same, j.Note})
	}
	text := "every digest equals that of the same job in one process"
	if !r.Equal {
		text = "digests DIFFER"
	}
	if r.Killed != "" {
		text += "; " + r.Killed
	}
	return []render.Section{t, {Text: text + "\n"}}
}

func shortDigest(d string) string {
	_, digits, ok := strings.Cut(d, ":")
	if !ok {
		digits = d
	}
	return digits[:min(len(digits), 16)]
}

// demoSpecs are the jobs on transactions. Features are fitted on the training
// rows alone and travel with the model; the features job shows them by themselves.
const demoFeatures = `
  - {name: amount_scaled, op: standard_scale, of: amount}
  - {name: amount_log, op: log1p, of: amount}
  - {name: amount_bucket, op: bin, of: amount, edges: [0, 100, 500, 1000, .inf], labels: [low, medium, high, very_high]}
  - {name: amount_per_tx, op: ratio, of: [total_amount, transaction_count]}
  - {name: cat, op: one_hot, of: category, min_count: 10, max_categories: 64}
  - {name: category_freq, op: frequency_encode, of: category}
  - {name: category_target_enc, op: target_encode, of: category, folds: 5, smoothing: auto}
  - {name: ts, op: datetime, of: ts, parts: [hour, day_of_week, is_weekend], cyclical: [hour]}
`

// demoWindows are what a user did before, which features of the row know nothing
// of.
const demoWindows = `  - {name: amount_lag_1, op: lag, of: amount}
  - {name: amount_mean_7, op: rolling_mean, of: amount, window: 7}
  - {name: spent_day, op: rolling_sum, of: amount, window: 1d}
`

const demoTransactions = `kind: features
name: transactions
input: data/september
output: OUT/features
target: is_fraud
entity: user_id
timestamp: ts
features:` + demoFeatures + demoWindows + `---
kind: train
name: fraud
input: data/september
target: is_fraud
task: binary
split: {by: time, column: ts, validation: 0.1, test: 0.2}
model: {type: mlp, hidden: [64, 32], dropout: 0.1}
epochs: 8
batch_size: 1024
early_stopping: {metric: auc, patience: 4}
features:` + demoFeatures + `---
kind: predict
name: score-october
model: MODEL
input: data/october
output: OUT/scored
keep: [transaction_id, user_id, ts]
---
kind: drift
name: october
reference: data/september
current: data/october
columns: {exclude: [transaction_id, user_id, ts]}
threshold: {share: 0.3}
report: OUT/drift.html
publish: true
`

const demoFlights = `kind: features
name: flights
input: FLIGHTS
output: OUT/flights
target: arr_delay
features: &features
  - {name: distance_scaled, op: standard_scale, of: distance}
  - {name: dep_delay_scaled, op: standard_scale, of: dep_delay}
  - {name: taxi_out_scaled, op: standard_scale, of: taxi_out}
  - {name: carrier, op: one_hot, of: carrier}
  - {name: dest_freq, op: frequency_encode, of: dest}
  - {name: dest_delay, op: target_encode, of: dest}
  - {name: dep, op: datetime, of: sched_dep_ts, parts: [hour, day_of_week, month]}
---
kind: train
name: delay
input: OUT/flights
target: arr_delay
task: regression
split: {by: random, validation: 0.1, test: 0.2}
model: {type: mlp, hidden: [64, 32]}
epochs: 4
batch_size: 1024
---
kind: predict
name: score-flights
model: MODEL
input: OUT/flights
output: OUT/flights_scored
keep: [arr_delay]
---
kind: drift
name: flights
model: MODEL
current: OUT/flights
`

func (a *app) demo(ctx context.Context, d *demo) error {
	var err error
	if d.dir, err = filepath.Abs(d.dir); err != nil {
		return fault.New(fault.Invalid, "--out: %w", err)
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return fault.New(fault.Invalid, "--out: %w", err)
	}
	if err := a.demoData(ctx, d); err != nil {
		return err
	}
	cluster, stop, err := a.demoCluster(ctx, d)
	if err != nil {
		return err
	}
	defer stop()
	cfg := client.DefaultConfig()
	cfg.Clock = a.clock
	for _, r := range cluster.Records {
		cfg.Addresses = append(cfg.Addresses, r.HTTP)
	}
	remote, err := client.New(cfg)
	if err != nil {
		return err
	}
	defer remote.Close() //nolint:errcheck // it has nothing to write
	alone, err := embedded.Open(embedded.Config{Dir: filepath.Join(d.dir, "embedded"), Slots: 2, Version: version, Body: a.body, Files: a.files, Clock: a.clock, Log: a.log()})
	if err != nil {
		return err
	}
	defer alone.Close() //nolint:errcheck // what it holds is compared already
	r := demoResult{Nodes: d.nodes, Equal: true}
	victim := cluster.Records[len(cluster.Records)-1]
	if !d.kill || d.nodes < 2 {
		victim.PID = 0
	}
	if err := a.demoChain(ctx, d, "transactions", demoTransactions, remote, alone, &victim, &r); err != nil {
		return err
	}
	if d.flights != "" {
		flights, err := filepath.Abs(d.flights) // the specs' own folder is the demo's, this path is the caller's
		if err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		text := strings.ReplaceAll(demoFlights, "FLIGHTS", flights)
		if err := a.demoChain(ctx, d, "flights", text, remote, alone, &local.Record{}, &r); err != nil {
			return err
		}
	}
	if err := a.result(r); err != nil {
		return err
	}
	if !r.Equal {
		return exit.With(exit.Failed, fault.New(fault.Internal, "the cluster and the embedded engine disagree"))
	}
	return nil
}

func (a *app) demoData(ctx context.Context, d *demo) error {
	for i, month := range []string{"september", "october"} {
		g := generate.DefaultConfig()
		g.Rows, g.Seed, g.RowsPerGroup = d.rows>>uint(2*i), 1, 65_536
		g.Start = time.Date(2024, time.September+time.Month(i), 1, 0, 0, 0, 0, time.UTC)
		g.Drift = float64(i)
		a.say("generating %s transactions for %s", progress.Thousands(g.Rows), month)
		if err := a.generate(ctx, g, filepath.Join(d.dir, "data", month), 4); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) demoCluster(ctx context.Context, d *demo) (*local.Cluster, func(), error) {
	program, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("demo: %w", err)
	}
	logs, err := os.Create(filepath.Join(d.dir, "nodes.log"))
	if err != nil {
		return nil, nil, fmt.Errorf("demo: %w", err)
	}
	c, err := local.Start(ctx, local.Config{
		Program: program, Dir: filepath.Join(d.dir, "cluster"), Nodes: d.nodes, Servers: 1, Log: logs, Clock: a.clock, StartTimeout: time.Minute,
	})
	if err != nil {
		return nil, nil, a.withLog(errors.Join(err, logs.Close()), logs.Name())
	}
	for _, r := range c.Records {
		a.say("node %s: process %d, http://%s", r.Name, r.PID, r.HTTP)
	}
	return c, func() {
		fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_ = c.Stop(fresh) //nolint:errcheck // the demo is over
		_ = logs.Close()  //nolint:errcheck // the nodes have written it
	}, nil
}

// demoChain runs the jobs of a text on the cluster and in this process.
func (a *app) demoChain(ctx context.Context, d *demo, name, text string, remote, alone backend.Backend, victim *local.Record, r *demoResult) error {
	var ends [2][]run.Summary
	for i, b := range []backend.Backend{remote, alone} {
		where := []string{"cluster", "embedded"}[i]
		out := filepath.Join(d.dir, "out-"+where)
		specs, err := spec.Parse("demo.yaml", []byte(strings.ReplaceAll(text, "OUT", out)))
		if err != nil {
			return err
		}
		model := ""
		for _, s := range specs {
			s = demoModel(s, model).Resolve(d.dir)
			a.say("%s: %s %q", where, s.Kind, s.Name)
			end, err := a.demoJob(ctx, b, s, b == remote, victim, r)
			if err != nil {
				return err
			}
			if end.ModelURI != "" {
				model = end.ModelURI
			}
			ends[i] = append(ends[i], end)
		}
	}
	for k, end := range ends[0] {
		other := ends[1][k]
		j := demoJob{Data: name, Job: end.Kind, Rows: end.RowsIn, Seconds: end.Seconds, Rate: float64(end.RowsIn) / end.Seconds, Digest: end.Digest, Embedded: other.Digest, Equal: end.Digest == other.Digest, Note: demoNote(end)}
		r.Equal = r.Equal && j.Equal
		r.Jobs = append(r.Jobs, j)
	}
	if name == "transactions" {
		return a.demoServe(ctx, remote, ends[0][1])
	}
	return nil
}

// demoModel puts the model that was trained last into a spec.
func demoModel(s spec.Spec, model string) spec.Spec {
	c := s.Clone()
	if c.Predict != nil {
		c.Predict.Model = model
	}
	if c.Drift != nil && c.Drift.Model != "" {
		c.Drift.Model = model
	}
	return c
}

func demoNote(s run.Summary) string {
	if m := s.Metrics["test"]; m != nil {
		for _, name := range []string{"auc", "rmse"} {
			if v, ok := m[name]; ok {
				return fmt.Sprintf("test %s %.4g", name, v)
			}
		}
	}
	if s.Drift != nil {
		return fmt.Sprintf("%d of %d columns drifted", len(s.Drifted), len(s.Columns))
	}
	return ""
}

// demoJob runs one job; on the cluster the victim is killed as soon as the gang
// reports progress.
func (a *app) demoJob(ctx context.Context, b backend.Backend, s spec.Spec, killing bool, victim *local.Record, r *demoResult) (run.Summary, error) {
	sum, err := b.Submit(ctx, s)
	if err != nil {
		return sum, err
	}
	end, err := b.Watch(ctx, sum.Job, func(u backend.Update) {
		if killing && victim.PID != 0 && u.Progress != nil && strings.HasPrefix(u.Progress.Task, "train") && u.Progress.Rows > 0 {
			p, err := os.FindProcess(victim.PID)
			if err == nil && p.Kill() == nil {
				r.Killed = fmt.Sprintf("node %s (process %d) was killed with -9 while it trained", victim.Name, victim.PID)
				a.say("kill -9 %d: node %s is gone in the middle of training", victim.PID, victim.Name)
			}
			victim.PID = 0
		}
	})
	if err != nil {
		return end, err
	}
	if end.Status != jobs.Done.String() {
		return end, exit.With(exit.Failed, fault.New(end.Error.Kind, "%s %q %s: %s", s.Kind, s.Name, end.Status, end.Error.Message))
	}
	return end, nil
}

// demoServe deploys the model and asks a node for one prediction.
func (a *app) demoServe(ctx context.Context, b backend.Backend, train run.Summary) error {
	d, err := b.Deploy(ctx, api.DeployRequest{ModelURI: train.ModelURI, Environment: "production"})
	if err != nil {
		return err
	}
	nodes, err := b.Nodes(ctx)
	if err != nil || len(nodes) == 0 {
		return fault.New(fault.Unavailable, "demo: no node is there to ask: %w", err)
	}
	body := []byte(`{"features": {"amount": 890.5, "total_amount": 1500.0, "transaction_count": 2, "category": "electronics", "ts": "2024-10-05T03:12:00Z"}}`)
	url := "http://" + nodes[0].Address + "/v1/predict/" + d.Model
	const tries = 50 // the predictors take notice within a second or so
	for try := range tries {
		status, answer, err := post(ctx, url, body)
		if err == nil && status == http.StatusOK {
			a.say("deployed %s as %s; POST %s: %s", d.ModelURI, d.Environment, url, bytes.TrimSpace(answer))
			return nil
		}
		if try == tries-1 {
			return fault.New(fault.Unavailable, "demo: POST %s: status %d: %s (%v)", url, status, answer, err)
		}
		<-a.clock.After(100 * time.Millisecond)
	}
	return nil
}

func post(ctx context.Context, url string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it is only read
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, answer, err
}
