// Package expr computes columns from columns by an expression such as
//
//	if(amount > 100 and country = 'DE', log(amount / (count + 1)), 0)
//
// It is the language of where clauses (data.ParsePredicate) with arithmetic,
// functions and choices: whatever is a condition there is one here, and means
// the same. docs/features/expr.md has the grammar, the functions and the rules.
//
// A Program has types, and is immutable. Its values are computed in blocks of
// rows by loops over slices; texts once for each distinct one. What a row becomes
// depends on that row alone, and is the same to the bit on every processor.
package expr
