package spec_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/spec"
)

// The scripts in testdata/scripts are files and what is said about them.
func TestGoldenFaultsAndForms(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			require.Equal(t, "parse", d.Cmd)
			var sets []spec.Set
			for _, arg := range d.CmdArgs {
				set, err := spec.ParseSet(strings.TrimPrefix(arg.String(), "set="))
				require.NoError(t, err)
				sets = append(sets, set)
			}
			specs, err := spec.Parse("f.yaml", []byte(d.Input), sets...)
			if err != nil {
				require.Equal(t, fault.Invalid, fault.Of(err))
				require.Empty(t, specs, "a file with a fault gives no job")
				var faults spec.Faults
				require.True(t, errors.As(err, &faults))
				return faults.Error()
			}
			var out strings.Builder
			for _, s := range specs {
				out.Write(s.Canonical())
				out.WriteString("\n" + s.Digest() + "\n")
			}
			return out.String()
		})
	})
}
