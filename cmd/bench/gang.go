package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/troupe-ml/troupe/actors/ring"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/kernels"
)

// benchGang measures two processes of one thread each: sums of 1, 10 and 40 MB of
// float32 gradients against gloo's and against what two processes can exchange
// over the loopback at all, and training against DistributedDataParallel and
// against one process.
func benchGang(c Config) ([]Row, error) {
	seconds, sizes := 1.0, []int{1, 10, 40}
	nets := []map[string]any{
		{"inputs": 10, "hidden": []int{64, 32}, "outputs": 2},
		{"inputs": 100, "hidden": []int{256, 128}, "outputs": 2},
		{"inputs": 200, "hidden": []int{1024, 512}, "outputs": 10},
	}
	if c.Quick {
		seconds, sizes, nets = 0.2, sizes[:1], nets[1:2]
	}
	var sums, fits []map[string]any
	for _, mb := range sizes {
		sums = append(sums, map[string]any{"mode": "allreduce", "numbers": mb * 1_000_000 / 4, "seconds": seconds})
	}
	for _, n := range nets {
		one := map[string]any{"mode": "gang", "batch": 1024, "dropout": 0.3, "seconds": seconds}
		for k, v := range n {
			one[k] = v
		}
		fits = append(fits, one)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	gloo := func() (*contender, error) {
		return start("gloo", 1, "", "/usr/bin/python3", filepath.Join(c.Peers, "ddp.py"))
	}
	raw := func() (*contender, error) { return start("raw TCP", 1, "", self, "-worker", "raw") }
	alone := func() (*contender, error) { return start("one process", 1, "", self, "-worker", "alone") }
	out, err := withContenders(1, []func() (*contender, error){gloo, raw}, func(all []*contender) ([]Row, error) {
		return compare(c, "allreduce", "numbers/s", 1, sums, all)
	})
	if err != nil {
		return nil, err
	}
	more, err := withContenders(1, []func() (*contender, error){gloo, alone}, func(all []*contender) ([]Row, error) {
		return compare(c, "gang", "samples/s", 1, fits, all)
	})
	return append(out, more...), err
}

// pair is the other of two processes, which does what this one is asked.
type pair struct {
	*contender
	comm *ring.Comm
	near *ring.Listener
	conn net.Conn // for raw exchanges
}

// begin starts the second process, and the links to it.
func begin() (p *pair, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	other, err := start("second", runtime.GOMAXPROCS(0), "", self, "-worker", "second")
	if err != nil {
		return nil, err
	}
	p = &pair{contender: other}
	return p, p.connect()
}

// end lets the other process end, if there is one.
func (p *pair) end() {
	if p != nil {
		p.stop()
	}
}

func (p *pair) connect() (err error) {
	if p.near, err = ring.Listen("127.0.0.1:0", ring.DefaultConfig()); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	if err := json.NewEncoder(p.in).Encode([]string{p.near.Address(), l.Addr().String()}); err != nil {
		return err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return err
	}
	var far string
	if err := json.Unmarshal(line, &far); err != nil {
		return err
	}
	if p.conn, err = l.Accept(); err != nil {
		return err
	}
	p.comm, err = p.near.Join(context.Background(), gangOf(0, p.near.Address(), far))
	return err
}

func gangOf(rank int, peers ...string) ring.Gang {
	return ring.Gang{Job: "bench", Task: "train/0", Generation: 1, Rank: rank, Peers: peers}
}

// measure has both processes do the same and returns what this one has counted.
func (p *pair) measure(r request) (float64, error) {
	if err := json.NewEncoder(p.in).Encode(r); err != nil {
		return 0, err
	}
	return together(r, p.comm, p.conn)
}

// together is what each of the two processes does.
func together(r request, comm collective.Comm, conn net.Conn) (float64, error) {
	if r.Mode == "gang" {
		return trainLoop(r, comm)
	}
	v, mean := gradients(r.Numbers), make([]float32, r.Numbers)
	first, end := collective.Part(len(v), comm.Rank(), comm.WorldSize())
	do := func() error { // as training does it; what a rank sends stays as it is, and what it sums has room to grow
		if err := comm.ReduceScatter(context.Background(), v, nil); err != nil {
			return err
		}
		kernels.FromFixed(mean[first:end], v[first:end], 1./unit)
		return comm.AllGather(context.Background(), mean)
	}
	if r.Raw {
		b, got := make([]byte, 4*r.Numbers), make([]byte, 4*r.Numbers)
		do = func() error { return exchange(conn, b, got) }
	}
	rate, err := lasting(r.Seconds, comm, often(do))
	return rate * float64(r.Numbers), err
}

// unit is 1 in the fixed point of the sums.
const unit = 1 << 24

// gradients are sums in fixed point such as those of a batch of about a thousand
// rows are: their widths decide how many bytes are sent.
func gradients(n int) []int64 {
	random := rng.New(1, "gradients")
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(random.NormFloat64() * unit)
	}
	return out
}

// exchange sends b and receives as much, both at once.
func exchange(conn net.Conn, b, got []byte) error {
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(b)
		sent <- err
	}()
	_, err := io.ReadFull(conn, got)
	return errors.Join(err, <-sent)
}

// lasting has something done more and more often until it takes about as long as
// it should, by the clock of rank 0, and returns how often it was done a second.
// do returns the seconds that so many rounds took.
func lasting(seconds float64, comm collective.Comm, do func(rounds int) (float64, error)) (float64, error) {
	rounds := 1
	for {
		took, err := do(rounds)
		if err != nil {
			return 0, err
		}
		if comm.Rank() > 0 {
			took = 0 // it goes by what rank 0 says
		}
		say := []int64{int64(took * 1e9)}
		if err := comm.AllReduce(context.Background(), say); err != nil {
			return 0, err
		}
		if took = float64(say[0]) / 1e9; took >= seconds/2 {
			return float64(rounds) / took, nil
		}
		rounds = max(rounds+1, int(float64(rounds)*min(seconds/max(took, 1e-6), 10)))
	}
}

// often is a function for lasting that does one thing again and again.
func often(do func() error) func(int) (float64, error) {
	return func(rounds int) (float64, error) {
		began := time.Now()
		for range rounds {
			if err := do(); err != nil {
				return 0, err
			}
		}
		return time.Since(began).Seconds(), nil
	}
}

// second is the other process: it does what it is asked until its input ends.
func second(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	if !lines.Scan() {
		return lines.Err()
	}
	var first []string
	if err := json.Unmarshal(lines.Bytes(), &first); err != nil || len(first) != 2 {
		return fmt.Errorf("the first line: %w: %s", err, lines.Text())
	}
	l, err := ring.Listen("127.0.0.1:0", ring.DefaultConfig())
	if err != nil {
		return err
	}
	defer l.Close()
	if err := json.NewEncoder(out).Encode(l.Address()); err != nil {
		return err
	}
	conn, err := net.Dial("tcp", first[1])
	if err != nil {
		return err
	}
	defer conn.Close()
	comm, err := l.Join(context.Background(), gangOf(1, first[0], l.Address()))
	if err != nil {
		return err
	}
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return err
		}
		if _, err := together(r, comm, conn); err != nil {
			return err
		}
	}
	return lines.Err()
}
