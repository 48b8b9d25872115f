package sweep

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/jobs"
	"github.com/troupe-ml/troupe/jobs/run/joblog"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
)

// Refs that keep nothing, or not by what their text says. Results are remembered
// as long as what they have left is there, digests of input files name no blobs,
// and of models the live versions alone count.
const (
	donePrefix   = "done."
	digestPrefix = "digest."
	modelPrefix  = "model."
	runPrefix    = "run."
	loggedPrefix = "logged."
	jobPrefix    = "job."
	pointsPrefix = "metrics."
)

// marker finds the blobs that something refers to.
type marker struct {
	st     store.Store
	reg    *registry.Registry
	purged map[runs.ID]bool
	there  map[store.Digest]bool // all blobs; whether something refers to it
	queue  []store.Digest        // marked, and not yet looked into
}

func newMarker(st store.Store, reg *registry.Registry, purged map[runs.ID]bool) *marker {
	return &marker{st: st, reg: reg, purged: purged, there: map[store.Digest]bool{}}
}

// maxRounds bounds how often mark looks again where others write all the time: a
// reference that escapes has moved as often, each time just before it was found.
const maxRounds = 4

// mark looks at all that refers to blobs. A reference may move from what was not
// yet looked at to what was, so it is done again for all that changes meanwhile.
func (m *marker) mark(ctx context.Context) error {
	seen, ends := uint64(0), map[string]uint64{}
	for round := range maxRounds {
		changed, err := m.refs(ctx, &seen)
		if err != nil {
			return err
		}
		if err := m.models(ctx); err != nil {
			return err
		}
		grown, err := m.logs(ctx, ends)
		if err != nil {
			return err
		}
		if err := m.nested(ctx); err != nil {
			return err
		}
		if round > 0 && !changed && !grown {
			break
		}
	}
	return nil
}

// refs marks what the refs name that have changed since a revision.
func (m *marker) refs(ctx context.Context, seen *uint64) (changed bool, err error) {
	err = m.st.Refs.Since(ctx, "", *seen, func(name string, value []byte, revision uint64) error {
		*seen, changed = revision, true
		switch {
		case strings.HasPrefix(name, donePrefix), strings.HasPrefix(name, digestPrefix):
		case strings.HasPrefix(name, runPrefix) && m.purged[runs.ID(strings.TrimPrefix(name, runPrefix))]:
		case strings.HasPrefix(name, loggedPrefix) && m.purged[runs.ID(strings.TrimPrefix(name, loggedPrefix))]:
		case strings.HasPrefix(name, modelPrefix):
			if d := store.Digest(value); d.Check() == nil { // the document itself; models says what it keeps
				if _, ok := m.there[d]; ok {
					m.there[d] = true
				}
			}
		default:
			m.scan(value)
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("gc: %w", err)
	}
	return changed, nil
}

func (m *marker) models(ctx context.Context) error {
	all, err := m.reg.Models.List(ctx)
	if err != nil {
		return fmt.Errorf("gc: %w", err)
	}
	for i := range all {
		for _, v := range all[i].Live() {
			m.reach(v.Digest)
		}
	}
	return nil
}

// logs marks what the logs name from where they ended before.
func (m *marker) logs(ctx context.Context, ends map[string]uint64) (grown bool, err error) {
	names, err := m.st.Logs.List(ctx, "")
	if err != nil {
		return false, fmt.Errorf("gc: %w", err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, pointsPrefix) {
			continue // numbers, and what clients say of models: no blobs
		}
		if job, ok := strings.CutPrefix(name, jobPrefix); ok && m.purged[runs.IDOf(job)] {
			open, err := m.isOpen(ctx, job)
			if err != nil {
				return false, err
			}
			if !open {
				continue
			}
		}
		records, err := m.st.Logs.Read(ctx, name, ends[name])
		if err != nil {
			return false, fmt.Errorf("gc: %w", err)
		}
		m.records(records)
		grown = grown || len(records) > 0
		ends[name] += uint64(len(records))
	}
	return grown, nil
}

// records marks what records of a log name. Of the checkpoints of a task of a job
// the last one counts: nobody goes back to one before.
func (m *marker) records(records [][]byte) {
	last := map[jobs.TaskID]string{}
	for _, r := range records {
		_, events, err := jobs.DecodeRecord(r)
		if err != nil || !slices.ContainsFunc(events, isCheckpoint) {
			m.scan(r)
			continue
		}
		for _, e := range events {
			if isCheckpoint(e) {
				last[e.Task] = e.Result.Output
				continue
			}
			text, err := json.Marshal(e)
			if err != nil {
				text = r // it was decoded, so it encodes
			}
			m.scan(text)
		}
	}
	for _, output := range last {
		m.scan([]byte(output))
	}
}

func isCheckpoint(e jobs.Event) bool { return e.Kind == jobs.TaskCheckpoint && e.Result != nil }

func (m *marker) isOpen(ctx context.Context, job string) (bool, error) {
	_, _, err := m.st.Refs.Get(ctx, joblog.OpenPrefix+job)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("gc: %w", err)
	}
	return true, nil
}

// nested looks into the marked blobs that may name others: those of JSON.
func (m *marker) nested(ctx context.Context) error {
	for len(m.queue) > 0 {
		d := m.queue[len(m.queue)-1]
		m.queue = m.queue[:len(m.queue)-1]
		b, err := m.st.Blobs.Get(ctx, d)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
			continue // of no use to anybody
		}
		if err != nil {
			return fmt.Errorf("gc: %w", err)
		}
		if text := bytes.TrimLeft(b, " \t\r\n"); len(text) > 0 && (text[0] == '{' || text[0] == '[') {
			m.scan(text)
		}
	}
	return nil
}

var scheme = []byte("sha256:")

const hexDigits = 64

// scan marks every digest in a text.
func (m *marker) scan(text []byte) {
	for {
		i := bytes.Index(text, scheme)
		if i < 0 {
			return
		}
		text = text[i:]
		end := min(len(text), len(scheme)+hexDigits)
		m.reach(store.Digest(text[:end]))
		text = text[len(scheme):]
	}
}

// reach marks a blob, if it is one.
func (m *marker) reach(d store.Digest) {
	if marked, ok := m.there[d]; ok && !marked {
		m.there[d] = true
		m.queue = append(m.queue, d)
	}
}
