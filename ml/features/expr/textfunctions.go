package expr

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/troupe-ml/troupe/data"
)

// Bounds: of texts that grow, beyond which they are null, and of patterns.
const (
	maxMade    = 1 << 20 // bytes
	maxPattern = 1000    // bytes
)

// texts is a function of texts as a node.
func (c *checker) texts(out kind, args []term, run rowFunc) node {
	return textNode{args: args, out: out, run: run, slot: c.slot()}
}

// ofTexts is a function whose arguments are of the kinds given.
func ofTexts(name, usage string, least int, kinds []kind, out kind, run rowFunc) function {
	return function{least, len(kinds), usage, func(c *checker, _ *tree, args []term) term {
		in := make([]term, len(args))
		for i, a := range args {
			in[i] = c.want(name, a, kinds[i])
		}
		return term{typ: typ{kind: out}, node: c.texts(out, in, run), cost: 4}
	}}
}

func textFunctions() map[string]function {
	one1, two := []kind{textKind}, []kind{textKind, textKind}
	change := func(name string, of func(s string) string) function {
		return ofTexts(name, name+"(a)", 1, one1, textKind, func(a []cell) (cell, bool) { return cell{s: of(a[0].s)}, true })
	}
	test := func(name string, of func(s, t string) bool) function {
		return ofTexts(name, name+"(a, 'text')", 2, two, truthKind, func(a []cell) (cell, bool) { return cell{t: no - one(of(a[0].s, a[1].s))}, true })
	}
	return map[string]function{
		"lower":       change("lower", strings.ToLower),
		"upper":       change("upper", strings.ToUpper),
		"trim":        change("trim", strings.TrimSpace),
		"contains":    test("contains", strings.Contains),
		"starts_with": test("starts_with", strings.HasPrefix),
		"ends_with":   test("ends_with", strings.HasSuffix),
		"length": ofTexts("length", "length(a)", 1, one1, intKind, func(a []cell) (cell, bool) {
			return cell{i: int64(utf8.RuneCountInString(a[0].s))}, true
		}),
		"substr":  ofTexts("substr", "substr(a, 1, 3)", 2, []kind{textKind, intKind, intKind}, textKind, substr),
		"replace": ofTexts("replace", "replace(a, 'old', 'new')", 3, []kind{textKind, textKind, textKind}, textKind, replace),
		"matches": {2, 2, "matches(a, 'pattern')", matches},
	}
}

func (c *checker) concat(a, b term) term {
	return term{typ: a.typ, cost: 4, node: c.texts(textKind, []term{a, b}, func(args []cell) (cell, bool) {
		if len(args[0].s)+len(args[1].s) > maxMade {
			return cell{}, false
		}
		return cell{s: args[0].s + args[1].s}, true
	})}
}

// substr is the characters from a place on, counted from 1 or, when it is
// negative, from the end; at most so many.
func substr(a []cell) (cell, bool) {
	s, from := a[0].s, a[1].i
	length := int64(math.MaxInt64)
	if len(a) > 2 {
		length = a[2].i
	}
	if from == 0 || length < 0 {
		return cell{}, false
	}
	if from < 0 {
		from = max(int64(utf8.RuneCountInString(s))+from, 0)
	} else {
		from--
	}
	return cell{s: head(tail(s, from), length)}, true
}

// tail returns s without its first n characters, and head these.
func tail(s string, n int64) string { return s[len(head(s, n)):] }

func head(s string, n int64) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

func replace(a []cell) (cell, bool) {
	s, old, changed := a[0].s, a[1].s, a[2].s
	if old == "" {
		return cell{s: s}, true
	}
	if n := strings.Count(s, old); n > 0 && len(s)+n*(len(changed)-len(old)) > maxMade {
		return cell{}, false
	}
	return cell{s: strings.ReplaceAll(s, old, changed)}, true
}

// matches is whether a regular expression is found in a text.
func matches(c *checker, _ *tree, args []term) term {
	a := c.want("matches", args[0], textKind)
	pattern := args[1]
	l, ok := pattern.literal()
	switch {
	case !ok || pattern.kind != textKind || l.null:
		fail(pattern.at, "matches takes a pattern that is the same for all rows, in single quotes", "")
	case len(l.s) > maxPattern:
		fail(pattern.at, fmt.Sprintf("the pattern has %d bytes; at most %d are allowed", len(l.s), maxPattern), "")
	}
	re, err := regexp.Compile(l.s)
	if err != nil {
		fail(pattern.at, strings.TrimPrefix(err.Error(), "error parsing regexp: "), "patterns are those of RE2")
	}
	return term{typ: typ{kind: truthKind}, cost: 10, node: c.texts(truthKind, []term{a}, func(args []cell) (cell, bool) {
		return cell{t: no - one(re.MatchString(args[0].s))}, true
	})}
}

// toText is string(a).
func toText(c *checker, _ *tree, args []term) term {
	a := c.want("string", args[0], textKind, truthKind, intKind, floatKind, timeKind, dateKind)
	write := map[kind]rowFunc{
		truthKind: func(a []cell) (cell, bool) { return cell{s: strconv.FormatBool(a[0].t == yes)}, true },
		intKind:   func(a []cell) (cell, bool) { return cell{s: strconv.FormatInt(a[0].i, 10)}, true },
		floatKind: func(a []cell) (cell, bool) { return cell{s: formatFloat(a[0].f)}, a[0].f == a[0].f },
		dateKind: func(a []cell) (cell, bool) {
			return cell{s: time.Unix(a[0].i*86400, 0).UTC().Format(time.DateOnly)}, true
		},
		timeKind: func(cells []cell) (cell, bool) {
			s := time.UnixMicro(cells[0].i).UTC().Format("2006-01-02T15:04:05.999999")
			if a.utc {
				s += "Z"
			}
			return cell{s: s}, true
		},
	}
	if a.kind == textKind {
		return a
	}
	return term{typ: typ{kind: textKind}, node: c.texts(textKind, []term{a}, write[a.kind]), cost: 20}
}

// formatFloat writes a number as people do, and so that it comes back to the bit.
func formatFloat(v float64) string {
	switch a := math.Abs(v); {
	case v == 0:
		return "0" // not -0
	case math.IsInf(v, 0):
		return map[bool]string{true: "inf", false: "-inf"}[v > 0]
	case a >= 1e-6 && a < 1e21:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func readDate(a []cell) (cell, bool) {
	d, err := data.ParseDate(strings.TrimSpace(a[0].s))
	return cell{i: int64(d)}, err == nil
}
