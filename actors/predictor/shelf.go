package predictor

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/bundle"
	"github.com/troupe-ml/troupe/registry/models"
)

// shelf is the models that are warm: one for each version that an environment
// stands at. Whoever asks sees it before or after a deployment, never between.
type shelf struct {
	parts Parts
	warm  atomic.Pointer[map[string]*batcher] // by NAME@ENVIRONMENT

	mu       sync.Mutex // one refresh at a time
	closed   bool
	looked   time.Time           // when the last look began
	err      error               // of the last look
	versions map[string]*batcher // by NAME/VERSION
	broken   map[string]error    // deployments that cannot be loaded, by NAME@ENVIRONMENT
	wg       sync.WaitGroup      // of retired batchers, too

	batchRows prometheus.Histogram
}

func newShelf(p Parts) *shelf {
	s := &shelf{parts: p, versions: map[string]*batcher{}, broken: map[string]error{}}
	s.warm.Store(&map[string]*batcher{})
	s.batchRows = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "troupe_predictor_batch_rows", Help: "Rows that were predicted together.", Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 1024},
	})
	if p.Metrics != nil {
		warm := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "troupe_predictor_warm_models", Help: "Deployments whose model is in memory."}, func() float64 {
			return float64(len(*s.warm.Load()))
		})
		p.Metrics.MustRegister(s.batchRows, warm)
	}
	return s
}

// find returns what answers for NAME@ENVIRONMENT, or nil.
func (s *shelf) find(key string) *batcher { return (*s.warm.Load())[key] }

func (s *shelf) names() []string {
	var names []string
	for key := range *s.warm.Load() {
		name, _, _ := strings.Cut(key, "@")
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// refresh loads what has been deployed and lets go of what is deployed no more.
// A version that cannot be loaded leaves its environment with the one before.
// Callers who come together share one look.
func (s *shelf) refresh(ctx context.Context) error {
	asked := s.parts.Clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looked.After(asked) {
		return s.err // of a look that began after this call
	}
	if s.closed {
		return errRetired
	}
	s.looked = s.parts.Clock.Now()
	all, err := s.parts.Registry.Models.List(ctx)
	if err != nil {
		s.err = fmt.Errorf("look for deployments: %w", err)
		return s.err
	}
	s.err = nil
	before, now, broken := *s.warm.Load(), map[string]*batcher{}, map[string]error{}
	for _, m := range all {
		for _, a := range m.Aliases {
			if a.Version == 0 {
				continue
			}
			key := m.Name + "@" + a.Name
			b, err := s.version(ctx, m, a.Version)
			if err != nil {
				broken[key] = err
				b = before[key]
			}
			if b != nil {
				now[key] = b
			}
		}
	}
	s.say(ctx, broken)
	s.broken = broken
	s.warm.Store(&now)
	s.retire(now)
	return nil
}

// say tells of every deployment that has become broken, once.
func (s *shelf) say(ctx context.Context, broken map[string]error) {
	for key, err := range broken {
		if s.broken[key] == nil && ctx.Err() == nil {
			s.parts.Log.Error("deployed model cannot be loaded", slog.String("model", key), slog.Any("err", err))
		}
	}
}

// why returns what is wrong with a deployment, if something is.
func (s *shelf) why(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken[key]
}

// version returns the batcher of a model's version, loading it if it is new.
func (s *shelf) version(ctx context.Context, m models.Model, number int) (*batcher, error) {
	name := fmt.Sprintf("%s/%d", m.Name, number)
	if b := s.versions[name]; b != nil {
		return b, nil
	}
	if number > len(m.Versions) {
		return nil, fault.New(fault.Corrupt, "model %s: the registry has no such version", name)
	}
	b, err := s.load(ctx, m.Versions[number-1])
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", name, err)
	}
	s.versions[name] = s.start(name, b)
	s.parts.Log.Info("model is warm", slog.String("model", name))
	return s.versions[name], nil
}

// load reads a bundle, whose golden rows are predicted as they were.
func (s *shelf) load(ctx context.Context, v models.Version) (*bundle.Bundle, error) {
	if v.Digest == "" {
		return nil, fault.New(fault.Invalid, "it is not a model of Troupe: a client has registered %s", v.Source)
	}
	text, err := s.parts.Blobs.Get(ctx, v.Digest)
	if err != nil {
		return nil, err
	}
	return bundle.Decode(text)
}

// retire lets go of the versions that no environment stands at.
func (s *shelf) retire(now map[string]*batcher) {
	used := map[*batcher]bool{}
	for _, b := range now {
		used[b] = true
	}
	for name, b := range s.versions {
		if !used[b] {
			delete(s.versions, name)
			b.retire()
		}
	}
}

// close lets go of all, and waits until everybody who asked has been answered.
func (s *shelf) close() {
	s.mu.Lock()
	s.closed = true
	s.warm.Store(&map[string]*batcher{})
	s.retire(nil)
	s.mu.Unlock()
	s.wg.Wait()
}
