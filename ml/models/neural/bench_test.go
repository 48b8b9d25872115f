package neural

import (
	"fmt"
	"testing"

	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/collective"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models"
)

// The shapes that performance is measured with: in, hidden, hidden/2, out.
var measured = []struct{ in, hidden, out int }{{10, 64, 2}, {100, 256, 2}, {200, 1024, 10}}

func BenchmarkFit(b *testing.B) {
	for _, s := range measured {
		for _, dropout := range []float64{0, 0.3} {
			for _, batch := range []int{32, 256, 1024, 4096} {
				for _, threads := range []int{1, 2} {
					b.Run(fmt.Sprintf("%d-%d-%d/dropout=%v/batch=%d/threads=%d", s.in, s.hidden, s.out, dropout, batch, threads), func(b *testing.B) {
						c := DefaultConfig()
						c.Hidden, c.Dropout, c.BatchSize = []int{s.hidden, s.hidden / 2}, dropout, batch
						p := models.Problem{Task: metrics.Multiclass, NumClasses: s.out}
						benchmarkFit(b, c, p, s.in, threads)
					})
				}
			}
		}
	}
}

func benchmarkFit(b *testing.B, c Config, p models.Problem, in, threads int) {
	b.ReportAllocs()
	rows := max(c.BatchSize, 1<<14)
	table := blobs(1, rows, in, p.NumClasses)
	e, err := New(c, p)
	if err != nil {
		b.Fatal(err)
	}
	f, err := e.newFit(collective.Solo{}, table, models.Table{}, models.Options{Threads: threads})
	if err != nil {
		b.Fatal(err)
	}
	defer f.crew.close()
	f.order.begin(1, 1)
	for b.Loop() {
		if f.batch = (f.batch + 1) % (rows / c.BatchSize); f.batch < 0 {
			f.batch = 0
		}
		if err := f.step(b.Context()); err != nil {
			b.Fatal(err)
		}
		f.iteration++
	}
	b.ReportMetric(float64(b.N*c.BatchSize)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkPredict(b *testing.B) {
	for _, s := range measured {
		c := DefaultConfig()
		c.Hidden = []int{s.hidden, s.hidden / 2}
		shape, err := newShape(s.in, c.Hidden, s.out, extras{})
		if err != nil {
			b.Fatal(err)
		}
		n := network{shape: shape, activation: ReLU, problem: models.Problem{Task: metrics.Multiclass, NumClasses: s.out}}
		m, err := newModel(n, standard{std: 1}, shape.initial(1))
		if err != nil {
			b.Fatal(err)
		}
		for _, rows := range []int{1, 1000, 10000} {
			b.Run(fmt.Sprintf("%d-%d-%d/rows=%d", s.in, s.hidden, s.out, rows), func(b *testing.B) {
				b.ReportAllocs()
				x, out := make([]float32, rows*s.in), make([]float32, rows*s.out)
				r := rng.New(1, "rows")
				for i := range x {
					x[i] = float32(r.NormFloat64())
				}
				for b.Loop() {
					if err := m.Predict(x, rows, out); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}
