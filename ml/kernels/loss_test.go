package kernels

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestFunctionsAreAccurate(t *testing.T) {
	t.Parallel()
	worst := map[string]float64{}
	note := func(name string, got float32, want float64) {
		if e := math.Abs(float64(got)-want) / math.Abs(want); want != 0 {
			worst[name] = max(worst[name], e)
		}
	}
	for i := -8700; i <= 8700; i++ {
		x := float32(i) * 0.01001
		note("exp", exp32(x), math.Exp(float64(x)))
		note("sigmoid", sigmoid32(x), 1/(1+math.Exp(-float64(x))))
		note("gelu", gelu32(x/20), float64(x/20)*math.Erfc(-float64(x/20)/math.Sqrt2)/2)
		note("silu", silu32(x/8), float64(x/8)/(1+math.Exp(-float64(x/8))))
		note("tanh", tanh32(x/8), math.Tanh(float64(x/8)))
		s := exp32(x)
		if math.Abs(float64(s)-1) > 1e-3 {
			note("log", log32(s), math.Log(float64(s)))
		}
	}
	for name, e := range worst {
		t.Logf("%s: %.2e", name, e)
		if most := map[string]float64{"gelu": 1e-6}[name]; e > max(most, 2.5e-7) {
			t.Errorf("%s is off by %.2e", name, e)
		}
	}
}

func TestFunctionsAtTheEnds(t *testing.T) {
	t.Parallel()
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct{ got, want float32 }{
		{exp32(0), 1}, {exp32(-inf), 0}, {exp32(-1e30), 0}, {exp32(inf), exp32(88)}, {exp32(nan), nan},
		{sigmoid32(0), 0.5}, {sigmoid32(inf), 1}, {sigmoid32(nan), nan}, {log32(1), 0},
		{tanh32(0), 0}, {tanh32(inf), 1}, {tanh32(-inf), -1}, {tanh32(nan), nan}, {tanh32(1e-20), 1e-20},
		{gelu32(0), 0}, {gelu32(inf), inf}, {gelu32(20), 20}, {gelu32(nan), nan}, {geluSlope32(20), 1}, {geluSlope32(-20), 0},
		{silu32(0), 0}, {silu32(inf), inf}, {silu32(nan), nan}, {siluSlope32(0), 0.5}, {siluSlope32(50), 1},
	} {
		if !same(c.got, c.want) {
			t.Errorf("got %v, expected %v", c.got, c.want)
		}
	}
}

func TestCrossEntropyIsTheDefinition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		rows, classes := randomSize(t, "rows"), randomSize(t, "classes")
		z := randomMatrix(r, rows, classes, true)
		labels := make([]int32, rows)
		for i := range labels {
			labels[i] = int32(r.IntN(classes))
			z.Row(i)[0] *= 20
		}
		for _, v := range variants() {
			g, p, loss := z.clone(), z.clone(), make([]float32, rows)
			crossEntropy(v, g, labels, 0.25, loss)
			softmax(v, p)
			for i := range rows {
				sum, most := 0.0, float64(rowMax(z.Row(i)))
				for _, x := range z.Row(i) {
					sum += math.Exp(float64(x) - most)
				}
				want := math.Log(sum) - (float64(z.Row(i)[labels[i]]) - most)
				if math.Abs(float64(loss[i])-want) > 2e-6*(1+want) {
					t.Fatalf("%v: loss %v, expected %v", v, loss[i], want)
				}
				for j, x := range z.Row(i) {
					want := math.Exp(float64(x)-most) / sum
					if math.Abs(float64(p.Row(i)[j])-want) > 1e-6 {
						t.Fatalf("%v: probability %v, expected %v", v, p.Row(i)[j], want)
					}
					if j == int(labels[i]) {
						want--
					}
					if math.Abs(float64(g.Row(i)[j])-want/4) > 1e-6 {
						t.Fatalf("%v: gradient %v, expected %v", v, g.Row(i)[j], want/4)
					}
				}
			}
			outside(t, v, g, z)
			outside(t, v, p, z)
		}
	})
}

func TestSquaredErrorIsTheDefinition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := randomSource(t)
		rows, cols := randomSize(t, "rows"), randomSize(t, "columns")
		y, target := randomMatrix(r, rows, cols, true), randomMatrix(r, rows, cols, false)
		g, loss := y.clone(), make([]float32, rows)
		SquaredError(g, target, 0.5, loss)
		for i := range rows {
			want := 0.0
			for j, x := range y.Row(i) {
				d := float64(x) - float64(target.Row(i)[j])
				want += d * d
				if math.Abs(float64(g.Row(i)[j])-d) > 1e-6 {
					t.Fatalf("gradient %v, expected %v", g.Row(i)[j], d)
				}
			}
			if math.Abs(float64(loss[i])-want) > 1e-5*(want+1) {
				t.Fatalf("loss %v, expected %v", loss[i], want)
			}
		}
		outside(t, Portable, g, y)
	})
}
