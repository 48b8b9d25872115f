// Package collective is how the ranks of a gang agree: sums of integers, and
// copies of what one rank has. Only integers are ever added, so the result of a
// reduction does not depend on the order in which the ranks were heard.
package collective

import "context"

// Comm connects the ranks of one generation of a gang. Every rank calls the
// same methods in the same order. A Comm that has returned an error is dead:
// the generation is over, and its ranks must form a new one. Those to which all
// has come that an operation needs may still finish it, with the right sums; they
// fail at the next.
type Comm interface {
	// Rank is this member's place, from 0.
	Rank() int
	// WorldSize is the number of ranks, at least 1.
	WorldSize() int
	// Generation counts the times the gang has formed, from 1.
	Generation() uint64
	// AllReduce adds v element by element over all ranks, in place: afterwards
	// every rank holds the same sums. Overflow wraps; callers keep headroom.
	AllReduce(ctx context.Context, v []int64) error
	// ReduceScatter adds as AllReduce does, but leaves the sums in this rank's Part
	// of v alone; what is in the rest of it afterwards is of no use. Beside it whole,
	// of a few numbers, is added as AllReduce does, in the same operation.
	ReduceScatter(ctx context.Context, v, whole []int64) error
	// AllGather puts every rank's Part of v in its place on all ranks.
	AllGather(ctx context.Context, v []float32) error
	// Broadcast returns root's bytes on every rank; other ranks' b is ignored.
	Broadcast(ctx context.Context, root int, b []byte) ([]byte, error)
}

// Part returns where the part of a rank begins and ends in a vector of n elements.
func Part(n, rank, worldSize int) (first, end int) {
	return n * rank / worldSize, n * (rank + 1) / worldSize
}

// Solo is a gang of one: its operations change nothing and never fail.
type Solo struct{}

// Rank returns 0.
func (Solo) Rank() int { return 0 }

// WorldSize returns 1.
func (Solo) WorldSize() int { return 1 }

// Generation returns 1.
func (Solo) Generation() uint64 { return 1 }

// AllReduce leaves v as it is.
func (Solo) AllReduce(context.Context, []int64) error { return nil }

// ReduceScatter leaves v and whole as they are.
func (Solo) ReduceScatter(_ context.Context, _, _ []int64) error { return nil }

// AllGather leaves v as it is.
func (Solo) AllGather(context.Context, []float32) error { return nil }

// Broadcast returns b.
func (Solo) Broadcast(_ context.Context, _ int, b []byte) ([]byte, error) { return b, nil }
