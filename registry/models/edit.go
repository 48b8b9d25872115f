package models

import (
	"context"
	"slices"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/document"
)

// revive makes the model that is to be, which may have been there before: then
// only the numbers of its versions are left of it.
func (m *Model) revive(name string, at time.Time) {
	if m.Name != "" && m.Deleted.IsZero() {
		return
	}
	*m = Model{Name: name, Versions: m.Versions, Created: at, Changed: at}
}

// Create makes a model without versions. Conflict when there is one of its name.
func (s *Shelf) Create(ctx context.Context, want Model) (Model, error) {
	if err := checkName(want.Name); err != nil {
		return Model{}, err
	}
	return s.models.Update(ctx, want.Name, func(m *Model, exists bool) error {
		if exists && m.Deleted.IsZero() {
			return fault.New(fault.Conflict, "the model %q exists already", want.Name)
		}
		m.revive(want.Name, stamp(want.Created))
		m.Owner, m.Description, m.Tags = want.Owner, want.Description, want.Tags
		return nil
	})
}

// Edit changes what people say of a model: its description, owner and tags. The
// rest is changed by the other methods.
func (s *Shelf) Edit(ctx context.Context, name string, at time.Time, edit func(*Model) error) (Model, error) {
	return s.update(ctx, name, func(m *Model) error {
		next := *m
		if next.Tags == nil {
			next.Tags = map[string]string{}
		}
		if err := edit(&next); err != nil {
			return err
		}
		m.Description, m.Owner, m.Tags, m.Changed = next.Description, next.Owner, next.Tags, stamp(at)
		return nil
	})
}

func stamp(at time.Time) time.Time { return at.UTC().Truncate(time.Microsecond) }

// AddVersion adds a version to a model that must exist, whatever it is: other
// than with Register the same twice is two versions.
func (s *Shelf) AddVersion(ctx context.Context, name string, v Version) (Version, error) {
	v.Created = stamp(v.Created)
	v.Changed = v.Created
	_, err := s.update(ctx, name, func(m *Model) error {
		v.Number = len(m.Versions) + 1
		m.Versions = append(m.Versions, v)
		m.Changed = v.Created
		return nil
	})
	return v, err
}

// EditVersion changes what people say of a version: its description, tags and
// stage.
func (s *Shelf) EditVersion(ctx context.Context, name string, number int, at time.Time, edit func(*Version) error) (Model, error) {
	return s.update(ctx, name, func(m *Model) error {
		v, err := m.version(number)
		if err != nil {
			return err
		}
		next := *v
		if next.Tags == nil {
			next.Tags = map[string]string{}
		}
		if err := edit(&next); err != nil {
			return err
		}
		v.Description, v.Tags, v.Stage, v.Changed = next.Description, next.Tags, next.Stage, stamp(at)
		m.Changed = v.Changed
		return nil
	})
}

// Stage moves a version to a stage; when alone, those that are in it leave for
// the stage "Archived".
func (s *Shelf) Stage(ctx context.Context, name string, number int, stage string, alone bool, at time.Time) (Model, error) {
	return s.update(ctx, name, func(m *Model) error {
		v, err := m.version(number)
		if err != nil {
			return err
		}
		for i := range m.Versions {
			if o := &m.Versions[i]; alone && o.Stage == stage && o.Number != number && o.Deleted.IsZero() {
				o.Stage, o.Changed = "Archived", stamp(at)
			}
		}
		v.Stage, v.Changed, m.Changed = stage, stamp(at), stamp(at)
		return nil
	})
}

// DeleteVersion deletes a version for good. Conflict while an alias names it.
func (s *Shelf) DeleteVersion(ctx context.Context, name string, number int, at time.Time) error {
	_, err := s.update(ctx, name, func(m *Model) error {
		v, err := m.version(number)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(m.Aliases, func(a Alias) bool { return a.Version == number }); i >= 0 {
			return fault.New(fault.Conflict, "version %d of the model %q is %q: move or delete the alias first", number, name, m.Aliases[i].Name)
		}
		v.Deleted, m.Changed = stamp(at), stamp(at)
		return nil
	})
	return err
}

// Delete deletes a model with its versions and aliases for good. A model that is
// made under its name later goes on with the numbers, so that no address ever
// means another version.
func (s *Shelf) Delete(ctx context.Context, name string, at time.Time) error {
	_, err := s.update(ctx, name, func(m *Model) error {
		m.bury(at)
		return nil
	})
	return err
}

func (m *Model) bury(at time.Time) {
	for i := range m.Versions {
		if v := &m.Versions[i]; v.Deleted.IsZero() {
			v.Deleted = stamp(at)
		}
	}
	m.Deleted, m.Aliases = stamp(at), nil
}

// Rename gives a model another name. Conflict when that is taken, or was one of
// a model with versions, whose addresses would mean others. What is cut off in
// between has both names, and is finished by renaming again.
func (s *Shelf) Rename(ctx context.Context, name, to string, at time.Time) (Model, error) {
	if err := checkName(to); err != nil {
		return Model{}, err
	}
	from, err := s.Show(ctx, name)
	if err != nil {
		return Model{}, err
	}
	_, err = s.models.Update(ctx, to, func(m *Model, exists bool) error {
		begun := exists && m.Renamed == name
		if exists && !begun && (m.Deleted.IsZero() || len(m.Versions) > 0) {
			return fault.New(fault.Conflict, "the name %q is or was that of another model", to)
		}
		*m = from
		m.Name, m.Renamed, m.Changed = to, name, stamp(at)
		return nil
	})
	if err != nil {
		return Model{}, err
	}
	if err := s.Delete(ctx, name, at); err != nil {
		return Model{}, err
	}
	return s.models.Update(ctx, to, func(m *Model, exists bool) error {
		if !exists || m.Renamed == "" {
			return document.Unchanged
		}
		m.Renamed = ""
		return nil
	})
}
