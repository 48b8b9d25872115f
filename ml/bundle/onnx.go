package bundle

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/onnx"
	"github.com/troupe-ml/troupe/ml/features"
	"github.com/troupe-ml/troupe/ml/metrics"
	"github.com/troupe-ml/troupe/ml/models/neural"
)

// ONNX writes the bundle as a model of the ONNX format, which predicts what
// Predict does up to the rounding of sums. With modelOnly it takes rows of the
// numbers that the model reads, of shape (rows, features), under the name
// features; else an input of shape (rows, 1) for each column of the signature:
// numbers and truths as doubles, null as NaN, and texts as strings, null as the
// empty one. Outputs are prediction, of shape (rows,), and for classes
// probabilities, of shape (rows, classes), in the order of the metadata classes.
//
// The error is of kind Invalid, and says what it is, when the model has a part,
// or the bundle a feature, that ONNX is not written for.
func (b *Bundle) ONNX(modelOnly bool) ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	if b.Kind != MLP {
		return nil, fault.New(fault.Invalid, "onnx: a model of kind %q is not written as ONNX, only %q is", b.Kind, MLP)
	}
	raw, err := b.Model.MarshalBinary()
	if err != nil {
		return nil, err
	}
	network, err := neural.Describe(raw)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	e := &exporter{bundle: b}
	var x string
	if modelOnly {
		x = "features"
		e.graph.Input(x, onnx.Float, int64(b.Model.NumFeatures()))
		for i, name := range b.Encoder.FeatureNames() {
			e.graph.Metadata("feature_"+strconv.Itoa(i), name)
		}
	} else if x, err = e.encoder(); err != nil {
		return nil, err
	}
	if err := e.outputs(e.network(network, x), network); err != nil {
		return nil, err
	}
	return e.graph.Encode("troupe", "troupe"), nil
}

// exporter writes a bundle's graph. What its methods return are names of results.
type exporter struct {
	bundle *Bundle
	graph  onnx.Graph
	last   int
}

// name returns a name that no other result has.
func (e *exporter) name(what string) string {
	e.last++
	return fmt.Sprintf("%s_%d", what, e.last)
}

func (e *exporter) node(operator string, inputs []string, attributes ...onnx.Attribute) string {
	return e.graph.Node(operator, e.name(operator), inputs, attributes...)
}

func (e *exporter) double(v float64) string {
	return e.graph.Constant(e.name("double"), onnx.Tensor{Shape: []int64{1, 1}, Doubles: []float64{v}})
}

func (e *exporter) float(v float32) string {
	return e.graph.Constant(e.name("float"), onnx.Tensor{Shape: []int64{1, 1}, Floats: []float32{v}})
}

func (e *exporter) cast(x string, to onnx.Type) string {
	return e.node("Cast", []string{x}, onnx.Attribute{Name: "to", Value: int64(to)})
}

// encoder writes what turns columns into the model's numbers.
func (e *exporter) encoder() (string, error) {
	b := e.bundle
	if b.Pipeline != nil {
		steps, err := b.Pipeline.Describe()
		if err != nil {
			return "", err
		}
		for _, s := range steps {
			return "", fault.New(fault.Invalid, "onnx: feature %q (op %s) cannot be written as ONNX: export the model alone (--model-only), "+
				"or train on the output of a features job", s.Name, s.Op)
		}
	}
	var blocks []string
	for _, c := range b.Encoder.Columns() {
		if c.Coded {
			return "", fault.New(fault.Invalid, "onnx: column %q is an embedding, which is not written as ONNX yet", c.Name)
		}
		if c.Text {
			e.graph.Input(c.Name, onnx.String, 1)
			x, err := e.text(c)
			if err != nil {
				return "", err
			}
			blocks = append(blocks, x)
			continue
		}
		e.graph.Input(c.Name, onnx.Double, 1)
		blocks = append(blocks, e.number(c)...)
	}
	return e.node("Concat", blocks, onnx.Attribute{Name: "axis", Value: int64(1)}), nil
}

// number standardises as the encoder does, in doubles, so to the same bits.
func (e *exporter) number(c features.EncodedColumn) []string {
	missing := e.node("IsNaN", []string{c.Name})
	filled := e.node("Where", []string{missing, e.double(c.Median), c.Name})
	var z string
	if c.Std == 0 {
		z = e.node("Where", []string{missing, e.double(0), e.double(0)})
	} else {
		z = e.node("Div", []string{e.node("Sub", []string{filled, e.double(c.Mean)}), e.double(c.Std)})
		z = e.node("Min", []string{e.node("Max", []string{z, e.double(-features.Cut)}), e.double(features.Cut)})
	}
	out := []string{e.cast(z, onnx.Float)}
	if c.Missing {
		out = append(out, e.cast(missing, onnx.Float))
	}
	return out
}

// text writes a column for each category, as the encoder has them.
func (e *exporter) text(c features.EncodedColumn) (string, error) {
	keys := slices.Clone(c.Categories)
	other := len(keys)
	if c.Null {
		if slices.Contains(keys, "") {
			return "", fault.New(fault.Invalid, "onnx: column %q has both nulls and empty texts, and ONNX has no nulls to tell them apart: export the model alone (--model-only)", c.Name)
		}
		keys = append(keys, "")
		other++
	}
	places := make([]int64, len(keys))
	for i := range places {
		places[i] = int64(i)
	}
	if len(keys) == 0 { // an empty list is no attribute
		keys, places = []string{""}, []int64{0}
	}
	place := e.node("LabelEncoder", []string{c.Name},
		onnx.Attribute{Name: "keys_strings", Value: keys},
		onnx.Attribute{Name: "values_int64s", Value: places},
		onnx.Attribute{Name: "default_int64", Value: int64(other)})
	depth := e.graph.Constant(e.name("depth"), onnx.Tensor{Shape: []int64{1}, Int64s: []int64{int64(other) + 1}})
	values := e.graph.Constant(e.name("values"), onnx.Tensor{Shape: []int64{2}, Floats: []float32{0, 1}})
	hot := e.node("OneHot", []string{place, depth, values}, onnx.Attribute{Name: "axis", Value: int64(-1)})
	shape := e.graph.Constant(e.name("shape"), onnx.Tensor{Shape: []int64{2}, Int64s: []int64{-1, int64(other) + 1}})
	return e.node("Reshape", []string{hot, shape}), nil
}

// network writes the layers, and returns the sums of the last one.
func (e *exporter) network(n *neural.Description, x string) string {
	for i, l := range n.Layers {
		w := e.graph.Constant(fmt.Sprintf("layers.%d.weight", i), onnx.Tensor{Shape: []int64{int64(l.Out), int64(l.In)}, Floats: l.Weight})
		bias := e.graph.Constant(fmt.Sprintf("layers.%d.bias", i), onnx.Tensor{Shape: []int64{int64(l.Out)}, Floats: l.Bias})
		x = e.node("Gemm", []string{x, w, bias}, onnx.Attribute{Name: "transB", Value: int64(1)})
		x = e.activation(l.Activation, x)
	}
	return x
}

func (e *exporter) activation(a neural.Activation, x string) string {
	switch a {
	case neural.ReLU:
		return e.node("Relu", []string{x})
	case neural.Tanh:
		return e.node("Tanh", []string{x})
	case neural.Sigmoid:
		return e.node("Sigmoid", []string{x})
	case neural.SiLU:
		return e.node("Mul", []string{x, e.node("Sigmoid", []string{x})})
	case neural.GELU: // x/2 (1 + erf(x/sqrt 2))
		erf := e.node("Erf", []string{e.node("Mul", []string{x, e.float(float32(1 / math.Sqrt2))})})
		return e.node("Mul", []string{e.node("Mul", []string{x, e.float(0.5)}), e.node("Add", []string{erf, e.float(1)})})
	}
	return x
}

// outputs writes the predictions.
func (e *exporter) outputs(y string, n *neural.Description) error {
	target := e.bundle.Target
	e.graph.Metadata("target", target.Name())
	if n.Problem.Task == metrics.Regression {
		scaled := e.node("Mul", []string{e.cast(y, onnx.Double), e.double(n.Std)})
		value := e.cast(e.node("Add", []string{scaled, e.double(n.Mean)}), onnx.Float)
		flat := e.graph.Constant("flat", onnx.Tensor{Shape: []int64{1}, Int64s: []int64{-1}})
		e.graph.Node("Reshape", "prediction", []string{value, flat})
		e.graph.Output("prediction", onnx.Float, 0)
		return nil
	}
	classes := target.Classes()
	e.graph.Node("Softmax", "probabilities", []string{y}, onnx.Attribute{Name: "axis", Value: int64(1)})
	best := e.node("ArgMax", []string{"probabilities"}, onnx.Attribute{Name: "axis", Value: int64(1)}, onnx.Attribute{Name: "keepdims", Value: int64(0)})
	for i, class := range classes {
		e.graph.Metadata("class_"+strconv.Itoa(i), class)
	}
	values, kind, err := classTensor(target.Field().Type, classes)
	if err != nil {
		return err
	}
	e.graph.Node("Gather", "prediction", []string{e.graph.Constant("classes", values), best})
	e.graph.Output("prediction", kind, 0)
	e.graph.Output("probabilities", onnx.Float, int64(len(classes)))
	return nil
}

// classTensor returns the classes as values of the target's type.
func classTensor(t data.Type, classes []string) (onnx.Tensor, onnx.Type, error) {
	all := make([]int32, len(classes))
	for i := range all {
		all[i] = int32(i)
	}
	c, err := classesOf(t, classes, all)
	if err != nil {
		return onnx.Tensor{}, 0, err
	}
	out := onnx.Tensor{Shape: []int64{int64(len(classes))}}
	switch t {
	case data.Bool:
		out.Bools = c.Bools
		return out, onnx.Bool, nil
	case data.Int32, data.Int64:
		for i := range classes {
			if t == data.Int32 {
				out.Int64s = append(out.Int64s, int64(c.Int32s[i]))
			} else {
				out.Int64s = append(out.Int64s, c.Int64s[i])
			}
		}
		return out, onnx.Int64, nil
	case data.Float32, data.Float64:
		for i := range classes {
			if t == data.Float32 {
				out.Doubles = append(out.Doubles, float64(c.Float32s[i]))
			} else {
				out.Doubles = append(out.Doubles, c.Float64s[i])
			}
		}
		return out, onnx.Double, nil
	}
	out.Strings = classes
	return out, onnx.String, nil
}
