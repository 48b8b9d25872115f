package spec

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Inline returns a copy in which a train job's features file is written out,
// so that the spec says by itself what is computed. read returns the text of a
// file; a spec that names none is returned as it is. The file must hold one job
// of kind features; its target, when it has one, must be the train job's.
func (s Spec) Inline(read func(path string) ([]byte, error)) (Spec, error) {
	if s.Train == nil || s.Train.Features == nil || s.Train.Features.File == "" {
		return s, nil
	}
	path := s.Train.Features.File
	text, err := read(path)
	if err != nil {
		return Spec{}, fault.Wrap(fault.Invalid, fmt.Errorf("features of train %q: %w", s.Name, err))
	}
	specs, err := Parse(filepath.Base(path), text)
	if err != nil {
		return Spec{}, err
	}
	var found *Features
	for _, f := range specs {
		if f.Features != nil && found == nil {
			found = f.Features
		} else if f.Features != nil {
			return Spec{}, fault.New(fault.Invalid, "%s: holds several features jobs, where train %q expects one", path, s.Name)
		}
	}
	if found == nil {
		return Spec{}, fault.New(fault.Invalid, "%s: holds no features job, which train %q expects", path, s.Name)
	}
	if found.Target != "" && found.Target != s.Train.Target {
		return Spec{}, fault.New(fault.Invalid, "%s: its target is %q, that of train %q is %q: they must be the same", path, found.Target, s.Name, s.Train.Target)
	}
	if s.Train.Task == Multiclass && slices.ContainsFunc(found.Steps, func(f Step) bool { return f.Op == targetEncode }) {
		return Spec{}, fault.New(fault.Invalid, "%s: target_encode needs a number or one of two classes to take the mean of, and the task of train %q is multiclass; use frequency_encode or hash_encode", path, s.Name)
	}
	c := s.Clone()
	c.Train.Features = &FeatureSource{Steps: found.Steps}
	c.Train.Entity, c.Train.Timestamp = found.Entity, found.Timestamp
	return c, nil
}
