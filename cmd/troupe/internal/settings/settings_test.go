package settings_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/settings"
	"github.com/troupe-ml/troupe/internal/fault"
)

type flags struct {
	*pflag.FlagSet
	output string
	slots  int
	join   []string
}

// fill sets flags of a command called node from a file and an environment.
func fill(t *testing.T, file string, env map[string]string, args ...string) (*flags, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings.yaml")
	require.NoError(t, os.WriteFile(path, []byte(file), 0o644))
	f := &flags{FlagSet: pflag.NewFlagSet("", pflag.ContinueOnError)}
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	own.IntVar(&f.slots, "http-slots", 1, "")
	own.StringSliceVar(&f.join, "join", nil, "")
	known := settings.NamesOf("node", own)
	top := pflag.NewFlagSet("", pflag.ContinueOnError)
	top.StringVar(&f.output, "output", "table", "")
	top.String("settings", path, "")
	known = append(known, settings.NamesOf("", top)...)
	f.AddFlagSet(own)
	f.AddFlagSet(top)
	require.NoError(t, f.Parse(args))
	return f, settings.Fill(f.FlagSet, "node", func(name string) (string, bool) { v, ok := env[name]; return v, ok }, known)
}

func TestFlagsWinOverTheEnvironmentAndThatOverTheFile(t *testing.T) {
	t.Parallel()
	const file = "output: yaml\nnode:\n  http_slots: 2\n  join: [a:1, b:2]\n"
	f, err := fill(t, file, nil)
	require.NoError(t, err)
	assert.Equal(t, "yaml", f.output)
	assert.Equal(t, 2, f.slots)
	assert.Equal(t, []string{"a:1", "b:2"}, f.join)
	env := map[string]string{"TROUPE_OUTPUT": "json", "TROUPE_NODE_HTTP_SLOTS": "3", "TROUPE_NODE_JOIN": "c:3,d:4"}
	f, err = fill(t, file, env)
	require.NoError(t, err)
	assert.Equal(t, "json", f.output)
	assert.Equal(t, 3, f.slots)
	assert.Equal(t, []string{"c:3", "d:4"}, f.join)
	f, err = fill(t, file, env, "--output", "table", "--http-slots", "4", "--join", "e:5")
	require.NoError(t, err)
	assert.Equal(t, "table", f.output)
	assert.Equal(t, 4, f.slots)
	assert.Equal(t, []string{"e:5"}, f.join)
	f, err = fill(t, file, map[string]string{"TROUPE_OUTPUT": ""})
	require.NoError(t, err)
	assert.Equal(t, "yaml", f.output, "an empty variable is none")
	_, err = fill(t, "", nil)
	require.NoError(t, err)
}

func TestWhatIsWrongWithSettingsIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	_, err := fill(t, "outptu: yaml\nhttp_slots: 3\nnode: {http_slots: many, slotz: 1}\n", nil)
	assert.Equal(t, fault.Invalid, fault.Of(err))
	for _, says := range []string{"unknown setting outptu", "unknown setting http_slots", "unknown setting node.slotz", `node.http_slots: "many": expected a int`} {
		assert.ErrorContains(t, err, says)
	}
	for _, bad := range []string{"a: [", "node: {join: {a: 1}}", "- 1"} {
		_, err := fill(t, bad, nil)
		assert.Equal(t, fault.Invalid, fault.Of(err), bad)
	}
}
