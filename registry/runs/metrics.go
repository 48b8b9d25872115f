package runs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

// Point is one value of a metric.
type Point struct {
	Step  int64 `json:"step"`           // epoch, round or trial; 0 for a metric of the whole run
	Time  int64 `json:"time,omitempty"` // in milliseconds since 1970; 0 when nobody has said: see Run.TimeOf
	Value Value `json:"value"`
}

// newer reports whether p is the newer of two points: that of the higher step,
// then of the later time, then the larger value; not a number is the smallest.
func (p Point) newer(o Point) bool {
	return cmp.Or(cmp.Compare(p.Step, o.Step), cmp.Compare(p.Time, o.Time), cmp.Compare(p.Value, o.Value)) > 0
}

// Value is a metric's value. Other than a float64 it survives JSON when it is
// NaN or infinite, as the loss of a run that diverged is.
type Value float64

// MarshalJSON writes a number, or one of the strings "NaN", "Infinity" and
// "-Infinity", which MLflow writes, too.
func (v Value) MarshalJSON() ([]byte, error) {
	switch f := float64(v); {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-Infinity"`), nil
	default:
		return json.Marshal(f)
	}
}

// UnmarshalJSON reads what MarshalJSON writes.
func (v *Value) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `"NaN"`:
		*v = Value(math.NaN())
	case `"Infinity"`:
		*v = Value(math.Inf(1))
	case `"-Infinity"`:
		*v = Value(math.Inf(-1))
	default:
		f, err := strconv.ParseFloat(string(b), 64)
		if err != nil {
			return fmt.Errorf("metric value %s: %w", b, err)
		}
		*v = Value(f)
	}
	return nil
}

// TimeOf returns when a point of the run was measured, in milliseconds since 1970,
// for whoever shows or copies it: its own time or, where it has none, the end of
// the run, or while that has none its start.
func (r *Run) TimeOf(p Point) int64 {
	if p.Time != 0 {
		return p.Time
	}
	return max(millis(r.Started), millis(r.Ended))
}

// Metric returns the newest point of a metric.
func (r *Run) Metric(name string) (Point, bool) {
	newest, ok := r.Latest[name]
	if points := r.Metrics[name]; len(points) > 0 {
		if last := points[len(points)-1]; !ok || last.newer(newest) {
			newest, ok = last, true
		}
	}
	return newest, ok
}

// MetricNames returns the names of all metrics, sorted.
func (r *Run) MetricNames() []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(r.Metrics)), maps.Keys(r.Latest))
	slices.Sort(names)
	return slices.Compact(names)
}

// Last returns the newest value of every metric, by name.
func (r *Run) Last() map[string]float64 {
	last := make(map[string]float64, len(r.Metrics))
	for _, name := range r.MetricNames() {
		if p, ok := r.Metric(name); ok {
			last[name] = float64(p.Value)
		}
	}
	return last
}

// Measure is a point of a metric by name. That of a logged model is of a run and a
// data set, too, if its client has said.
type Measure struct {
	Metric  string `json:"m"`
	Run     ID     `json:"r,omitempty"`
	Dataset string `json:"d,omitempty"`
	Digest  string `json:"g,omitempty"` // of the data set
	Point
}

// ofMetric parts a metric's name from what it is of, in the keys of Latest.
const ofMetric = "\x00"

// key is under what the newest point is kept.
func (m *Measure) key() string {
	if m.Run == "" && m.Dataset == "" && m.Digest == "" {
		return m.Metric
	}
	return strings.Join([]string{m.Metric, string(m.Run), m.Dataset, m.Digest}, ofMetric)
}

// measureOf is the newest point under a key.
func measureOf(key string, p Point) Measure {
	m := Measure{Metric: key, Point: p}
	if parts := strings.Split(key, ofMetric); len(parts) == 4 {
		m.Metric, m.Run, m.Dataset, m.Digest = parts[0], ID(parts[1]), parts[2], parts[3]
	}
	return m
}

// measures is one record of the log of what is logged from outside to a run: any
// number of points, models and outputs. A document with them would have to be written
// again for each.
type measures struct {
	Version int               `json:"version"`
	Points  []Measure         `json:"points"`
	Models  []json.RawMessage `json:"models,omitempty"` // see ModelsTag
	Outputs []Output          `json:"outputs,omitempty"`
}

func logName(id ID) string { return "metrics." + string(id) }

// appendMeasures makes a record durable in the log of a run, and returns how long
// that is then.
func (b *Book) appendMeasures(ctx context.Context, id ID, m measures) (uint64, error) {
	record, err := json.Marshal(m)
	if err != nil {
		return 0, fault.New(fault.Invalid, "metrics of run %s: %w", id, err)
	}
	for {
		end := b.end(id)
		err := b.logs.Append(ctx, logName(id), end, record)
		if err == nil {
			b.setEnd(id, end+1)
			return end + 1, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return 0, fmt.Errorf("metrics of run %s: %w", id, err)
		}
		more, err := b.logs.Read(ctx, logName(id), end) // others have logged, too
		if err != nil {
			return 0, fmt.Errorf("metrics of run %s: %w", id, err)
		}
		b.setEnd(id, end+uint64(len(more)))
	}
}

func (b *Book) end(id ID) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ends[id]
}

// maxEnds is how many logs' ends are remembered.
const maxEnds = 10_000

func (b *Book) setEnd(id ID, end uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ends) >= maxEnds {
		clear(b.ends)
	}
	b.ends[id] = max(b.ends[id], end)
}

// History returns all points of a metric of a run: those that its job has
// recorded, then those that were logged, in the order of their logging. A point
// that was logged twice is told once. The slice may not be changed.
func (b *Book) History(ctx context.Context, run Run, metric string) ([]Point, error) {
	logged, err := b.logged(ctx, run, metric)
	if err != nil {
		return nil, err
	}
	if len(run.Metrics[metric]) == 0 {
		return logged[metric], nil
	}
	return slices.Concat(run.Metrics[metric], logged[metric]), nil
}

// Histories returns all points of all metrics of a run, as History does.
func (b *Book) Histories(ctx context.Context, run Run) (map[string][]Point, error) {
	logged, err := b.logged(ctx, run, "")
	if err != nil {
		return nil, err
	}
	all := make(map[string][]Point, len(run.Metrics)+len(logged))
	for name, points := range run.Metrics {
		all[name] = slices.Clone(points)
	}
	for name, points := range logged {
		all[name] = append(all[name], points...)
	}
	return all, nil
}

// histories are the points of a run that were logged, as far as its log was read.
// They are remembered for who asks for one page or metric after the other.
type histories struct {
	mu     sync.Mutex
	read   uint64
	count  int
	points map[string][]Point
	seen   map[string]map[[3]uint64]bool
}

// Bounds on what is remembered: runs, and points of each.
const (
	maxHistories = 8
	maxPoints    = 1 << 20
)

func newHistories() *histories {
	return &histories{points: map[string][]Point{}, seen: map[string]map[[3]uint64]bool{}}
}

// logged returns the points of one metric that were logged, or of all.
func (b *Book) logged(ctx context.Context, run Run, metric string) (map[string][]Point, error) {
	if len(run.Latest) == 0 {
		return nil, nil
	}
	h := b.historiesOf(run.ID)
	h.mu.Lock()
	defer h.mu.Unlock()
	records, err := b.logs.Read(ctx, logName(run.ID), h.read)
	if err != nil {
		return nil, fmt.Errorf("metrics of run %s: %w", run.ID, err)
	}
	for _, record := range records {
		m, err := decodeMeasures(run.ID, h.read, record)
		if err != nil {
			return nil, err
		}
		h.add(m.Points)
		h.read++
	}
	if h.count > maxPoints {
		b.mu.Lock()
		delete(b.histories, run.ID)
		b.mu.Unlock()
	}
	out := map[string][]Point{}
	for name, points := range h.points {
		if metric == "" || name == metric {
			out[name] = slices.Clip(points) // what comes later is none of its business
		}
	}
	return out, nil
}

func (h *histories) add(points []Measure) {
	for _, p := range points {
		key := [3]uint64{uint64(p.Step), uint64(p.Time), math.Float64bits(float64(p.Value))}
		if h.seen[p.Metric] == nil {
			h.seen[p.Metric] = map[[3]uint64]bool{}
		}
		if !h.seen[p.Metric][key] {
			h.seen[p.Metric][key] = true
			h.points[p.Metric] = append(h.points[p.Metric], p.Point)
			h.count++
		}
	}
}

func (b *Book) historiesOf(id ID) *histories {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.histories[id]
	if h == nil {
		if len(b.histories) >= maxHistories {
			clear(b.histories)
		}
		h = newHistories()
		b.histories[id] = h
	}
	return h
}
