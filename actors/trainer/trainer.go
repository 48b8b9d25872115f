// Package trainer is one rank of a gang: it forms the ring that a train task's
// sums run over, one generation at a time, and says when the ring and not the
// task is to blame for an error.
package trainer

import (
	"context"
	"errors"

	"github.com/troupe-ml/troupe/actors/ring"
	"github.com/troupe-ml/troupe/actors/worker"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/run"
	"github.com/troupe-ml/troupe/ml/collective"
)

// Former forms the gangs of a process. It is safe for concurrent use.
type Former struct{ listener *ring.Listener }

// New returns a Former whose rings run over the process's Listener.
func New(l *ring.Listener) *Former { return &Former{l} }

// Comm connects a task's rank to the others of its generation and returns how to
// release the connection. A gang of one needs none. It is the Comm of run.Env.
//
// An error of the links, here or later, is worker.ErrGangBroken.
func (f *Former) Comm(ctx context.Context, t run.Task) (collective.Comm, func() error, error) {
	if t.WorldSize <= 1 {
		return collective.Solo{}, func() error { return nil }, nil
	}
	if len(t.Peers) != t.WorldSize {
		return nil, nil, fault.New(fault.Internal, "trainer: %s: %d ranks, but %d addresses", t.ID, t.WorldSize, len(t.Peers))
	}
	c, err := f.listener.Join(ctx, ring.Gang{Job: string(t.Job), Task: string(t.ID), Generation: uint64(t.Attempt), Rank: t.Rank, Peers: t.Peers})
	if err != nil {
		return nil, nil, broken(err)
	}
	return rank{c}, c.Close, nil
}

// rank is a ring whose errors say that the gang broke.
type rank struct{ *ring.Comm }

// AllReduce adds v over all ranks.
func (r rank) AllReduce(ctx context.Context, v []int64) error {
	return broken(r.Comm.AllReduce(ctx, v))
}

// ReduceScatter adds v over all ranks, each of which has a part of the sums.
func (r rank) ReduceScatter(ctx context.Context, v, whole []int64) error {
	return broken(r.Comm.ReduceScatter(ctx, v, whole))
}

// AllGather puts every rank's part of v in its place.
func (r rank) AllGather(ctx context.Context, v []float32) error {
	return broken(r.Comm.AllGather(ctx, v))
}

// Broadcast returns root's bytes on every rank.
func (r rank) Broadcast(ctx context.Context, root int, b []byte) ([]byte, error) {
	out, err := r.Comm.Broadcast(ctx, root, b)
	return out, broken(err)
}

func broken(err error) error {
	if errors.Is(err, ring.ErrBroken) || fault.Of(err) == fault.Unavailable {
		return fault.New(fault.Unavailable, "%w: %w", worker.ErrGangBroken, err)
	}
	return err
}
