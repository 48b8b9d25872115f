package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/sse"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/jobs/spec"
)

// SubmitRequest asks for one job. Spec is its canonical form: paths are
// absolute, and a features file is written out.
type SubmitRequest struct {
	ID   string    `json:"id,omitempty" doc:"names the submission, so that it can be repeated; made up when absent" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Spec spec.Spec `json:"spec"`
}

type submitInput struct {
	RawBody []byte `contentType:"application/json"`
}

type summaryOutput struct{ Body run.Summary }

type listOutput struct {
	Body struct {
		Jobs []run.Summary `json:"jobs"`
	}
}

type jobInput struct {
	ID string `path:"id" doc:"the job's id"`
}

var idForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// NewID returns an id for a job: 12 hexadecimal digits.
func NewID() jobs.ID {
	var b [6]byte
	_, _ = rand.Read(b[:]) //nolint:errcheck // it never fails
	return jobs.ID(hex.EncodeToString(b[:]))
}

func (s *Server) jobRoutes() {
	huma.Register(s.api, huma.Operation{OperationID: "submit-job", Method: http.MethodPost, Path: "/v1/jobs", Summary: "Submit a job", DefaultStatus: http.StatusAccepted, SkipValidateBody: true}, s.submit)
	huma.Register(s.api, huma.Operation{OperationID: "list-jobs", Method: http.MethodGet, Path: "/v1/jobs", Summary: "List jobs, the newest first"}, s.listJobs)
	huma.Register(s.api, huma.Operation{OperationID: "show-job", Method: http.MethodGet, Path: "/v1/jobs/{id}", Summary: "Show a job"}, s.showJob)
	huma.Register(s.api, huma.Operation{OperationID: "cancel-job", Method: http.MethodPost, Path: "/v1/jobs/{id}/cancel", Summary: "Cancel a job"}, s.cancelJob)
	sse.Register(s.api, huma.Operation{OperationID: "watch-job", Method: http.MethodGet, Path: "/v1/jobs/{id}/events", Summary: "Watch a job to its end"},
		map[string]any{"state": run.Summary{}, "progress": Progress{}, "error": WatchError{}}, s.watchJob)
}

// submission reads the body of a request about a job that is to be.
func submission(body []byte) (SubmitRequest, error) {
	var req SubmitRequest
	if err := decodeStrict(body, &req); err != nil {
		return req, huma.Error400BadRequest("submit: " + err.Error())
	}
	if req.Spec.Kind == "" {
		return req, huma.Error400BadRequest("submit: the spec is missing")
	}
	return req, nil
}

func (s *Server) submit(ctx context.Context, in *submitInput) (*summaryOutput, error) {
	req, err := submission(in.RawBody)
	if err != nil {
		return nil, err
	}
	id := jobs.ID(req.ID)
	switch {
	case id == "":
		id = NewID()
	case !idForm.MatchString(req.ID):
		return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("submit: the id %.80q is none: use up to 64 letters, digits, - and _", req.ID))
	}
	if err := s.writable(ctx); err != nil {
		return nil, problem(fmt.Errorf("submit %s: %w", id, err))
	}
	if err := joblog.Submit(ctx, s.cfg.Store, id, string(req.Spec.Kind), req.Spec.Name, req.Spec.Canonical(), s.cfg.Clock.Now().UnixMilli()); err != nil {
		return nil, problem(err)
	}
	s.cfg.Cluster.Nudge()
	j, err := joblog.Load(ctx, s.cfg.Store, id)
	if err != nil {
		return nil, problem(err)
	}
	return &summaryOutput{run.Summarise(j, s.cfg.Clock.Now().UnixMilli())}, nil
}

// writableWait is how long a job waits for a store that cannot be written to,
// before it is refused.
const writableWait = 2 * time.Second

// writable returns an error of kind Unavailable that says why nothing can be
// written, whatever the store itself would say of it, or at last.
func (s *Server) writable(ctx context.Context) error {
	if s.cfg.Unwritable == nil {
		return nil
	}
	end := s.cfg.Clock.Now().Add(writableWait)
	for {
		why := s.cfg.Unwritable()
		if why == "" {
			return nil
		}
		if !s.cfg.Clock.Now().Before(end) {
			return fault.New(fault.Unavailable, "%s", why)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.cfg.Clock.After(writableWait / 20):
		}
	}
}

func (s *Server) listJobs(ctx context.Context, _ *struct{}) (*listOutput, error) {
	all, err := s.list.Jobs(ctx, s.cfg.Store, s.cfg.Clock.Now().UnixMilli())
	if err != nil {
		return nil, problem(err)
	}
	out := &listOutput{}
	out.Body.Jobs = all
	return out, nil
}

func (s *Server) showJob(ctx context.Context, in *jobInput) (*summaryOutput, error) {
	j, err := joblog.Load(ctx, s.cfg.Store, jobs.ID(in.ID))
	if err != nil {
		return nil, problem(err)
	}
	return &summaryOutput{run.Summarise(j, s.cfg.Clock.Now().UnixMilli())}, nil
}

func (s *Server) cancelJob(ctx context.Context, in *jobInput) (*summaryOutput, error) {
	if err := joblog.RequestCancel(ctx, s.cfg.Store, jobs.ID(in.ID), "cancelled by a user"); err != nil {
		return nil, problem(err)
	}
	s.cfg.Cluster.Nudge()
	return s.showJob(ctx, in)
}

// WatchError is why the watching of a job has ended before the job: the last
// event of its stream, and what a problem document would say.
type WatchError struct {
	Title  string `json:"title"`
	Status int    `json:"status" doc:"503 may pass: watch again"`
	Detail string `json:"detail"`
}

// watchJob sends the job's state after each record of its log and its progress
// in between, until the job has ended. When the log cannot be followed, it says
// why and ends.
func (s *Server) watchJob(ctx context.Context, in *jobInput, send sse.Sender) {
	ctx, cancel := context.WithCancel(ctx)
	states := make(chan run.Summary, 16)
	progress := make(chan Progress, 64)
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = s.cfg.Cluster.Watch(ctx, in.ID, func(p Progress) { // without it the states remain
			select {
			case progress <- p:
			default: // the reader is slow: progress may be lost
			}
		})
	})
	var broken error // set before states is closed
	wg.Go(func() {
		defer close(states)
		broken = s.follow(ctx, jobs.New(jobs.ID(in.ID)), states)
	})
	defer func() {
		cancel()
		wg.Wait()
	}()
	quiet := s.cfg.Clock.NewTicker(10 * time.Second)
	defer quiet.Stop()
	for {
		select {
		case state, ok := <-states:
			if !ok {
				if ctx.Err() == nil {
					status := statusOf(broken)
					_ = send.Data(WatchError{http.StatusText(status), status, fmt.Sprintf("job %s cannot be followed: %v", in.ID, broken)}) // else the reader is gone
				}
				return
			}
			if send.Data(state) != nil || ended(state.Status) {
				return
			}
		case p := <-progress:
			if send.Data(p) != nil {
				return
			}
		case <-quiet.C(): // keeps the connection, and shows a reader who is gone
			if send.Data(Progress{Job: in.ID}) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func ended(status string) bool {
	return status == jobs.Done.String() || status == jobs.Failed.String() || status == jobs.Cancelled.String()
}

var errEnded = fault.New(fault.Canceled, "the job has ended")

// follow folds the job's log as it grows and sends what users see of it: every
// new stage and the end, and in between no more than a person can follow.
func (s *Server) follow(ctx context.Context, j *jobs.Job, states chan<- run.Summary) error {
	const pause = 50 * time.Millisecond
	var sent time.Time
	stages := -1
	take := func(_ uint64, record []byte) error {
		if err := j.Apply(record); err != nil {
			return err
		}
		now := s.cfg.Clock.Now()
		if len(j.Stages) == stages && !j.Phase.Ended() && now.Sub(sent) < pause {
			return nil
		}
		stages, sent = len(j.Stages), now
		select {
		case states <- run.Summarise(j, now.UnixMilli()):
		case <-ctx.Done():
			return ctx.Err()
		}
		if j.Phase.Ended() {
			return errEnded
		}
		return nil
	}
	records, err := s.cfg.Store.Logs.Read(ctx, joblog.Name(j.ID), 0)
	if err != nil {
		return err
	}
	if len(records) == 0 { // nothing would ever come
		return fault.New(fault.NotFound, "there is no such job; `troupe jobs list` shows those that are")
	}
	for i, record := range records {
		if err := take(uint64(i), record); err != nil {
			return err
		}
	}
	return s.cfg.Store.Logs.Watch(ctx, joblog.Name(j.ID), uint64(len(records)), take)
}
