package neural

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/models"
)

// Layer is a layer of a network as other programs have it: what it computes of
// the layer before is Activation(Weight x + Bias).
type Layer struct {
	In, Out    int
	Weight     []float32  // (outputs, inputs), row-major
	Bias       []float32  // (outputs,)
	Activation Activation // empty of the last layer
}

// Description is a network layer by layer. Of classes, the last layer's sums
// become probabilities by softmax; of a regression, Mean + Std times the sum is
// the prediction.
type Description struct {
	Problem   models.Problem
	Layers    []Layer
	Mean, Std float64
}

// Describe reads what a network is from what MarshalBinary has written, for
// programs that are to compute the same. The error is of kind Invalid when the
// network has a part that a Description has no word for, and names it.
func Describe(b []byte) (*Description, error) {
	metadata, arrays, err := decodeTensors(b)
	if err != nil {
		return nil, err
	}
	if metadata[versionKey] != version {
		return nil, fault.New(fault.Invalid, "neural: describe: a model of version %q, and %s is what can be described", metadata[versionKey], version)
	}
	for _, key := range slices.Sorted(maps.Keys(metadata)) { // the same error each time
		if !slices.Contains([]string{formatKey, versionKey, taskKey, activationKey, meanKey, stdKey, checksumKey}, key) {
			return nil, fault.New(fault.Invalid, "neural: describe: the network has %s %q, which other formats than its own are not given yet", key, metadata[key])
		}
	}
	m, err := Load(b)
	if err != nil {
		return nil, err
	}
	d := &Description{Problem: m.Problem(), Mean: m.target.mean, Std: m.target.std}
	for i := 0; ; i++ {
		w, bias := arrays[weightName(i)], arrays[biasName(i)]
		if w.shape == nil {
			break
		}
		d.Layers = append(d.Layers, Layer{
			In: w.shape[1], Out: w.shape[0], Weight: w.values, Bias: bias.values, Activation: m.network.activation,
		})
	}
	if 2*len(d.Layers) != len(arrays) {
		return nil, fault.New(fault.Invalid, "neural: describe: the network has %d tensors beside its %d layers, which other formats than its own are not given yet",
			len(arrays)-2*len(d.Layers), len(d.Layers))
	}
	d.Layers[len(d.Layers)-1].Activation = ""
	return d, nil
}

// WithWeights returns a model that is m with the weights of another safetensors
// file, as PyTorch's users write one: layers.N.weight of shape (outputs, inputs)
// and layers.N.bias, N ascending from layer to layer with any gaps, in which
// nn.Sequential has what holds no weights. Metadata are not read. The widths of
// hidden layers may be others; inputs and outputs must be as many. The error is of
// kind Invalid when they are not, and Corrupt when b is no such file.
func (m *Model) WithWeights(b []byte) (_ *Model, err error) {
	defer door(&err)
	_, arrays, err := decodeTensors(b)
	if err != nil {
		return nil, err
	}
	own, err := m.MarshalBinary()
	if err != nil {
		return nil, err
	}
	if _, err := Describe(own); err != nil {
		return nil, err // more than linear layers, for which there are no names but its own
	}
	renamed, err := inOrder(arrays)
	if err != nil {
		return nil, err
	}
	n := m.network
	weights, err := n.assemble(renamed, nil)
	if err != nil {
		return nil, err
	}
	first, last := n.layers[0], n.layers[len(n.layers)-1]
	if first.In != m.NumFeatures() || last.Out != m.network.problem.NumOutputs() {
		return nil, fault.New(fault.Invalid, "neural: weights from %d features to %d outputs, expected %d to %d: they belong to another model",
			first.In, last.Out, m.NumFeatures(), m.network.problem.NumOutputs())
	}
	return newModel(n, m.target, weights)
}

// inOrder numbers the layers of another program's file from 0 on.
func inOrder(arrays map[string]array) (map[string]array, error) {
	var numbers []int
	for name := range arrays {
		var number, what string
		if parts := strings.Split(name, "."); len(parts) == 3 && parts[0] == "layers" {
			number, what = parts[1], parts[2]
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || what != "weight" && what != "bias" {
			return nil, fault.New(fault.Invalid, "neural: weights: there is a tensor %q, expected layers.N.weight and layers.N.bias alone", name)
		}
		if what == "weight" {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	out := map[string]array{}
	for i, n := range numbers {
		out[weightName(i)] = arrays[weightName(n)]
		if bias, ok := arrays[biasName(n)]; ok {
			out[biasName(i)] = bias
		}
	}
	if len(out) != len(arrays) {
		return nil, fault.New(fault.Invalid, "neural: weights: %d tensors, of which a weight and a bias of the same number make a layer", len(arrays))
	}
	return out, nil
}
