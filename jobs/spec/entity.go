package spec

import (
	"reflect"

	"github.com/troupe-ml/troupe/ml/features"
)

// Entity is the columns that say together whom a row belongs to; files write one
// as a text, several as a list.
type Entity []string

// MarshalJSON writes one column as a text, and several as a list.
func (e Entity) MarshalJSON() ([]byte, error) { return features.Entity(e).MarshalJSON() }

func (e *Entity) decode(d *decoder, n *node, path string) {
	columns := reflect.ValueOf(e).Elem()
	if n.shape == shapeList {
		d.list(columns, &rule{least: 1}, n, path)
	} else {
		*e = make(Entity, 1)
		d.text(columns.Index(0), &rule{}, n, path)
	}
	if contains(*e, "") {
		*e = nil // which is reported
	} else if len(*e) > 1 {
		d.checkNames(*e, path, n)
	}
}

// schema says the same as decode.
func (*Entity) schema() map[string]any {
	text := map[string]any{"type": "string", "minLength": 1}
	return map[string]any{"anyOf": []any{text, map[string]any{"type": "array", "minItems": 1, "uniqueItems": true, "items": text}}}
}
