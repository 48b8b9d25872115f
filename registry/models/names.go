package models

import (
	"strconv"
	"strings"
	"unicode"

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
// What MLflow's clients cannot use, or take for a version, is none.
func CheckAlias(alias string) error {
	letters := strings.IndexFunc(alias, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-' }) < 0
	if alias == "" || len(alias) > maxWord || !letters {
		return fault.New(fault.Invalid, "%q cannot be the name of an alias: use up to %d letters, digits, _ and -", alias, maxWord)
	}
	number := strings.TrimPrefix(strings.ToLower(alias), "v")
	if _, err := strconv.Atoi(number); err == nil || strings.EqualFold(alias, "latest") {
		return fault.New(fault.Invalid, "the alias %q reads as a version; choose another word", alias)
	}
	return nil
}

// maxWord is the most bytes of the name of a model or alias.
const maxWord = 200

// checkName judges the name of a model. Slashes and at signs would make addresses
// ambiguous.
func checkName(word string) error {
	if word == "" || len(word) > maxWord || strings.ContainsAny(word, "/@:%\x00\n\r\t") || strings.TrimSpace(word) != word {
		return fault.New(fault.Invalid, "%q cannot be the name of a model: use up to %d characters without / @ : %% and outer spaces", word, maxWord)
	}
	return nil
}
