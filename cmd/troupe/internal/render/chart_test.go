package render

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestACurveIsDrawnFromItsFirstPointToItsLast(t *testing.T) {
	t.Parallel()
	lines := strings.Split(Chart("loss", "step", []Series{{X: []float64{1, 2, 3}, Y: []float64{4, math.NaN(), 2}}}), "\n")
	require.Len(t, lines, 1+chartHeight+2+1)
	assert.Equal(t, "loss", lines[0])
	assert.True(t, strings.HasPrefix(lines[1], "4 ┤●"), lines[1])
	assert.True(t, strings.HasPrefix(lines[chartHeight], "2 ┤ "), lines[chartHeight])
	assert.True(t, strings.HasSuffix(lines[chartHeight], "●"))
	assert.True(t, strings.HasPrefix(lines[chartHeight+2], "   1 ") && strings.HasSuffix(lines[chartHeight+2], "step 3"), lines[chartHeight+2])
	marked := 0
	for _, l := range lines {
		marked += strings.Count(l, "●")
	}
	assert.Equal(t, chartWidth, marked, "one mark in every column")
}

func TestCurvesAreToldApart(t *testing.T) {
	t.Parallel()
	text := Chart("auc", "epoch", []Series{{Name: "a", X: []float64{1, 2}, Y: []float64{0, 0}}, {Name: "b", X: []float64{1, 2}, Y: []float64{1, 1}}})
	assert.Contains(t, text, "● a\n")
	assert.Contains(t, text, "○ b\n")
	assert.Empty(t, Chart("x", "step", nil))
	assert.Empty(t, Chart("x", "step", []Series{{X: []float64{1}, Y: []float64{math.Inf(1)}}}))
}

func TestAnyNumbersCanBeDrawn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		y := rapid.SliceOf(rapid.Float64()).Draw(t, "y")
		x := make([]float64, len(y))
		for i := range x {
			x[i] = float64(i)
		}
		Chart("m", "step", []Series{{X: x, Y: y}})
	})
}
