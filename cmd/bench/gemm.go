package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/kernels"
)

// benchGEMM measures products of float32 matrices against PyTorch's and against
// what the processor's registers can do at most, in GFLOP/s.
func benchGEMM(c Config) ([]Row, error) {
	shapes := [][3]int{{1024, 1024, 1024}, {1024, 100, 256}, {4096, 200, 1024}, {4096, 1024, 512}}
	seconds := 1.0
	if c.Quick {
		shapes, seconds = shapes[:1], 0.2
	}
	var cases []map[string]any
	for _, s := range shapes {
		cases = append(cases, map[string]any{"mode": "gemm", "m": s[0], "k": s[1], "n": s[2], "seconds": seconds})
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, threads := range []int{1, 2} {
		torch := func() (*contender, error) {
			return start("pytorch", threads, "", "/usr/bin/python3", filepath.Join(c.Peers, "train.py"))
		}
		peak := func() (*contender, error) { return start("FMA peak", threads, "", self, "-worker", "peak") }
		found, err := withContenders(threads, []func() (*contender, error){torch, peak}, func(all []*contender) ([]Row, error) {
			return compare(c, "gemm", "GFLOP/s", threads, cases, all)
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows, found...)
	}
	return rows, nil
}

// gemm returns the GFLOP/s of one product, its rows dealt out to the threads, or of
// multiply-adds in registers.
func gemm(r request, peak bool) (float64, error) {
	threads := runtime.GOMAXPROCS(0)
	flops := 2 * float64(r.M) * float64(r.K) * float64(r.N)
	var do func(thread int)
	if peak {
		if multiplyAdds(1) == 0 {
			return 0, errors.New("the most that this processor can do is not known")
		}
		share := int64(flops) / int64(threads)
		do = func(int) { multiplyAdds(share) }
	} else {
		d := kernels.Dense{In: r.K, Out: r.N}
		random := rng.New(1, "gemm")
		x, y := kernels.NewMatrix(r.M, r.K), kernels.NewMatrix(r.M, r.N)
		w, bias := kernels.Aligned(d.WeightLen()), kernels.Aligned(d.BiasLen())
		for _, v := range [][]float32{x.Data, w} {
			for i := range v {
				v[i] = float32(random.NormFloat64())
			}
		}
		do = func(thread int) {
			from, to := r.M*thread/threads, r.M*(thread+1)/threads
			d.Forward(y.Slice(from, to-from), x.Slice(from, to-from), w, bias, kernels.Identity)
		}
	}
	rate, err := lasting(r.Seconds, collective.Solo{}, often(func() error {
		var all sync.WaitGroup
		for t := 1; t < threads; t++ {
			all.Go(func() { do(t) })
		}
		do(0)
		all.Wait()
		return nil
	}))
	return rate * flops / 1e9, err
}
