package place

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/jobs"
)

func TestTasksGoToTheEmptiestMember(t *testing.T) {
	t.Parallel()
	got := Assign([]Want{{Task: "a"}, {Task: "b"}, {Task: "c"}, {Task: "d"}},
		[]Member{{ID: "m1", FreeSlots: 1}, {ID: "m2", FreeSlots: 2}})
	require.Equal(t, []Assignment{
		{Task: "a", Members: []jobs.MemberID{"m2"}},
		{Task: "b", Members: []jobs.MemberID{"m1"}},
		{Task: "c", Members: []jobs.MemberID{"m2"}},
	}, got)
}

func TestAGangIsPlacedWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	members := []Member{{ID: "m1", FreeSlots: 1}, {ID: "m2", FreeSlots: 1}}
	require.Empty(t, Assign([]Want{{Task: "g", Gang: true, MinRanks: 3, MaxRanks: 4}}, members))
	got := Assign([]Want{{Task: "g", Gang: true, MinRanks: 1, MaxRanks: 4}}, members)
	require.Equal(t, []jobs.MemberID{"m1", "m2"}, got[0].Members)
}

func TestATaskTooLargeForAnyMemberDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	got := Assign([]Want{{Task: "big", Bytes: 100}, {Task: "small", Bytes: 10}}, []Member{{ID: "m", FreeSlots: 2, FreeBytes: 50}})
	require.Len(t, got, 1)
	require.Equal(t, jobs.TaskID("small"), got[0].Task)
}

func TestNoMemberIsEverOverbooked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var members []Member
		for i := range rapid.IntRange(0, 6).Draw(t, "members") {
			members = append(members, Member{ID: jobs.MemberID(fmt.Sprint("m", i)), FreeSlots: rapid.IntRange(-1, 4).Draw(t, "slots"), FreeBytes: rapid.Int64Range(0, 100).Draw(t, "bytes")})
		}
		var wants []Want
		for i := range rapid.IntRange(0, 20).Draw(t, "wants") {
			w := Want{Task: jobs.TaskID(fmt.Sprint("t", i)), Bytes: rapid.Int64Range(0, 60).Draw(t, "need"), Gang: rapid.Bool().Draw(t, "gang")}
			if w.Gang {
				w.MinRanks = rapid.IntRange(1, 3).Draw(t, "min")
				w.MaxRanks = w.MinRanks + rapid.IntRange(0, 3).Draw(t, "more")
			}
			wants = append(wants, w)
		}
		byTask := map[jobs.TaskID]Want{}
		for _, w := range wants {
			byTask[w.Task] = w
		}
		slots, bytes := map[jobs.MemberID]int{}, map[jobs.MemberID]int64{}
		for _, a := range Assign(wants, members) {
			w := byTask[a.Task]
			if w.Gang && (len(a.Members) < w.MinRanks || len(a.Members) > w.MaxRanks) {
				t.Fatalf("gang %+v got %v", w, a.Members)
			}
			seen := map[jobs.MemberID]bool{}
			for _, m := range a.Members {
				if seen[m] {
					t.Fatalf("two ranks on %s", m)
				}
				seen[m] = true
				slots[m]++
				bytes[m] += w.Bytes
			}
		}
		for _, m := range members {
			if slots[m.ID] > max(m.FreeSlots, 0) || bytes[m.ID] > m.FreeBytes {
				t.Fatalf("%s is overbooked: %d slots, %d bytes of %+v", m.ID, slots[m.ID], bytes[m.ID], m)
			}
		}
	})
}

func TestABrokenGangFormsOfItsSurvivorsAlone(t *testing.T) {
	t.Parallel()
	members := []Member{{ID: "m1", FreeSlots: 3}, {ID: "m2", FreeSlots: 1}, {ID: "m3", FreeSlots: 1}}
	w := Want{Task: "g", Gang: true, MinRanks: 1, MaxRanks: 4, Former: []jobs.MemberID{"m3", "gone", "m2"}}
	require.Equal(t, []jobs.MemberID{"m3", "m2"}, Assign([]Want{w}, members)[0].Members)
	w.MinRanks = 3
	require.Equal(t, []jobs.MemberID{"m1", "m2", "m3"}, Assign([]Want{w}, members)[0].Members, "they are too few")
}
