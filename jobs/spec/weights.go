package spec

import (
	"encoding/json"
	"fmt"
)

// balanced is the word for weights that follow from the training rows.
const balanced = "balanced"

// ClassWeights says how much the rows of classes count in the loss: in inverse
// proportion to their number when Balanced, else as Of says. Exactly one is set.
type ClassWeights struct {
	Balanced bool
	Of       map[string]float64 // by the name of the class; 1 where none is given
}

// weightRule bounds a weight.
var weightRule = rule{min: 0, max: 1e6}

// MarshalJSON writes the word or the mapping.
func (c ClassWeights) MarshalJSON() ([]byte, error) {
	if c.Balanced {
		return json.Marshal(balanced)
	}
	return json.Marshal(c.Of)
}

// schema says the same as decode.
func (*ClassWeights) schema() map[string]any {
	weight := weightRule.bounded(map[string]any{"type": "number"})
	return map[string]any{"anyOf": []any{
		map[string]any{"const": balanced},
		map[string]any{"type": "object", "minProperties": 1, "additionalProperties": weight},
	}}
}

func (c *ClassWeights) decode(d *decoder, n *node, path string) {
	switch {
	case n.shape == shapeText && n.text == balanced:
		c.Balanced = true
	case n.shape == shapeMap && len(n.entries) > 0:
		c.Of = map[string]float64{}
		for _, e := range n.entries {
			if w, ok := d.float(&weightRule, e.value, join(path, e.key)); ok {
				c.Of[e.key] = w
			}
		}
	case n.shape == shapeText:
		d.fault(n.at, path, fmt.Sprintf("%q is neither the word %s nor a mapping of class to weight", clip(n.text), balanced), suggestOnly(n.text, []string{balanced}))
	default:
		d.fault(n.at, path, fmt.Sprintf("expected the word %s, or a mapping of class to weight, found %v", balanced, n), "write it as {fraud: 10}; classes that are not named weigh 1")
	}
}

// checkWeights reports weights of classes where there are none, and a column of
// rows' weights that plays another part.
func (d *decoder) checkWeights(t *Train, n *node) {
	if t.Weight != "" {
		switch t.Weight {
		case t.Target:
			d.fault(n.atField("weight"), "weight", fmt.Sprintf("%q is the target", t.Weight), "name another column")
		case t.Split.Column:
			d.fault(n.atField("weight"), "weight", fmt.Sprintf("%q is the column that rows are split by", t.Weight), "name another column")
		case t.Timestamp:
			d.fault(n.atField("weight"), "weight", fmt.Sprintf("%q is the timestamp", t.Weight), "name another column")
		}
		if contains(t.Columns.Include, t.Weight) {
			d.fault(n.atField("columns", "include"), "columns.include", fmt.Sprintf("%q is the rows' weight", t.Weight), "remove it")
		}
	}
	if t.Task != Regression {
		if t.Loss != nil {
			d.fault(n.atField("loss"), "loss", fmt.Sprintf("is of regressions, and the task is %s, whose loss is the cross entropy", t.Task), "remove it")
		}
		return
	}
	for _, f := range []struct {
		name  string
		given bool
	}{{"class_weights", t.ClassWeights != nil}, {"label_smoothing", t.LabelSmoothing != 0}} {
		if f.given {
			d.fault(n.atField(f.name), f.name, "needs classes, and the task is regression", "remove it")
		}
	}
}
