// Package features computes features: columns of a table made of other columns
// of the same row, with what was learned from many rows. A Pipeline is a list of
// them; an Encoder and a Target turn a table into the matrix and the vector that
// a model is fitted to.
//
// All of them are fitted alike: any number of states observe rows, are merged,
// and Fit returns a fitted copy. What is learned is a function of the multiset
// of rows alone, to the last bit: in whatever order and number of shards they
// were seen. It is written as JSON, so that two fits can be compared. What a row
// becomes depends on that row alone, so a batch job, its parts, and a request of
// one row get the same bits, on every processor. Only what learns from the target
// tells apart the rows that it has learned from; see Pipeline.ApplyOutOfFold.
//
// # Operations
//
// A step has a name, an operation, the columns it reads (of), and parameters.
// Where one column comes out, it is called like the step; else the names are
// given below. Unless said otherwise: null gives null; numbers come out as
// float64, whatever went in, and NaN gives NaN; "number" is bool (0 or 1), int32,
// int64, float32 or float64, "category" is any type but timestamp. Nulls, NaN and
// infinities have no part in what is learned from numbers. A column without a
// single value to learn from is an error.
//
//	standard_scale    (x - mean) / std, std being that of the whole population (divided by n, as
//	                  scikit-learn's StandardScaler). All values equal: x - mean. ±inf: ±inf.
//	min_max_scale     low + (x - min) / (max - min) * (high - low). range: [low, high], by default
//	                  [0, 1]. clip: true cuts what is beyond; else it stays beyond. All values
//	                  equal: as if max - min were 1, so they give low. ±inf: ±inf unless cut.
//	robust_scale      (x - median) / (75 % quantile - 25 % quantile), quantiles as numpy has them, exact
//	                  up to 65,536 distinct values and less than 1 % off beyond. Both quartiles equal:
//	                  x - median. ±inf: ±inf.
//	log1p             natural logarithm of 1 + x, to 1 ulp. x <= -1, and so -inf: null. +inf: +inf.
//	clip              x cut to min..max, of which one may be absent. ±inf: cut.
//	ratio             a / b. b = 0 of either sign, also 0 / 0: null. inf / inf: NaN. b = ±inf: 0.
//	interact          the product of two columns or more. One null: null. 0 * inf: NaN.
//	bin               the label, a string, of the interval that holds x. edges: ascending, -.inf and
//	                  .inf allowed. Intervals are (a, b], the first [a, b]: an x of the first edge is
//	                  in the first interval. x below the first or above the last edge, NaN: null.
//	                  labels: one for each interval, by default "[0, 10]", "(10, inf]".
//	quantile_bin      bin between the quantiles k/bins (bins: 2 to 1000, by default 4), equal ones taken
//	                  once; the outer edges are -inf and inf, so every number is in a bin. NaN: null.
//	impute            x, or for null and NaN: median (default), mean, mode (the smallest of equally
//	                  frequent ones) or constant (value: v), as strategy says; texts have mode (default)
//	                  and constant, and stay string. Never null. ±inf: ±inf. indicator: true adds
//	                  NAME_missing, bool, true where x was missing.
//	one_hot           of a category, bool columns NAME_CATEGORY in natural order (numbers by size, texts
//	                  by bytes), exactly one of which is true: for the max_categories (256) most frequent
//	                  categories with at least min_count (1) rows, ties by name; NAME_missing if there
//	                  were nulls; NAME_other for rare and unseen ones (other: false leaves it out: all
//	                  are false). NaN is null; null without a NAME_missing: all are false. A category
//	                  that is itself called missing or other makes the column's name end in _.
//	frequency_encode  of a category, its share of the rows that have one; normalize: false gives their
//	                  number. Unseen: 0. NaN: null.
//	ordinal_encode    of a category, its place as int32 from 0 in natural order, or in order: [a, b, c],
//	                  which needs no fit. Unseen: -1. NaN: null.
//	expr              what the text expr says, of the columns that it reads (no of): arithmetic, comparisons,
//	                  logic, if, functions of numbers, texts and times. bool, int64, float64, string,
//	                  timestamp or date. Division by 0, whole numbers beyond 64 bits: null. See
//	                  docs/features/expr.md.
//	target_encode     of a category, the mean of the target in it, drawn towards that of all rows:
//	                  (sum + m * mean of all) / (n + m) with smoothing: m, or by the variances with
//	                  smoothing: auto (default). Rows that were learned from are encoded from the rows
//	                  of other folds only: folds: 5, dealt out as fold_by says: random (default), by
//	                  their numbers; group, by the values of fold_column; time, in order of
//	                  fold_column, from earlier folds only. All other rows are encoded from all rows.
//	                  Null and NaN are a category. Unseen: the mean of all. No row to learn from, as
//	                  in the earliest fold: null. The target is a number, a truth (the share of true)
//	                  or a text of two classes (the share of the last by its bytes); rows without one
//	                  teach nothing.
//	hash_encode       the bucket, an int32 of 0 to buckets - 1 (buckets: 1024, at most 2^31), of a
//	                  category or of the combination of several: the upper bits of XXH3 of its text,
//	                  hash * buckets / 2^64, with a seed (0); of several, that of their hashes, 8
//	                  bytes each, low byte first, one after the other. One null or NaN: null.
//	datetime          of a timestamp or date, for each of parts an int32 NAME_PART: year, quarter (1-4),
//	                  month (1-12), day (1-31), day_of_year (1-366), day_of_week (Monday is 0), hour,
//	                  minute, second (rounded down), and is_weekend, a bool (Saturday, Sunday). For each of
//	                  cyclical NAME_PART_sin and NAME_PART_cos, float64: sine and cosine of 2 pi part /
//	                  period, periods being quarter 4, month 12, day 31, day_of_year 366, day_of_week 7,
//	                  hour 24, minute 60, second 60. time_zone: UTC (default), +02:00, or a name such
//	                  as Europe/Berlin, for instants; wall times are taken as they are. Of hours that
//	                  clocks show twice or skip, each instant has the one that is shown.
//	lag, diff, rolling_mean, rolling_sum, rolling_min, rolling_max, rolling_std, rolling_count,
//	rolling_first, rolling_last, rolling_count_distinct
//	                  of the rows of the same entity before the row, in order of the timestamp: package
//	                  window. n (1): how many rows back. window: 7 rows, or 7d, 12h, 30m, 10s of time;
//	                  min_periods (1); include_current (false).
//
// Windows look at other rows, and so are computed apart from the others: Windows.
// Ties of time keep the order of the input. An entity may be told by several
// columns together. A row whose timestamp or one of whose columns of the entity is
// null has no history, and is in that of no other. Without an entity, all rows are of one.
//
// one_hot, frequency_encode, ordinal_encode and target_encode learn from columns of
// up to 1,048,576 distinct values; more are an error, for then it is an identifier.
// target_encode, which counts each in every fold, has no more than 8,388,608 pairs
// of a value and a fold.
//
// A step may read what earlier steps make, except one_hot's columns, whose names
// only a fit can tell; where a step makes a column called like one of the
// input's, later steps read the one made. Each step that learns from what another
// has learned needs one more pass over the rows; NumPasses is the length of the
// longest such chain.
package features
