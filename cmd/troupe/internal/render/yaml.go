package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// toYAML writes a JSON document as YAML, with the keys in their order. Text is
// quoted whenever any reader of YAML 1.1 or 1.2 might take it for something
// else.
func toYAML(text []byte) ([]byte, error) {
	v, err := decode(text)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	writeYAML(&b, v, 0)
	return b.Bytes(), nil
}

// writeYAML writes v at an indentation, from the place where its first line
// begins to the end of its last line.
func writeYAML(b *bytes.Buffer, v value, indent int) {
	pad := strings.Repeat(" ", indent)
	switch {
	case v.kind == '{' && len(v.keys) > 0:
		for i, key := range v.keys {
			if i > 0 {
				b.WriteString(pad)
			}
			b.WriteString(plainOrQuoted(key) + ":")
			child := v.values[i]
			switch {
			case child.kind == '{' && len(child.keys) > 0:
				b.WriteString("\n" + pad + "  ")
				writeYAML(b, child, indent+2)
			case child.kind == '[' && len(child.list) > 0:
				b.WriteString("\n" + pad)
				writeYAML(b, child, indent)
			default:
				b.WriteString(" ")
				writeYAML(b, child, indent)
			}
		}
	case v.kind == '[' && len(v.list) > 0:
		for i, item := range v.list {
			if i > 0 {
				b.WriteString(pad)
			}
			b.WriteString("- ")
			writeYAML(b, item, indent+2)
		}
	default:
		b.WriteString(scalarYAML(v) + "\n")
	}
}

func scalarYAML(v value) string {
	switch {
	case v.kind == '{':
		return "{}"
	case v.kind == '[':
		return "[]"
	}
	switch s := v.scalar.(type) {
	case nil:
		return "null"
	case string:
		return plainOrQuoted(s)
	default:
		return fmt.Sprint(s)
	}
}

var (
	plainText = regexp.MustCompile(`^[A-Za-z_/.][A-Za-z0-9_./@+ -]*$`)
	reserved  = regexp.MustCompile(`^(?i:true|false|null|yes|no|on|off|y|n|\.?inf|\.?nan|[-+.].*)$`)
)

func plainOrQuoted(s string) string {
	if plainText.MatchString(s) && !reserved.MatchString(s) && !strings.HasSuffix(s, " ") {
		return s
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return `""` // cannot be: every string has a JSON form
	}
	return strings.TrimSuffix(b.String(), "\n")
}
