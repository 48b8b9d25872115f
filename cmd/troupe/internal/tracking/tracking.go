// Package tracking copies runs to a server of MLflow over its REST API. A run is
// copied once, however often it is asked for: its copy carries the run's id.
package tracking

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/gateway/mlflow"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/runs"
)

// Config names the server as MLflow's own clients do.
type Config struct {
	URI        string // MLFLOW_TRACKING_URI: http://… or https://…
	Token      string // MLFLOW_TRACKING_TOKEN
	User       string // MLFLOW_TRACKING_USERNAME
	Password   string // MLFLOW_TRACKING_PASSWORD
	Experiment string // MLFLOW_EXPERIMENT_NAME: of runs that name none, or have the one of specs that do not
	// FirstAnswer is how long the server has to answer the first, small question: who
	// waits for a job is not kept for one that has gone silent. Default 10 s.
	FirstAnswer time.Duration
	// MaxArtifactBytes bounds what is copied of one artifact. Default 512 MiB.
	MaxArtifactBytes int64
}

// FromEnv reads the variables; not ok when no server is named.
func FromEnv(env func(string) (string, bool)) (cfg Config, ok bool) {
	read := func(name string) string {
		value, _ := env(name)
		return value
	}
	cfg = Config{
		URI: read("MLFLOW_TRACKING_URI"), Token: read("MLFLOW_TRACKING_TOKEN"), User: read("MLFLOW_TRACKING_USERNAME"),
		Password: read("MLFLOW_TRACKING_PASSWORD"), Experiment: read("MLFLOW_EXPERIMENT_NAME"),
	}
	return cfg, cfg.URI != ""
}

// Server is a server of MLflow.
type Server struct {
	cfg  Config
	base string
	http *http.Client
}

// New returns the server of a configuration. The error is of kind Invalid when
// its URI is none of a server.
func New(cfg Config) (*Server, error) {
	u, err := url.Parse(cfg.URI)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fault.New(fault.Invalid, "MLFLOW_TRACKING_URI is %q: expected the address of a server, such as http://host:5000", cfg.URI)
	}
	if cfg.MaxArtifactBytes == 0 {
		cfg.MaxArtifactBytes = 512 << 20
	}
	if cfg.FirstAnswer == 0 {
		cfg.FirstAnswer = 10 * time.Second
	}
	return &Server{cfg: cfg, base: strings.TrimRight(cfg.URI, "/"), http: &http.Client{Timeout: 2 * time.Minute}}, nil
}

// runTag is the tag of a copy that holds the id of what it is a copy of.
const runTag = "troupe.run"

// Copy says what came of a run.
type Copy struct {
	ID      string   // on the server
	Already bool     // it was there before
	Left    []string // artifacts that were not copied
}

// Mirror copies a run that has ended, and its artifacts, which read returns by
// their paths. A copy that was cut off is completed. A server that has the run
// itself, as a cluster of Troupe that ran it has, gets no copy.
func (s *Server) Mirror(ctx context.Context, r runs.Run, read func(path string) ([]byte, error)) (Copy, error) {
	if !r.Status.Finished() {
		return Copy{}, fault.New(fault.Invalid, "run %s has not ended", r.ID)
	}
	first, cancel := context.WithTimeoutCause(ctx, s.cfg.FirstAnswer, fmt.Errorf("no answer within %v", s.cfg.FirstAnswer))
	err := s.ask(first, http.MethodGet, "runs/get?run_id="+url.QueryEscape(string(r.ID)), nil, nil)
	cancel()
	switch {
	case err == nil:
		return Copy{ID: string(r.ID), Already: true}, nil
	case fault.Of(err) != fault.NotFound:
		return Copy{}, err
	}
	group, err := s.experiment(ctx, r.Experiment)
	if err != nil {
		return Copy{}, err
	}
	there, err := s.begun(ctx, group, r)
	if err != nil || there.Info.Status != "RUNNING" {
		return Copy{ID: there.Info.ID, Already: true}, err
	}
	if err := s.log(ctx, there.Info.ID, r); err != nil {
		return Copy{}, err
	}
	out := Copy{ID: there.Info.ID}
	if out.Left, err = s.artifacts(ctx, there.Info.Artifacts, r, read); err != nil {
		return out, err
	}
	end := map[string]any{"run_id": there.Info.ID, "status": r.Status.Word(), "end_time": r.Ended.UnixMilli()}
	return out, s.ask(ctx, http.MethodPost, "runs/update", end, nil)
}

// unnamed is the experiment of specs that name none.
const unnamed = "default"

// experiment returns the id of the experiment of a name, which is made if there
// is none.
func (s *Server) experiment(ctx context.Context, name string) (string, error) {
	if name == "" || name == unnamed {
		name = cmp.Or(s.cfg.Experiment, name, "Default")
	}
	var found struct {
		Experiment struct {
			ID string `json:"experiment_id"`
		} `json:"experiment"`
	}
	byName := "experiments/get-by-name?experiment_name=" + url.QueryEscape(name)
	err := s.ask(ctx, http.MethodGet, byName, nil, &found)
	if err == nil || fault.Of(err) != fault.NotFound {
		return found.Experiment.ID, err
	}
	var made struct {
		ID string `json:"experiment_id"`
	}
	if err = s.ask(ctx, http.MethodPost, "experiments/create", map[string]any{"name": name}, &made); err == nil {
		return made.ID, nil
	}
	if again := s.ask(ctx, http.MethodGet, byName, nil, &found); again == nil { // somebody was faster
		return found.Experiment.ID, nil
	}
	return "", err
}

// copied is what is read of a run of the server.
type copied struct {
	Info struct {
		ID        string `json:"run_id"`
		Status    string `json:"status"`
		Artifacts string `json:"artifact_uri"`
	} `json:"info"`
}

// begun returns the copy of a run, which is made if there is none.
func (s *Server) begun(ctx context.Context, group string, r runs.Run) (copied, error) {
	var found struct {
		Runs []copied `json:"runs"`
	}
	err := s.ask(ctx, http.MethodPost, "runs/search", map[string]any{
		"experiment_ids": []string{group}, "filter": "tags.`" + runTag + "` = '" + string(r.ID) + "'", "run_view_type": "ALL", "max_results": 1,
	}, &found)
	switch {
	case err != nil:
		return copied{}, err
	case len(found.Runs) > 0:
		return found.Runs[0], nil
	}
	var made struct {
		Run copied `json:"run"`
	}
	err = s.ask(ctx, http.MethodPost, "runs/create", map[string]any{
		"experiment_id": group, "run_name": r.Name, "user_id": r.Owner, "start_time": r.Started.UnixMilli(),
		"tags": []map[string]string{{"key": runTag, "value": string(r.ID)}},
	}, &made)
	return made.Run, err
}

// Bounds of a batch, which are MLflow's.
const (
	maxMetrics = 1000
	maxPairs   = 100
)

func (s *Server) log(ctx context.Context, id string, r runs.Run) error {
	var points []map[string]any
	for _, name := range r.MetricNames() {
		for _, p := range r.Metrics[name] {
			points = append(points, map[string]any{"key": name, "value": p.Value, "timestamp": r.TimeOf(p), "step": p.Step})
		}
	}
	for part := range slices.Chunk(points, maxMetrics) {
		if err := s.batch(ctx, id, "metrics", part); err != nil {
			return err
		}
	}
	for kind, pairs := range map[string]map[string]string{"params": r.Params, "tags": mlflow.Tags(&r)} {
		var list []map[string]string
		for key, value := range pairs {
			list = append(list, map[string]string{"key": key, "value": value})
		}
		for part := range slices.Chunk(list, maxPairs) {
			if err := s.batch(ctx, id, kind, part); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) batch(ctx context.Context, id, kind string, list any) error {
	return s.ask(ctx, http.MethodPost, "runs/log-batch", map[string]any{"run_id": id, kind: list}, nil)
}

// artifacts uploads the artifacts of a run, if the server takes them itself. It
// returns those that it has left.
func (s *Server) artifacts(ctx context.Context, uri string, r runs.Run, read func(string) ([]byte, error)) (left []string, err error) {
	u, err := url.Parse(uri)
	for path, a := range r.Artifacts {
		if err != nil || u.Scheme != "mlflow-artifacts" || u.Host != "" || a.Bytes > s.cfg.MaxArtifactBytes {
			left = append(left, path)
			continue
		}
		b, err := read(path)
		if err != nil {
			return left, err
		}
		where := (&url.URL{Path: "/api/2.0/mlflow-artifacts/artifacts/" + strings.Trim(u.Path, "/") + "/" + path}).EscapedPath()
		if err := s.send(ctx, http.MethodPut, where, "application/octet-stream", b, nil); err != nil {
			return left, err
		}
	}
	slices.Sort(left)
	return left, nil
}

// ask sends a request whose question and answer are JSON.
func (s *Server) ask(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fault.New(fault.Internal, "MLflow %s: %w", path, err)
		}
	}
	return s.send(ctx, method, "/api/2.0/mlflow/"+path, "application/json", body, out)
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

func (s *Server) send(ctx context.Context, method, path, contentType string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return fault.New(fault.Invalid, "MLflow at %s: %w", s.base, err)
	}
	req.Header.Set("Content-Type", contentType)
	switch {
	case s.cfg.Token != "":
		req.Header.Set("Authorization", "Bearer "+s.cfg.Token)
	case s.cfg.User != "":
		req.SetBasicAuth(s.cfg.User, s.cfg.Password)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return fault.New(fault.Unavailable, "MLflow: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fault.New(fault.Unavailable, "MLflow at %s: %w", s.base, err)
	}
	if resp.StatusCode != http.StatusOK {
		return refusal(s.base, path, resp.StatusCode, b)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fault.New(fault.Invalid, "%s does not answer as MLflow does: %w", s.base, err)
	}
	return nil
}

// refusal is the error of an answer.
func refusal(base, path string, status int, body []byte) error {
	var e struct {
		Code    string `json:"error_code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &e) != nil || e.Code == "" {
		e.Message = fmt.Sprintf("%.200s", body)
	}
	kind := fault.Invalid
	switch {
	case e.Code == "RESOURCE_DOES_NOT_EXIST":
		kind = fault.NotFound
	case status >= 500, status == http.StatusTooManyRequests:
		kind = fault.Unavailable
	}
	path, _, _ = strings.Cut(path, "?")
	return fault.New(kind, "MLflow at %s, %s: %d %s: %s", base, path, status, e.Code, e.Message)
}
