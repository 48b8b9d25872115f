// Package mlflow is the HTTP door for clients of MLflow: its tracking, artifact
// and model registry REST API, version 2.0, over the same registry as everything
// else, so that what jobs have recorded and what clients log stand side by side.
// docs/mlflow.md has the table of endpoints, and what differs.
//
// Nothing is kept here: any node answers, and what it has acknowledged is in the
// store.
package mlflow

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"golang.org/x/sync/semaphore"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/store"
)

// Version is the version of MLflow whose API is served, as /version says it.
const Version = "3.0.0"

// Config are the parts that a Server speaks for.
type Config struct {
	Registry *registry.Registry
	Blobs    store.Blobs
	// Refresh is told that an alias has moved; it may be nil.
	Refresh func()
	Clock   clock.Clock
	// MaxArtifactBytes bounds one artifact, which is held in memory while it is
	// uploaded or downloaded, and all that are at once: others wait. Default 512 MiB.
	MaxArtifactBytes int64
}

// Server is the door.
type Server struct {
	cfg   Config
	mux   *http.ServeMux
	roles map[string]api.Role // by pattern of the mux
	room  *semaphore.Weighted // bytes of artifacts in memory, over all requests
}

// prefixes are where the API is served; the second is that of MLflow's pages.
var prefixes = []string{"/api/2.0", "/ajax-api/2.0"}

// New returns the door with all its routes.
func New(cfg Config) *Server {
	if cfg.MaxArtifactBytes == 0 {
		cfg.MaxArtifactBytes = 512 << 20
	}
	s := &Server{cfg: cfg, mux: http.NewServeMux(), roles: map[string]api.Role{}, room: semaphore.NewWeighted(cfg.MaxArtifactBytes)}
	s.experimentRoutes()
	s.runRoutes()
	s.logRoutes()
	s.artifactRoutes()
	s.modelRoutes()
	s.loggedModelRoutes()
	s.handle("GET", "", "/version", api.Anyone, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, Version) //nolint:errcheck // the caller is gone
	})
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answerError(w, &refusal{http.StatusNotFound, "ENDPOINT_NOT_FOUND", "there is no endpoint " + r.Method + " " + r.URL.Path + "; docs/mlflow.md lists those that are"})
	})
	return s
}

// Door is how the server is opened beside gateway/api, which judges the tokens.
func (s *Server) Door() api.Door {
	d := api.Door{Handler: s.mux, Need: s.need, Refuse: func(w http.ResponseWriter, status int, detail string) {
		code := "UNAUTHENTICATED"
		if status == http.StatusForbidden {
			code = "PERMISSION_DENIED"
		}
		answerError(w, &refusal{status, code, detail})
	}}
	for _, p := range prefixes {
		d.Paths = append(d.Paths, p+"/mlflow/", p+"/mlflow-artifacts/")
	}
	// Of what is newer, clients are told in their own words that it is not here: some
	// of them ask for the older then.
	d.Paths = append(d.Paths, "/api/3.0/mlflow/", "/ajax-api/3.0/mlflow/", "/version")
	return d
}

// need returns the role that a request needs; an unknown one is answered to
// whoever may read.
func (s *Server) need(r *http.Request) api.Role {
	_, pattern := s.mux.Handler(r)
	if role, ok := s.roles[pattern]; ok {
		return role
	}
	return api.Read
}

func (s *Server) handle(method, prefix, path string, need api.Role, h http.HandlerFunc) {
	pattern := method + " " + prefix + path
	s.roles[pattern] = need
	s.mux.HandleFunc(pattern, h)
}

// maxBody bounds the JSON of a request, as MLflow does for a batch.
const maxBody = 1 << 20

// pathed is a question of which some is in the path of the URL.
type pathed interface{ fromPath(r *http.Request) }

// on serves an endpoint whose question and answer are JSON. The question may
// also come as the query of the URL.
func on[In, Out any](s *Server, methods, path string, need api.Role, answer func(ctx context.Context, in *In) (*Out, error)) {
	h := func(w http.ResponseWriter, r *http.Request) {
		var in In
		err := decode(w, r, &in)
		if p, ok := any(&in).(pathed); ok {
			p.fromPath(r)
		}
		var out *Out
		if err == nil {
			out, err = answer(r.Context(), &in)
		}
		if err != nil {
			answerError(w, err)
			return
		}
		answerJSON(w, http.StatusOK, out)
	}
	for _, method := range strings.Fields(methods) {
		for _, prefix := range prefixes {
			s.handle(method, prefix, "/mlflow/"+path, need, h)
		}
	}
}

// none is an answer that says nothing more.
type none struct{}

// refusal is an error with the status and code that MLflow has for it.
type refusal struct {
	status  int
	Code    string `json:"error_code"`
	Message string `json:"message"`
}

func (e *refusal) Error() string { return e.Message }

// exists makes a conflict the error that something exists already.
func exists(err error) error {
	if err != nil && fault.Of(err) == fault.Conflict {
		return &refusal{http.StatusBadRequest, "RESOURCE_ALREADY_EXISTS", err.Error()}
	}
	return err
}

// missing is the error that a field of a request has no value.
func missing(field string) error {
	return fault.New(fault.Invalid, "the field %q is missing", field)
}

func answerError(w http.ResponseWriter, err error) {
	var e *refusal
	if !errors.As(err, &e) {
		e = &refusal{http.StatusInternalServerError, "INTERNAL_ERROR", err.Error()}
		switch fault.Of(err) {
		case fault.Invalid:
			e.status, e.Code = http.StatusBadRequest, "INVALID_PARAMETER_VALUE"
		case fault.NotFound:
			e.status, e.Code = http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST"
		case fault.Conflict:
			e.status, e.Code = http.StatusConflict, "RESOURCE_CONFLICT"
		case fault.Unavailable:
			e.status, e.Code = http.StatusServiceUnavailable, "TEMPORARILY_UNAVAILABLE"
		case fault.Exhausted:
			e.status, e.Code = http.StatusTooManyRequests, "RESOURCE_EXHAUSTED"
		case fault.Internal, fault.Canceled, fault.Corrupt:
		}
	}
	answerJSON(w, e.status, e)
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error_code": "INTERNAL_ERROR", "message": "the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) //nolint:errcheck // the caller is gone
}
