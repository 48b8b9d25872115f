package wire

import (
	"encoding/json"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-ml/troupe/jobs"
	troupev1 "github.com/troupe-ml/troupe/proto/troupe/v1"
)

// encode returns nil for what is no word.
func encode(from From, word any) proto.Message {
	h := &troupev1.Header{Protocol: Protocol, Boot: from.Boot, Epoch: from.Epoch}
	switch w := word.(type) {
	case jobs.Order:
		return encodeOrder(h, w)
	case Stop:
		return &troupev1.Stop{Header: h, Ref: encodeRef(w.Ref)}
	case Ack:
		return &troupev1.Ack{Header: h, Ref: encodeRef(w.Ref)}
	case Welcome:
		return &troupev1.Welcome{Header: h}
	case jobs.Hello:
		return &troupev1.Hello{
			Header: h, Member: string(w.Member), Slots: int64(w.Slots), MaxBytes: w.MaxBytes, DataAddr: w.DataAddr,
			Draining: w.Draining, Running: each(w.Running, encodeRef),
		}
	case jobs.Report:
		return &troupev1.Report{
			Header: h, Member: string(w.Member), Ref: encodeRef(w.Ref), Result: encodeResult(w.Result), Failure: encodeFailure(w.Failure), Lost: w.Lost,
		}
	case jobs.Checkpoint:
		return &troupev1.Checkpoint{Header: h, Member: string(w.Member), Ref: encodeRef(w.Ref), Output: w.Output}
	case jobs.Progress:
		return &troupev1.Progress{Header: h, Member: string(w.Member), Ref: encodeRef(w.Ref), Rows: w.Rows, Total: w.Total, Text: w.Text}
	case Nudge:
		return &troupev1.Nudge{Header: h}
	case Drain:
		return &troupev1.Drain{Header: h, Why: w.Why}
	case Predict:
		return &troupev1.Predict{Header: h, Id: w.ID, Model: w.Model, Rows: each(w.Rows, toBytes)}
	case Predicted:
		return &troupev1.Predicted{
			Header: h, Id: w.ID, Answers: each(w.Answers, toBytes), Failure: encodeFailure(w.Failure), Fields: each(w.Fields, encodeField),
		}
	default:
		return nil
	}
}

func encodeOrder(h *troupev1.Header, o jobs.Order) *troupev1.Order {
	s := o.Stage
	return &troupev1.Order{
		Header: h,
		Ref:    encodeRef(jobs.Ref{Epoch: o.Epoch, Job: o.Job, Task: o.Task, Attempt: o.Attempt}),
		Stage: &troupev1.Stage{
			Name: s.Name, Shape: uint32(s.Shape), NumTasks: int64(s.NumTasks), MinRanks: int64(s.MinRanks), MaxRanks: int64(s.MaxRanks),
			Inputs: maps.Clone(s.Inputs), Params: maps.Clone(s.Params), MaxBytes: s.MaxBytes,
		},
		Index: int64(o.Index), Kind: o.Kind, Spec: o.Spec, Rank: int64(o.Rank),
		Members: each(o.Members, func(m jobs.MemberID) string { return string(m) }), Peers: slices.Clone(o.Peers), Checkpoint: o.Checkpoint,
	}
}

func encodeRef(r jobs.Ref) *troupev1.Ref {
	return &troupev1.Ref{Epoch: r.Epoch, Job: string(r.Job), Task: string(r.Task), Attempt: int64(r.Attempt)}
}

func encodeResult(r jobs.Result) *troupev1.Result {
	return &troupev1.Result{Output: r.Output, RowsIn: r.RowsIn, RowsOut: r.RowsOut, RowsRejected: r.RowsRejected, Meta: r.Meta, PeakRssBytes: r.PeakRSS}
}

func encodeFailure(f *jobs.Failure) *troupev1.Failure {
	if f == nil {
		return nil
	}
	return &troupev1.Failure{Kind: uint32(f.Kind), Message: f.Message}
}

func encodeField(f FieldError) *troupev1.FieldError {
	return &troupev1.FieldError{Row: int64(f.Row), Field: f.Field, Message: f.Message}
}

func toBytes(m json.RawMessage) []byte { return m }

// each maps a slice; none stays nil.
func each[A, B any](in []A, f func(A) B) []B {
	if len(in) == 0 {
		return nil
	}
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}
