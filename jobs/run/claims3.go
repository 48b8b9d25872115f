package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store/s3"
)

// A claim in an object store has no lock that goes with its process. So its
// holder writes it again and again while it works, and stops by itself when it
// cannot; and who finds the claim of another watches it for longer than that
// before taking over. Only spans of one's own clock are compared.
const (
	beatEvery  = 3 * time.Second
	beatLimit  = 10 * time.Second // without a beat, a holder has lost its claim
	watchFor   = 30 * time.Second // an unchanged claim is nobody's
	watchEvery = time.Second
)

// holding is a claim that this attempt has.
type holding struct {
	bucket
	claim   lease
	version string    // of the object
	last    time.Time // that it was surely ours
}

// manifest reads the manifest, nil when there is none.
func (b bucket) manifest(ctx context.Context) ([]byte, s3.Info, error) {
	text, info, err := b.client.Read(ctx, b.root.Join(ManifestName), maxManifestBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s3.Info{}, nil
	}
	if err != nil {
		return nil, info, fmt.Errorf("output: %w", err)
	}
	return text, info, nil
}

// claim makes this attempt the only one that touches the parts. It returns nil
// when the manifest says all of m already.
func (b bucket) claim(ctx context.Context, m *Manifest) (*holding, error) {
	watched, until := "", time.Time{} // a version of another's claim
	for {
		old, info, err := b.manifest(ctx)
		if err != nil {
			return nil, err
		}
		if same, err := b.mayReplace(old, m); same || err != nil {
			return nil, err
		}
		c, _ := leaseOf(old)
		if c.Job == b.job && c.Attempt > b.attempt {
			return nil, b.taken(c.Job, "has a later attempt, which publishes")
		}
		if c.Job != "" && c.Job != b.job {
			now := b.time().Now()
			switch {
			case watched == "":
				watched, until = info.Version, now.Add(watchFor)
			case watched != info.Version:
				return nil, b.taken(c.Job, "is publishing to it at this moment")
			}
			if now.Before(until) {
				if err := b.pause(ctx, watchEvery); err != nil {
					return nil, err
				}
				continue
			}
		}
		h := &holding{bucket: b, claim: lease{Job: b.job, Attempt: b.attempt, Beat: c.Beat}, version: info.Version}
		if err := h.beat(ctx); fault.Of(err) != fault.Conflict { // of which the next look says more
			return h, err
		}
	}
}

func (b bucket) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-b.time().After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// beat writes the claim, if it is still the one that was written before.
func (h *holding) beat(ctx context.Context) error {
	h.claim.Beat++
	began := h.time().Now()
	if err := h.write(ctx, h.claim.text()); err != nil {
		return err
	}
	h.last = began
	return nil
}

// write replaces the manifest, if it is still what was written before.
func (h *holding) write(ctx context.Context, text []byte) error {
	info, err := h.client.Put(ctx, h.root.Join(ManifestName), text, s3.Condition{Absent: h.version == "", Version: h.version})
	if err != nil {
		return fault.Wrap(fault.Of(err), fmt.Errorf("output: %w", err))
	}
	h.version = info.Version
	return nil
}

// while calls fn, whose context ends when the claim is lost meanwhile.
func (h *holding) while(ctx context.Context, fn func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	over, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		h.keep(ctx, cancel, over)
	}()
	err := fn(ctx)
	close(over)
	<-stopped
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// keep renews the claim until the work is over.
func (h *holding) keep(ctx context.Context, lost context.CancelCauseFunc, over <-chan struct{}) {
	tick := h.time().NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-ctx.Done():
			return
		case <-tick.C():
		}
		left := beatLimit - h.time().Now().Sub(h.last)
		one, cancel := context.WithTimeoutCause(ctx, left, fault.New(fault.Unavailable, "output %s: its claim could not be renewed for %v", h.dir, beatLimit))
		err := h.beat(one)
		cancel()
		if err != nil {
			lost(err)
			return
		}
	}
}

// lost is what a conflicting write of the manifest means: who has it now.
func (b bucket) lost(ctx context.Context, m *Manifest, err error) error {
	now, _, rerr := b.manifest(ctx)
	if rerr != nil {
		return err
	}
	if c, is := leaseOf(now); is && c.Job != "" && c.Job != b.job {
		return b.taken(c.Job, "has taken it over, since this one did nothing for a while")
	}
	same, taken := b.mayReplace(now, m)
	if same {
		return nil // by another attempt at this very task
	}
	if taken != nil {
		return fault.New(fault.Conflict, "%w (%s)", taken, err.Error())
	}
	return err
}
