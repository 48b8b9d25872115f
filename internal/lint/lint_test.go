package lint

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The house keeps its rules. Run it with -count=1: see the package comment.
func TestTheSourceKeepsTheRulesOfTheHouse(t *testing.T) {
	t.Parallel()
	pkgs, err := load("../..")
	require.NoError(t, err)
	require.NotEmpty(t, pkgs)
	for _, f := range all(pkgs) {
		t.Error(f)
	}
}

// sample is a package that breaks one rule, or none.
type sample struct {
	rule string // that is broken; "" for a sample that keeps them all
	path string
	file string // x.go if empty
	text string
	want string // part of the finding
}

const doc = "// Package x is a sample.\npackage x\n"

// use is the text of a file that uses a name of a package.
func use(path, name string) string {
	return doc + "import q \"" + path + "\"\nvar _ = q." + name + "\n"
}

// imports is the text of a file that imports a package.
func imports(path string) string { return doc + "import _ \"" + path + "\"\n" }

// badImports break the rules of who may import whom.
func badImports() []sample {
	return []sample{
		{"room", "ml/newthing", "", doc, "is no room of the house"},
		{"room", "", "", doc, "is no room"},
		{"floors", "data", "", imports(module + "/ml/sketch"), "ml/sketch (floor 20), which is above"},
		{"floors", "ml/features", "", imports(module + "/ml/bundle"), "above"},
		{"floors", "gateway/api", "", imports(module + "/cluster/membership"), "above"},
		{"floors", "jobs", "x_test.go", imports(module + "/actors"), "above"},
		{"pure", "data/split", "", imports(module + "/store"), "imports github.com/troupe-ml/troupe/store"},
		{"walls", "store/disk", "", imports(module + "/data"), "do not know each other"},
		{"walls", "registry/runs", "", imports(module + "/data"), "no rows"},
		{"walls", "registry", "x_test.go", imports(module + "/ml/metrics"), "no rows"},
		{"pure", "jobs/plan", "", imports(module + "/registry"), "imports github.com/troupe-ml/troupe/registry"},
		{"doors", "gateway/api", "", imports("github.com/nats-io/nats.go/jetstream"), "whose door is store/nats"},
		{"doors", "ml/drift", "", imports("gorgonia.org/tensor"), "whose door is ml/models/neural"},
		{"doors", "jobs/run", "", imports("github.com/parquet-go/parquet-go"), "whose door is data/parquet"},
		{"doors", "actors/worker", "", imports(module + "/proto/troupe/v1"), "whose door is proto/..., actors/wire"},
		{"doors", "cluster/node", "", imports("github.com/asynkron/protoactor-go/actor"), "whose door is actors/..."},
		{"doors", "cluster/node", "", imports("github.com/hashicorp/memberlist"), "whose door is cluster/membership"},
		{"pure", "ml/drift", "", imports("os"), "imports os"},
		{"pure", "data/parquet", "", imports("net/http"), "imports net/http"},
		{"pure", "jobs", "", imports("log/slog"), "imports log/slog"},
		{"pure", "jobs/spec", "", imports(module + "/internal/clock"), "internal/clock"},
	}
}

// badText break the rules of what may be written.
func badText() []sample {
	long := "\n" + strings.Repeat("// x\n", maxFile)
	body := strings.Repeat("\t_ = 1\n", maxFunction)
	return []sample{
		{"package name", "data", "", "// Package helpers is a sample.\npackage helpers\n", `"helpers" does not say`},
		{"package comment", "data", "", "package x\n", "begins with Package x"},
		{"package comment", "data", "", "// package x is a sample.\npackage x\n", "begins with Package x"},
		{"documented", "data", "", doc + "func F() {}\n", "F has no comment"},
		{"documented", "data", "", doc + "type T int\n", "T has no comment"},
		{"documented", "data", "", doc + "// T is.\ntype T int\nfunc (t *T) M() {}\n", "M has no comment"},
		{"documented", "data", "", doc + "const a, B = 1, 2\n", "B has no comment"},
		{"documented", "data", "", doc + "var V int\n", "V has no comment"},
		{"file size", "data", "", doc + long, "503 lines"},
		{"function size", "data", "", doc + "func f() {\n" + body + "}\n", "f has 62 lines"},
		{"function size", "data", "x_test.go", doc + "func f() {\n" + body + "}\n", "f has 62 lines"},
		{"no init", "data", "", doc + "func init() {}\n", "hidden"},
		{"bans", "ml/drift", "", use("time", "Now"), "time.Now: take an internal/clock.Clock"},
		{"bans", "jobs/run", "x_test.go", use("time", "Sleep"), "time.Sleep"},
		{"bans", "ml/drift", "", use("math/rand/v2", "Shuffle"), "internal/rng"},
		{"bans", "ml/drift", "", use("math/rand", "New"), "internal/rng"},
		{"bans", "jobs/run", "", use("fmt", "Println"), "fmt.Println"},
		{"bans", "jobs/run", "", use("log", "Fatal"), "log.Fatal"},
		{"bans", "jobs/run", "", doc + "func f() { println(1) }\n", "println"},
		{"bans", "jobs/run", "", use("os", "Exit"), "only main exits"},
		{"bans", "ml/models/neural", "", use("gorgonia.org/gorgonia", "Dropout"), "known to be wrong"},
		{"bans", "ml/models/neural", "", use("gorgonia.org/gorgonia", "NewLispMachine"), "known to be wrong"},
	}
}

// good break no rule, though they come close.
func good() []sample {
	long := "\n" + strings.Repeat("// x\n", maxFile)
	return []sample{
		{"", "jobs/run", "", imports("os"), ""},
		{"", "jobs/run/joblog", "", imports(module + "/store"), ""},
		{"", "ml/drift", "x_test.go", imports("os"), ""},
		{"", "cmd/troupe", "", use("time", "Now") + "func f() { q.Sleep(1) }\n", ""},
		{"", "ml/drift", "", use("math/rand/v2", "Rand{}") + "// F is.\nfunc F() {}\n", ""},
		{"", "data", "", doc + "type t int\nfunc (t) M() {}\nconst (\n\tA = 1 // is one\n)\n", ""},
		{"", "actors/sim/story", "", imports("github.com/asynkron/protoactor-go/remote"), ""},
		{"", "actors/wire", "", imports(module + "/proto/troupe/v1"), ""},
		{"", "proto/troupe/v1", "", "// Code generated by hand. DO NOT EDIT.\n\n" + doc + "func F() {}\nfunc init() {}\n" + long, ""},
	}
}

func TestEveryRuleCanFail(t *testing.T) {
	t.Parallel()
	broken := map[string]bool{}
	for _, s := range slices.Concat(badImports(), badText(), good()) {
		name := s.file
		if name == "" {
			name = "x.go"
		}
		f, err := parse(s.path+"/"+name, []byte(s.text))
		require.NoError(t, err, s.text)
		p := pkg{path: s.path, name: f.syntax.Name.Name, files: []file{f}}
		found := all([]pkg{p})
		if s.rule == "" {
			assert.Empty(t, found, "%s keeps the rules:\n%s", s.path, s.text)
			continue
		}
		broken[s.rule] = true
		if assert.Len(t, found, 1, "%s in %s:\n%.300s", s.rule, s.path, s.text) {
			assert.Equal(t, s.rule, found[0].rule)
			assert.Contains(t, found[0].String(), s.want)
		}
	}
	for _, c := range checks() {
		assert.True(t, broken[c.name], "no sample breaks the rule %q", c.name)
	}
}

func TestTheMostExactRoomCounts(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"internal/fault": "internal/...", "internal/lint": "internal/lint", "jobs/run": "jobs/run/...",
		"jobs/run/joblog": "jobs/run/...", "cmd/troupe/internal/render": "cmd/...",
	} {
		r := roomOf(path)
		require.NotNil(t, r, path)
		assert.Equal(t, want, r.path)
	}
	assert.Nil(t, roomOf("jobs/runner"))
}
