package drift

import (
	"slices"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"
)

// numGroups is how many groups strings are counted in when there are too many.
const numGroups = 4096

// values counts strings: each on its own up to a bound on their number and
// their bytes together, beyond it in groups by hash. Both bounds are on the set
// of strings seen, which only grows, so which of the two forms a column ends in
// does not depend on the order of rows or merges.
type values struct {
	maxStrings, maxBytes int
	counts               map[string]int64  // nil beyond the bound; counts are positive
	bytes                int               // of the keys of counts
	groups               *[numGroups]int64 // nil within it
}

func newValues(l Limits) *values {
	return &values{maxStrings: l.MaxStrings, maxBytes: l.MaxStringBytes, counts: make(map[string]int64)}
}

func (v *values) sameLimits(o *values) bool {
	return v.maxStrings == o.maxStrings && v.maxBytes == o.maxBytes
}

func groupOf(s string) int { return int(xxh3.HashString(s) % numGroups) }

func (v *values) add(s string, n int64) {
	switch {
	case n == 0:
	case v.groups != nil:
		v.groups[groupOf(s)] += n
	default:
		if _, known := v.counts[s]; !known {
			s = strings.Clone(s) // it may be a small part of something large
			v.bytes += len(s)
		}
		v.counts[s] += n
		if len(v.counts) > v.maxStrings || v.bytes > v.maxBytes {
			v.group()
		}
	}
}

// group leaves the exact form.
func (v *values) group() {
	if v.groups == nil {
		v.groups = v.grouped()
		v.counts, v.bytes = nil, 0
	}
}

// grouped returns the counts of the groups.
func (v *values) grouped() *[numGroups]int64 {
	if v.groups != nil {
		return v.groups
	}
	groups := new([numGroups]int64)
	for s, n := range v.counts {
		groups[groupOf(s)] += n
	}
	return groups
}

func (v *values) merge(o *values) {
	if o.groups == nil {
		for s, n := range o.counts {
			v.add(s, n)
		}
		return
	}
	v.group()
	for g, n := range o.groups {
		v.groups[g] += n
	}
}

// sorted returns the strings in ascending order.
func (v *values) sorted() []string {
	names := make([]string, 0, len(v.counts))
	for s := range v.counts {
		names = append(names, s)
	}
	slices.Sort(names)
	return names
}

// byName returns the counts by name, those of the groups when asked so or when
// there is no other form.
func (v *values) byName(groups bool) map[string]int64 {
	if !groups && v.groups == nil {
		return v.counts
	}
	counts := make(map[string]int64)
	for g, n := range v.grouped() {
		if n > 0 {
			counts["group "+strconv.Itoa(g)] = n
		}
	}
	return counts
}
