package lint

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProductsAreRoundedBeforeTheyAreAdded(t *testing.T) {
	t.Parallel()
	found, err := checkFused("../..")
	require.NoError(t, err)
	for _, f := range found {
		t.Error(f)
	}
}

// Each line that ends in a mark is to be found, and no other.
const fusedSample = `package ml

func returned(x, y float64) float64 { return x * y } // !

func number[T float64 | int](x, y T) T { return x*y + 1 } // !

func sums(x, y, z float64, i, j int) float64 {
	p := x * y
	q := float64(x * y)
	var r float64
	r *= x
	var s, u = 2 * x, x * y
	z = x*y + z // !
	z += -(x * y) // !
	z = z - p // !
	z = r + z // !
	p += z // !
	z += 2 * x
	z += q + float64(x*y) + s
	z += u // !
	z += float64(i*j + i) / x
	const c = 3.0*5 + 1
	return z + c
}
`

func TestWhatMayBeFusedIsFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "ml"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module sample\n\ngo 1.26\n"), 0o600))
	name := filepath.Join(dir, "ml", "x.go")
	require.NoError(t, os.WriteFile(name, []byte(fusedSample), 0o600))
	for _, other := range []string{"data", "jobs", "registry", "internal/rng"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, other), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, other, "x.go"), []byte("package x\n"), 0o600))
	}
	found, err := checkFused(dir)
	require.NoError(t, err)
	var got []string
	for _, f := range found {
		got = append(got, f.at)
	}
	assert.ElementsMatch(t, []string{"ml/x.go:3", "ml/x.go:5", "ml/x.go:13", "ml/x.go:14", "ml/x.go:15", "ml/x.go:16", "ml/x.go:17", "ml/x.go:20"}, got)
}
