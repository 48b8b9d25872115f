package run

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/jobs/spec"
)

// writer writes expressions at random, over the columns of edges, so many calls deep.
type writer struct{ *rand.Rand }

func (w writer) of(words ...string) string { return words[w.IntN(len(words))] }

func (w writer) number(deep int) string {
	if w.IntN(2) == 0 {
		return w.fraction(deep)
	}
	return w.whole(deep)
}

func (w writer) whole(deep int) string {
	if deep--; deep < 0 {
		return w.of("n", "m", "n", "m", "1", "2", "-3", "0", "9007199254740993", "4611686018427387904")
	}
	a, b := w.whole(deep), w.whole(deep)
	return w.of(
		"("+a+" + "+b+")", "("+a+" - "+b+")", "("+a+" * "+b+")", "("+a+" // "+b+")", "("+a+" % "+b+")", "abs("+a+")", "sign("+a+")", "-("+a+")",
		"int("+w.fraction(deep)+")", "int("+w.truth(deep)+")", "if("+w.truth(deep)+", "+a+", "+b+")", "coalesce("+a+", "+b+")", "min("+a+", "+b+")", "clamp("+a+", -5, 7)",
		w.of("year", "month", "day", "day_of_year", "day_of_week", "quarter")+"("+w.time(deep)+")", w.of("hour", "minute", "second")+"("+w.of("ts", "at")+")",
	)
}

func (w writer) fraction(deep int) string {
	if deep--; deep < 0 {
		return w.of("amount", "rate", "amount", "0.5", "-2.5", "1e3", "0.1", "0.0")
	}
	a, b := w.fraction(deep), w.number(deep)
	return w.of(
		"("+b+" + "+a+")", "("+b+" - "+a+")", "("+b+" * "+a+")", "("+b+" / "+a+")", "("+a+" // "+b+")", "("+a+" % "+b+")", "("+b+" / "+w.number(deep)+")",
		w.of("abs", "sign", "floor", "ceil", "round", "trunc", "-")+"("+a+")", w.of("sqrt", "exp", "log", "log1p", "log2", "log10", "sin", "cos")+"("+b+")",
		"if("+w.truth(deep)+", "+a+", "+b+")", w.of("coalesce", "min", "max")+"("+a+", "+b+")", "float("+w.of(w.whole(deep), w.truth(deep))+")",
	)
}

func (w writer) time(deep int) string {
	return w.of("ts", "at", "born", "date(ts)", "(born + "+w.whole(deep)+")", "(ts + "+w.number(deep)+")", "coalesce(born, date(at))")
}

func (w writer) truth(deep int) string {
	if deep--; deep < 0 {
		return w.of("flag", "(n > 1)", "(amount is null)", "(city = 'Oslo')", "(kind in ('food', 'new'))", "flag", "true")
	}
	a, b := w.number(deep), w.number(deep)
	return w.of(
		"("+a+w.of(" < ", " <= ", " > ", " >= ", " = ", " != ")+b+")", "("+w.truth(deep)+w.of(" and ", " or ", " = ", " != ")+w.truth(deep)+")", "(not "+w.truth(deep)+")",
		"("+a+w.of(" is null", " is not null")+")", "("+a+" in (1, 2, 0.5, -3, 1000))", "("+a+" between "+b+" and "+w.number(deep)+")", "bool("+a+")",
	)
}

// What is written at random means in ONNX Runtime what it means here: more than lists
// of cases has found what ONNX Runtime makes of neighbouring operators.
func TestRandomExpressionsAreTheSameInONNXRuntime(t *testing.T) {
	t.Parallel()
	dir := onnxRuntime(t)
	folder := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "in"), 0o755))
	writeTable(t, filepath.Join(folder, "in", "part.parquet"), []*data.Batch{edges(0, 700)})
	w := bench(t, folder)
	rows := edges(1, 300)
	words := writer{rng.New(1, "expressions for ONNX")}
	var cases []onnxCase
	for range 150 {
		deep := 1 + words.IntN(3)
		text := words.of(words.whole(deep), words.fraction(deep), words.truth(deep))
		job := fmt.Sprintf("kind: train\nname: m\ninput: in\ntarget: y\ntask: regression\nepochs: 1\nbatch_size: 64\nmodel: {type: mlp, hidden: []}\n"+
			"features:\n  - {name: f, op: expr, expr: %q}\n", text)
		if _, err := spec.Parse("spec.yaml", []byte(job)); err != nil {
			continue // it reads no column
		}
		if s := w.run(job); s.Status == "succeeded" { // else it is null of all rows
			c := newONNXCase(t, w, s.Digest, rows, false)
			c.name = text
			cases = append(cases, c)
		}
	}
	require.Greater(t, len(cases), 75)
	checkONNX(t, dir, cases, rows.NumRows)
}
