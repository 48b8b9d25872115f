package plan

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/sketch"
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

// Shards that have the same values do not ask for more together than for these.
func TestValuesThatShardsHaveInCommonCountOnce(t *testing.T) {
	t.Parallel()
	shard := func(from, to int64) features.Counted {
		r := &sketch.Rough{}
		for key := from; key < to; key++ {
			r.AddKey(key)
		}
		return features.Counted{Values: to - from, Bytes: 8 * (to - from), Rough: r}
	}
	sum := func(shards ...features.Counted) features.Counted {
		all := features.Counted{Rough: &sketch.Rough{}}
		for _, s := range shards {
			addUp(&all, s)
		}
		together(&all)
		return all
	}
	same := make([]features.Counted, 50)
	for i := range same {
		same[i] = shard(0, 1000)
	}
	got := sum(same...)
	require.GreaterOrEqual(t, got.Values, int64(1000))
	require.Less(t, got.Values, int64(2500))
	require.InDelta(t, 8*got.Values, got.Bytes, 8)
	apart := sum(shard(0, 1000), shard(1000, 2000), shard(2000, 3000))
	require.Equal(t, int64(3000), apart.Values)
	unknown := sum(shard(0, 1000), features.Counted{Values: 1000, Bytes: 8000}, shard(0, 1000))
	require.Equal(t, int64(3000), unknown.Values)
}
