package run

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const richSpec = "kind: train\nname: rich\ninput: in\ntarget: label\ntask: binary\nsplit: {by: time, column: ts, validation: 0.1, test: 0.2}\n" +
	"model: {type: mlp, hidden: [16, 16], activation: gelu, norm: layer, residual: true, dropout: 0.1, embeddings: [{column: kind, size: 4}, {column: count, size: 3}]}\n" +
	"epochs: 4\nbatch_size: 128\n"

// Columns of texts and of whole numbers become embeddings, and layers are normalised: through training on
// gangs, the bundle with its golden rows, and predictions of raw rows.
func TestNetworksWithEmbeddingsTrainAndPredict(t *testing.T) {
	t.Parallel()
	for _, text := range []string{richSpec, strings.NewReplacer("norm: layer", "norm: batch", "batch_size: 128", "batch_size: 600").Replace(richSpec)} {
		digests := map[string][]int{}
		for _, world := range []int{1, 2, 3} {
			w := ganged(t, world, 2, 3, 700)
			train := w.succeed(text)
			require.Greater(t, train.Metrics["test"]["auc"], 0.8)
			predict := w.succeed(predictSpec(train.ModelURI))
			require.EqualValues(t, 4200, predict.RowsOut)
			digests[train.Digest+predict.Digest] = append(digests[train.Digest+predict.Digest], world)
		}
		require.Len(t, digests, 1, "%v", digests)
	}
}

func TestAnEmbeddingOfWhatIsNoCategoryIsRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sales(t, filepath.Join(folder, "in"), 1, 1, 300, 0)
	w := bench(t, folder)
	for column, want := range map[string]string{"amount": `column "amount" is a float64`, "kine": `an embedding is of column "kine", which is not among`} {
		require.Contains(t, w.fails(strings.Replace(richSpec, "column: kind", "column: "+column, 1)), want)
	}
}
