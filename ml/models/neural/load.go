package neural

import (
	"math"
	"slices"
	"strconv"

	"github.com/troupe-ml/troupe/ml/kernels"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// described returns what the metadata say, all but the number of classes.
func described(metadata map[string]string) (network, standard, error) {
	n := network{activation: Activation(metadata[activationKey])}
	n.norm = Norm(metadata[normKey])
	n.problem.Task = metrics.Task(metadata[taskKey])
	target, known := standard{std: 1}, 4
	if n.problem.Task.Names() == nil {
		return n, target, damaged("unknown task %q", n.problem.Task)
	}
	if !n.activation.known() {
		return n, target, damaged("unknown activation %q", n.activation)
	}
	if v, ok := metadata[normKey]; ok {
		if n.norm != LayerNorm && n.norm != BatchNorm {
			return n, target, damaged("unknown norm %q", v)
		}
		known++
	}
	if _, ok := metadata[embeddingsKey]; ok {
		known++
	}
	if v, ok := metadata[residualKey]; ok {
		if v != "true" {
			return n, target, damaged("residual is %q, expected true or nothing", v)
		}
		n.residual = true
		known++
	}
	if n.problem.Task == metrics.Regression {
		var err1, err2 error
		target.mean, err1 = strconv.ParseFloat(metadata[meanKey], 64)
		target.std, err2 = strconv.ParseFloat(metadata[stdKey], 64)
		if err1 != nil || err2 != nil || math.IsNaN(target.mean-target.mean) || !(target.std > 0) || math.IsInf(target.std, 1) {
			return n, target, damaged("the target's mean is %q and its deviation %q", metadata[meanKey], metadata[stdKey])
		}
		known += 2
	}
	if _, ok := metadata[checksumKey]; ok {
		known++
	}
	if len(metadata) != known {
		return n, target, damaged("%d metadata, expected %d", len(metadata), known)
	}
	return n, target, nil
}

// assemble gives n the layers that the tensors describe, and returns their
// weights.
func (n *network) assemble(arrays map[string]array, embeddings []Embedding) ([]float32, error) {
	widths, err := widthsOf(arrays)
	if err != nil {
		return nil, err
	}
	last := len(widths) - 1
	n.problem.NumClasses = widths[last]
	if n.problem.Task == metrics.Regression {
		n.problem.NumClasses = 0
	}
	if err := checkProblem(n.problem); err != nil || n.problem.NumOutputs() != widths[last] {
		return nil, damaged("%d outputs for a %s task", widths[last], n.problem.Task)
	}
	s, err := newShape(widths[0]-embedded(0, embeddings), widths[1:last], widths[last], extras{n.norm, embeddings})
	if err != nil {
		return nil, damaged("%v", err)
	}
	n.shape = s
	flat := kernels.Aligned(s.numWeights())
	return flat, s.fill(flat, arrays)
}

// widthsOf returns the widths that the layers' tensors describe, the features'
// first.
func widthsOf(arrays map[string]array) (widths []int, err error) {
	n := 0
	for _, ok := arrays[weightName(n)]; ok; _, ok = arrays[weightName(n)] {
		n++
	}
	if n == 0 || n > MaxHidden+1 {
		return nil, damaged("%d tensors, expected a weight and a bias for each of 1 to %d layers", len(arrays), MaxHidden+1)
	}
	for i := range n {
		w, bias := arrays[weightName(i)], arrays[biasName(i)]
		if len(w.shape) != 2 || len(bias.shape) != 1 || w.shape[0] != bias.shape[0] || (i > 0 && w.shape[1] != widths[i]) {
			return nil, damaged("layer %d has weights of shape %v and a bias of %v after %v", i, w.shape, bias.shape, widths)
		}
		if i == 0 {
			widths = append(widths, w.shape[1])
		}
		widths = append(widths, w.shape[0])
	}
	return widths, nil
}

// fill writes the tensors, and all of them, to their places in flat.
func (s shape) fill(flat []float32, arrays map[string]array) error {
	wanted := s.arrays(flat)
	if len(wanted) != len(arrays) {
		return damaged("%d tensors, expected %d", len(arrays), len(wanted))
	}
	for _, want := range wanted {
		a := arrays[want.name]
		if !slices.Equal(a.shape, want.shape) {
			return damaged("%s has shape %v, expected %v", want.name, a.shape, want.shape)
		}
		for _, v := range a.values {
			if !isNumber(v) {
				return damaged("a number of %s is %v", want.name, v)
			}
		}
		copy(want.values, a.values) // of all but the weights, which are packed
	}
	for i, l := range s.layers {
		if l.norm && s.norm == BatchNorm && slices.ContainsFunc(arrays[varianceName(i)].values, func(v float32) bool { return v < 0 }) {
			return damaged("%s has a number below 0", varianceName(i))
		}
	}
	for i, t := range s.tables {
		t.pack(flat, arrays[tableName(i)].values)
	}
	for i, l := range s.layers {
		l.Pack(s.weights(flat, i), arrays[weightName(i)].values)
	}
	return nil
}
