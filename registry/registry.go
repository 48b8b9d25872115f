// Package registry is what was made of what: the runs of jobs, the models that
// have a name, and the addresses under which people and specs find both. It
// keeps documents and never rows.
package registry

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/models"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
)

// Registry is the runs and models of one store.
type Registry struct {
	Runs   *runs.Book
	Models *models.Shelf
	Logged *runs.LoggedModels
}

// Open returns the registry in a store.
func Open(st store.Store) *Registry {
	return &Registry{runs.Open(st), models.Open(st.Blobs, st.Refs), runs.OpenLoggedModels(st)}
}

// URI is the address of an artifact. Either Run and Path are set, or Model and
// one of Version and Alias.
type URI struct {
	Run     runs.ID
	Path    string
	Model   string
	Version int
	Alias   string
}

// String writes the address as ParseURI reads it.
func (u URI) String() string {
	switch {
	case u.Run != "":
		return fmt.Sprintf("runs:/%s/%s", u.Run, u.Path)
	case u.Alias != "":
		return fmt.Sprintf("models:/%s@%s", u.Model, u.Alias)
	default:
		return fmt.Sprintf("models:/%s/%d", u.Model, u.Version)
	}
}

const forms = "write runs:/ID/PATH, models:/NAME/VERSION or models:/NAME@ALIAS"

// IsURI reports whether s means to be an address, well-formed or not, rather
// than the path of a file.
func IsURI(s string) bool {
	return strings.HasPrefix(s, "runs:") || strings.HasPrefix(s, "models:")
}

// ParseURI reads an address: runs:/ID/PATH, models:/NAME/VERSION or
// models:/NAME@ALIAS. The error is of kind Invalid.
func ParseURI(s string) (URI, error) {
	bad := func(why string) (URI, error) {
		return URI{}, fault.New(fault.Invalid, "%q is not an address: %s; %s", s, why, forms)
	}
	scheme, rest, ok := strings.Cut(s, ":/")
	if !ok {
		return bad("it has no scheme")
	}
	rest = strings.TrimLeft(rest, "/")
	switch scheme {
	case "runs":
		id, path, _ := strings.Cut(rest, "/")
		path = strings.Trim(path, "/")
		if id == "" || path == "" {
			return bad("the run's id or the path is missing")
		}
		return URI{Run: runs.ID(id), Path: path}, nil
	case "models":
		return parseModel(rest, bad)
	default:
		return bad(fmt.Sprintf("the scheme %q is unknown", scheme))
	}
}

func parseModel(rest string, bad func(string) (URI, error)) (URI, error) {
	name, version, hasVersion := strings.Cut(rest, "/")
	name, alias, hasAlias := strings.Cut(name, "@")
	switch {
	case name == "":
		return bad("the model's name is missing")
	case hasAlias && hasVersion:
		return bad("it has an alias and a version")
	case hasAlias && alias == "":
		return bad("the alias is missing")
	case hasAlias:
		return URI{Model: name, Alias: alias}, nil
	case !hasVersion || version == "":
		return bad("the version or alias is missing")
	}
	n, err := strconv.Atoi(version)
	if err != nil || n < 1 || strconv.Itoa(n) != version {
		return bad(fmt.Sprintf("the version %q is not a whole number from 1", version))
	}
	return URI{Model: name, Version: n}, nil
}

// Resolved is what an address stands for at this moment.
type Resolved struct {
	URI     URI          // an address that will always mean the same: by version or run, not by alias
	Run     runs.ID      // that made it; empty when a version was registered without one
	Model   string       // "" for an address by run
	Version int          // 0 for an address by run
	Path    string       // of the run's artifact
	Digest  store.Digest // of the artifact's bytes
}

// Resolve finds what an address stands for. Invalid for a malformed one,
// NotFound for one of nothing; the message says what there is instead.
func (r *Registry) Resolve(ctx context.Context, address string) (Resolved, error) {
	u, err := ParseURI(address)
	if err != nil {
		return Resolved{}, err
	}
	out, err := r.resolve(ctx, u)
	if err != nil {
		return Resolved{}, fmt.Errorf("resolve %s: %w", address, err)
	}
	return out, nil
}

func (r *Registry) resolve(ctx context.Context, u URI) (Resolved, error) {
	if u.Run != "" {
		return r.resolveRun(ctx, u)
	}
	var v models.Version
	var err error
	if u.Alias != "" {
		v, err = r.Models.Aliased(ctx, u.Model, u.Alias)
	} else {
		v, err = r.Models.Version(ctx, u.Model, u.Version)
	}
	fixed := URI{Model: u.Model, Version: v.Number}
	if err == nil && v.Digest == "" {
		err = fault.New(fault.Invalid, "version %d is not a model of Troupe: a client has registered %s", v.Number, v.Source)
	}
	return Resolved{fixed, v.Run, u.Model, v.Number, v.Path, v.Digest}, err
}

func (r *Registry) resolveRun(ctx context.Context, u URI) (Resolved, error) {
	run, err := r.Runs.Show(ctx, u.Run)
	if err != nil {
		return Resolved{}, err
	}
	a, ok := run.Artifacts[u.Path]
	if !ok {
		var paths []string
		for path := range run.Artifacts {
			paths = append(paths, path)
		}
		slices.Sort(paths)
		if len(paths) == 0 {
			return Resolved{}, fault.New(fault.NotFound, "the run, which has %s, has no artifacts", run.Status)
		}
		return Resolved{}, fault.New(fault.NotFound, "the run has no artifact %q; it has %s", u.Path, strings.Join(paths, ", "))
	}
	return Resolved{URI: URI{Run: run.ID, Path: u.Path}, Run: run.ID, Path: u.Path, Digest: a.Digest}, nil
}

// Register gives an artifact of a run a name: the next version of the model
// called name, or the version that it already is.
func (r *Registry) Register(ctx context.Context, name string, from URI, v models.Version) (models.Version, error) {
	found, err := r.resolve(ctx, from)
	if err != nil {
		return models.Version{}, fmt.Errorf("register %s: %w", from, err)
	}
	v.Run, v.Path, v.Digest = found.Run, found.Path, found.Digest
	return r.Models.Register(ctx, name, v)
}
