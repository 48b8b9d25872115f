package wire

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	troupev1 "github.com/troupe-ml/troupe/proto/troupe/v1"
)

// words is a generator of each word.
func words() map[string]*rapid.Generator[any] {
	return map[string]*rapid.Generator[any]{
		"order":   anyOf(genOrder()),
		"stop":    anyOf(rapid.Custom(func(t *rapid.T) Stop { return Stop{genRef().Draw(t, "ref")} })),
		"ack":     anyOf(rapid.Custom(func(t *rapid.T) Ack { return Ack{genRef().Draw(t, "ref")} })),
		"welcome": anyOf(rapid.Just(Welcome{})),
		"nudge":   anyOf(rapid.Just(Nudge{})),
		"drain":   anyOf(rapid.Custom(func(t *rapid.T) Drain { return Drain{rapid.String().Draw(t, "why")} })),
		"hello":   anyOf(genHello()),
		"report":  anyOf(genReport()),
		"checkpoint": anyOf(rapid.Custom(func(t *rapid.T) jobs.Checkpoint {
			return jobs.Checkpoint{Member: genMember().Draw(t, "m"), Ref: genRef().Draw(t, "ref"), Output: rapid.String().Draw(t, "out")}
		})),
		"progress": anyOf(rapid.Custom(func(t *rapid.T) jobs.Progress {
			return jobs.Progress{Member: genMember().Draw(t, "m"), Ref: genRef().Draw(t, "ref"), Rows: rapid.Int64().Draw(t, "rows"), Total: rapid.Int64().Draw(t, "total"), Text: rapid.String().Draw(t, "text")}
		})),
		"predict": anyOf(rapid.Custom(func(t *rapid.T) Predict {
			return Predict{rapid.Uint64().Draw(t, "id"), rapid.String().Draw(t, "model"), genRows(t)}
		})),
		"predicted": anyOf(genPredicted()),
	}
}

func anyOf[T any](g *rapid.Generator[T]) *rapid.Generator[any] {
	return rapid.Map(g, func(v T) any { return v })
}

func genMember() *rapid.Generator[jobs.MemberID] {
	return rapid.Map(rapid.String(), func(s string) jobs.MemberID { return jobs.MemberID(s) })
}

func genRef() *rapid.Generator[jobs.Ref] {
	return rapid.Custom(func(t *rapid.T) jobs.Ref {
		return jobs.Ref{Epoch: rapid.Uint64().Draw(t, "epoch"), Job: jobs.ID(rapid.String().Draw(t, "job")), Task: jobs.TaskID(rapid.String().Draw(t, "task")), Attempt: rapid.Int().Draw(t, "attempt")}
	})
}

// nilIfEmpty is what the wire makes of slices and maps: none and empty are one.
func nilIfEmpty[T any](v []T) []T {
	if len(v) == 0 {
		return nil
	}
	return v
}

func genMap(t *rapid.T, label string) map[string]string {
	m := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, label)
	if len(m) == 0 {
		return nil
	}
	return m
}

func genRows(t *rapid.T) []json.RawMessage {
	return nilIfEmpty(rapid.SliceOf(rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 20), func(b []byte) json.RawMessage { return b })).Draw(t, "rows"))
}

func genFailure(t *rapid.T) *jobs.Failure {
	if rapid.Bool().Draw(t, "well") {
		return nil
	}
	return &jobs.Failure{Kind: fault.Kind(rapid.Byte().Draw(t, "kind")), Message: rapid.String().Draw(t, "message")}
}

func genOrder() *rapid.Generator[jobs.Order] {
	return rapid.Custom(func(t *rapid.T) jobs.Order {
		r := genRef().Draw(t, "ref")
		return jobs.Order{
			Epoch: r.Epoch, Job: r.Job, Task: r.Task, Attempt: r.Attempt,
			Stage: jobs.Stage{
				Name: rapid.String().Draw(t, "stage"), Shape: jobs.Shape(rapid.Byte().Draw(t, "shape")), NumTasks: rapid.Int().Draw(t, "tasks"),
				MinRanks: rapid.Int().Draw(t, "min"), MaxRanks: rapid.Int().Draw(t, "max"), Inputs: genMap(t, "inputs"), Params: genMap(t, "params"), MaxBytes: rapid.Int64().Draw(t, "bytes"),
			},
			Index: rapid.Int().Draw(t, "index"), Kind: rapid.String().Draw(t, "kind"), Spec: nilIfEmpty(rapid.SliceOf(rapid.Byte()).Draw(t, "spec")), Rank: rapid.Int().Draw(t, "rank"),
			Members: nilIfEmpty(rapid.SliceOf(genMember()).Draw(t, "members")), Peers: nilIfEmpty(rapid.SliceOf(rapid.String()).Draw(t, "peers")), Checkpoint: rapid.String().Draw(t, "checkpoint"),
		}
	})
}

func genHello() *rapid.Generator[jobs.Hello] {
	return rapid.Custom(func(t *rapid.T) jobs.Hello {
		return jobs.Hello{
			Member: genMember().Draw(t, "m"), Slots: rapid.Int().Draw(t, "slots"), MaxBytes: rapid.Int64().Draw(t, "bytes"), DataAddr: rapid.String().Draw(t, "addr"),
			Draining: rapid.Bool().Draw(t, "draining"), Running: nilIfEmpty(rapid.SliceOf(genRef()).Draw(t, "running")),
		}
	})
}

func genReport() *rapid.Generator[jobs.Report] {
	return rapid.Custom(func(t *rapid.T) jobs.Report {
		return jobs.Report{
			Member: genMember().Draw(t, "m"), Ref: genRef().Draw(t, "ref"), Failure: genFailure(t), Lost: rapid.Bool().Draw(t, "lost"),
			Result: jobs.Result{
				Output: rapid.String().Draw(t, "output"), RowsIn: rapid.Int64().Draw(t, "in"), RowsOut: rapid.Int64().Draw(t, "out"),
				RowsRejected: rapid.Int64().Draw(t, "rejected"), Meta: nilIfEmpty(rapid.SliceOf(rapid.Byte()).Draw(t, "meta")),
			},
		}
	})
}

func genPredicted() *rapid.Generator[Predicted] {
	return rapid.Custom(func(t *rapid.T) Predicted {
		field := rapid.Custom(func(t *rapid.T) FieldError {
			return FieldError{rapid.Int().Draw(t, "row"), rapid.String().Draw(t, "field"), rapid.String().Draw(t, "message")}
		})
		return Predicted{rapid.Uint64().Draw(t, "id"), genRows(t), genFailure(t), nilIfEmpty(rapid.SliceOf(field).Draw(t, "fields"))}
	})
}

// What is said is what is heard, over the real encoding.
func TestEveryWordComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for name, gen := range words() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				from := From{rapid.String().Draw(t, "boot"), rapid.Uint64().Draw(t, "epoch")}
				word := gen.Draw(t, "word")
				m, err := Encode(from, word)
				if err != nil {
					t.Fatal(err)
				}
				b, err := proto.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				heard := m.ProtoReflect().New().Interface()
				if err := proto.Unmarshal(b, heard); err != nil {
					t.Fatal(err)
				}
				who, got, err := Decode(heard)
				if err != nil {
					t.Fatal(err)
				}
				if who != from || !reflect.DeepEqual(got, word) {
					t.Fatalf("said %+v as %+v, heard %+v from %+v", word, from, got, who)
				}
			})
		})
	}
}

// Every message of the proto file that has a header is a word, so that a new
// one cannot be forgotten here.
func TestEveryMessageIsAWord(t *testing.T) {
	t.Parallel()
	messages := troupev1.File_proto_troupe_v1_troupe_proto.Messages()
	n := 0
	for i := range messages.Len() {
		d := messages.Get(i)
		if d.Fields().ByName("header") != nil {
			n++
			require.True(t, strings.HasPrefix(string(d.FullName()), Package+"."))
		}
	}
	require.Len(t, words(), n)
}

func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	_, err := Encode(From{}, "a string")
	require.ErrorIs(t, err, ErrUnknown)
	for _, m := range []any{nil, "a string", wrapperspb.String("x"), &troupev1.Ref{}} {
		_, _, err := Decode(m)
		require.ErrorIs(t, err, ErrUnknown, "%T", m)
		require.Equal(t, fault.Invalid, fault.Of(err))
	}
}

func TestAnotherMajorVersionIsRefused(t *testing.T) {
	t.Parallel()
	for _, h := range []*troupev1.Header{nil, {}, {Protocol: Protocol + 1, Boot: "b"}} {
		_, _, err := Decode(&troupev1.Nudge{Header: h})
		require.ErrorIs(t, err, ErrProtocol)
	}
	_, _, err := Decode((*troupev1.Nudge)(nil))
	require.ErrorIs(t, err, ErrProtocol)
}

func TestWhatIsTooLargeIsNotSent(t *testing.T) {
	t.Parallel()
	o := jobs.Order{Job: "j", Spec: make([]byte, MaxBytes)}
	_, err := Encode(From{}, o)
	require.ErrorIs(t, err, ErrTooLarge)
	require.Equal(t, fault.Invalid, fault.Of(err))
	o.Spec = o.Spec[:MaxBytes-200]
	_, err = Encode(From{}, o)
	require.NoError(t, err)
}
