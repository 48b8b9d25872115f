package plan

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/ml/features"
)

const encodeSpec = "kind: features\nname: f\ninput: in\noutput: out\nfeatures:\n- {name: u, op: frequency_encode, of: user}\n"

// Values that were told apart weigh on the stage that merges them and on those
// that read the pipeline, by how many there are.
func TestStagesAreAdmittedByWhatWasLearned(t *testing.T) {
	t.Parallel()
	weights := func(values int64) map[string]int64 {
		out := map[string]int64{}
		j := jobs.New("j")
		step := func(e jobs.Event) {
			_, err := j.Step(e)
			require.NoError(t, err)
		}
		s := parse(t, encodeSpec)
		step(jobs.Event{Kind: jobs.Submitted, JobKind: string(s.Kind), Spec: s.Canonical()})
		for {
			next, result, err := Next(j)
			require.NoError(t, err)
			if result != nil {
				return out
			}
			out[next.Name] = next.MaxBytes
			step(jobs.Event{Kind: jobs.StagePlanned, Stage: next})
			_, tasks := j.Current()
			for _, task := range tasks {
				var meta any = Learned{Counted: []features.Counted{{Column: "user", Values: values, Bytes: 10 * values, Each: 5}}}
				if next.Name == Survey {
					meta = Facts{Shards: 2, Passes: 1, TaskBytes: 100, StateBytes: 10, CountedBytes: 1000}
				}
				b, err := json.Marshal(meta)
				require.NoError(t, err)
				step(jobs.Event{Kind: jobs.TaskAssigned, Task: task.ID, Attempt: 1, Members: []jobs.MemberID{"m"}})
				step(jobs.Event{Kind: jobs.TaskDone, Task: task.ID, Attempt: 1, Result: &jobs.Result{Output: string(task.ID), Meta: b}})
			}
			if most := int64(200 << 20); next.MaxBytes > most {
				require.Contains(t, TooLarge(next, most).Message, `because of what is learned of column "user": up to 1048576 distinct values`)
			}
		}
	}
	none, some, many := weights(0), weights(1000), weights(1<<40)
	require.Equal(t, map[string]int64{Survey: 0, "observe-0": 1110, "fit-0": 30, Apply: 100, Manifest: 0}, none)
	require.Equal(t, int64(30+2*1000*(mergedValue+5+10*copiesOfText)), some["fit-0"]) // of both shards
	require.Equal(t, int64(100+1000*(fittedValue+5+10*copiesOfText)), some[Apply])
	require.Greater(t, many["fit-0"], int64(150<<20))
	require.Less(t, many["fit-0"], int64(300<<20)) // more are not told apart
}
