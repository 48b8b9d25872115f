package spec

import (
	"errors"
	"fmt"

	"github.com/troupe-ml/troupe/data"
)

// Where is a condition on the rows of an input, in its canonical text; the empty
// one keeps every row. See data.ParsePredicate for the language.
type Where string

// Predicate returns the condition, or nil when every row is kept. It is an error
// of kind Invalid when the text was not made by Parse and is no condition.
func (w Where) Predicate() (*data.Predicate, error) {
	if w == "" {
		return nil, nil
	}
	return data.ParsePredicate(string(w))
}

// decode reads the condition and keeps its canonical text, so that equal
// conditions are equal specs.
func (w *Where) decode(d *decoder, n *node, path string) {
	if n.shape != shapeText && n.shape != shapeBool {
		d.fault(n.at, path, fmt.Sprintf("expected a condition, found %v", n), "write it as amount > 100 and country in ('DE', 'FR')")
		return
	}
	p, err := data.ParsePredicate(n.text)
	var wrong *data.SyntaxError
	if errors.As(err, &wrong) {
		at, message := n.at, wrong.Message
		if n.plain {
			at.column += wrong.Offset
		} else { // quotes and folded lines move the text about
			message = fmt.Sprintf("character %d: %s", wrong.Offset+1, message)
		}
		d.fault(at, path, message, wrong.Hint)
		return
	}
	*w = Where(p.String())
}

func (*Where) schema() map[string]any {
	return map[string]any{"type": "string", "minLength": 1}
}

// lift writes an input that is given as {path: ..., where: ..., explode: ...} as
// the fields that it is short for.
func (d *decoder) lift(n *node, r *rule, path string) *node {
	value := n.lookup(r.name)
	if r.where == "" || value == nil || value.shape != shapeMap {
		return n
	}
	at := join(path, r.name)
	out := &node{at: n.at, shape: shapeMap}
	for _, e := range n.entries {
		if e.key != r.name {
			out.entries = append(out.entries, e)
		}
	}
	// What stands for a path that is missing keeps a second fault away.
	file := entry{r.name, value.at, &node{at: value.at, shape: shapeText, text: "missing"}}
	if value.lookup("path") == nil {
		d.fault(value.at, join(at, "path"), "missing", "it is "+r.doc)
	}
	for _, e := range value.entries {
		switch e.key {
		case "path":
			file.value = e.value
		case "where", "explode":
			field := map[string]string{"where": r.where, "explode": r.explode}[e.key]
			if n.lookup(field) != nil {
				d.fault(e.at, join(at, e.key), fmt.Sprintf("given beside %s", field), "give one of the two")
				continue
			}
			out.entries = append(out.entries, entry{field, e.at, e.value})
		default:
			d.fault(e.at, join(at, e.key), "unknown field", suggest(e.key, []string{"path", "where", "explode"}))
		}
	}
	out.entries = append(out.entries, file)
	return out
}
