package neural

import (
	"fmt"
	"math"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/kernels"
)

// shape is a network's layers, and where their parameters are in the one flat
// vector that gradients, sums, moments and weights share. In it, each layer has
// its weights, packed as kernels.Dense has them, and then its bias, and a hidden
// layer that is normalised the scale and shift of that; what is padding is zero
// in all of them and stays so.
type shape struct {
	layers      []layer
	tables      []table // of the embeddings, after the layers
	norm        Norm    // of the hidden layers
	numFeatures int     // of the table
	numParams   int     // floats of the flat vector, padding included
	numRunning  int     // floats of the running statistics, which follow in vectors of weights
	rows        int     // of a shard
}

// layer is one layer of a shape.
type layer struct {
	kernels.Dense
	first int  // of its weights in the flat vector; the bias follows them
	norm  bool // whether scale and shift follow the bias
	// running is where the layer's running mean and variance begin among those of
	// all, if there are some.
	running int
}

// end is where the layer's part of the flat vector ends.
func (l layer) end() int {
	if l.norm {
		return l.first + l.WeightLen() + 3*l.BiasLen()
	}
	return l.first + l.WeightLen() + l.BiasLen()
}

// extras is what a network has beyond dense layers.
type extras struct {
	norm       Norm
	embeddings []Embedding
}

// part is a run of a flat vector that is reported by a name of its own.
type part struct {
	first, end int
	kind       string
	number     int
}

func (p part) name() string { return fmt.Sprintf("%s %d", p.kind, p.number) }

// numParts is how many there are.
func (s shape) numParts() int { return len(s.layers) + len(s.tables) }

// part returns part i: those of the layers, then those of the embeddings.
func (s shape) part(i int) part {
	if i < len(s.layers) {
		return part{s.layers[i].first, s.layers[i].end(), "layer", i}
	}
	i -= len(s.layers)
	return part{s.tables[i].first, s.tables[i].end(), "embedding", i}
}

// maxParams bounds the flat vector: 4 GiB of weights, and as much again for
// each of the four or so vectors of its length that training keeps.
const maxParams = 1 << 30

func newShape(numFeatures int, hidden []int, numOutputs int, x extras) (shape, error) {
	widths := slices.Concat([]int{embedded(numFeatures, x.embeddings)}, hidden, []int{numOutputs})
	if numFeatures < 1 || slices.Max(widths) > MaxWidth {
		return shape{}, fault.New(fault.Invalid,
			"neural: %d features, hidden layers of %v and %d outputs, expected 1 to %d of each", numFeatures, hidden, numOutputs, MaxWidth)
	}
	s := shape{numFeatures: numFeatures, norm: x.norm}
	for i, in := range widths[:len(widths)-1] {
		d := kernels.Dense{In: in, Out: widths[i+1]}
		if float64(s.numParams)+float64(float64(d.In)*float64(kernels.PadCols(d.Out))) > maxParams {
			return shape{}, fault.New(fault.Invalid,
				"neural: a network %v has more than %d weights: make its layers narrower", widths, maxParams)
		}
		l := layer{Dense: d, first: s.numParams, norm: x.norm != NoNorm && i < len(hidden)}
		if l.norm && x.norm == BatchNorm {
			l.running, s.numRunning = s.numRunning, s.numRunning+2*l.BiasLen()
		}
		s.layers = append(s.layers, l)
		s.numParams = l.end()
	}
	if n := len(x.embeddings); n > 0 && x.embeddings[n-1].Feature >= numFeatures {
		return shape{}, fault.New(fault.Invalid, "neural: an embedding of feature %d of %d", x.embeddings[n-1].Feature, numFeatures)
	}
	for _, e := range x.embeddings {
		t := table{Embedding: e, first: s.numParams}
		if t.end() > maxParams {
			return shape{}, fault.New(fault.Invalid, "neural: an embedding of %d codes and size %d makes more than %d weights: make it smaller", e.Codes, e.Size, maxParams)
		}
		s.tables, s.numParams = append(s.tables, t), t.end()
	}
	s.rows = shardRows(s.numParams)
	return s, nil
}

// shardRows is the rule by which batches are cut: shards of so many rows, by the
// number of parameters alone. Each shard adds the whole gradient to the sums
// once. What that costs grows with the parameters, as does what a row costs, so
// their ratio depends on the rows only: measured, the sums take about a
// twentieth of the time at 128 rows and half of that at 256. Fewer rows let more
// threads and ranks share a batch, which is of no use to a small network, whose
// shard takes less time than to wake a thread.
func shardRows(numParams int) int {
	if numParams <= 1<<14 {
		return 256
	}
	return 128
}

// weights returns layer i's part of a flat vector.
func (s shape) weights(flat []float32, i int) []float32 {
	l := s.layers[i]
	return flat[l.first : l.first+l.WeightLen() : l.first+l.WeightLen()]
}

// bias returns layer i's bias in a flat vector, scale and shift those of its
// normalisation.
func (s shape) bias(flat []float32, i int) []float32  { return s.afterWeights(flat, i, 0) }
func (s shape) scale(flat []float32, i int) []float32 { return s.afterWeights(flat, i, 1) }
func (s shape) shift(flat []float32, i int) []float32 { return s.afterWeights(flat, i, 2) }

// afterWeights returns number k, from 0, of what follows layer i's weights, each as
// long as its bias.
func (s shape) afterWeights(flat []float32, i, k int) []float32 {
	l := s.layers[i]
	first := l.first + l.WeightLen() + k*l.BiasLen()
	return flat[first : first+l.BiasLen() : first+l.BiasLen()]
}

// numWeights is how many floats a vector of weights has: the parameters, and
// behind them the running statistics.
func (s shape) numWeights() int { return s.numParams + s.numRunning }

// partOf returns the name of the part that place at of the flat vector is in.
func (s shape) partOf(at int) string {
	for i := range s.numParts() {
		if p := s.part(i); at < p.end {
			return p.name()
		}
	}
	return "the running statistics"
}

// initial returns a new network's parameters: weights and biases uniform in
// plus or minus 1/sqrt(inputs), keyed by the seed and the layer, drawn in the
// order of PyTorch's layout; scales 1 and shifts 0, running means 0 and variances 1.
//
// Source: PyTorch, torch.nn.Linear.reset_parameters (He et al., ICCV 2015, with
// a = sqrt(5)).
func (s shape) initial(seed uint64) []float32 {
	flat := kernels.Aligned(s.numWeights())
	for i, l := range s.layers {
		bound := 1 / math.Sqrt(float64(l.In))
		w := make([]float32, l.In*l.Out)
		uniform(w, bound, seed, fmt.Sprintf("neural weights of layer %d", i))
		l.Pack(s.weights(flat, i), w)
		uniform(s.bias(flat, i)[:l.Out], bound, seed, fmt.Sprintf("neural bias of layer %d", i))
		if l.norm {
			for k := range l.Out {
				s.scale(flat, i)[k] = 1
			}
			if s.norm == BatchNorm {
				_, variance := s.running(s.runningOf(flat), i)
				for k := range l.Out {
					variance[k] = 1
				}
			}
		}
	}
	s.drawTables(flat, seed)
	return flat
}

// limit makes shards larger for batches that would have more than maxShards.
func (s *shape) limit(batchSize int) {
	for batchSize > maxShards*s.rows {
		s.rows *= 2
	}
}
