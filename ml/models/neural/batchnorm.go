package neural

import (
	G "gorgonia.org/gorgonia"

	"github.com/troupe-ml/troupe/ml/kernels"
)

// runningMomentum is the share of a batch in the running statistics: PyTorch's
// default.
const runningMomentum = 0.1

// batchNorm is the normalisation of a layer's units over the rows of a shard, one
// of which a batch may have several, so that whoever computes a shard needs none of
// the others: ghost batch norm. In training a unit is brought to mean 0 and
// variance 1 over the shard's rows (a variance of n, not n-1), then scaled and
// moved; a shard of one row has a variance of 0.
//
// Source: Ioffe and Szegedy, Batch normalization, ICML 2015, algorithm 1; Hoffer,
// Hubara and Soudry, Train longer, generalize better, arXiv:1705.08741, algorithm
// 1; PyTorch, torch.nn.BatchNorm1d.
type batchNorm struct {
	*dense
	// mean and variance, of n-1, are those of the last shard, for the running ones.
	mean, variance []float32
	factor         []float32 // 1/sqrt(variance + epsilon) of each unit
	centred        []float32 // the shard's sums, less their means
	a, b, c        []float32 // scratch: a number for each unit
	ones, plain    []float32 // of each unit; and what makes LayerNorm.ScaleGrad the sum of products
}

// batchNormed is the batch norm of the layer's sums x as a node; scale and shift are
// its parameters' nodes. It leaves the shard's mean and variance where it is told.
func (d *dense) batchNormed(x, scale, shift *G.Node, mean, variance []float32) (*G.Node, error) {
	n := d.BiasLen()
	b := &batchNorm{dense: d, mean: mean, variance: variance, centred: kernels.Aligned(d.of(d.Out).TotalSize()), plain: make([]float32, 2*d.full)}
	for _, v := range []*[]float32{&b.factor, &b.a, &b.b, &b.c, &b.ones} {
		*v = kernels.Aligned(n)
	}
	for i := range d.full {
		b.plain[2*i+1] = 1
	}
	for j := range b.ones {
		b.ones[j] = 1
	}
	o := &op{name: "batch-norm", shape: d.of(d.Out), inPlace: true, active: 3, run: b.forward}
	o.diff = func(_ G.Nodes, _, gy *G.Node) (G.Nodes, error) { return b.gradient(scale, gy) }
	return d.apply(o, x, scale, shift)
}

func (b *batchNorm) forward(out []float32, in [][]float32) {
	x, centred, rows := b.matrix(in[0], b.Out), b.matrix(b.centred, b.Out), float32(b.rows)
	b.BiasGrad(b.mean, x, false)
	for j, sum := range b.mean {
		b.mean[j] = sum / rows
		b.a[j] = -b.mean[j]
	}
	kernels.ScaleColumns(centred, x, b.ones, b.a)
	kernels.LayerNorm{}.ScaleGrad(b.variance, centred, centred, b.plain)
	for j, squares := range b.variance {
		b.factor[j] = 1 / sqrt32(float32(squares/rows)+normEpsilon)
		b.a[j] = float32(in[1][j] * b.factor[j])
		if b.rows > 1 {
			b.variance[j] = squares / (rows - 1)
		}
	}
	kernels.ScaleColumns(b.matrix(out, b.Out), centred, b.a, in[2])
}

// gradient returns the gradients with respect to x, scale and shift. That of x is
//
//	scale factor (g - shift's/n - normalised x times scale's/n)
func (b *batchNorm) gradient(scale, gy *G.Node) (nodes G.Nodes, err error) {
	dscale := &op{name: "batch-norm-dscale", shape: biasShape(b.Dense), run: func(out []float32, in [][]float32) {
		kernels.LayerNorm{}.ScaleGrad(out, b.matrix(in[0], b.Out), b.matrix(b.centred, b.Out), b.plain)
		for j, f := range b.factor {
			out[j] *= f
		}
	}}
	dshift := &op{name: "batch-norm-dshift", shape: biasShape(b.Dense), run: func(out []float32, in [][]float32) {
		b.BiasGrad(out, b.matrix(in[0], b.Out), false)
	}}
	dx := &op{name: "batch-norm-dx", shape: b.of(b.Out), inPlace: true, run: func(out []float32, in [][]float32) {
		b.takeOver(out, in[0], b.Out)
		rows := float32(b.rows)
		for j, f := range b.factor {
			b.a[j] = float32(in[1][j] * f)
			b.b[j] = -float32(float32(b.a[j]*f) * float32(in[2][j]/rows))
			b.c[j] = -float32(b.a[j] * float32(in[3][j]/rows))
		}
		kernels.BlendColumns(b.matrix(out, b.Out), b.matrix(b.centred, b.Out), b.a, b.b, b.c)
	}}
	nodes = make(G.Nodes, 3)
	if nodes[1], err = b.apply(dscale, gy); err != nil {
		return nil, err
	}
	if nodes[2], err = b.apply(dshift, gy); err != nil {
		return nil, err
	}
	nodes[0], err = b.apply(dx, gy, scale, nodes[1], nodes[2])
	return nodes, err
}

// runningNormed is the normalisation of the layer's sums x by running statistics, as
// predictions have it, as a node without a gradient.
func (d *dense) runningNormed(x, scale, shift *G.Node, mean, variance []float32) (*G.Node, error) {
	a, b := kernels.Aligned(d.BiasLen()), kernels.Aligned(d.BiasLen())
	o := &op{name: "running-norm", shape: d.of(d.Out), inPlace: true}
	o.run = func(out []float32, in [][]float32) {
		for j, v := range variance {
			a[j] = float32(in[1][j] / sqrt32(v+normEpsilon))
			b[j] = float32(float64(in[2][j]) - float64(float64(mean[j])*float64(a[j])))
		}
		kernels.ScaleColumns(d.matrix(out, d.Out), d.matrix(in[0], d.Out), a, b)
	}
	return d.apply(o, x, scale, shift)
}

// running returns where the running mean and variance of hidden layer i are in a
// vector of them all.
func (s shape) running(all []float32, i int) (mean, variance []float32) {
	l := s.layers[i]
	n, first := l.BiasLen(), l.running
	return all[first : first+n : first+n], all[first+n : first+2*n : first+2*n]
}

// runningOf returns the running statistics behind the parameters of a flat vector.
func (s shape) runningOf(flat []float32) []float32 { return flat[s.numParams:] }

// addRunning adds a shard's statistics to the sums of a batch, as much as it has
// rows of those of a whole shard; those of a single row say nothing of a variance.
// It reports the first layer whose statistics are no numbers or too large.
func (e *executor) addRunning(n *network, sums []int64) (bad int, ok bool) {
	t := e.trainer
	if t.rows < 2 {
		return 0, true
	}
	sums[0] += int64(t.rows)
	for i, l := range n.layers {
		if !l.norm {
			continue
		}
		first, end := l.running, l.running+2*l.BiasLen()
		if !kernels.AddFixed(sums[1+first:1+end], t.running[first:end], fine*float64(t.rows)/float64(n.rows)) {
			return i, false
		}
	}
	return 0, true
}

// takeRunning reads the batch's statistics from its sums: the mean over the shards,
// each as much as it has rows.
func (f *fit) takeRunning(sums []int64) {
	f.current.normed = int(sums[0])
	if f.current.normed > 0 {
		kernels.FromFixed(f.crew.members[0].trainer.running, sums[1:], float64(f.network.rows)/(fine*float64(sums[0])))
	}
}

// follow moves the running statistics towards the batch's, as PyTorch does.
func (f *fit) follow() {
	if f.current.normed < 2 {
		return
	}
	running := f.network.runningOf(f.weights)
	for k, v := range f.crew.members[0].trainer.running {
		running[k] = float32(float64((1-runningMomentum)*float64(running[k])) + float64(runningMomentum*float64(v)))
	}
}
