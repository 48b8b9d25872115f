// Package onnx writes models in the Open Neural Network Exchange format: a graph
// of operators over tensors, as one protocol buffer message. It has the messages
// and fields that exports need and no more; the same graph is the same bytes.
//
// Source: onnx.proto of ONNX 1.14 (IR version 8), whose numbers of fields and
// types these are.
package onnx

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The versions that a model is written for.
const (
	irVersion  = 8
	opset      = 17 // of ai.onnx
	mlOpset    = 3  // of ai.onnx.ml
	mlOperator = "ai.onnx.ml"
)

// Type is the type of a tensor's elements, by the number that TensorProto has.
type Type int64

// The types that are used.
const (
	Float  Type = 1
	Int64  Type = 7
	String Type = 8
	Bool   Type = 9
	Double Type = 11
)

// Graph is a model on its way. The zero value is empty and ready to use.
type Graph struct {
	nodes, constants, inputs, outputs []byte
	metadata                          []byte
}

// Tensor is a constant; exactly one of the slices is set, of as many elements as
// Shape has room for.
type Tensor struct {
	Shape   []int64
	Floats  []float32
	Doubles []float64
	Int64s  []int64
	Strings []string
	Bools   []bool
}

// Attribute is a setting of a node: an int64, a []int64, a []string, a string or
// a float32.
type Attribute struct {
	Name  string
	Value any
}

func field(b []byte, number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), content)
}

func text(b []byte, number protowire.Number, s string) []byte { return field(b, number, []byte(s)) }

func number(b []byte, field protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(v))
}

// Input adds an input of the model, of shape (rows, width).
func (g *Graph) Input(name string, t Type, width int64) {
	g.inputs = field(g.inputs, 11, valueInfo(name, t, width))
}

// Output names the result of a node as an output of the model, of shape (rows,
// width), or (rows,) when width is 0.
func (g *Graph) Output(name string, t Type, width int64) {
	g.outputs = field(g.outputs, 12, valueInfo(name, t, width))
}

func valueInfo(name string, t Type, width int64) []byte {
	shape := field(nil, 1, text(nil, 2, "rows"))
	if width > 0 {
		shape = field(shape, 1, number(nil, 1, width))
	}
	tensor := field(number(nil, 1, int64(t)), 2, shape)
	return field(text(nil, 1, name), 2, field(nil, 1, tensor))
}

// Metadata adds a key and a value for people.
func (g *Graph) Metadata(key, value string) {
	g.metadata = field(g.metadata, 14, text(text(nil, 1, key), 2, value))
}

// Constant adds a tensor under a name and returns the name.
func (g *Graph) Constant(name string, t Tensor) string {
	var b []byte
	for _, n := range t.Shape {
		b = number(b, 1, n)
	}
	var raw []byte
	switch {
	case t.Strings != nil:
		b = number(b, 2, int64(String))
		for _, s := range t.Strings {
			b = text(b, 6, s)
		}
	case t.Floats != nil:
		b = number(b, 2, int64(Float))
		for _, v := range t.Floats {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
	case t.Doubles != nil:
		b = number(b, 2, int64(Double))
		for _, v := range t.Doubles {
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
		}
	case t.Bools != nil:
		b = number(b, 2, int64(Bool))
		for _, v := range t.Bools {
			raw = append(raw, byte(protowire.EncodeBool(v)))
		}
	default:
		b = number(b, 2, int64(Int64))
		for _, v := range t.Int64s {
			raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
		}
	}
	b = text(b, 8, name)
	if raw != nil {
		b = field(b, 9, raw)
	}
	g.constants = field(g.constants, 5, b)
	return name
}

// Node adds an operator that computes output from inputs, and returns the name
// of the output.
func (g *Graph) Node(operator, output string, inputs []string, attributes ...Attribute) string {
	var b []byte
	for _, in := range inputs {
		b = text(b, 1, in)
	}
	b = text(text(text(b, 2, output), 3, output), 4, operator)
	for _, a := range attributes {
		b = field(b, 5, a.encode())
	}
	if operator == "LabelEncoder" {
		b = text(b, 7, mlOperator)
	}
	g.nodes = field(g.nodes, 1, b)
	return output
}

func (a Attribute) encode() []byte {
	b := text(nil, 1, a.Name)
	kind := int64(0)
	switch v := a.Value.(type) {
	case int64:
		b, kind = number(b, 3, v), 2
	case float32:
		b, kind = protowire.AppendFixed32(protowire.AppendTag(b, 2, protowire.Fixed32Type), math.Float32bits(v)), 1
	case string:
		b, kind = text(b, 4, v), 3
	case []int64:
		for _, n := range v {
			b = number(b, 8, n)
		}
		kind = 7
	case []string:
		for _, s := range v {
			b = text(b, 9, s)
		}
		kind = 8
	}
	return number(b, 20, kind)
}

// Encode writes the model, whose producer is named with its version.
func (g *Graph) Encode(name, producer string) []byte {
	graph := append([]byte(nil), g.nodes...)
	graph = text(graph, 2, name)
	graph = append(append(append(graph, g.constants...), g.inputs...), g.outputs...)
	b := text(number(nil, 1, irVersion), 2, producer)
	b = field(b, 7, graph)
	b = field(b, 8, number(text(nil, 1, ""), 2, opset))
	b = field(b, 8, number(text(nil, 1, mlOperator), 2, mlOpset))
	return append(b, g.metadata...)
}
