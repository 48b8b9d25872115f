package sketch_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/ml/sketch"
)

// Against a map.
func TestTextsAreNumberedInTheOrderInWhichTheyCome(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		added := rapid.SliceOf(rapid.StringN(0, 3, 12)).Draw(t, "added")
		asked := rapid.SliceOf(rapid.StringN(0, 3, 12)).Draw(t, "asked")
		var texts sketch.Texts
		numbers, numBytes := map[string]int{}, 0
		for _, text := range added {
			if _, known := numbers[text]; !known {
				numbers[text] = len(numbers)
				numBytes += len(text)
			}
			require.Equal(t, numbers[text], texts.Number(text))
		}
		require.Equal(t, len(numbers), texts.Len())
		require.Equal(t, numBytes, texts.NumBytes())
		for text, number := range numbers {
			require.Equal(t, text, texts.At(number))
		}
		for _, text := range append(asked, added...) {
			number, known := texts.Find(text)
			want, is := numbers[text]
			require.Equal(t, is, known, text)
			require.Equal(t, want, number, text)
		}
	})
}
