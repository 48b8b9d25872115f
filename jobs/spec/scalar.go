package spec

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// The scalars of YAML 1.2's core schema. The parser's own reading is that of
// YAML 1.1, in which 012 is ten and 1e-3 is text; people mean twelve and a
// thousandth.
var (
	decimal     = regexp.MustCompile(`^[-+]?[0-9]+$`)
	octal       = regexp.MustCompile(`^0o[0-7]+$`)
	hexadecimal = regexp.MustCompile(`^0x[0-9a-fA-F]+$`)
	float       = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	infinity    = regexp.MustCompile(`^[-+]?\.(inf|Inf|INF)$`)
)

// plainScalar sets n to what an unquoted scalar means.
func plainScalar(n *node, text string) {
	n.text, n.plain, n.shape = text, true, shapeText
	switch text {
	case "", "~", "null", "Null", "NULL":
		n.shape = shapeNull
	case "true", "True", "TRUE", "false", "False", "FALSE":
		n.shape, n.truth = shapeBool, strings.EqualFold(text, "true")
	case ".nan", ".NaN", ".NAN":
		n.shape, n.number = shapeFloat, math.NaN()
	default:
		plainNumber(n, text)
	}
}

func plainNumber(n *node, text string) {
	switch {
	case decimal.MatchString(text):
		n.shape = shapeInt
		n.number, _ = strconv.ParseFloat(text, 64) // out of range is an infinity, which no integer field takes
	case octal.MatchString(text), hexadecimal.MatchString(text):
		u, err := strconv.ParseUint(text, 0, 64)
		if err != nil {
			return
		}
		n.shape, n.number, n.text = shapeInt, float64(u), strconv.FormatUint(u, 10)
	case infinity.MatchString(text):
		n.shape, n.number = shapeFloat, math.Inf(1)
		if text[0] == '-' {
			n.number = math.Inf(-1)
		}
	case float.MatchString(text):
		n.shape = shapeFloat
		n.number, _ = strconv.ParseFloat(text, 64)
		if math.IsInf(n.number, 0) {
			n.overflow = true
		}
	}
}
