// Package mlruns writes runs to a folder as MLflow's file store has them:
//
//	EXPERIMENT/meta.yaml
//	EXPERIMENT/RUN/meta.yaml
//	EXPERIMENT/RUN/params/NAME       the value
//	EXPERIMENT/RUN/metrics/NAME      a line for each point: time, value and step
//	EXPERIMENT/RUN/tags/NAME         the value
//	EXPERIMENT/RUN/artifacts/PATH    the bytes
//
// The names of params, metrics and tags are paths, as MLflow's are. A name that
// would be a file and a folder, as loss beside loss/val, gets an underscore for
// its file: loss_, or as many as it takes to be no other's.
package mlruns

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/troupe-ml/troupe/gateway/mlflow"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/runs"
)

// Folder is where runs are written to.
type Folder struct {
	dir     string // absolute
	written map[string]bool
	renamed []string
}

// Renamed says which names are others in the folder, and which.
func (f *Folder) Renamed() []string { return f.renamed }

// Open makes a folder for runs. Conflict when there is something in it, which
// might be other runs.
func Open(dir string) (*Folder, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s: %w", dir, err)
	}
	entries, err := os.ReadDir(absolute)
	switch {
	case err == nil && len(entries) > 0:
		return nil, fault.New(fault.Conflict, "%s is not empty: name a new folder, or an empty one", dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.Invalid, "%s: %w", dir, err)
	}
	return &Folder{dir: absolute, written: map[string]bool{}}, nil
}

// Write writes a run with all points of its metrics, and its artifacts, which
// read returns by their paths.
func (f *Folder) Write(r runs.Run, read func(path string) ([]byte, error)) error {
	group := r.Group
	if group == "" {
		group = runs.DefaultGroup
	}
	if err := f.experiment(group, r); err != nil {
		return err
	}
	at := filepath.Join(f.dir, group, string(r.ID))
	if err := write(filepath.Join(at, "meta.yaml"), runMeta(r, group, fileURI(filepath.Join(at, "artifacts")))); err != nil {
		return err
	}
	texts := map[string]map[string][]byte{"metrics": {}, "params": {}, "tags": {}}
	for name, points := range r.Metrics {
		texts["metrics"][name] = lines(r, points)
	}
	for kind, pairs := range map[string]map[string]string{"params": r.Params, "tags": mlflow.Tags(&r)} {
		for key, value := range pairs {
			texts[kind][key] = []byte(value)
		}
	}
	for _, kind := range []string{"metrics", "params", "tags"} {
		places := filesOf(texts[kind])
		for _, name := range slices.Sorted(maps.Keys(texts[kind])) {
			if places[name] != name {
				f.renamed = append(f.renamed, fmt.Sprintf("%s of run %s: %s is %s", kind, r.ID, name, places[name]))
			}
			if err := f.put(at, kind, places[name], texts[kind][name]); err != nil {
				return err
			}
		}
	}
	for name := range r.Artifacts {
		if err := runs.CheckPath(name); err != nil {
			return err
		}
		b, err := read(name)
		if err != nil {
			return fmt.Errorf("artifact %s of run %s: %w", name, r.ID, err)
		}
		if err := f.put(at, "artifacts", name, b); err != nil {
			return err
		}
	}
	return nil
}

// filesOf returns the file of each name, of which none is a folder of another's.
func filesOf(texts map[string][]byte) map[string]string {
	taken := map[string]bool{} // files and folders
	for name := range texts {
		taken[name] = true
		for dir := path.Dir(name); dir != "." && dir != "/" && !taken[dir+"/"]; dir = path.Dir(dir) {
			taken[dir+"/"] = true
		}
	}
	out := make(map[string]string, len(texts))
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		file := name
		for taken[file+"/"] || file != name && taken[file] {
			file += "_"
		}
		taken[file] = true
		out[name] = file
	}
	return out
}

// put writes one file below a folder of a run, whatever its name says.
func (f *Folder) put(run, kind, name string, b []byte) error {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return fault.New(fault.Invalid, "%q of %s cannot be the name of a file", name, run)
	}
	return write(filepath.Join(run, kind, filepath.FromSlash(name)), b)
}

func (f *Folder) experiment(id string, r runs.Run) error {
	if f.written[id] {
		return nil
	}
	f.written[id] = true
	name := r.Experiment
	if name == "" {
		name = "Default"
	}
	return write(filepath.Join(f.dir, id, "meta.yaml"), yaml([][2]any{
		{"artifact_location", fileURI(filepath.Join(f.dir, id))}, {"creation_time", r.Started.UnixMilli()}, {"experiment_id", id},
		{"last_update_time", r.Started.UnixMilli()}, {"lifecycle_stage", "active"}, {"name", name},
	}))
}

// statuses are the numbers of MLflow's words.
var statuses = map[runs.Status]int{runs.Running: 1, runs.Scheduled: 2, runs.Succeeded: 3, runs.Failed: 4, runs.Cancelled: 5}

func runMeta(r runs.Run, group, artifacts string) []byte {
	var end any
	if !r.Ended.IsZero() {
		end = r.Ended.UnixMilli()
	}
	stage := "active"
	if !r.Deleted.IsZero() {
		stage = "deleted"
	}
	return yaml([][2]any{
		{"artifact_uri", artifacts}, {"end_time", end}, {"entry_point_name", ""}, {"experiment_id", group}, {"lifecycle_stage", stage},
		{"run_id", r.ID}, {"run_name", r.Name}, {"run_uuid", r.ID}, {"source_name", ""}, {"source_type", 4}, {"source_version", ""},
		{"start_time", r.Started.UnixMilli()}, {"status", statuses[r.Status]}, {"tags", []string{}}, {"user_id", r.Owner},
	})
}

// yaml writes a flat document: JSON values are YAML, too.
func yaml(fields [][2]any) []byte {
	var b bytes.Buffer
	for _, f := range fields {
		value, err := json.Marshal(f[1])
		if err != nil {
			value = []byte("null") // texts and numbers always encode
		}
		fmt.Fprintf(&b, "%s: %s\n", f[0], value)
	}
	return b.Bytes()
}

func fileURI(path string) string { return "file://" + filepath.ToSlash(path) }

// lines are the points of a metric, as the file store reads them.
func lines(r runs.Run, points []runs.Point) []byte {
	var b []byte
	for _, p := range points {
		b = strconv.AppendInt(b, r.TimeOf(p), 10)
		b = append(append(b, ' '), number(float64(p.Value))...)
		b = strconv.AppendInt(append(b, ' '), p.Step, 10)
		b = append(b, '\n')
	}
	return b
}

// number writes a value as Python reads it.
func number(v float64) string {
	switch text := strconv.FormatFloat(v, 'g', -1, 64); text {
	case "NaN":
		return "nan"
	case "+Inf":
		return "inf"
	case "-Inf":
		return "-inf"
	default:
		return text
	}
}

func write(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fault.New(fault.Invalid, "export: %w", err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return fault.New(fault.Invalid, "export: %w", err)
	}
	return nil
}
