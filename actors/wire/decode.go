package wire

import (
	"encoding/json"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	troupev1 "github.com/troupe-ml/troupe/proto/troupe/v1"
)

// headed is every message of ours.
type headed interface{ GetHeader() *troupev1.Header }

// decode returns nil for what is no message of ours. Fields that are not set
// read as zero: the words' own rules say whether that makes sense.
func decode(m any) any {
	switch w := m.(type) {
	case *troupev1.Order:
		return decodeOrder(w)
	case *troupev1.Stop:
		return Stop{decodeRef(w.GetRef())}
	case *troupev1.Ack:
		return Ack{decodeRef(w.GetRef())}
	case *troupev1.Welcome:
		return Welcome{}
	case *troupev1.Hello:
		return jobs.Hello{
			Member: jobs.MemberID(w.GetMember()), Slots: int(w.GetSlots()), MaxBytes: w.GetMaxBytes(), DataAddr: w.GetDataAddr(),
			Draining: w.GetDraining(), Running: each(w.GetRunning(), decodeRef),
		}
	case *troupev1.Report:
		return jobs.Report{
			Member: jobs.MemberID(w.GetMember()), Ref: decodeRef(w.GetRef()), Result: decodeResult(w.GetResult()), Failure: decodeFailure(w.GetFailure()), Lost: w.GetLost(),
		}
	case *troupev1.Checkpoint:
		return jobs.Checkpoint{Member: jobs.MemberID(w.GetMember()), Ref: decodeRef(w.GetRef()), Output: w.GetOutput()}
	case *troupev1.Progress:
		return jobs.Progress{Member: jobs.MemberID(w.GetMember()), Ref: decodeRef(w.GetRef()), Rows: w.GetRows(), Total: w.GetTotal(), Text: w.GetText()}
	case *troupev1.Nudge:
		return Nudge{}
	case *troupev1.Drain:
		return Drain{w.GetWhy()}
	case *troupev1.Predict:
		return Predict{ID: w.GetId(), Model: w.GetModel(), Rows: each(w.GetRows(), toJSON)}
	case *troupev1.Predicted:
		return Predicted{
			ID: w.GetId(), Answers: each(w.GetAnswers(), toJSON), Failure: decodeFailure(w.GetFailure()), Fields: each(w.GetFields(), decodeField),
		}
	default:
		return nil
	}
}

func decodeOrder(o *troupev1.Order) jobs.Order {
	s, r := o.GetStage(), decodeRef(o.GetRef())
	return jobs.Order{
		Epoch: r.Epoch, Job: r.Job, Task: r.Task, Attempt: r.Attempt,
		Stage: jobs.Stage{
			Name: s.GetName(), Shape: jobs.Shape(s.GetShape()), NumTasks: int(s.GetNumTasks()), MinRanks: int(s.GetMinRanks()), MaxRanks: int(s.GetMaxRanks()),
			Inputs: filled(s.GetInputs()), Params: filled(s.GetParams()), MaxBytes: s.GetMaxBytes(),
		},
		Index: int(o.GetIndex()), Kind: o.GetKind(), Spec: o.GetSpec(), Rank: int(o.GetRank()),
		Members: each(o.GetMembers(), func(m string) jobs.MemberID { return jobs.MemberID(m) }), Peers: o.GetPeers(), Checkpoint: o.GetCheckpoint(),
	}
}

// filled returns nil for a map with nothing in it.
func filled(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return m
}

func decodeRef(r *troupev1.Ref) jobs.Ref {
	return jobs.Ref{Epoch: r.GetEpoch(), Job: jobs.ID(r.GetJob()), Task: jobs.TaskID(r.GetTask()), Attempt: int(r.GetAttempt())}
}

func decodeResult(r *troupev1.Result) jobs.Result {
	return jobs.Result{Output: r.GetOutput(), RowsIn: r.GetRowsIn(), RowsOut: r.GetRowsOut(), RowsRejected: r.GetRowsRejected(), Meta: r.GetMeta(), PeakRSS: r.GetPeakRssBytes()}
}

func decodeFailure(f *troupev1.Failure) *jobs.Failure {
	if f == nil {
		return nil
	}
	return &jobs.Failure{Kind: fault.Kind(f.GetKind()), Message: f.GetMessage()}
}

func decodeField(f *troupev1.FieldError) FieldError {
	return FieldError{Row: int(f.GetRow()), Field: f.GetField(), Message: f.GetMessage()}
}

func toJSON(b []byte) json.RawMessage { return b }
