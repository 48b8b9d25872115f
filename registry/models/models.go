// Package models keeps the models that have a name: their versions, which are
// numbered and never change, and their aliases, which are moved from version
// to version and remember where they have been.
package models

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/document"
	"github.com/troupe-ml/troupe/registry/runs"
	"github.com/troupe-ml/troupe/store"
)

// Model is a named model.
type Model struct {
	Name        string            `json:"name"`
	Versions    []Version         `json:"versions"`         // by number, from 1
	Aliases     []Alias           `json:"aliases"`          // by name
	Created     time.Time         `json:"created,omitzero"` // zero of old ones
	Changed     time.Time         `json:"changed,omitzero"`
	Owner       string            `json:"owner,omitempty"`
	Description string            `json:"description,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Deleted     time.Time         `json:"deleted,omitzero"`  // then it is there for its numbers alone, which are never given again
	Renamed     string            `json:"renamed,omitempty"` // from what, while it is being renamed
}

// Version is one model under a name.
type Version struct {
	Number  int               `json:"number"` // from 1, without gaps
	Run     runs.ID           `json:"run,omitempty"`
	Path    string            `json:"path,omitempty"`   // of the run's artifact
	Digest  store.Digest      `json:"digest,omitempty"` // of the bundle; empty when it is none, but something that a client has logged
	Created time.Time         `json:"created"`
	Tags    map[string]string `json:"tags,omitempty"`

	Changed     time.Time `json:"changed,omitzero"`
	Owner       string    `json:"owner,omitempty"`
	Description string    `json:"description,omitempty"`
	Source      string    `json:"source,omitempty"`   // where a client says that it is
	RunLink     string    `json:"run_link,omitempty"` // likewise
	Logged      runs.ID   `json:"logged,omitempty"`   // the logged model that it is
	Stage       string    `json:"stage,omitempty"`    // in MLflow's old words, such as Staging
	Deleted     time.Time `json:"deleted,omitzero"`
}

// Alias is a name for a version, such as production.
type Alias struct {
	Name    string `json:"name"`
	Version int    `json:"version"` // 0 when it names none now
	History []Move `json:"history"` // the last is the present
}

// Move is one change of an alias.
type Move struct {
	Version int       `json:"version"` // to which; 0 for none
	Time    time.Time `json:"time"`
	By      string    `json:"by,omitempty"`     // who
	Reason  string    `json:"reason,omitempty"` // why
	Back    bool      `json:"back,omitempty"`   // it was a rollback
}

// Alias returns the alias of a name, or nil.
func (m *Model) Alias(name string) *Alias {
	for i := range m.Aliases {
		if m.Aliases[i].Name == name {
			return &m.Aliases[i]
		}
	}
	return nil
}

// Live returns the versions that are not deleted.
func (m *Model) Live() []Version {
	return slices.DeleteFunc(slices.Clone(m.Versions), func(v Version) bool { return !v.Deleted.IsZero() })
}

// Latest returns the newest version, or the zero version when there is none.
func (m *Model) Latest() Version {
	for _, v := range slices.Backward(m.Versions) {
		if v.Deleted.IsZero() {
			return v
		}
	}
	return Version{}
}

// Version returns the version of a number, or NotFound.
func (m *Model) Version(number int) (Version, error) {
	v, err := m.version(number)
	if err != nil {
		return Version{}, err
	}
	return *v, nil
}

// AnyVersion is the expectation of Move that any version will do.
const AnyVersion = -1

// Shelf is all models of a store. It is safe for concurrent use.
type Shelf struct{ models *document.Mirror[Model] }

// Open returns the models in a store.
func Open(blobs store.Blobs, refs store.Refs) *Shelf {
	return &Shelf{&document.Mirror[Model]{Collection: document.Collection[Model]{Prefix: "model", Blobs: blobs, Refs: refs}}}
}

// Register adds a version of the model called name, which is made if there is
// none, and returns it with its number. The same artifact of the same run is
// registered once: the second time, its version is returned. Number is ignored.
//
// Invalid for a malformed name or a version without digest or time.
func (s *Shelf) Register(ctx context.Context, name string, v Version) (Version, error) {
	if err := checkName(name); err != nil {
		return Version{}, err
	}
	if v.Digest == "" || v.Created.IsZero() {
		return Version{}, fault.New(fault.Invalid, "register %s: digest or time of the version is missing", name)
	}
	v.Created = stamp(v.Created)
	_, err := s.models.Update(ctx, name, func(m *Model, _ bool) error {
		m.revive(name, v.Created)
		for _, old := range m.Versions {
			if old.Deleted.IsZero() && old.Run == v.Run && old.Path == v.Path && old.Digest == v.Digest {
				v = old
				return document.Unchanged
			}
		}
		v.Number = len(m.Versions) + 1
		m.Versions = append(m.Versions, v)
		return nil
	})
	return v, err
}

// MoveAlias points an alias at move.Version, or at none if that is 0, and
// returns the model. expect is the version that the alias must name now: 0 for
// none, AnyVersion for whatever it is. Moving to where it stands is no change.
//
// NotFound when there is no such model or version; Conflict when the alias does
// not name what is expected.
func (s *Shelf) MoveAlias(ctx context.Context, name, alias string, move Move, expect int) (Model, error) {
	if move.Version != 0 {
		if err := CheckAlias(alias); err != nil {
			return Model{}, err
		}
	}
	return s.update(ctx, name, func(m *Model) error {
		if move.Version != 0 {
			if _, err := m.version(move.Version); err != nil {
				return err
			}
		}
		now := 0
		if a := m.Alias(alias); a != nil {
			now = a.Version
		}
		if expect != AnyVersion && now != expect {
			return fault.New(fault.Conflict, "%s@%s names version %d, not %d: somebody has moved it", name, alias, now, expect)
		}
		if now == move.Version {
			return document.Unchanged
		}
		m.move(alias, move)
		return nil
	})
}

// Rollback points an alias at the version that it named before the present one
// and returns the model. Rolling back again goes one further back, not forth.
// NotFound when there is nothing before.
func (s *Shelf) Rollback(ctx context.Context, name, alias string, move Move) (Model, error) {
	return s.update(ctx, name, func(m *Model) error {
		a := m.Alias(alias)
		if a == nil {
			return m.noAlias(alias)
		}
		before := a.before()
		if before == 0 {
			return fault.New(fault.NotFound, "%s@%s has named no version before %d", name, alias, a.Version)
		}
		move.Version, move.Back = before, true
		m.move(alias, move)
		return nil
	})
}

// before walks the history as a stack: a move to the version that lies below
// the top is a step back, any other a step forth.
func (a *Alias) before() int {
	var stack []int
	for _, m := range a.History {
		switch {
		case m.Version == 0:
		case len(stack) > 1 && stack[len(stack)-2] == m.Version:
			stack = stack[:len(stack)-1]
		case len(stack) == 0 || stack[len(stack)-1] != m.Version:
			stack = append(stack, m.Version)
		}
	}
	if a.Version == 0 && len(stack) > 0 {
		return stack[len(stack)-1]
	}
	if len(stack) < 2 {
		return 0
	}
	return stack[len(stack)-2]
}

func (m *Model) move(alias string, move Move) {
	move.Time = stamp(move.Time)
	a := m.Alias(alias)
	if a == nil {
		m.Aliases = append(m.Aliases, Alias{Name: alias})
		slices.SortFunc(m.Aliases, func(x, y Alias) int { return cmp.Compare(x.Name, y.Name) })
		a = m.Alias(alias)
	}
	a.Version = move.Version
	a.History = append(a.History, move)
}

// TagVersion sets tags of a version; an empty value removes one.
func (s *Shelf) TagVersion(ctx context.Context, name string, number int, tags map[string]string) (Model, error) {
	return s.update(ctx, name, func(m *Model) error {
		v, err := m.version(number)
		if err != nil {
			return err
		}
		if v.Tags == nil {
			v.Tags = map[string]string{}
		}
		for k, value := range tags {
			if v.Tags[k] = value; value == "" {
				delete(v.Tags, k)
			}
		}
		return nil
	})
}

// update changes a model that must exist.
func (s *Shelf) update(ctx context.Context, name string, change func(*Model) error) (Model, error) {
	return s.models.Update(ctx, name, func(m *Model, exists bool) error {
		if !exists || !m.Deleted.IsZero() {
			return s.noModel(ctx, name)
		}
		return change(m)
	})
}

// Show returns a model, or NotFound.
func (s *Shelf) Show(ctx context.Context, name string) (Model, error) {
	m, err := s.models.Load(ctx, name)
	if err != nil && fault.Of(err) == fault.NotFound || err == nil && !m.Deleted.IsZero() {
		return Model{}, s.noModel(ctx, name)
	}
	return m, err
}

// Version returns one version of a model, or NotFound.
func (s *Shelf) Version(ctx context.Context, name string, number int) (Version, error) {
	m, err := s.Show(ctx, name)
	if err != nil {
		return Version{}, err
	}
	return m.Version(number)
}

// Aliased returns the version that an alias names, or NotFound.
func (s *Shelf) Aliased(ctx context.Context, name, alias string) (Version, error) {
	m, err := s.Show(ctx, name)
	if err != nil {
		return Version{}, err
	}
	a := m.Alias(alias)
	if a == nil || a.Version == 0 {
		return Version{}, m.noAlias(alias)
	}
	v, err := m.version(a.Version)
	if err != nil {
		return Version{}, err
	}
	return *v, nil
}

// List returns all models, by name. What is in them may not be changed.
func (s *Shelf) List(ctx context.Context) ([]Model, error) {
	docs, err := s.models.All(ctx)
	if err != nil {
		return nil, err
	}
	var all []Model
	for _, m := range docs {
		if m.Deleted.IsZero() {
			all = append(all, *m)
		}
	}
	slices.SortFunc(all, func(x, y Model) int { return cmp.Compare(x.Name, y.Name) })
	return all, nil
}

func (m *Model) version(number int) (*Version, error) {
	if number < 1 || number > len(m.Versions) {
		return nil, fault.New(fault.NotFound, "the model %q has no version %d; it has %s", m.Name, number, m.numbers())
	}
	if v := &m.Versions[number-1]; !v.Deleted.IsZero() {
		return nil, fault.New(fault.NotFound, "version %d of the model %q was deleted on %s", number, m.Name, v.Deleted.Format(time.DateOnly))
	}
	return &m.Versions[number-1], nil
}

func (m *Model) numbers() string {
	if len(m.Versions) < 2 {
		return "version 1 alone"
	}
	return "versions 1 to " + strconv.Itoa(len(m.Versions))
}

func (m *Model) noAlias(alias string) error {
	var names []string
	for _, a := range m.Aliases {
		if a.Version != 0 {
			names = append(names, a.Name)
		}
	}
	return fault.New(fault.NotFound, "the model %q has no alias %q; it has %s", m.Name, alias, listed(names))
}

func (s *Shelf) noModel(ctx context.Context, name string) error {
	all, err := s.List(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, m := range all {
		names = append(names, m.Name)
	}
	return fault.New(fault.NotFound, "there is no model %q; there is %s", name, listed(names))
}
