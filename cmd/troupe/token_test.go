package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestATokenNeedsARoleAndASecret(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write("secret", "sixteen bytes at the very least\n")
	p.write("short", "short\n")
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"token"}, "accepts 1 arg"},
		{[]string{"token", "root", "--secret-file", "secret"}, "read, submit or admin"},
		{[]string{"token", "read"}, "--secret-file"},
		{[]string{"token", "read", "--secret-file", "nowhere"}, "nowhere"},
		{[]string{"token", "read", "--secret-file", "short"}, "16"},
	} {
		r := p.run(c.args...)
		assert.Equal(t, 2, r.code, "%v", c.args)
		assert.Contains(t, r.stderr, c.says, "%v", c.args)
		assert.Empty(t, r.stdout)
	}
	read, submit := p.ok("token", "read", "--secret-file", "secret"), p.ok("token", "submit", "--secret-file", "secret")
	assert.Equal(t, "read", read["role"])
	assert.NotEqual(t, read["token"], submit["token"])
	assert.Equal(t, read["token"].(string)+"\n", p.run("token", "read", "--secret-file", "secret").stdout, "a shell can take it as it is")
}

// A node that others can reach asks for tokens: those who have none or too small
// a one get exit code 4.
func TestTokensOpenWhatTheirRoleMay(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write("secret", "sixteen bytes at the very least\n")
	p.write("drift.yaml", "kind: drift\nname: d\nreference: nowhere\ncurrent: nowhere\n")
	n := p.begin("node", "--bind", "0.0.0.0", "--advertise", "127.0.0.1", "--secret-file", "secret", "--data", "node", "--store-size", "1GiB",
		"--http-port", "0", "--actor-port", "0", "--gossip-port", "0", "--nats-port", "0", "--route-port", "0", "-o", "json")
	n.until("a record", func(stdout, _ string) bool { return strings.HasSuffix(stdout, "}\n") })
	var record nodeRecord
	b, err := os.ReadFile(filepath.Join(p.dir, "node", addressFile))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &record))
	p.env = []string{"TROUPE_ADDRESS=" + record.HTTP}
	tokens := map[string]string{"": ""}
	for _, role := range []string{"read", "submit", "admin"} {
		tokens[role] = strings.TrimSpace(p.run("token", role, "--secret-file", "secret").stdout)
	}
	const refused = 4
	for _, verb := range []struct {
		args []string
		may  int               // the code for those who may
		not  map[string]string // what others are told
	}{
		{[]string{"jobs", "list"}, 0, map[string]string{"": "token with role read"}},
		{[]string{"run", "drift.yaml"}, 1, map[string]string{"": "role submit", "read": "troupe token submit"}},
		{[]string{"jobs", "cancel", "none"}, 1, map[string]string{"": "role submit", "read": "troupe token submit"}},
		{[]string{"deploy", "--model-uri", "runs:/ffff/model"}, 1, map[string]string{"": "role admin", "read": "role admin", "submit": "role admin"}},
		{[]string{"rollback", "none"}, 1, map[string]string{"read": "role admin", "submit": "role admin"}},
		{[]string{"nodes", "drain", "nobody"}, 1, map[string]string{"": "role admin", "read": "role admin", "submit": "role admin"}},
	} {
		for role, token := range tokens {
			r := p.run(append(verb.args, "--token", token)...)
			says, not := verb.not[role]
			if !not && role != "" {
				assert.Equal(t, verb.may, r.code, "%s: %v: %s", role, verb.args, r.stderr)
				continue
			}
			assert.Equal(t, refused, r.code, "%q: %v: %s", role, verb.args, r.stderr)
			assert.Contains(t, r.stderr, says, "%q: %v", role, verb.args)
		}
	}
	r := p.run("jobs", "list", "--token", "made-up")
	assert.Equal(t, refused, r.code, r.stderr)
}
