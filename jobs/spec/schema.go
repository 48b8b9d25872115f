package spec

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Schema returns the JSON Schema (draft 2020-12) of a kind's documents, which
// editors use to complete and check them. It says what Parse says of single
// fields; what two fields owe each other is for Parse alone. An unknown kind is
// an error of kind Invalid.
func Schema(kind Kind) ([]byte, error) {
	s := Spec{Kind: kind}
	body := s.body()
	if !body.IsValid() {
		return nil, fault.New(fault.Invalid, "schema: there is no kind %q; %s", kind, suggest(string(kind), kindNames()))
	}
	out := structSchema(body.Elem().Type())
	head := structSchema(reflect.TypeFor[header]())
	properties := out["properties"].(map[string]any)
	for name, p := range head["properties"].(map[string]any) {
		properties[name] = p
	}
	properties["kind"] = map[string]any{"const": string(kind), "description": "the kind of job"}
	out["required"] = append([]string{"kind", "name"}, out["required"].([]string)...)
	out["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	out["title"] = fmt.Sprintf("A %s job of Troupe", kind)
	return json.MarshalIndent(out, "", "  ")
}

// schemer is a type whose schema is not that of its fields.
type schemer interface{ schema() map[string]any }

func structSchema(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, r := range rulesOf(t) {
		p := typeSchema(r.typ, &r)
		if r.where != "" {
			p = map[string]any{"anyOf": []any{p, map[string]any{
				"type": "object", "required": []string{"path"}, "additionalProperties": false,
				"properties": map[string]any{"path": typeSchema(r.typ, &r), "where": new(Where).schema(), "explode": map[string]any{"type": "string", "minLength": 1}},
			}}}
		}
		p["description"] = r.doc
		if r.fallback != "" {
			p["default"] = valueNode(r.fallback).any()
		}
		properties[r.name] = p
		if r.required {
			required = append(required, r.name)
		}
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	out["required"] = required
	return out
}

func typeSchema(t reflect.Type, r *rule) map[string]any {
	if s, ok := reflect.New(t).Interface().(schemer); ok {
		return s.schema()
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeSchema(t.Elem(), r)
	case reflect.Struct:
		return structSchema(t)
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		return r.bounded(map[string]any{"type": "integer"})
	case reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Float64:
		return r.bounded(map[string]any{"type": "number"})
	case reflect.Slice:
		out := map[string]any{"type": "array", "items": typeSchema(t.Elem(), r)}
		if r.least > 0 {
			out["minItems"] = r.least
		}
		if r.most > 0 {
			out["maxItems"] = r.most
		}
		return out
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": typeSchema(t.Elem(), r)}
	}
	out := map[string]any{"type": "string", "minLength": 1}
	if len(r.enum) > 0 {
		out = map[string]any{"enum": r.enum}
	}
	if r.isName {
		out["pattern"], out["maxLength"] = "^[A-Za-z0-9][A-Za-z0-9_-]*$", 100
	}
	return out
}

// bounded adds the rule's range to a schema of a number.
func (r *rule) bounded(out map[string]any) map[string]any {
	if !math.IsInf(r.min, -1) {
		out[map[bool]string{false: "minimum", true: "exclusiveMinimum"}[r.openLo]] = r.min
	}
	if !math.IsInf(r.max, 1) {
		out[map[bool]string{false: "maximum", true: "exclusiveMaximum"}[r.openR]] = r.max
	}
	return out
}

// any returns the node as encoding/json would decode it, with numbers as they
// are written. What JSON has no number for (.inf, -.inf and .nan) is text.
func (n *node) any() any {
	switch n.shape {
	case shapeBool:
		return n.truth
	case shapeInt:
		return json.Number(strconv.FormatFloat(n.number, 'f', -1, 64))
	case shapeFloat:
		switch {
		case math.IsInf(n.number, 1):
			return ".inf"
		case math.IsInf(n.number, -1):
			return "-.inf"
		case math.IsNaN(n.number):
			return ".nan"
		}
		return n.number
	case shapeText:
		return n.text
	case shapeList:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = item.any()
		}
		return out
	case shapeMap:
		out := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			out[e.key] = e.value.any()
		}
		return out
	}
	return nil
}
