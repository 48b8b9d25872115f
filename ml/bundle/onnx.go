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
// numbers and truths as doubles, null as NaN, texts as strings, null as the empty
// one, and times as int64s, null as the least. Outputs are prediction, of shape (rows,), and for classes
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
	e := &exporter{bundle: b, values: map[string]value{}}
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
	values map[string]value // the columns so far, by their names
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
		if err := e.pipeline(); err != nil {
			return "", err
		}
	}
	var blocks []string
	for _, c := range b.Encoder.Columns() {
		of, err := e.column(c)
		if err != nil {
			return "", err
		}
		blocks = append(blocks, of...)
	}
	return e.node("Concat", blocks, onnx.Attribute{Name: "axis", Value: int64(1)}), nil
}

// column writes what the encoder makes of a column.
func (e *exporter) column(c features.EncodedColumn) ([]string, error) {
	from, err := e.source(c.Name)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	var x string
	switch {
	case c.Coded: // the place of null is behind those of the categories, and then that of all else
		null := int64(len(c.Categories))
		if x, err = e.categories(from, c.Categories, null+1, null); err == nil {
			x = e.cast(x, onnx.Float)
		}
	case c.Text:
		x, err = e.hot(c, from)
	default:
		return e.number(c, from), nil
	}
	if err != nil {
		return nil, fmt.Errorf("onnx: column %q: %w", c.Name, err)
	}
	return []string{x}, nil
}

// number standardises as the encoder does, in doubles, so to the same bits.
func (e *exporter) number(c features.EncodedColumn, from value) []string {
	missing := e.node("IsNaN", []string{from.name})
	filled := e.node("Where", []string{missing, e.double(c.Median), from.name})
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

// hot writes a column for each category, as the encoder has them.
func (e *exporter) hot(c features.EncodedColumn, from value) (string, error) {
	width := len(c.Categories) + 1
	other := int64(width - 1)
	null := other
	if c.Null {
		null, other = other, other+1
		width++
	}
	var place string
	var err error
	if c.Null || from.null != "" || !from.nullable {
		place, err = e.textCategories(from, c.Categories, other, null)
	} else {
		place = e.labels(from.name, "keys_strings", c.Categories, upTo(len(c.Categories)), other)
	}
	depth := e.graph.Constant(e.name("depth"), onnx.Tensor{Shape: []int64{1}, Int64s: []int64{int64(width)}})
	values := e.graph.Constant(e.name("values"), onnx.Tensor{Shape: []int64{2}, Floats: []float32{0, 1}})
	hot := e.node("OneHot", []string{place, depth, values}, onnx.Attribute{Name: "axis", Value: int64(-1)})
	shape := e.graph.Constant(e.name("shape"), onnx.Tensor{Shape: []int64{2}, Int64s: []int64{-1, int64(width)}})
	return e.op("Reshape", hot, shape), err
}

// network writes the embeddings and the layers, and returns the sums of the last one.
func (e *exporter) network(n *neural.Description, x string) string {
	if len(n.Tables) > 0 {
		x = e.embeddings(n, x)
	}
	for i, l := range n.Layers {
		w := e.graph.Constant(fmt.Sprintf("layers.%d.weight", i), onnx.Tensor{Shape: []int64{int64(l.Out), int64(l.In)}, Floats: l.Weight})
		y := e.node("Gemm", []string{x, w, e.vector(fmt.Sprintf("layers.%d.bias", i), l.Bias)}, onnx.Attribute{Name: "transB", Value: int64(1)})
		if l.Norm != nil {
			y = e.norm(i, l.Norm, y)
		}
		y = e.activation(l.Activation, y)
		if l.Joins {
			y = e.node("Add", []string{x, y})
		}
		x = y
	}
	return x
}

func (e *exporter) vector(name string, v []float32) string {
	return e.graph.Constant(name, onnx.Tensor{Shape: []int64{int64(len(v))}, Floats: v})
}

func (e *exporter) norm(i int, n *neural.Normalisation, x string) string {
	name := func(what string) string { return fmt.Sprintf("norms.%d.%s", i, what) }
	inputs := []string{x, e.vector(name("weight"), n.Scale), e.vector(name("bias"), n.Shift)}
	epsilon := onnx.Attribute{Name: "epsilon", Value: n.Epsilon}
	if n.Kind == neural.LayerNorm {
		return e.node("LayerNormalization", inputs, epsilon)
	}
	return e.node("BatchNormalization", append(inputs, e.vector(name("running_mean"), n.Mean), e.vector(name("running_var"), n.Variance)), epsilon)
}

// embeddings writes the first layer's input: features without a table, and then the
// rows of those with one.
func (e *exporter) embeddings(n *neural.Description, x string) string {
	axis := onnx.Attribute{Name: "axis", Value: int64(1)}
	take := func(features ...int64) string {
		return e.node("Gather", []string{x, e.graph.Constant(e.name("places"), onnx.Tensor{Shape: []int64{int64(len(features))}, Int64s: features})}, axis)
	}
	var plain []int64
	for f := range n.NumFeatures {
		if !slices.ContainsFunc(n.Tables, func(t neural.Table) bool { return t.Feature == f }) {
			plain = append(plain, int64(f))
		}
	}
	var blocks []string
	if len(plain) > 0 {
		blocks = append(blocks, take(plain...))
	}
	flat := e.graph.Constant(e.name("flat"), onnx.Tensor{Shape: []int64{1}, Int64s: []int64{-1}})
	for i, t := range n.Tables {
		code, last := take(int64(t.Feature)), e.float(float32(t.Codes-1))
		known := e.node("And", []string{e.node("GreaterOrEqual", []string{code, e.float(0)}), e.node("LessOrEqual", []string{code, last})})
		row := e.node("Reshape", []string{e.cast(e.node("Where", []string{known, code, last}), onnx.Int64), flat})
		table := e.graph.Constant(fmt.Sprintf("embeddings.%d.weight", i), onnx.Tensor{Shape: []int64{int64(t.Codes), int64(t.Size)}, Floats: t.Rows})
		blocks = append(blocks, e.node("Gather", []string{table, row}, onnx.Attribute{Name: "axis", Value: int64(0)}))
	}
	return e.node("Concat", blocks, axis)
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
