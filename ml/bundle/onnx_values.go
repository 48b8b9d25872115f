package bundle

import (
	"math"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/onnx"
)

// value is a column in the graph, of shape (rows, 1).
type value struct {
	// name is that of numbers and truths as doubles, texts as strings, or
	// microseconds and days of times as int64s.
	name     string
	kind     data.Type
	nullable bool
	utc      bool   // of a timestamp that is an instant
	whole    string // of whole numbers that were computed as such: int64s
	// null says where there is no value; without it name does, which then is NaN,
	// the empty text or the least int64.
	null   string
	merged bool // of texts: a column's empty ones were taken for nulls
	empty  bool // of them: some training rows are known to be empty
}

// noTime is the null of times: the one that NumPy calls NaT.
const noTime = math.MinInt64

// source returns a column: of the features, or of the signature, whose input it
// declares when it is first asked for.
func (e *exporter) source(name string) (value, error) {
	if v, ok := e.values[name]; ok {
		return v, nil
	}
	at := e.bundle.Signature.Index(name)
	if at < 0 {
		return value{}, fault.New(fault.Internal, "there is no column %q", name)
	}
	f := e.bundle.Signature.Fields[at]
	kind := onnx.Double
	switch f.Type {
	case data.String:
		kind = onnx.String
	case data.Timestamp, data.Date:
		kind = onnx.Int64
	}
	e.graph.Input(name, kind, 1)
	v := value{name: name, kind: f.Type, nullable: f.Nullable, utc: f.UTC, merged: f.Nullable && f.Type == data.String}
	if v.merged && e.bundle.Profile != nil {
		v.empty = e.bundle.Profile.HasText(name, "")
	}
	if f.Type == data.Float32 { // to its precision, whatever a program has it as
		v.name = e.cast(e.cast(name, onnx.Float), onnx.Double)
	}
	e.values[name] = v
	return v, nil
}

// missing writes the truths that say where a column has no value.
func (e *exporter) missing(v value) string {
	switch {
	case v.null != "":
		return v.null
	case v.kind == data.String && !v.nullable:
		known := e.labels(v.name, "keys_strings", []string{""}, []int64{0}, 0)
		return e.op("Less", known, known) // false
	case v.kind == data.String:
		return e.op("Equal", e.labels(v.name, "keys_strings", []string{""}, []int64{1}, 0), e.integer(1))
	case (v.kind == data.Timestamp || v.kind == data.Date) && !v.nullable:
		return e.op("Less", v.name, v.name)
	case v.kind == data.Timestamp || v.kind == data.Date:
		return e.op("Equal", v.name, e.integer(noTime))
	}
	return e.op("IsNaN", v.name)
}

// integers writes whole numbers, truths, microseconds or days as int64s; what
// they are where one is missing says nothing.
func (e *exporter) integers(v value, missing string) string {
	switch {
	case v.whole != "":
		return v.whole
	case v.kind == data.Timestamp || v.kind == data.Date:
		return e.op("Where", missing, e.integer(0), v.name)
	}
	return e.cast(e.op("Where", missing, e.double(0), v.name), onnx.Int64)
}

func (e *exporter) op(operator string, inputs ...string) string { return e.node(operator, inputs) }

func (e *exporter) integer(v int64) string {
	return e.graph.Constant(e.name("integer"), onnx.Tensor{Shape: []int64{1, 1}, Int64s: []int64{v}})
}

func (e *exporter) text(s string) string {
	return e.graph.Constant(e.name("text"), onnx.Tensor{Shape: []int64{1, 1}, Strings: []string{s}})
}

func (e *exporter) nan() string { return e.double(math.NaN()) }
