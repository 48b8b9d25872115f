package neural

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/kernels"
)

// op is a gorgonia operation over a block of rows, backed by kernels. Its
// values are matrices of the graph's full number of rows, of which the first
// pass.rows are computed. It belongs to one graph and one machine at a time.
type op struct {
	name    string       // unique in its graph, else gorgonia takes two for one
	shape   tensor.Shape // of the result; none for a scalar
	arity   int
	inPlace bool // the result may take the first input's memory
	// scalars says how many of the last inputs are scalars, active with respect
	// to how many of the first ones there is a gradient.
	scalars, active int
	// run computes the result, out, from the inputs; a scalar has one element.
	run func(out []float32, in [][]float32)
	// diff returns the gradients with respect to the inputs, nil for those that
	// are not active.
	diff func(in G.Nodes, y, gy *G.Node) (G.Nodes, error)

	args  [][]float32 // of the inputs, and of the result
	seen  []G.Value   // whose floats args has
	units []float32   // args of scalars
}

var (
	_ G.SDOp            = (*op)(nil)
	_ G.UsePreallocDoer = (*op)(nil)
)

// Arity returns the number of inputs.
func (o *op) Arity() int { return o.arity }

// Type returns the inputs' and the result's type.
func (o *op) Type() hm.Type {
	t := make([]hm.Type, o.arity+1)
	for i := range t {
		t[i] = G.TensorType{Dims: 2, Of: tensor.Float32}
	}
	for i := o.arity - o.scalars; i < o.arity; i++ {
		t[i] = tensor.Float32
	}
	if len(o.shape) == 0 {
		t[o.arity] = tensor.Float32
	}
	return hm.NewFnType(t...)
}

// InferShape returns the result's shape, which is fixed.
func (o *op) InferShape(...G.DimSizer) (tensor.Shape, error) { return o.shape.Clone(), nil }

// ReturnsPtr returns false: gorgonia's machines must not write into results.
func (o *op) ReturnsPtr() bool { return false }

// CallsExtern returns false.
func (o *op) CallsExtern() bool { return false }

// OverwritesInput returns -1; our machine asks inPlace instead.
func (o *op) OverwritesInput() int { return -1 }

// WriteHash writes the name.
func (o *op) WriteHash(h hash.Hash) { fmt.Fprint(h, o.name) }

// Hashcode returns the hash of the name.
func (o *op) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

// String returns the name.
func (o *op) String() string { return o.name }

// DiffWRT reports with respect to which inputs there is a gradient.
func (o *op) DiffWRT(inputs int) []bool {
	known := make([]bool, inputs)
	for i := range o.active {
		known[i] = true
	}
	return known
}

// SymDiff returns nodes of the gradients with respect to the inputs.
func (o *op) SymDiff(in G.Nodes, y, gy *G.Node) (G.Nodes, error) { return o.diff(in, y, gy) }

// Do computes the result into new memory.
func (o *op) Do(in ...G.Value) (G.Value, error) {
	return o.UsePreallocDo(o.result(), in...)
}

// result returns new memory for the result.
func (o *op) result() G.Value {
	if len(o.shape) == 0 {
		return G.NewF32(0)
	}
	return newTensor(o.shape, kernels.Aligned(o.shape.TotalSize()))
}

// UsePreallocDo computes the result into result's memory, which may be that of
// the first input if inPlace says so.
func (o *op) UsePreallocDo(result G.Value, in ...G.Value) (G.Value, error) {
	for i, v := range in {
		if err := o.take(i, v); err != nil {
			return nil, err
		}
	}
	if err := o.take(o.arity, result); err != nil {
		return nil, err
	}
	o.run(o.args[o.arity], o.args[:o.arity])
	if s, ok := result.(*G.F32); ok {
		*s = G.F32(o.units[o.arity])
	}
	return result, nil
}

// take makes the floats of v argument i. It remembers those of a tensor, whose
// memory stays where it is.
func (o *op) take(i int, v G.Value) error {
	switch v := v.(type) {
	case *G.F32:
		o.units[i] = float32(*v)
		o.args[i] = o.units[i : i+1]
	case *tensor.Dense:
		if o.seen[i] == G.Value(v) {
			return nil
		}
		data, ok := v.Data().([]float32)
		if !ok {
			return fault.New(fault.Internal, "neural: %s: argument %d holds %v, expected float32", o.name, i, v.Dtype())
		}
		o.seen[i], o.args[i] = v, data
	default:
		return fault.New(fault.Internal, "neural: %s: argument %d is a %T", o.name, i, v)
	}
	return nil
}

func newTensor(shape tensor.Shape, backing []float32) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(backing[:shape.TotalSize()]))
}
