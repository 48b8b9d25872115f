package expr_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/ml/features/expr"
)

// written is a node as a text: calls with their types, literals by their values.
func written(n *expr.Node) string {
	switch {
	case n.Literal():
		return fmt.Sprintf("%v %v", n.Type, n.Value)
	case n.Column != "":
		return n.Column + " " + n.Type.String()
	}
	var of []string
	for _, a := range n.Of {
		of = append(of, written(a))
	}
	return fmt.Sprintf("%s(%s) %v", n.Call, strings.Join(of, ", "), n.Type)
}

func TestAProgramShowsItsTree(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"i + 1":                                     "+(i int32, int64 1) int64",
		"f > 0.5 and not yes":                       "and(>(f float32, float64 0.5) bool, not(yes bool) bool) bool",
		"if(yes, -j, 2 ** 3 + 0.5)":                 "if(yes bool, -x(j int64) int64, float64 8.5) float64",
		"s in ('a', 'b') ? null : s":                "if(in(s string, string a, string b) bool, bool <nil>, s string) string",
		"coalesce(x, 1 / 0)":                        "coalesce(x float64, float64 <nil>) float64",
		"day between '2024-01-02' and '2024-01-03'": "between(day date, string 2024-01-02, string 2024-01-03) bool",
		"at + 5":            "+(at timestamp, int64 5) timestamp",
		"coalesce(b0, 1=1)": "coalesce(b0 bool, bool true) bool",
	} {
		p, err := expr.Compile(text, table(t).Schema)
		require.NoError(t, err, text)
		require.Equal(t, want, written(p.Tree()), text)
		require.Equal(t, p.Field().Type, p.Tree().Type, text)
		require.Equal(t, p.Field().UTC, p.Tree().UTC, text)
	}
}

func TestWhatIsWrittenAlikeIsOneNode(t *testing.T) {
	t.Parallel()
	p, err := expr.Compile("(x + 1) * (x + 1)", table(t).Schema)
	require.NoError(t, err)
	require.Same(t, p.Tree().Of[0], p.Tree().Of[1])
}
