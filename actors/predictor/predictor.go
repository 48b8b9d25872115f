// Package predictor answers requests for predictions of deployed models, as
// they come. Where models are kept warm it predicts itself, many requests at a
// time when many come at once; elsewhere, and when the store is away, it asks
// another member, and the next one when that dies. The predictions are those of
// bundle.Predict, and have the same bits as a batch job's over the same rows.
//
// Nothing here is durable. A prediction changes nothing, so one may be asked for
// twice.
package predictor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-ml/troupe/actors"
	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/store"
)

// Role is what a predictor's actor is called, before the id of its process.
const Role = "predictor"

// Production is the environment that a model's name alone stands for.
const Production = "production"

// Answer is the prediction for one row.
type Answer struct {
	Prediction         any       `json:"prediction"`                    // the class, or the value of a regression
	Probability        *float64  `json:"probability,omitempty"`         // of the predicted class
	ClassProbabilities []float64 `json:"class_probabilities,omitempty"` // in the order of the model's classes
	ModelVersion       string    `json:"model_version"`                 // NAME/VERSION
}

// FieldError is what is wrong with one field of a row; Field is empty when it is
// the row as a whole.
type FieldError struct {
	Row     int
	Field   string
	Message string
}

// FieldErrors is everything that is wrong with a request; its kind is Invalid.
type FieldErrors []FieldError

// Error returns the first fault and how many there are.
func (f FieldErrors) Error() string {
	if len(f) == 0 {
		return "no faults"
	}
	msg := "row " + strconv.Itoa(f[0].Row) + ": " + strings.TrimSpace(f[0].Field+" "+f[0].Message)
	if len(f) > 1 {
		msg += " (and " + strconv.Itoa(len(f)-1) + " more)"
	}
	return msg
}

// Config are a predictor's settings.
type Config struct {
	// Warm keeps every deployed model in memory and predicts here; without it,
	// others are asked.
	Warm bool
	// Poll is the interval at which the registry is looked at for deployments.
	Poll time.Duration
	// Window is how long a busy predictor waits for as many requests as it had
	// the last time. A request that comes alone never waits.
	Window time.Duration
	// MaxBatchRows is how many rows are predicted together; a larger request is a
	// batch of its own.
	MaxBatchRows int
	// Loops is how many batches of one model are worked on at a time: about the
	// number of cores.
	Loops int
	// MaxWaiting is how many requests may wait for one model; more are refused
	// with kind Exhausted.
	MaxWaiting int
	// PeerTimeout is how long another member may take to answer before the next
	// one is asked.
	PeerTimeout time.Duration
}

// DefaultConfig keeps models warm.
func DefaultConfig() Config {
	return Config{Warm: true, Poll: time.Second, Window: 200 * time.Microsecond, MaxBatchRows: 256, Loops: 2, MaxWaiting: 1024, PeerTimeout: 2 * time.Second}
}

// Validate reports every setting that makes no sense.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("predictor: "+format, args...))
		}
	}
	check(c.Poll > 0, "poll is %v: it must be positive", c.Poll)
	check(c.Window >= 0, "window is %v: it must not be negative", c.Window)
	check(c.MaxBatchRows > 0, "max_batch_rows is %d: it must be positive", c.MaxBatchRows)
	check(c.Loops > 0, "loops is %d: it must be positive", c.Loops)
	check(c.MaxWaiting > 0, "max_waiting is %d: it must be positive", c.MaxWaiting)
	check(c.PeerTimeout > 0, "peer_timeout is %v: it must be positive", c.PeerTimeout)
	return fault.Wrap(fault.Invalid, errors.Join(errs...))
}

// Peer is another process that keeps models warm.
type Peer struct{ Address, Boot string }

// Parts are what a Predictor is made of.
type Parts struct {
	Config   Config
	System   *actors.System
	Registry *registry.Registry
	Blobs    store.Blobs
	// Peers returns the other processes that keep models warm; nil is none.
	Peers   func() []Peer
	Clock   clock.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer // may be nil
}

// Predictor predicts, or finds somebody who does. Its methods may be called from
// several goroutines.
type Predictor struct {
	parts  Parts
	shelf  *shelf
	pid    *actor.PID
	kick   chan struct{}
	slots  chan struct{} // of questions of others
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	asked   atomic.Uint64
	mu      sync.Mutex
	pending map[uint64]question
	silent  map[Peer]time.Time // members that have not answered, and when
}

// maxQuestions is how many questions of others are worked on at a time; further
// ones are refused, and the asker turns to somebody else.
const maxQuestions = 256

// Start begins to look for deployments and to answer others.
func Start(p Parts) (*Predictor, error) {
	if err := p.Config.Validate(); err != nil {
		return nil, err
	}
	d := &Predictor{parts: p, kick: make(chan struct{}, 1), slots: make(chan struct{}, maxQuestions), pending: map[uint64]question{}, silent: map[Peer]time.Time{}}
	d.shelf = newShelf(p)
	d.ctx, d.cancel = context.WithCancel(context.Background())
	pid, err := p.System.Spawn(Role, func() actor.Actor { return (*booth)(d) })
	if err != nil {
		d.cancel()
		return nil, err
	}
	d.pid = pid
	p.System.OnLost(d.lost)
	if p.Config.Warm {
		d.wg.Go(d.watch)
	}
	return d, nil
}

// watch looks for deployments at every interval, and when it is kicked.
func (d *Predictor) watch() {
	t := d.parts.Clock.NewTicker(d.parts.Config.Poll)
	defer t.Stop()
	for away := false; ; {
		err := d.shelf.refresh(d.ctx)
		if err != nil && !away && d.ctx.Err() == nil {
			d.parts.Log.Warn("deployments cannot be looked for", slog.Any("err", err))
		}
		away = err != nil
		select {
		case <-d.ctx.Done():
			return
		case <-t.C():
		case <-d.kick:
		}
	}
}

// Refresh looks for deployments now rather than at the next interval.
func (d *Predictor) Refresh() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

// Served returns the names of the models that are warm here, sorted.
func (d *Predictor) Served() []string { return d.shelf.names() }

// Close stops answering, and waits for what is being answered.
func (d *Predictor) Close() {
	d.cancel()
	d.parts.System.Stop(d.pid)
	d.wg.Wait()
	d.shelf.close()
}

// Predict answers for every row, in order. The model is NAME or
// NAME@ENVIRONMENT, without which it is production. A row is a JSON object of
// features by name, or a list in the order of the signature.
//
// Errors: NotFound when no such model is deployed, FieldErrors, of kind Invalid,
// when rows do not fit the signature, Exhausted when too many requests wait,
// Unavailable when nobody who could answer is there.
func (d *Predictor) Predict(ctx context.Context, model string, rows []json.RawMessage) ([]Answer, error) {
	key, err := place(model)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	if !d.parts.Config.Warm {
		return d.askAround(ctx, key, rows)
	}
	answers, err := d.local(ctx, key, rows)
	if fault.Of(err) == fault.Unavailable { // the store is away, and the model was not warm before
		return d.askAround(ctx, key, rows)
	}
	return answers, err
}

// local predicts here. A model that is not known yet is looked for once.
func (d *Predictor) local(ctx context.Context, key string, rows []json.RawMessage) ([]Answer, error) {
	for range 2 {
		if b := d.shelf.find(key); b != nil {
			if answers, err := b.predict(ctx, rows); !errors.Is(err, errRetired) {
				return answers, err
			}
		} else if err := d.shelf.refresh(d.ctx); err != nil {
			return nil, fault.New(fault.Unavailable, "predict %s: %w", key, err)
		}
	}
	if b := d.shelf.find(key); b != nil {
		return b.predict(ctx, rows)
	}
	if err := d.shelf.why(key); err != nil {
		return nil, fmt.Errorf("predict %s: %w", key, err)
	}
	name, environment, _ := strings.Cut(key, "@")
	return nil, fault.New(fault.NotFound, "predict: no version of %s is deployed to %s: `troupe deploy --env %s` does that", name, environment, environment)
}

// place returns NAME@ENVIRONMENT.
func place(model string) (string, error) {
	name, environment, given := strings.Cut(model, "@")
	if name == "" || given && environment == "" {
		return "", fault.New(fault.Invalid, "predict: model %q: expected NAME or NAME@ENVIRONMENT", model)
	}
	if !given {
		environment = Production
	}
	return name + "@" + environment, nil
}
