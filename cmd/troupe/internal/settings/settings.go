// Package settings fills the flags that a command line leaves open: from the
// environment first, then from a file, so that flags win over both.
//
// The flag --some-flag is TROUPE_SOME_FLAG in the environment and some_flag in
// the file; the flags of one command alone stand in a section of its name, as
// TROUPE_NODE_BIND and
//
//	node:
//	  bind: 10.0.0.5
package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"

	"github.com/troupe-ml/troupe/internal/fault"
)

// DefaultFile is read when it is there and no other file is named.
const DefaultFile = "troupe.yaml"

// NamesOf returns the names of flags as files have them, behind a section.
func NamesOf(section string, flags *pflag.FlagSet) []string {
	var names []string
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "settings" {
			names = append(names, join(section, key(f.Name)))
		}
	})
	return names
}

func key(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

func join(section, name string) string {
	if section == "" {
		return name
	}
	return section + "." + name
}

// Fill sets the flags that were not given. Those that only the command of
// section has are looked up there, the rest at the top. Known are all names
// that a file may have; any other is an error, of kind Invalid like all.
func Fill(flags *pflag.FlagSet, section string, env func(string) (string, bool), known []string) error {
	file, err := load(flags, env)
	if err != nil {
		return err
	}
	var errs []error
	for name := range file.values {
		if !slices.Contains(known, name) {
			errs = append(errs, fault.New(fault.Invalid, "%s: unknown setting %s; there are %s", file.name, name, strings.Join(known, ", ")))
		}
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			return
		}
		name := key(f.Name)
		if scoped := join(section, name); slices.Contains(known, scoped) && !slices.Contains(known, name) {
			name = scoped
		}
		if !slices.Contains(known, name) {
			return
		}
		variable := "TROUPE_" + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
		if text, ok := env(variable); ok && text != "" {
			errs = append(errs, set(flags, f, variable, []string{text}))
		} else if values, ok := file.values[name]; ok {
			errs = append(errs, set(flags, f, file.name+": "+name, values))
		}
	})
	return fault.Wrap(fault.Invalid, errors.Join(errs...))
}

func set(flags *pflag.FlagSet, f *pflag.Flag, from string, values []string) error {
	for _, v := range values {
		if err := flags.Set(f.Name, v); err != nil {
			return fault.New(fault.Invalid, "%s: %q: expected a %s", from, v, f.Value.Type())
		}
	}
	return nil
}

type settingsFile struct {
	name   string
	values map[string][]string
}

// load reads the file that --settings or TROUPE_SETTINGS names, or the default
// one if it is there.
func load(flags *pflag.FlagSet, env func(string) (string, bool)) (settingsFile, error) {
	name, named := "", false
	if f := flags.Lookup("settings"); f != nil && f.Value.String() != "" {
		name, named = f.Value.String(), true
	} else if name, named = env("TROUPE_SETTINGS"); !named || name == "" {
		name, named = DefaultFile, false
	}
	out := settingsFile{name, map[string][]string{}}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return out, nil
	}
	if err != nil {
		return out, fault.New(fault.Invalid, "settings: %w", err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return out, fault.New(fault.Invalid, "settings %s: %s", name, yaml.FormatError(err, false, false))
	}
	return out, out.flatten("", doc)
}

func (s settingsFile) flatten(section string, doc map[string]any) error {
	for k, v := range doc {
		name := join(section, k)
		switch v := v.(type) {
		case map[string]any:
			if section != "" {
				return fault.New(fault.Invalid, "%s: %s: expected a value, found a mapping", s.name, name)
			}
			if err := s.flatten(k, v); err != nil {
				return err
			}
		case []any:
			for _, item := range v {
				s.values[name] = append(s.values[name], fmt.Sprint(item))
			}
		case nil:
		default:
			s.values[name] = []string{fmt.Sprint(v)}
		}
	}
	return nil
}
