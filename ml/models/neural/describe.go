package neural

import (
	"maps"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/models"
)

// Layer is a layer of a network as other programs have it: what it computes of
// the layer before is Activation(Norm(Weight x + Bias)), plus x if Joins.
type Layer struct {
	In, Out    int
	Weight     []float32      // (outputs, inputs), row-major
	Bias       []float32      // (outputs,)
	Norm       *Normalisation // nil without
	Activation Activation     // empty of the last layer
	Joins      bool
}

// Normalisation is how a layer normalises its sums.
type Normalisation struct {
	Kind           Norm
	Scale, Shift   []float32 // (outputs,)
	Mean, Variance []float32 // (outputs,), running, of BatchNorm alone
	Epsilon        float32
}

// Table is an embedding: in place of feature number Feature, a code, the network has
// row code of Rows, or the last one if the code is none.
type Table struct {
	Feature, Codes, Size int
	Rows                 []float32 // (codes, size), row-major
}

// Description is a network layer by layer. Of classes, the last layer's sums
// become probabilities by softmax; of a regression, Mean + Std times the sum is
// the prediction.
type Description struct {
	Problem     models.Problem
	NumFeatures int
	Tables      []Table // in the order of their features; the first layer is given all other features and then their rows
	Layers      []Layer
	Mean, Std   float64
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
		if !slices.Contains([]string{formatKey, versionKey, taskKey, activationKey, meanKey, stdKey, normKey, embeddingsKey, residualKey, checksumKey}, key) {
			return nil, fault.New(fault.Invalid, "neural: describe: the network has %s %q, which other formats than its own are not given yet", key, metadata[key])
		}
	}
	m, err := Load(b)
	if err != nil {
		return nil, err
	}
	n := m.network
	d := &Description{Problem: m.Problem(), NumFeatures: m.NumFeatures(), Mean: m.target.mean, Std: m.target.std}
	if _, err := n.takeTracked(arrays); err != nil {
		return nil, err
	}
	known := 0
	for i, t := range n.tables {
		d.Tables = append(d.Tables, Table{Feature: t.Feature, Codes: t.Codes, Size: t.Size, Rows: arrays[tableName(i)].values})
		known++
	}
	for i, shape := range n.layers {
		l := Layer{In: shape.In, Out: shape.Out, Weight: arrays[weightName(i)].values, Bias: arrays[biasName(i)].values, Activation: n.activation, Joins: n.joins(i) && i < len(n.layers)-1}
		known += 2
		if shape.norm {
			l.Norm = &Normalisation{
				Kind: n.norm, Epsilon: normEpsilon, Scale: arrays[scaleName(i)].values, Shift: arrays[shiftName(i)].values,
				Mean: arrays[meanName(i)].values, Variance: arrays[varianceName(i)].values,
			}
			known += 2
			if n.norm == BatchNorm {
				known += 2
			}
		}
		d.Layers = append(d.Layers, l)
	}
	if known != len(arrays) {
		return nil, fault.New(fault.Invalid, "neural: describe: the network has %d tensors beside those that are known, which other formats than its own are not given yet", len(arrays)-known)
	}
	d.Layers[len(d.Layers)-1].Activation = ""
	return d, nil
}
