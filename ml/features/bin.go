package features

import (
	"fmt"
	"math"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

// bin names the interval that holds x.
type bin struct {
	out    data.Field
	edges  []float64
	labels []string
}

func newBin(b *builder) operation {
	o := bin{out: b.field(data.String), edges: b.numbers("edges"), labels: b.texts("labels")}
	if len(o.edges) < 2 {
		b.fault("edges: expected a list of at least two numbers, such as [0, 10, .inf]")
		return o
	}
	for i := 1; i < len(o.edges); i++ {
		if o.edges[i] <= o.edges[i-1] {
			b.fault("edges: expected ascending numbers, found %v after %v", o.edges[i], o.edges[i-1])
		}
	}
	if o.labels == nil {
		o.labels = Intervals(o.edges)
	}
	if len(o.labels) != len(o.edges)-1 {
		b.fault("labels: expected %d, one for each interval between the edges, found %d", len(o.edges)-1, len(o.labels))
	}
	return o
}

// Intervals names the intervals between edges, at least two: [0, 10], (10, 20] ...
func Intervals(edges []float64) []string {
	names := make([]string, len(edges)-1)
	for i := range names {
		opening := "("
		if i == 0 {
			opening = "["
		}
		names[i] = fmt.Sprintf("%s%s, %s]", opening, edgeText(edges[i]), edgeText(edges[i+1]))
	}
	return names
}

func edgeText(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	}
	return FormatFloat(v, 64)
}

func (o bin) outputs() []data.Field { return []data.Field{o.out} }

func (o bin) apply(in []*data.Column, numRows int) []*data.Column {
	places, values, valid := make([]uint32, numRows), floats(in[0]), in[0].Valid
	if !vector.Bin(places, values, o.edges) {
		low, high := o.edges[0], o.edges[len(o.edges)-1]
		valid = vector.Clear(valid, values, func(v float64) bool { return !(v >= low && v <= high) })
	}
	return []*data.Column{stringColumn(places, o.labels, valid)}
}
