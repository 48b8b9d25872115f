// Package collectivetest is what collective.Comm promises, as tests that every
// implementation runs:
//
//	func TestRing(t *testing.T) { collectivetest.Run(t, newRing) }
package collectivetest

import (
	"bytes"
	"context"
	"errors"
	"math"
	"sync"
	"testing"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/collective"
)

// Gang makes a new gang of numRanks connected members, in rank order, and
// releases it when t ends.
type Gang func(t *testing.T, numRanks int) []collective.Comm

// Run runs every promise as a subtest.
func Run(t *testing.T, gang Gang) {
	t.Helper()
	tests := []struct {
		name string
		test func(*testing.T, Gang)
	}{
		{"ranks know their place", places},
		{"sums are exact on every rank", sums},
		{"every rank has its part of the sums", scatters},
		{"what each rank has is gathered", gathers},
		{"broadcasts reach every rank", broadcasts},
		{"a long conversation stays in step", conversation},
		{"a rank whose context ends gives up, and so do all", cancels},
		{"ranks that do not agree fail", disagree},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, gang)
		})
	}
}

var sizes = []int{1, 2, 3, 4, 5, 6, 9}

// together runs f for every rank at once and returns their errors.
func together(comms []collective.Comm, f func(collective.Comm) error) []error {
	errs := make([]error, len(comms))
	var all sync.WaitGroup
	for i, c := range comms {
		all.Go(func() { errs[i] = f(c) })
	}
	all.Wait()
	return errs
}

func must(t *testing.T, errs []error) {
	t.Helper()
	for rank, err := range errs {
		if err != nil {
			t.Fatalf("rank %d of %d: %v", rank, len(errs), err)
		}
	}
}

func places(t *testing.T, gang Gang) {
	for _, n := range sizes {
		comms := gang(t, n)
		for i, c := range comms {
			if c.Rank() != i || c.WorldSize() != n || c.Generation() < 1 {
				t.Errorf("rank %d of %d says it is rank %d of %d in generation %d", i, n, c.Rank(), c.WorldSize(), c.Generation())
			}
			if c.Generation() != comms[0].Generation() {
				t.Errorf("generations %d and %d in one gang", c.Generation(), comms[0].Generation())
			}
		}
	}
}

// number is what rank brings at place i of a sum: of 24 bits in every other round.
func number(rank, round, i int) int64 {
	return int64(rng.Mix(7, uint64(rank), uint64(round), uint64(i))) >> (40 * (round % 2))
}

func checkSum(c collective.Comm, round, size int) error {
	v := numbers(c.Rank(), round, size)
	if err := c.AllReduce(context.Background(), v); err != nil {
		return err
	}
	return areSums(c, v, round, 0, size)
}

func numbers(rank, round, size int) []int64 {
	v := make([]int64, size)
	for i := range v {
		v[i] = number(rank, round, i)
	}
	return v
}

// areSums looks at the places of v from first to end.
func areSums(c collective.Comm, v []int64, round, first, end int) error {
	for i := first; i < end; i++ {
		got := v[i]
		var want int64 // wraps, as the numbers are as large as they come
		for rank := range c.WorldSize() {
			want += number(rank, round, i)
		}
		if got != want {
			return fault.New(fault.Internal, "sum %d of %d numbers: place %d is %d, want %d", round, len(v), i, got, want)
		}
	}
	return nil
}

func sums(t *testing.T, gang Gang) {
	for _, n := range sizes {
		must(t, together(gang(t, n), func(c collective.Comm) error {
			for round, size := range []int{1, 0, 3, 1000, 100_003, 100_001, 2} {
				if err := checkSum(c, round, size); err != nil {
					return err
				}
			}
			v := []int64{math.MaxInt64 / 8, math.MinInt64 / 8}
			if err := c.AllReduce(context.Background(), v); err != nil {
				return err
			}
			if v[0] != math.MaxInt64/8*int64(n) || v[1] != math.MinInt64/8*int64(n) {
				return fault.New(fault.Internal, "large numbers add up to %v", v)
			}
			return nil
		}))
	}
}

func checkScatter(c collective.Comm, round, size int) error {
	v := numbers(c.Rank(), round, size)
	whole := numbers(c.Rank(), round+1, size%13) // none at times
	if err := c.ReduceScatter(context.Background(), v, whole); err != nil {
		return err
	}
	first, end := collective.Part(size, c.Rank(), c.WorldSize())
	return errors.Join(areSums(c, v, round, first, end), areSums(c, whole, round+1, 0, len(whole)))
}

func scatters(t *testing.T, gang Gang) {
	for _, n := range sizes {
		must(t, together(gang(t, n), func(c collective.Comm) error {
			for round, size := range []int{1, 0, 3, 1000, 100_003, 100_001, 2} {
				if err := checkScatter(c, round, size); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

func checkGather(c collective.Comm, round, size int) error {
	v := make([]float32, size)
	first, end := collective.Part(size, c.Rank(), c.WorldSize())
	for i := first; i < end; i++ {
		v[i] = float32(number(0, round, i))
	}
	if err := c.AllGather(context.Background(), v); err != nil {
		return err
	}
	for i, got := range v {
		if want := float32(number(0, round, i)); got != want {
			return fault.New(fault.Internal, "gathering %d of %d numbers: place %d is %v, want %v", round, size, i, got, want)
		}
	}
	return nil
}

func gathers(t *testing.T, gang Gang) {
	for _, n := range sizes {
		must(t, together(gang(t, n), func(c collective.Comm) error {
			for round, size := range []int{1, 0, 3, 1000, 200_003, 200_001, 2} {
				if err := checkGather(c, round, size); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

func checkBroadcast(c collective.Comm, round, root, size int) error {
	want := make([]byte, size)
	for i := range want {
		want[i] = byte(number(root, round, i))
	}
	mine := []byte("of a rank that is not asked")
	if c.Rank() == root {
		mine = bytes.Clone(want)
	}
	got, err := c.Broadcast(context.Background(), root, mine)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fault.New(fault.Internal, "broadcast %d of %d bytes from %d came as %d others", round, size, root, len(got))
	}
	for i := range got {
		got[i]++ // what came is the receiver's own
	}
	return nil
}

func broadcasts(t *testing.T, gang Gang) {
	for _, n := range sizes {
		must(t, together(gang(t, n), func(c collective.Comm) error {
			for round, size := range []int{5, 0, 1, 300_000} {
				for root := range n {
					if err := checkBroadcast(c, round, root, size); err != nil {
						return err
					}
				}
			}
			return nil
		}))
	}
}

func conversation(t *testing.T, gang Gang) {
	for _, n := range sizes {
		must(t, together(gang(t, n), func(c collective.Comm) error {
			for round := range 200 {
				pick := rng.Mix(uint64(n), uint64(round))
				err := checkSum(c, round, int(pick%700))
				if pick%3 == 0 && err == nil {
					err = errors.Join(checkScatter(c, round, int(pick%900)), checkGather(c, round, int(pick%800)))
				}
				if pick%5 == 0 && err == nil {
					err = checkBroadcast(c, round, int(pick/5)%n, int(pick%3000))
				}
				if err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

func cancels(t *testing.T, gang Gang) {
	comms := gang(t, 3)
	one := func(c collective.Comm) []int64 { return []int64{int64(c.Rank()) + 1} }
	ctx, cancel := context.WithCancelCause(context.Background())
	waiting := make(chan struct{}, 2)
	go func() {
		<-waiting
		<-waiting
		cancel(errors.New("enough"))
	}()
	errs := together(comms, func(c collective.Comm) error {
		switch c.Rank() {
		case 0: // never comes
			return nil
		case 1:
			waiting <- struct{}{}
			return c.AllReduce(ctx, one(c))
		default:
			waiting <- struct{}{}
			return c.AllReduce(context.Background(), one(c))
		}
	})
	if fault.Of(errs[1]) != fault.Canceled {
		t.Errorf("the rank whose context ended: %v (%v), want a canceled one", errs[1], fault.Of(errs[1]))
	}
	if !fault.Of(errs[2]).Retryable() {
		t.Errorf("the rank that waited for it: %v (%v), want one that may be tried again", errs[2], fault.Of(errs[2]))
	}
	dead := together(comms, func(c collective.Comm) error {
		sums := one(c)
		if err := c.AllReduce(context.Background(), sums); err != nil || c.Rank() != 0 {
			return err
		}
		if sums[0] != 6 { // all that it needs may have come before the others gave up
			t.Errorf("rank 0 has the sum %d, want an error or 6", sums[0])
		}
		return c.AllReduce(context.Background(), one(c))
	})
	for rank, err := range dead {
		if err == nil {
			t.Errorf("rank %d goes on in a gang that is over", rank)
		}
	}
}

func disagree(t *testing.T, gang Gang) {
	for name, f := range map[string]func(context.Context, collective.Comm) error{
		"lengths": func(ctx context.Context, c collective.Comm) error {
			return c.AllReduce(ctx, make([]int64, 10+c.Rank()))
		},
		"lengths of parts": func(ctx context.Context, c collective.Comm) error {
			return c.ReduceScatter(ctx, make([]int64, 10+c.Rank()), nil)
		},
		"lengths of what is whole beside parts": func(ctx context.Context, c collective.Comm) error {
			return c.ReduceScatter(ctx, make([]int64, 10), make([]int64, 2+c.Rank()))
		},
		"lengths of what is gathered": func(ctx context.Context, c collective.Comm) error {
			return c.AllGather(ctx, make([]float32, 10+c.Rank()))
		},
		"whole sums or parts": func(ctx context.Context, c collective.Comm) error {
			if c.Rank() == 0 {
				return c.AllReduce(ctx, make([]int64, 10))
			}
			return c.ReduceScatter(ctx, make([]int64, 10), nil)
		},
		"sums or what is gathered": func(ctx context.Context, c collective.Comm) error {
			if c.Rank() == 0 {
				return c.ReduceScatter(ctx, make([]int64, 10), nil)
			}
			return c.AllGather(ctx, make([]float32, 10))
		},
		"roots": func(ctx context.Context, c collective.Comm) error {
			_, err := c.Broadcast(ctx, c.Rank(), []byte("mine"))
			return err
		},
		"operations": func(ctx context.Context, c collective.Comm) error {
			if c.Rank() == 0 {
				return c.AllReduce(ctx, make([]int64, 1))
			}
			_, err := c.Broadcast(ctx, 0, nil)
			return err
		},
		"a root that is no rank": func(ctx context.Context, c collective.Comm) error {
			_, err := c.Broadcast(ctx, 2, nil)
			return err
		},
	} {
		for rank, err := range together(gang(t, 2), func(c collective.Comm) error { return f(t.Context(), c) }) {
			if err == nil {
				t.Errorf("%s: rank %d of 2 saw no error", name, rank)
			}
		}
	}
}
