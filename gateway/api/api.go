// Package api is the HTTP front door of a node: jobs, nodes, runs, models and
// predictions, as JSON, with an OpenAPI 3.1 document at /openapi.json and pages
// for people at /docs. It decides nothing: jobs go to the store for the
// coordinator to find, predictions to the predictors.
//
// Errors are RFC 9457 problem documents; the status follows from fault.Kind.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/jobs/spec"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/store"
)

// Node is one member of the cluster as people see it.
type Node struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Address  string   `json:"address"` // of its HTTP door
	Roles    []string `json:"roles"`
	Slots    int      `json:"slots"`
	Memory   int64    `json:"memory_bytes"`
	Version  string   `json:"version"`
	State    string   `json:"state"` // ready, draining or suspect
	Leader   bool     `json:"leader"`
	PID      int      `json:"pid,omitempty"`
	Running  int      `json:"running"`
	Announce string   `json:"-"`
}

// Progress is how far one task of a job is. It may be lost and never repeated.
type Progress struct {
	Job   string `json:"job"`
	Task  string `json:"task"`
	Rows  int64  `json:"rows"`
	Total int64  `json:"total"`
	Text  string `json:"text,omitempty"`
}

// Cluster is what the gateway needs to know of the cluster.
type Cluster interface {
	// Nudge tells the coordinator that there is something new in the store. It
	// returns at once and may be lost: the coordinator looks by itself, later.
	Nudge()
	// Nodes returns the members that are here, by name.
	Nodes(ctx context.Context) ([]Node, error)
	// Drain asks a node, by id or name, to hand its work over and leave.
	Drain(ctx context.Context, node string) error
	// Watch calls fn with every progress of a job until ctx ends.
	Watch(ctx context.Context, job string, fn func(Progress)) error
}

// Config are the parts that a Server speaks for.
type Config struct {
	Version   string
	Store     store.Store
	Registry  *registry.Registry
	Cluster   Cluster
	Predictor Predictor
	// Preview says what a job would do, for /v1/jobs/plan.
	Preview func(ctx context.Context, s spec.Spec) (*run.Preview, error)
	// Unwritable says, for people, why nothing can be written to the store now,
	// or "". While it says so no job is taken. It may be nil.
	Unwritable func() string
	Tokens     Tokens // empty: everybody may do everything, as on loopback
	Doors      []Door // other protocols on the same port
	Clock      clock.Clock
	Log        *slog.Logger
	Metrics    *prometheus.Registry
}

// Door is another protocol, with paths of its own. Its requests are judged by
// the same tokens.
type Door struct {
	Paths   []string // as of http.ServeMux; one that ends in a slash holds all below
	Handler http.Handler
	Need    func(r *http.Request) Role
	// Refuse answers a request whose bearer may not do it.
	Refuse func(w http.ResponseWriter, status int, detail string)
}

// serves reports whether a request is for this door.
func (d *Door) serves(r *http.Request) bool {
	return slices.ContainsFunc(d.Paths, func(p string) bool {
		return r.URL.Path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(r.URL.Path, p)
	})
}

// Server is the HTTP door.
type Server struct {
	cfg     Config
	mux     *http.ServeMux
	api     huma.API
	metrics predictMetrics
	list    Lister
}

// New returns the door with all its routes.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, mux: http.NewServeMux(), metrics: newPredictMetrics(cfg.Metrics)}
	c := huma.DefaultConfig("Troupe", cfg.Version)
	c.Info.Description = "Jobs over tables, the models they train, and predictions."
	c.CreateHooks = nil // no $schema links in answers
	s.api = humago.New(s.mux, c)
	s.jobRoutes()
	s.planRoute()
	s.historyRoute()
	s.nodeRoutes()
	s.runRoutes()
	s.collectRoute()
	s.modelRoutes()
	s.rollbackRoute()
	s.artifactRoutes()
	s.predictRoutes()
	for _, d := range cfg.Doors {
		for _, path := range d.Paths {
			s.mux.Handle(path, d.Handler)
		}
	}
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{}))
	return s
}

// ServeHTTP answers one request, after a look at its token.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	need, refuse := roleFor(r), refuse
	for i := range s.cfg.Doors {
		if d := &s.cfg.Doors[i]; d.serves(r) {
			need, refuse = d.Need(r), d.Refuse
		}
	}
	if status := s.cfg.Tokens.judge(r, need); status != http.StatusOK {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="troupe"`)
		}
		refuse(w, status, refusal(status, need))
		return
	}
	s.mux.ServeHTTP(w, r)
}

// problem turns an error into a huma error with the status of its kind.
func problem(err error) error {
	if err == nil {
		return nil
	}
	var known huma.StatusError
	if errors.As(err, &known) {
		return err
	}
	return huma.NewError(statusOf(err), err.Error())
}

// statusOf returns the HTTP status of an error's kind.
func statusOf(err error) int {
	switch fault.Of(err) {
	case fault.Invalid:
		return http.StatusUnprocessableEntity
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Exhausted:
		return http.StatusTooManyRequests
	case fault.Canceled:
		return 499
	default:
		return http.StatusInternalServerError
	}
}
