package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

// What is logged at a time goes to the end of a log, and a small ref says how long
// that is: a document is not written again for each point. What of the log is not
// yet in the document is its tail, which readers add. It is folded into the
// document when there is as much of it as of the document, so that all together
// costs as much as what was logged, and when the run ends.

// ModelsTag is the tag in which clients of MLflow look for the models that a run
// has logged: a list of JSON.
const ModelsTag = "mlflow.log-model.history"

const tailPrefix = "tail."

// minTail is how many records of a log are not folded at least.
const minTail = 64

// tail is what a log says from where the document ends.
type tail struct {
	start  uint64 // of the document it belongs to
	end    uint64 // of the log
	latest map[string]Point
	models []json.RawMessage

	outputs []Output
}

// readTail adds the records of a log from the end of t on.
func (b *Book) readTail(ctx context.Context, id ID, t *tail) error {
	records, err := b.logs.Read(ctx, logName(id), t.end)
	if err != nil {
		return fmt.Errorf("metrics of run %s: %w", id, err)
	}
	for i, record := range records {
		m, err := decodeMeasures(id, t.end+uint64(i), record)
		if err != nil {
			return err
		}
		for _, p := range m.Points {
			if old, ok := t.latest[p.key()]; !ok || p.newer(old) {
				put(&t.latest, p.key(), p.Point)
			}
		}
		t.models = append(t.models, m.Models...)
		t.outputs = append(t.outputs, m.Outputs...)
	}
	t.end += uint64(len(records))
	return nil
}

func decodeMeasures(id ID, place uint64, record []byte) (m measures, err error) {
	if err := json.Unmarshal(record, &m); err != nil || m.Version != 1 {
		return m, fault.New(fault.Corrupt, "metrics of run %s: record %d is not of version 1: %v", id, place, err)
	}
	return m, nil
}

// into adds the tail to a document, whose maps are its own.
func (t *tail) into(r *Run) {
	for name, p := range t.latest {
		if old, ok := r.Latest[name]; !ok || p.newer(old) {
			put(&r.Latest, name, p)
		}
	}
	if len(t.models) > 0 {
		var all []json.RawMessage
		_ = json.Unmarshal([]byte(r.Tags[ModelsTag]), &all) //nolint:errcheck // what is no list is no model
		if text, err := json.Marshal(append(all, t.models...)); err == nil {
			put(&r.Tags, ModelsTag, string(text))
		}
	}
	r.Outputs = joined(r.Outputs, t.outputs)
	r.Folded = max(r.Folded, t.end)
}

// joined returns both lists as one of its own, in which each is once.
func joined(all, more []Output) []Output {
	if len(more) == 0 {
		return all
	}
	known := make(map[Output]bool, len(all)+len(more))
	out := make([]Output, 0, len(all)+len(more))
	for _, o := range slices.Concat(all, more) {
		if !known[o] {
			known[o] = true
			out = append(out, o)
		}
	}
	return out
}

// fold adds the tail to a document that is being changed.
func (b *Book) fold(ctx context.Context, r *Run) error {
	t := &tail{start: r.Folded, end: r.Folded}
	if err := b.readTail(ctx, r.ID, t); err != nil {
		return err
	}
	t.into(r)
	return nil
}

// foldFor adds the tail to a document of which a tag is changed, if it is one that the
// tail adds to: what was logged before comes before.
func (b *Book) foldFor(ctx context.Context, r *Run, tag string) error {
	if tag != ModelsTag {
		return nil
	}
	return b.fold(ctx, r)
}

// whole adds the tail to a document that was read.
func (b *Book) whole(ctx context.Context, r Run) (Run, error) {
	value, _, err := b.refs.Get(ctx, tailPrefix+string(r.ID))
	if errors.Is(err, store.ErrNotFound) || err == nil && endOf(value) <= r.Folded {
		return r, nil
	}
	if err == nil {
		err = b.fold(ctx, &r)
	}
	return r, err
}

func endOf(value []byte) uint64 {
	n, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// grown says that the log of a run is so long, at least.
func (b *Book) grown(ctx context.Context, id ID, end uint64) error {
	name := tailPrefix + string(id)
	b.mu.Lock()
	known := b.known[id]
	b.mu.Unlock()
	for known.end < end { // else another has logged more
		next, err := b.refs.Set(ctx, name, strconv.AppendUint(nil, end, 10), known.revision)
		if err == nil {
			b.mu.Lock()
			if len(b.known) >= maxEnds {
				clear(b.known)
			}
			b.known[id] = tailRef{end, next}
			b.mu.Unlock()
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("metrics of run %s: %w", id, err)
		}
		value, revision, err := b.refs.Get(ctx, name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("metrics of run %s: %w", id, err)
		}
		known = tailRef{endOf(value), revision}
	}
	return nil
}

// tailRef is what the ref of a tail said at a revision.
type tailRef struct{ end, revision uint64 }

// standing is what of a document who logs has to know; it is remembered as long as
// the document stays the same.
type standing struct {
	revision uint64
	folded   uint64
	size     int // of the document, in records that it is worth
	err      error
}

func (b *Book) standing(ctx context.Context, id ID) (standing, error) {
	revision, err := b.runs.Revision(ctx, string(id))
	if fault.Of(err) == fault.NotFound {
		return standing{}, b.missing(id)
	}
	if err != nil {
		return standing{}, err
	}
	b.mu.Lock()
	s := b.standings[id]
	b.mu.Unlock()
	if s.revision == revision {
		return s, nil
	}
	run, err := b.runs.Load(ctx, string(id)) // of this revision or a later one, which the next call sees
	if err != nil {
		return standing{}, err
	}
	s = standing{revision: revision, folded: run.Folded, size: len(run.Latest) + len(run.Params) + len(run.Tags) + len(run.Outputs) + len(run.Tags[ModelsTag])/256}
	if s.err = gone(&run); s.err == nil {
		s.err = active(&run)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.standings) >= maxEnds {
		clear(b.standings)
	}
	b.standings[id] = s
	return s, nil
}

// logAlone logs what goes to the log alone.
func (b *Book) logAlone(ctx context.Context, id ID, m measures) error {
	s, err := b.standing(ctx, id)
	if err != nil {
		return err
	}
	if s.err != nil {
		return s.err
	}
	end, err := b.appendMeasures(ctx, id, m)
	if err != nil {
		return err
	}
	if err := b.grown(ctx, id, end); err != nil {
		return err
	}
	if end-min(end, s.folded) < uint64(max(minTail, s.size)) {
		return nil
	}
	_, err = b.change(ctx, id, func(r *Run) error { return b.fold(ctx, r) })
	return err
}

// LogModel adds a model to those that a run has logged, under ModelsTag.
func (b *Book) LogModel(ctx context.Context, id ID, model json.RawMessage) error {
	return b.logAlone(ctx, id, measures{Version: 1, Models: []json.RawMessage{model}})
}

// AddOutputs adds logged models to those that a run has made. One that is there at
// the same step is not added again.
func (b *Book) AddOutputs(ctx context.Context, id ID, outputs []Output) error {
	return b.logAlone(ctx, id, measures{Version: 1, Outputs: outputs})
}

// tailed returns the documents with their tails.
func (b *Book) tailed(ctx context.Context, docs []*Run) ([]*Run, error) {
	b.tailMu.Lock()
	defer b.tailMu.Unlock()
	err := b.refs.Since(ctx, tailPrefix, b.tailMark, func(name string, value []byte, revision uint64) error {
		b.tailMark = revision
		b.tailEnds[ID(strings.TrimPrefix(name, tailPrefix))] = endOf(value)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	out := make([]*Run, len(docs))
	for i, doc := range docs {
		out[i] = doc
		if b.tailEnds[doc.ID] <= doc.Folded || !doc.Purged.IsZero() {
			delete(b.tails, doc.ID)
			continue
		}
		t := b.tails[doc.ID]
		if t == nil || t.start != doc.Folded {
			t = &tail{start: doc.Folded, end: doc.Folded}
			b.tails[doc.ID] = t
		}
		if t.end < b.tailEnds[doc.ID] {
			if err := b.readTail(ctx, doc.ID, t); err != nil {
				return nil, err
			}
		}
		r := *doc
		r.Latest, r.Tags = maps.Clone(r.Latest), maps.Clone(r.Tags)
		t.into(&r)
		out[i] = &r
	}
	return out, nil
}
