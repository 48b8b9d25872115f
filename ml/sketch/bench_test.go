package sketch_test

import (
	"math"
	"strconv"
	"testing"

	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/sketch"
)

// benchValues are continuous, of few distinct values, or whole.
func benchValues() map[string][]float64 {
	r := rng.New(1, "sketch benchmark")
	out := map[string][]float64{}
	for range 1 << 16 {
		v := r.NormFloat64()
		out["continuous"] = append(out["continuous"], v)
		out["cents"] = append(out["cents"], math.Round(math.Exp(v+3)*100)/100)
		out["whole"] = append(out["whole"], math.Round(v*20))
	}
	return out
}

func perValue(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(1<<16), "ns/value")
}

func BenchmarkMoments(b *testing.B) {
	for name, values := range benchValues() {
		b.Run(name, func(b *testing.B) {
			var m sketch.Moments
			for b.Loop() {
				m.Observe(values)
			}
			perValue(b)
		})
	}
}

func BenchmarkQuantiles(b *testing.B) {
	for name, values := range benchValues() {
		b.Run(name+" first", func(b *testing.B) {
			for b.Loop() {
				var q sketch.Quantiles
				q.Observe(values)
				q.Flush()
			}
			perValue(b)
		})
		b.Run(name+" next", func(b *testing.B) {
			var q sketch.Quantiles
			q.Observe(values)
			for i := range 1 << 16 { // beyond the cap
				q.Add(float64(i) / 7)
			}
			for b.Loop() {
				q.Observe(values)
			}
			perValue(b)
		})
	}
}

func BenchmarkCounts(b *testing.B) {
	var c sketch.Counts
	for i := range 100_000 {
		c.Add(strconv.Itoa(i), 1)
	}
	for b.Loop() {
		if _, err := c.MarshalBinary(); err != nil {
			b.Fatal(err)
		}
	}
}
