package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/ml/features"
)

// Static applies the rules that need no rows.
func Static(s *Subject) []Finding {
	var out []Finding
	s.targetUse(&out)
	if s.Split != nil {
		s.fitOnAll(&out)
		s.windowOrder(&out)
		s.windowAcross(&out)
	}
	return out
}

// targetUse looks for features of the target.
func (s *Subject) targetUse(to *[]Finding) {
	if s.Target == "" || s.Made != nil && s.Made.Target == s.Target { // then it is told of the features job
		return
	}
	u := s.source().uses()[s.Target]
	if u == nil {
		return
	}
	past := slices.DeleteFunc(s.seen(u.past), func(f string) bool { return slices.Contains(u.now, f) })
	if now := s.seen(u.now); len(now) > 0 {
		found(to, TargetInFeature, Error, s.Job, Finding{Column: s.Target, Features: now,
			Evidence: fmt.Sprintf("%s computed from the target %q of the same row", areListed(now), s.Target),
			Fix:      "remove the feature; to learn from the targets of other rows, use target_encode, which never sees a row's own"})
	}
	if len(past) > 0 {
		severity, more := Warning, ""
		if s.Split != nil && s.Split.By != byTime {
			severity, more = Error, fmt.Sprintf(", and the split is by %s, so that the targets of test rows are in training rows", s.Split.By)
		}
		found(to, TargetHistory, severity, s.Job, Finding{Column: s.Target, Features: past,
			Evidence: fmt.Sprintf("%s computed from the target %q of earlier rows%s", areListed(past), s.Target, more),
			Fix:      "keep it only if the earlier target is known by the time of a prediction, and split by time; labels often come late"})
	}
}

// fitOnAll looks for features that were fitted before the rows were split.
func (s *Subject) fitOnAll(to *[]Finding) {
	if s.Made == nil {
		return
	}
	var rows, target []string
	for _, step := range s.Made.Steps {
		if !s.sees(step.Name) {
			continue
		}
		switch learns, fromTarget := features.Learns(step); {
		case fromTarget:
			target = append(target, step.Name)
		case learns:
			rows = append(rows, step.Name)
		}
	}
	const fix = "put the list into this spec (features: FILE), where it is fitted on the training rows only and kept with the model"
	if len(target) > 0 {
		found(to, FitOnAll, Error, s.Job, Finding{Features: target,
			Evidence: fmt.Sprintf("%s has learned from the targets of all rows, and this job splits its output: training rows know the targets of test rows (%s)", s.Made.Job, listed(target)), Fix: fix})
	}
	if len(rows) > 0 {
		found(to, FitOnAll, Warning, s.Job, Finding{Features: rows,
			Evidence: fmt.Sprintf("%s has learned from all rows, and this job splits its output (%s)", s.Made.Job, listed(rows)), Fix: fix})
	}
}

// windowOrder looks for windows in another order than the split's.
func (s *Subject) windowOrder(to *[]Finding) {
	from := s.source()
	windows := s.seen(from.windows())
	if s.Split.By != byTime || len(windows) == 0 || from.Timestamp == "" || from.Timestamp == s.Split.Column {
		return
	}
	found(to, WindowOrder, Warning, s.Job, Finding{Column: s.Split.Column, Features: windows, Related: []string{from.Timestamp},
		Evidence: fmt.Sprintf("windows look back in the order of %q, the split follows %q: what is the past to one may be the future to the other", from.Timestamp, s.Split.Column),
		Fix:      fmt.Sprintf("split by time with column: %s", from.Timestamp)})
}

// windowAcross looks for windows whose rows are dealt out to different parts.
func (s *Subject) windowAcross(to *[]Finding) {
	from := s.source()
	windows := s.seen(from.windows())
	together := s.Split.By == byHash && slices.Contains(from.Entity, s.Split.Column)
	if len(windows) == 0 || together || s.Split.By == byTime || s.Split.By == byColumn {
		return
	}
	fix := "split by time"
	if from.Timestamp != "" {
		fix = fmt.Sprintf("split by time (column: %s)", from.Timestamp)
	}
	if len(from.Entity) > 0 {
		fix += fmt.Sprintf(", or by hash of the entity (column: %s)", strings.Join(from.Entity, " or "))
	}
	found(to, WindowAcrossSplit, Warning, s.Job, Finding{Features: windows,
		Evidence: fmt.Sprintf("the split by %s separates rows that windows bring together (%s)", s.Split.By, listed(windows)), Fix: fix})
}

// listed names at most six things.
func listed(names []string) string {
	const most = 6
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names[:min(len(names), most)], ", ") + more
}

// areListed is the beginning of a sentence about features.
func areListed(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return listed(names) + " are"
}
