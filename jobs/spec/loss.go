package spec

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// The losses of a regression.
const (
	mse      = "mse"
	mae      = "mae"
	huber    = "huber"
	quantile = "quantile"
)

// Loss is what a network minimises in a regression.
type Loss struct {
	Kind      string  // mse, mae, huber or quantile
	Parameter float64 // huber's delta, or the quantile
}

// lossRules bound the parameters.
var lossRules = map[string]*rule{huber: {max: math.MaxFloat32, openLo: true}, quantile: {max: 1, openLo: true, openR: true}}

// MarshalJSON writes the word, or the mapping of it to its parameter.
func (l Loss) MarshalJSON() ([]byte, error) {
	if lossRules[l.Kind] == nil {
		return json.Marshal(l.Kind)
	}
	return json.Marshal(map[string]float64{l.Kind: l.Parameter})
}

// schema says the same as decode.
func (*Loss) schema() map[string]any {
	of := []any{map[string]any{"enum": []string{mse, mae, huber}}}
	for _, kind := range []string{huber, quantile} {
		number := lossRules[kind].bounded(map[string]any{"type": "number"})
		of = append(of, map[string]any{"type": "object", "required": []string{kind}, "properties": map[string]any{kind: number}, "additionalProperties": false})
	}
	return map[string]any{"anyOf": of}
}

// otherNames are what other programs call the losses.
var otherNames = map[string]string{
	"l1": mae, "l1loss": mae, "absolute_error": mae, "mean_absolute_error": mae, "regression_l1": mae,
	"l2": mse, "mseloss": mse, "squared_error": mse, "mean_squared_error": mse,
	"huberloss": huber, "smooth_l1": huber, "smoothl1loss": huber, "pinball": quantile,
}

// meant is a hint at the loss that a word is for.
func meant(word string, known []string) string {
	if name, ok := otherNames[strings.ToLower(word)]; ok {
		return map[string]string{mse: "write mse", mae: "write mae", huber: "write {huber: 1}", quantile: "write {quantile: 0.9}"}[name]
	}
	return suggestOnly(word, known)
}

func (l *Loss) decode(d *decoder, n *node, path string) {
	kinds := []string{mse, mae, huber, quantile}
	switch {
	case n.shape == shapeText && contains([]string{mse, mae, huber}, n.text):
		l.Kind = n.text
		if l.Kind == huber {
			l.Parameter = 1
		}
	case n.shape == shapeText && n.text == quantile:
		d.fault(n.at, path, "quantile needs to know which", "write it as {quantile: 0.9}")
	case n.shape == shapeText:
		d.fault(n.at, path, fmt.Sprintf("%q is not one of mse, mae, huber, {huber: DELTA}, {quantile: Q}", clip(n.text)), meant(n.text, kinds))
	case n.shape == shapeMap && len(n.entries) == 1:
		e := n.entries[0]
		r := lossRules[e.key]
		switch {
		case e.key == mse || e.key == mae:
			d.fault(e.at, join(path, e.key), "has no parameter", "write loss: "+e.key)
			return
		case r == nil:
			d.fault(e.at, join(path, e.key), "unknown loss with a parameter; expected huber or quantile", meant(e.key, []string{huber, quantile}))
			return
		}
		if v, ok := d.float(r, e.value, join(path, e.key)); ok {
			l.Kind, l.Parameter = e.key, v
		}
	default:
		d.fault(n.at, path, fmt.Sprintf("expected mse, mae, huber, {huber: DELTA} or {quantile: Q}, found %v", n), "")
	}
}

// metric names the metric that a loss has of its own, if it has one.
func (l *Loss) metric() []string {
	switch {
	case l != nil && l.Kind == huber:
		return []string{"huber_loss"}
	case l != nil && l.Kind == quantile:
		return []string{"pinball_loss"}
	}
	return nil
}
