// Package lint looks for what makes a model look better than it is: features that
// know the target, or what is only known afterwards, steps that have learned from
// the rows they are tested on, the same things in training and in test rows. It
// looks for columns that are of no use, too.
//
// Some rules need a job's spec alone (Static), others what is in its columns:
// a Profile of one pass over the rows, and an Association of a second. Both are
// made of counts and of sums of integers, so they are the same for any order of
// the rows and any split of them, and their space does not grow with the rows.
//
// Rules lists what is looked for; docs/features/lint.md says it to users.
package lint
