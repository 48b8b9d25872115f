package nearest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/nearest"
)

func TestTheNearestWordIsTheOneThatWasMeant(t *testing.T) {
	t.Parallel()
	known := []string{"amount", "count", "country", "id"}
	for _, c := range []struct{ word, want string }{
		{"amont", "amount"}, {"Amount", "amount"}, {"contry", "country"}, {"zzz", ""}, {"x", ""}, {"", ""},
		{strings.Repeat("amount", 1000), ""},
	} {
		require.Equal(t, c.want, nearest.Word(c.word, known), c.word)
	}
}
