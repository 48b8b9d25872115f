package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
)

// Plan is what a job would do.
type Plan struct {
	Kind      spec.Kind   `json:"kind"`
	Name      string      `json:"name"`
	Digest    string      `json:"spec_digest"`
	Input     *InputPlan  `json:"input,omitempty"`
	Reference *InputPlan  `json:"reference,omitempty"` // of a drift job
	Model     string      `json:"model,omitempty"`     // an address that always means the same
	Finished  bool        `json:"finished" doc:"the same job has been done before: running it would do nothing"`
	Stages    []StagePlan `json:"stages"`
	Worker    *WorkerPlan `json:"worker,omitempty"` // nil when there is no worker
}

// InputPlan is what would be read.
type InputPlan struct {
	Files      int    `json:"files"`
	Rows       int64  `json:"rows"`
	Shards     int    `json:"shards"`
	FileBytes  int64  `json:"file_bytes" doc:"on disk"`
	Where      string `json:"where,omitempty" doc:"the condition on the rows"`
	Explode    string `json:"explode,omitempty" doc:"the list whose elements are the rows"`
	PrunedRows int64  `json:"pruned_rows,omitempty" doc:"rows in row groups whose statistics say that where is true of none: they are not read"`
	TotalBytes int64  `json:"total_bytes" doc:"of all columns and row groups, as the files store them"`
	ReadBytes  int64  `json:"read_bytes" doc:"of the columns that the job reads, in the row groups that where does not rule out, as the files store them: what one pass reads"`
	Bytes      int64  `json:"bytes" doc:"of all columns, decoded"`
	Digest     string `json:"digest"`
}

// StagePlan is one step.
type StagePlan struct {
	Name     string `json:"name"`
	Shape    string `json:"shape" enum:"map,merge,gang"`
	Tasks    int    `json:"tasks"`
	MaxBytes int64  `json:"memory_bytes" doc:"that one task may need; 0 when it is small"`
}

// WorkerPlan is what the job asks of the largest worker.
type WorkerPlan struct {
	Slots       int   `json:"slots"`
	MemoryBytes int64 `json:"memory_bytes" doc:"that it has for tasks"`
	NeedBytes   int64 `json:"need_bytes" doc:"that the job's tasks may use of it at a time"`
	Fits        bool  `json:"fits" doc:"false when one task alone may need more than the worker has: the job would wait for a larger one, and then fail"`
}

var shapeNames = map[jobs.Shape]string{jobs.Map: "map", jobs.Merge: "merge", jobs.Gang: "gang"}

// NewPlan words a preview for users; nodes are those that would do the work.
func NewPlan(s spec.Spec, p *run.Preview, nodes []Node) Plan {
	out := Plan{Kind: s.Kind, Name: s.Name, Digest: s.Digest(), Finished: p.Facts.Finished != nil}
	out.Input, out.Reference = newInputPlan(p.Survey.Input), newInputPlan(p.Survey.Reference)
	if p.Survey.Model != nil {
		out.Model = p.Survey.Model.URI
	}
	for _, st := range p.Stages {
		out.Stages = append(out.Stages, StagePlan{st.Name, shapeNames[st.Shape], st.NumTasks, st.MaxBytes})
	}
	out.Worker = newWorkerPlan(out.Stages, nodes)
	return out
}

func newInputPlan(d *run.Dataset) *InputPlan {
	if d == nil {
		return nil
	}
	p := &InputPlan{
		Files: len(d.Files), Rows: d.Rows, Shards: len(d.Shards), Bytes: d.Bytes, Digest: d.Digest,
		Where: d.Where, Explode: d.Explode, PrunedRows: d.Pruned, TotalBytes: d.TotalBytes, ReadBytes: d.ReadBytes,
	}
	for _, f := range d.Files {
		p.FileBytes += f.Bytes
	}
	return p
}

// newWorkerPlan looks at the largest worker: how many tasks of each stage it
// takes at a time, by its slots and its memory.
func newWorkerPlan(stages []StagePlan, nodes []Node) *WorkerPlan {
	var w *WorkerPlan
	for _, n := range nodes {
		if n.Slots > 0 && (w == nil || n.Memory > w.MemoryBytes) {
			w = &WorkerPlan{Slots: n.Slots, MemoryBytes: n.Memory, Fits: true}
		}
	}
	if w == nil {
		return nil
	}
	for _, st := range stages {
		if st.MaxBytes > w.MemoryBytes {
			w.Fits = false
			w.NeedBytes = max(w.NeedBytes, st.MaxBytes)
			continue
		}
		if st.MaxBytes > 0 {
			atATime := min(int64(min(st.Tasks, w.Slots)), w.MemoryBytes/st.MaxBytes)
			w.NeedBytes = max(w.NeedBytes, atATime*st.MaxBytes)
		}
	}
	return w
}

type planOutput struct{ Body Plan }

func (s *Server) planRoute() {
	huma.Register(s.api, huma.Operation{OperationID: "plan-job", Method: http.MethodPost, Path: "/v1/jobs/plan", Summary: "Say what a job would do, and run nothing", SkipValidateBody: true}, s.plan)
}

func (s *Server) plan(ctx context.Context, in *submitInput) (*planOutput, error) {
	req, err := submission(in.RawBody)
	if err != nil {
		return nil, err
	}
	preview, err := s.cfg.Preview(ctx, req.Spec)
	if err != nil {
		return nil, problem(err)
	}
	nodes, err := s.cfg.Cluster.Nodes(ctx)
	if err != nil {
		return nil, problem(err)
	}
	return &planOutput{NewPlan(req.Spec, preview, nodes)}, nil
}
