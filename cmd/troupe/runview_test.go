package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/registry/runs"
)

func curved(id string, points map[string][]runs.Point) runs.Run {
	return runs.Run{ID: runs.ID(id), Name: "n", Metrics: points}
}

func TestTheFlagsOfAListBecomeOneFilter(t *testing.T) {
	t.Parallel()
	q := question{kind: "train", Search: runs.Search{Filter: "metrics.a > 1"}}
	assert.Equal(t, "kind = 'train' AND metrics.a > 1", q.search().Filter)
	q = question{experiment: "it's", deleted: true}
	assert.Equal(t, "experiment = 'it''s'", q.search().Filter)
	assert.Equal(t, runs.OnlyDeleted, q.search().View)
	_, err := runs.Grammar.Parse(q.search().Filter)
	require.NoError(t, err)
}

func TestCurvesAreOfWhatIsAskedForOrOfTheLossesFirst(t *testing.T) {
	t.Parallel()
	two := []runs.Point{{Step: 1, Value: 1}, {Step: 2, Value: 2}}
	r := curved("a", map[string][]runs.Point{"auc": two, "train.loss": two, "learning_rate": two, "test.auc": two[:1]})
	got, err := curvesOf([]runs.Run{r}, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"train.loss", "auc"}, got)
	got, err = curvesOf([]runs.Run{r}, []string{"learning_rate"})
	require.NoError(t, err)
	assert.Equal(t, []string{"learning_rate"}, got)
	_, err = curvesOf([]runs.Run{r}, []string{"x"})
	require.ErrorContains(t, err, "auc, learning_rate, test.auc, train.loss")
}

func TestAComparisonDrawsTheCurvesTogether(t *testing.T) {
	t.Parallel()
	a := curved("aaaa", map[string][]runs.Point{"loss": {{Step: 2, Value: 1}, {Step: 1, Value: 4}}})
	b := curved("bbbb", map[string][]runs.Point{"loss": {{Step: 1, Value: 3}, {Step: 1, Value: 2}, {Step: 2, Value: 2}}})
	sections := newComparison([]runs.Run{a, b}, []string{"loss"}).Sections()
	text := sections[len(sections)-1].Text
	assert.True(t, strings.HasPrefix(text, "loss\n"), text)
	assert.Contains(t, text, "● aaaa n")
	assert.Contains(t, text, "○ bbbb n")
	assert.Equal(t, []float64{2, 2}, seriesOf(b, "loss").Y, "the last of a step counts")
	assert.Equal(t, []float64{4, 1}, seriesOf(a, "loss").Y, "steps ascend")
}

func TestARunShowsTheLoggedModelsThatItHasMade(t *testing.T) {
	t.Parallel()
	r := curved("a", nil)
	r.Outputs = []runs.Output{{Model: "m-1", Step: 3}}
	for _, s := range (runView{Run: r}).Sections() {
		if s.Title == "logged models" {
			assert.Equal(t, [][]string{{"m-1", "3"}}, s.Rows)
			return
		}
	}
	assert.Fail(t, "there is no table of logged models")
}
