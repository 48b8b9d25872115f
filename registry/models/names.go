package models

import (
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
)

// listed names what there is, a few of it.
func listed(names []string) string {
	const most = 10
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		return strings.Join(names[:most], ", ") + ", …"
	default:
		return strings.Join(names, ", ")
	}
}

// CheckAlias returns an error of kind Invalid unless alias can be the name of one.
func CheckAlias(alias string) error {
	if err := checkWord("alias", alias); err != nil {
		return err
	}
	if _, err := strconv.Atoi(alias); err == nil {
		return fault.New(fault.Invalid, "the alias %q is a number, as versions are; choose a word", alias)
	}
	return nil
}

// checkWord judges the name of a model or alias. Slashes and at signs would
// make addresses ambiguous.
func checkWord(what, word string) error {
	if word == "" || len(word) > 200 || strings.ContainsAny(word, "/@:%\x00\n\r\t") || strings.TrimSpace(word) != word {
		return fault.New(fault.Invalid, "%q cannot be the name of a %s: use up to 200 characters without / @ : %% and outer spaces", word, what)
	}
	return nil
}
