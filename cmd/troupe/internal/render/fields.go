package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// value is a JSON value that keeps the order of its keys.
type value struct {
	scalar any // nil, bool, string, json.Number
	list   []value
	keys   []string // of an object
	values []value
	kind   byte // 's' scalar, '[' list, '{' object
}

// decode reads one JSON document.
func decode(text []byte) (value, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := next(d)
	if err != nil {
		return v, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return v, errors.New("more than one JSON document")
	}
	return v, nil
}

func next(d *json.Decoder) (value, error) {
	t, err := d.Token()
	if err != nil {
		return value{}, err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return value{scalar: t, kind: 's'}, nil
	}
	v := value{kind: byte(delim)}
	for d.More() {
		if v.kind == '{' {
			key, err := d.Token()
			if err != nil {
				return v, err
			}
			v.keys = append(v.keys, fmt.Sprint(key))
		}
		item, err := next(d)
		if err != nil {
			return v, err
		}
		if v.kind == '{' {
			v.values = append(v.values, item)
		} else {
			v.list = append(v.list, item)
		}
	}
	_, err = d.Token()
	return v, err
}

// fields shows any JSON: an object as facts, its lists and objects of objects
// as tables of their own, a list of objects as a table.
func fields(text []byte) ([]Section, error) {
	v, err := decode(text)
	if err != nil {
		return nil, err
	}
	switch {
	case v.kind == '{':
		return objectSections(v), nil
	case v.isRows():
		return []Section{rowsOf("", v)}, nil
	case v.kind == '[' && len(v.list) == 0:
		return []Section{{Text: "none"}}, nil
	default:
		return []Section{{Text: Clean(v.inline())}}, nil
	}
}

func objectSections(v value) []Section {
	first, rest := Section{}, []Section(nil)
	for i, key := range v.keys {
		switch item := v.values[i]; {
		case item.isRows():
			rest = append(rest, rowsOf(heading(key), item))
		case item.kind == '{' && len(item.keys) > 0:
			rest = append(rest, mapOf(heading(key), item))
		default:
			first.Facts = append(first.Facts, Fact{heading(key), item.inline()})
		}
	}
	if len(first.Facts) == 0 {
		return rest
	}
	return append([]Section{first}, rest...)
}

// isRows reports whether v is a list of one or more objects.
func (v value) isRows() bool {
	for _, item := range v.list {
		if item.kind != '{' {
			return false
		}
	}
	return v.kind == '[' && len(v.list) > 0
}

func rowsOf(title string, v value) Section {
	s := Section{Title: title}
	var keys []string
	numeric := map[string]bool{}
	for _, row := range v.list {
		for i, key := range row.keys {
			_, isNumber := row.values[i].scalar.(json.Number)
			if before, known := numeric[key]; known {
				numeric[key] = before && isNumber
				continue
			}
			keys = append(keys, key)
			numeric[key] = isNumber
		}
	}
	for _, key := range keys {
		s.Columns = append(s.Columns, Column{heading(key), numeric[key]})
	}
	for _, row := range v.list {
		cells := make([]string, len(keys))
		for i, key := range keys {
			cells[i] = row.at(key).inline()
		}
		s.Rows = append(s.Rows, cells)
	}
	return s
}

// mapOf shows an object: of objects as rows with the key ahead, else as facts.
func mapOf(title string, v value) Section {
	rows := value{kind: '['}
	for i, key := range v.keys {
		item := v.values[i]
		if item.kind != '{' || len(item.keys) == 0 {
			rows.list = nil
			break
		}
		named := value{kind: '{', keys: append([]string{"name"}, item.keys...),
			values: append([]value{{kind: 's', scalar: key}}, item.values...)}
		rows.list = append(rows.list, named)
	}
	if len(rows.list) > 0 {
		return rowsOf(title, rows)
	}
	s := Section{Title: title}
	for i, key := range v.keys {
		s.Facts = append(s.Facts, Fact{"  " + heading(key), v.values[i].inline()})
	}
	return s
}

func (v value) at(key string) value {
	for i, k := range v.keys {
		if k == key {
			return v.values[i]
		}
	}
	return value{kind: 's'}
}

// inline writes a value on one line.
func (v value) inline() string {
	switch v.kind {
	case '[':
		parts := make([]string, len(v.list))
		for i, item := range v.list {
			parts[i] = item.inline()
		}
		return strings.Join(parts, ", ")
	case '{':
		parts := make([]string, len(v.keys))
		for i, key := range v.keys {
			parts[i] = key + "=" + v.values[i].inline()
		}
		return strings.Join(parts, " ")
	}
	if v.scalar == nil {
		return ""
	}
	return fmt.Sprint(v.scalar)
}

// heading writes a JSON key as people do.
func heading(key string) string { return strings.ReplaceAll(key, "_", " ") }
