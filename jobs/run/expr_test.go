package run

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const exprSteps = `
  - {name: per_item, op: expr, expr: amount / (count + 1)}
  - {name: each, op: ratio, of: [amount, count]}
  - {name: each_again, op: expr, expr: amount / count}
  - {name: logged, op: expr, expr: "if(each > 20 and kind in ('food', 'toys'), log(each), 0)"}
  - {name: scaled, op: standard_scale, of: logged}
  - name: label_of_time
    op: expr
    expr: >
      upper(kind) + if(minute(ts) >= 30, '-late', '-early')
  - {name: hot, op: one_hot, of: label_of_time}
`

func TestExpressionsAreFeaturesLikeOthers(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 2, 3, 700, 0)
	w := bench(t, folder)
	w.succeed(replace(featuresSpec, steps, exprSteps))
	m, errs := Verify(t.Context(), nil, w.path("out/features"))
	require.Empty(t, errs)
	require.Subset(t, m.Features, []string{"per_item", "each_again", "label_of_time", "hot_FOOD-late", "hot_TOYS-early"})
	parts, err := List(t.Context(), nil, w.path("in"))
	require.NoError(t, err)
	made, err := List(t.Context(), nil, w.path("out/features"))
	require.NoError(t, err)
	in, out := readTable(t, parts...), readTable(t, made...)
	row := 0
	for _, b := range out {
		for i := range b.NumRows {
			from := in[row/700]
			amount, count := from.Column("amount"), from.Column("count")
			j := row % 700
			require.Equal(t, amount.Valid.Get(j), b.Column("per_item").Valid.Get(i))
			if amount.Valid.Get(j) {
				require.Equal(t, amount.Float64s[j]/float64(count.Int64s[j]+1), b.Column("per_item").Float64s[i]) //nolint:testifylint // to the bit
			}
			require.Equal(t, b.Column("each").Valid.Get(i), b.Column("each_again").Valid.Get(i))
			require.Equal(t, b.Column("each").Float64s[i], b.Column("each_again").Float64s[i]) //nolint:testifylint // to the bit
			row++
		}
	}
	require.Equal(t, 4200, row)

	train := w.succeed(replace(trainSpec, steps, exprSteps)) // the bundle carries the expressions
	require.Greater(t, train.Metrics["test"]["auc"], 0.8)
	require.EqualValues(t, 4200, w.succeed(predictSpec(train.ModelURI)).RowsOut)

	for _, c := range []struct{ text, says string }{
		{"amuont / 2", `there is no column "amuont": did you mean "amount"?`},
		{"amount + kind", "+ takes two numbers or two texts, found a number + a text"},
		{"label + 1", `"label" is the target`},
		{"scaled + 1", "comes later"},
	} {
		says := w.fails(replace(replace(featuresSpec, steps, exprSteps), "expr: amount / count}", "expr: "+c.text+"}"))
		require.Contains(t, says, `feature "each_again" (expr): expr: character `)
		require.Contains(t, says, c.says)
		require.Contains(t, says, "\n  "+c.text+"\n  ", "with a caret below")
	}
}
