// Package specfile reads spec files from the file system into jobs that can be
// submitted: paths become absolute, and a features file that a train job names
// is written out, so that a spec means the same on every machine.
package specfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/jobs/spec"
)

// Stdin is the name of the file that stands for standard input.
const Stdin = "-"

// Read reads the jobs of files, in order, after the overrides in sets. Relative
// paths are relative to their file, those of standard input to the working
// folder. Everything that is wrong with any of the files is in the one error,
// which is of kind Invalid.
func Read(stdin io.Reader, files []string, sets []spec.Set) ([]spec.Spec, error) {
	var all []spec.Spec
	var errs []error
	var missed spec.Faults
	for i, file := range files {
		if slices.Contains(files[:i], file) && file == Stdin {
			return nil, fault.New(fault.Invalid, "standard input is given twice")
		}
		specs, err := one(stdin, file, sets)
		var faults spec.Faults
		switch {
		case errors.As(err, &faults):
			missed = append(missed, faults...)
		case err != nil:
			errs = append(errs, err)
		}
		all = append(all, specs...)
	}
	if len(missed) > 0 {
		errs = append(errs, missed)
	}
	if len(errs) > 0 {
		return nil, fault.Wrap(fault.Invalid, errors.Join(errs...))
	}
	return all, nil
}

func one(stdin io.Reader, file string, sets []spec.Set) ([]spec.Spec, error) {
	text, folder, err := load(stdin, file)
	if err != nil {
		return nil, err
	}
	specs, err := spec.Parse(name(file), text, sets...)
	if err != nil {
		return nil, err
	}
	for i, s := range specs {
		s = s.Resolve(folder)
		if specs[i], err = writeOut(s); err != nil {
			return nil, fmt.Errorf("%s: %w", name(file), err)
		}
	}
	return specs, nil
}

func name(file string) string {
	if file == Stdin {
		return "standard input"
	}
	return file
}

// load returns the text of a file and the folder that its paths start from.
func load(stdin io.Reader, file string) (text []byte, folder string, err error) {
	if file == Stdin {
		if text, err = io.ReadAll(stdin); err != nil {
			return nil, "", fault.New(fault.Invalid, "standard input: %w", err)
		}
		folder, err = os.Getwd()
		return text, folder, err
	}
	text, err = os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", fault.New(fault.Invalid, "%s: there is no such file", file)
	case err != nil:
		return nil, "", fault.New(fault.Invalid, "%w", err)
	}
	path, err := filepath.Abs(file)
	return text, filepath.Dir(path), err
}

// writeOut replaces the path of a features file in a train job by its features.
func writeOut(s spec.Spec) (spec.Spec, error) {
	if s.Kind != spec.KindTrain || s.Train.Features == nil || s.Train.Features.File == "" {
		return s, nil
	}
	file := s.Train.Features.File
	specs, err := one(nil, file, nil)
	if err != nil {
		return s, err
	}
	f, err := spec.One(specs)
	if err == nil && f.Kind != spec.KindFeatures {
		err = fault.New(fault.Invalid, "it is a %s job", f.Kind)
	}
	if err != nil {
		return s, fault.New(fault.Invalid, "features: %s: %w; name a file with one features job", file, err)
	}
	s = s.Clone()
	s.Train.Features = &spec.FeatureSource{Steps: f.Features.Steps}
	s.Train.Entity, s.Train.Timestamp = f.Features.Entity, f.Features.Timestamp
	if slices.Contains(s.Train.Entity, s.Train.Target) {
		s.Train.Entity = nil
	}
	return s, nil
}

// Build makes a spec of a kind from nothing but overrides, as a verb does whose
// flags say everything. Paths in them are absolute already.
func Build(kind spec.Kind, name string, sets []spec.Set) (spec.Spec, error) {
	text := fmt.Sprintf("kind: %s\nname: %s\n", kind, name)
	specs, err := spec.Parse("the flags", []byte(text), sets...)
	if err != nil {
		return spec.Spec{}, err
	}
	return spec.One(specs)
}
