// Package lint holds the rules of the house as data, and the checks that
// compare the source with them. Its tests are the linter:
//
//	go test -count=1 ./internal/lint
//
// Without -count=1 the result may be an old one from the test cache, which does
// not see what go list reads. Each rule has a sample that breaks it, so that a
// rule which can no longer fail is found, too.
package lint

// module is the path that all of the house's import paths begin with.
const module = "github.com/troupe-ml/troupe"

// room is a place of the house: a package, or with a path that ends in "/..."
// a package and all below it.
type room struct {
	path  string
	floor int // imports run to the same number or a lower one
}

// rooms is the house from the ground up. A package that is in none of them
// needs its line here, and a reason, first.
var rooms = []room{
	{"internal/lint", 99},
	{"internal/...", 0},
	{"proto/...", 0},

	{"data", 10},
	{"data/datatest", 11},
	{"data/split", 11},
	{"data/parquet", 11},
	{"data/text", 11},
	{"data/block", 11},
	{"data/shuffle", 12},
	{"data/csv", 12},
	{"data/ndjson", 12},
	{"data/arrow", 12},
	{"data/generate", 12},
	{"store", 10},
	{"store/storetest", 11},
	{"store/memory", 12},
	{"store/disk", 12},
	{"store/nats", 12},
	{"store/s3", 12},
	{"store/s3/s3test", 12},

	{"ml/kernels/...", 20},
	{"ml/sketch", 20},
	{"ml/collective", 20},
	{"ml/collective/collectivetest", 20},
	{"ml/experiment", 20},
	{"ml/features/...", 21},
	{"ml/metrics", 21},
	{"ml/drift", 21},
	{"ml/tune", 21},
	{"ml/models", 21},
	{"ml/models/linear", 22},
	{"ml/models/gbt", 22},
	{"ml/models/neural", 22},
	{"ml/bundle", 23},

	{"registry/query", 30},
	{"registry/document", 30},
	{"registry/runs", 31},
	{"registry/models", 32},
	{"registry/views", 32},
	{"registry", 33},

	{"jobs", 40},
	{"jobs/spec", 41},
	{"jobs/place", 41},
	{"jobs/policy", 41},
	{"jobs/plan", 42},
	{"jobs/run/...", 43},

	{"actors", 50},
	{"actors/wire", 51},
	{"actors/ring", 51},
	{"actors/coordinator", 52},
	{"actors/worker", 53}, // looks for the lease's holder
	{"actors/feature", 54},
	{"actors/trainer", 54},
	{"actors/predictor", 54},
	{"actors/sim/...", 55},

	{"gateway/api", 60},
	{"gateway/mlflow", 60},
	{"gateway/stream", 60},
	{"gateway/web", 60},

	{"cluster/membership", 70},
	{"cluster/trust", 70},
	{"cluster/bus", 70},
	{"cluster/node", 71},

	{"cmd/...", 80},
	{"examples/...", 80},
}

// wall parts two rooms that the floors alone would let meet.
type wall struct {
	from, to string // paths as of room; to is a whole import path
	why      string
}

var walls = []wall{
	{"store/...", module + "/data/...", "data and store do not know each other"},
	{"registry/...", module + "/data/...", "the registry keeps documents and no rows"},
	{"registry/...", module + "/ml/...", "the registry keeps documents and no rows"},
}

// door is the only way to a foreign library.
type door struct {
	library string   // an import path and all below it
	rooms   []string // that may import it, paths as of room
}

var doors = []door{
	{"github.com/asynkron/protoactor-go", []string{"actors/..."}},
	{"github.com/hashicorp/memberlist", []string{"cluster/membership"}},
	{"github.com/nats-io", []string{"store/nats", "cluster/bus", "gateway/stream"}},
	{"github.com/minio/minio-go", []string{"store/s3/..."}},
	{"gorgonia.org", []string{"ml/models/neural"}},
	{"github.com/parquet-go", []string{"data/parquet", "data/datatest"}},
	{"github.com/anchore/go-lzo", []string{"data/parquet"}},
	{"github.com/apache/arrow-go", []string{"data/arrow", "data/datatest"}},
	{"github.com/spf13/cobra", []string{"cmd/..."}},
	{"github.com/vbauerster/mpb", []string{"cmd/..."}},
	{"github.com/danielgtaylor/huma", []string{"gateway/..."}},
	{"github.com/goccy/go-yaml", []string{"jobs/spec", "cmd/..."}},
	{module + "/proto", []string{"proto/...", "actors/wire"}},
}

// pure are the rooms that are functions of their arguments, impure the
// exceptions, and touching what a pure room must not import.
var (
	pure     = []string{"data/...", "ml/...", "jobs/..."}
	impure   = []string{"jobs/run/...", "ml/kernels/gen"} // the latter writes source files
	touching = []string{
		"os", "os/...", "net", "net/...", "log", "log/...", "syscall", "io/ioutil", "database/sql",
		module + "/store/...", module + "/proto/...", module + "/registry/...", module + "/internal/clock",
	}
)

// ban forbids the use of some names of a package.
type ban struct {
	pkg   string   // import path, "" for the language's own functions
	names []string // "*" at the end stands for any rest
	but   []string // rooms where they are allowed, paths as of room
	tests bool     // whether tests are bound, too
	why   string
}

var bans = []ban{
	{"time", []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"},
		[]string{"internal/clock", "cmd/...", "examples/..."}, true, "take an internal/clock.Clock"},
	{"math/rand", []string{"*"}, []string{"internal/rng"}, false, "take a generator of internal/rng, seeded from the spec"},
	{"math/rand/v2", []string{"Int", "IntN", "Int32*", "Int64*", "Uint*", "Float*", "Perm", "Shuffle", "N", "NormFloat64", "ExpFloat64"},
		[]string{"internal/rng"}, false, "take a generator of internal/rng, seeded from the spec"},
	{"fmt", []string{"Print*"}, []string{"cmd/...", "examples/..."}, false, "take a *slog.Logger or an io.Writer"},
	{"log", []string{"*"}, []string{"cmd/...", "examples/..."}, false, "take a *slog.Logger"},
	{"", []string{"print", "println"}, nil, true, "take a *slog.Logger"},
	{"os", []string{"Exit"}, []string{"cmd/...", "examples/..."}, false, "return an error: only main exits"},
	{"gorgonia.org/gorgonia", []string{"Dropout", "SoftMax", "LogSoftMax", "NewAdamW", "NewLispMachine"}, nil, true,
		"it is known to be wrong: write it from parts that are right"},
	{"github.com/stretchr/testify/suite", []string{"*"}, nil, true, "write plain tests"},
}

// Names that say nothing of what a package holds.
var emptyNames = []string{"util", "utils", "common", "types", "helper", "helpers", "misc", "base", "shared"}

// Sizes, in lines. Generated files have none.
const (
	maxFile     = 500
	maxFunction = 60
)
