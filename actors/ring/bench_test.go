package ring

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/clock"
)

func BenchmarkAllReduce(b *testing.B) {
	for _, c := range []struct {
		name    string
		numbers int
		ranks   []int
		delay   time.Duration
	}{
		{"5k", 5_000, []int{2, 3, 4, 5, 8}, 0},
		{"5k behind a millisecond", 5_000, []int{2, 3, 4, 5, 8}, time.Millisecond},
		{"1MB", 1e6 / 8, []int{2, 3, 4}, 0},
		{"10MB", 1e7 / 8, []int{2, 3, 4}, 0},
		{"40MB", 4e7 / 8, []int{2, 3, 4}, 0},
	} {
		for _, n := range c.ranks {
			b.Run(fmt.Sprintf("%s/%dranks", c.name, n), func(b *testing.B) {
				b.SetBytes(int64(8 * c.numbers))
				again(b, n, c.delay, func(comm *Comm) func() error {
					v := make([]int64, c.numbers)
					return func() error { return comm.AllReduce(context.Background(), v) }
				})
			})
		}
	}
}

// BenchmarkGradient is what ranks say to each other in an update of a network of so
// many parameters.
func BenchmarkGradient(b *testing.B) {
	for _, numbers := range []int{60_000, 700_000} {
		for _, n := range []int{2, 4} {
			for _, delay := range []time.Duration{0, time.Millisecond} {
				b.Run(fmt.Sprintf("%d/%dranks/%v", numbers, n, delay), func(b *testing.B) {
					again(b, n, delay, func(comm *Comm) func() error {
						sums, rest, mean := make([]int64, numbers), make([]int64, 12), make([]float32, numbers)
						return func() error {
							if err := comm.ReduceScatter(context.Background(), sums, rest); err != nil {
								return err
							}
							return comm.AllGather(context.Background(), mean)
						}
					})
				})
			}
		}
	}
}

// again has every rank of a gang of n do something again and again.
func again(b *testing.B, n int, delay time.Duration, what func(*Comm) func() error) {
	b.Helper()
	cfg := DefaultConfig()
	cfg.Apart = delay > 0
	ls, addresses := listeners(b, n, cfg)
	if delay > 0 {
		for i, a := range addresses {
			addresses[i] = behind(b, a, delay)
		}
	}
	comms := form(b, ls, addresses, 1)
	b.ResetTimer()
	errs := each(comms, func(comm *Comm) error {
		do := what(comm)
		for range b.N {
			if err := do(); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(b, errors.Join(errs...))
}

// behind returns an address at which that one is reached, by links on which all
// that is sent takes so much longer.
func behind(b *testing.B, address string, delay time.Duration) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				near.Close()
				continue
			}
			go pass(far, near, delay)
			go pass(near, far, delay)
		}
	}()
	return l.Addr().String()
}

// pass writes what comes when its time has come.
func pass(to, from net.Conn, delay time.Duration) {
	type late struct {
		b  []byte
		at time.Time
	}
	queue := make(chan late, 1024)
	go func() {
		defer to.Close()
		for x := range queue {
			<-clock.Real{}.After(x.at.Sub(clock.Real{}.Now()))
			if _, err := to.Write(x.b); err != nil {
				_, _ = io.Copy(io.Discard, from)
			}
		}
	}()
	defer close(queue)
	for {
		b := make([]byte, 64<<10)
		n, err := from.Read(b)
		if err != nil {
			return
		}
		queue <- late{b[:n], clock.Real{}.Now().Add(delay)}
	}
}
