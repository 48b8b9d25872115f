package node

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cluster/bus"
	"github.com/troupe-ml/troupe/cluster/membership"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/registry/models"
	"github.com/troupe-ml/troupe/registry/runs"
)

// heard replays the stream of events from its beginning.
func heard(t *testing.T, n *Node) []bus.Event {
	t.Helper()
	var all []bus.Event
	ids := map[string]bool{}
	for {
		question := fmt.Appendf(nil, `{"seq":%d}`, len(all)+1)
		answers, err := n.bus.Gather(soon(t), "$JS.API.STREAM.MSG.GET.TROUPE_EVENTS", question, 1)
		require.NoError(t, err)
		var got struct {
			Message struct {
				Subject string
				Data    []byte
			}
		}
		if len(answers) == 0 || json.Unmarshal(answers[0], &got) != nil || len(got.Message.Data) == 0 {
			return all
		}
		var e bus.Event
		require.NoError(t, json.Unmarshal(got.Message.Data, &e), "%s", got.Message.Data)
		require.Equal(t, "1.0", e.SpecVersion)
		require.False(t, ids[e.ID], "%s is there twice", e.ID)
		ids[e.ID] = true
		e.Type = strings.TrimPrefix(got.Message.Subject, bus.EventPrefix)
		all = append(all, e)
	}
}

// awaitEvents replays the stream until it has so many.
func awaitEvents(t *testing.T, n *Node, want int) []bus.Event {
	t.Helper()
	for ctx := soon(t); ; {
		all := heard(t, n)
		if len(all) >= want {
			return all
		}
		require.NoError(t, ctx.Err(), "there are %d events: %v", len(all), subjects(all))
	}
}

func subjects(events []bus.Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, e.Type)
	}
	return out
}

// abandoned leaves a job that has ended, of which a coordinator has died before
// it told anybody, and waits until the next one has.
func abandoned(t *testing.T, n *Node) jobs.ID {
	t.Helper()
	awaitEvents(t, n, 4)
	const id jobs.ID = "abandoned"
	folder := strings.Repeat("x", 300) // of which no file system has one: nothing can be removed there
	unclean := []byte(`{"kind":"features","name":"fraud","input":"in","output":"/tmp/` + folder + `","features":[{"name":"f","op":"log1p","of":"a"}]}`)
	require.NoError(t, joblog.Submit(soon(t), n.store, id, "features", "fraud", unclean, 1000))
	record, err := jobs.EncodeRecord(0, []jobs.Event{{Kind: jobs.CancelRequested, At: 2000, Failure: &jobs.Failure{Message: "not wanted"}}})
	require.NoError(t, err)
	require.NoError(t, n.store.Logs.Append(soon(t), joblog.Name(id), 1, record))
	n.leader.Nudge()
	e := awaitEvents(t, n, 5)[4]
	require.Equal(t, "abandoned.cancelled", e.ID)
	require.Equal(t, time.UnixMilli(2000).UTC(), e.Time.UTC(), "it says when it happened, whoever says it")
	for ctx := soon(t); ; { // closed after it was told
		require.NoError(t, ctx.Err())
		if _, _, err := n.store.Refs.Get(ctx, joblog.OpenPrefix+string(id)); err != nil {
			break
		}
	}
	var r runs.Run
	call(t, n, http.MethodGet, "/v1/runs/"+string(runs.IDOf(string(id))), nil, http.StatusOK, &r)
	var tracked struct {
		Run struct {
			Info struct {
				Status string `json:"status"`
			} `json:"info"`
		} `json:"run"`
	}
	call(t, n, http.MethodGet, "/api/2.0/mlflow/runs/get?run_id="+string(r.ID), nil, http.StatusOK, &tracked)
	if tracked.Run.Info.Status != r.Status.Word() {
		t.Errorf("MLflow's clients see %q, the run has %s", tracked.Run.Info.Status, r.Status)
	}
	require.Equal(t, runs.Cancelled, r.Status)
	require.Equal(t, "not wanted", r.Error)
	return id
}

func said(n *Node) []string {
	n.news.mu.Lock()
	defer n.news.mu.Unlock()
	var out []string
	for _, e := range n.news.waiting {
		out = append(out, e.event.ID+" "+e.subject+" "+string(e.event.Data[strings.LastIndex(string(e.event.Data), ",")+1:]))
	}
	return out
}

// A node that does not coordinate takes note of who has vanished, and says it
// when it becomes the coordinator.
func TestWhoHasVanishedIsSaidByTheNextCoordinator(t *testing.T) {
	t.Parallel()
	n := &Node{cfg: DefaultConfig()}
	n.news = newNews(n)
	p := newPresence(n)
	a, b, c, d := membership.Member{ID: "a", State: membership.Ready}, membership.Member{ID: "b", State: membership.Draining}, membership.Member{ID: "c"}, membership.Member{ID: "d", State: membership.Ready}
	p.changed([]membership.Member{a, b, c, d})
	p.changed([]membership.Member{})
	p.changed([]membership.Member{d}) // it was only out of reach
	require.Empty(t, said(n))
	p.lead()
	require.ElementsMatch(t, []string{`a.left node.left "reason":"lost"}`, `b.left node.left "reason":"drained"}`}, said(n))
	p.changed([]membership.Member{})
	p.lead()
	require.Contains(t, said(n), `d.left.1 node.left "reason":"lost"}`, "an end after a return is another event")
}

func TestTheHistoryOfAModelBecomesEvents(t *testing.T) {
	t.Parallel()
	at := time.Unix(1, 0).UTC()
	m := models.Model{Name: "fraud", Versions: []models.Version{{Number: 1, Run: "r", Digest: "d", Created: at}, {Number: 2, Created: at}}, Aliases: []models.Alias{{
		Name: "production", History: []models.Move{{Version: 1, Time: at}, {Version: 2, Time: at, Reason: "better"}, {Version: 1, Time: at, Back: true}, {Time: at}},
	}}}
	var got []string
	for _, e := range released(m) {
		require.Equal(t, "fraud", e.event.Subject)
		require.Equal(t, at, e.event.Time)
		got = append(got, e.subject+" "+e.event.ID+" "+string(e.event.Data))
	}
	require.Equal(t, []string{
		`model.registered model.fraud.1.registered {"model":"fraud","version":1,"model_uri":"models:/fraud/1","run":"r","digest":"d"}`,
		`model.registered model.fraud.2.registered {"model":"fraud","version":2,"model_uri":"models:/fraud/2"}`,
		`model.deployed model.fraud.production.0.deployed {"model":"fraud","version":1,"model_uri":"models:/fraud/1","environment":"production"}`,
		`model.deployed model.fraud.production.1.deployed {"model":"fraud","version":2,"model_uri":"models:/fraud/2","environment":"production","previous":1,"reason":"better"}`,
		`model.rolled_back model.fraud.production.2.rolled_back {"model":"fraud","version":1,"model_uri":"models:/fraud/1","environment":"production","previous":2}`,
		`model.undeployed model.fraud.production.3.undeployed {"model":"fraud","environment":"production","previous":1}`,
	}, got)
}

func TestAWordOfASubjectIsOne(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a_b_c__", word("a.b c*>"))
}
