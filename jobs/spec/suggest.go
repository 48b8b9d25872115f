package spec

import (
	"fmt"
	"slices"
	"strings"
)

func contains(words []string, word string) bool { return slices.Contains(words, word) }

// suggest is the hint for an unknown word: the known one that was probably
// meant, or else all of them.
func suggest(word string, known []string) string {
	if hint := suggestOnly(word, known); hint != "" {
		return hint
	}
	return "expected one of " + strings.Join(known, ", ")
}

// Suggest is the hint with the known word that was probably meant, or "".
func Suggest(word string, known []string) string { return suggestOnly(word, known) }

// suggestOnly is the hint with the known word that was probably meant, or "".
func suggestOnly(word string, known []string) string {
	best, least := "", len(word)/3+2
	for _, k := range known {
		d := distance(strings.ToLower(word), strings.ToLower(k))
		if len(word) > 3 && (strings.HasPrefix(k, word) || strings.HasPrefix(word, k) && len(k) > 3) {
			d = min(d, 1)
		}
		if d < least && d < len(k) {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// distance is the number of characters to insert, delete, replace or swap with
// their neighbour to make b of a.
//
// Source: optimal string alignment, after Damerau, CACM 7(3), 1964.
func distance(a, b string) int {
	x, y := []rune(clip(a)), []rune(clip(b))
	before, prev, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range row {
		prev[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return prev[len(y)]
}
