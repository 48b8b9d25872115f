package spec

import (
	"reflect"
	"slices"
	"strings"
)

// The kinds of model.
const (
	MLP    = "mlp"
	Linear = "linear"
)

// fillModel sets what depends on the kind of model.
func fillModel(m *Model, n *node) {
	if m.Type != Linear {
		return
	}
	if !n.gives("model", "hidden") {
		m.Hidden = []int{}
	}
	if m.L2 == nil {
		one := 1.0
		m.L2 = &one
	}
}

// ofNetworks are the fields of a train spec that say how a network learns.
var ofNetworks = []string{"optimizer", "scheduler", "epochs", "batch_size", "early_stopping"}

// checkModelKind reports settings of another kind of model than the spec has. Those that
// have their default are let pass: a canonical spec names them all.
func (d *decoder) checkModelKind(t *Train, n *node) {
	if t.Model.Type != Linear {
		if t.Model.L2 != nil {
			d.fault(n.atField("model", "l2"), "model.l2", "is of linear models, and this is a network", "use optimizer.weight_decay")
		}
		if t.Model.L1 != nil {
			d.fault(n.atField("model", "l1"), "model.l1", "is of linear models, and this is a network", "remove it")
		}
		return
	}
	if l := t.Loss; l != nil && l.Kind != huber {
		d.fault(n.atField("loss"), "loss", l.Kind+" is of networks, and a linear model has mse or huber", "use a network without hidden layers, which is linear, too: model: {type: mlp, hidden: []}")
	}
	usual := defaults[Train]()
	usual.Model = defaults[Model]()
	usual.Model.Type, usual.Model.L1, usual.Model.L2, usual.Model.Hidden = t.Model.Type, t.Model.L1, t.Model.L2, []int{}
	d.onlyOfNetworks(reflect.ValueOf(t.Model), reflect.ValueOf(usual.Model), n, "model")
	d.onlyOfNetworks(reflect.ValueOf(*t), reflect.ValueOf(usual), n)
}

// ofNoUse is a hint at what to do with a field that a linear model does not read.
func ofNoUse(name string) string {
	if name == "optimizer" || name == "epochs" { // those who give them want steps
		return "remove it, or learn in steps: model: {type: mlp, hidden: []}"
	}
	return "remove it"
}

// defaults returns a value whose fields are as if none of them was given.
func defaults[T any]() (v T) {
	(&decoder{}).object(reflect.ValueOf(&v).Elem(), &node{shape: shapeMap}, "")
	return v
}

// onlyOfNetworks reports fields that are not as usual: all, or of a whole train spec
// those that are networks'.
func (d *decoder) onlyOfNetworks(have, usual reflect.Value, n *node, path ...string) {
	for _, r := range rulesOf(have.Type()) {
		if len(path) == 0 && !slices.Contains(ofNetworks, r.name) {
			continue
		}
		if !reflect.DeepEqual(have.Field(r.index).Interface(), usual.Field(r.index).Interface()) {
			at := append(slices.Clone(path), r.name)
			d.fault(n.atField(at...), strings.Join(at, "."), "is of networks, and the model is linear, which is fitted until nothing is lower", ofNoUse(r.name))
		}
	}
}
