// Package window computes what a row gets from the rows of the same entity
// before it: lag, diff, and rolling statistics over a window of rows or of time.
// The caller brings the rows of each entity together and in order of time, rows
// of equal time in input order; a State goes over them once, in runs of any
// length, and can be written down between two of them. However the rows are cut
// into runs, the same bits come out, on every processor.
//
// # Operations
//
// x is the value of a row, and a window is some rows of its entity. Null and NaN
// are no values: windows pass over them. "number" is bool (0 or 1), int32, int64,
// float32 or float64, read as float64.
//
//	lag            x of the row N rows before, of any type, bit for bit: null gives null, NaN NaN.
//	               The first N rows of an entity: null.
//	diff           x minus x of the row N rows before, as float64; of timestamps and dates in
//	               seconds. One of them null: null. One of them NaN, inf - inf: NaN. Integers are
//	               subtracted as such and rounded once. The first N rows of an entity: null.
//	rolling_sum    the sum of the values. +inf and -inf in one window: NaN; one of them: that.
//	rolling_mean   the sum divided by the number of values. Infinities as in rolling_sum.
//	rolling_min    the smallest value, infinities included.
//	rolling_max    the largest value, infinities included.
//	rolling_std    the standard deviation of a sample, sqrt(sum((x - mean)^2) / (n - 1)), as pandas
//	               and Polars have it. Less than two values: null. All equal: exactly 0. An infinity
//	               in the window: NaN. Never negative.
//	rolling_count  the number of values as int64, never null. Of columns of other types than numbers,
//	               the number of rows that are not null.
//	rolling_first, rolling_last
//	               the first and the last value, of any type and as it is, bit for bit.
//	rolling_count_distinct
//	               the number of different values as int64, exact and never null, of any type. The two
//	               zeros are one value, texts are equal when their bytes are.
//
// rolling_sum, mean, min, max and std take numbers and give float64; with fewer than
// MinPeriods values in the window (1 by default) all but counts give null, so the first
// row of an entity does, unless the window has the current row. -0 comes out as
// 0, but of first and last. A sum beyond the largest float64 overflows to an infinity, and so does the
// square of a deviation beyond 1e154.
//
// # Windows
//
// A window of Rows rows is the Rows rows of the entity before the current one,
// or with IncludeCurrent the current one and the Rows-1 before it. Rows without
// a value take their place in it, too.
//
// A window of time of Span microseconds is the rows before the current one in
// order whose time is later than t - Span, t being the time of the current row;
// with IncludeCurrent also the current row. A row at exactly t - Span is out. A
// row of the same time t that comes earlier in the input is in the window, one
// that comes later is not.
//
// # Rounding
//
// A result carries no rounding error of rows that have left the window, and
// nothing is ever subtracted from a sum: after an infinity or a huge value has
// left, it is as if it had never been.
//
//   - Windows of up to 64 rows: values are added from the first to the last; the
//     deviation is taken in two passes, over the differences from the first value.
//   - Longer windows of rows: rows are cut into blocks of Rows rows of the entity.
//     A window has the end of one block, added from its last row to its first,
//     and the beginning of the next, added from first to last; then the two are
//     added. Each row is added twice, however long the window is.
//   - Windows of time: likewise, with blocks that begin at multiples of Span since
//     1970-01-01T00:00:00.
//
// So a result depends on the rows of the window alone, the second case apart,
// where it also depends on the row's place in its entity modulo Rows. Deviations
// of blocks are updated by Welford's formula, over differences from the block's
// first value, and merged by that of Chan, Golub and LeVeque.
//
// Source: van Herk, A fast algorithm for local minimum and maximum filters on
// rectangular and octagonal kernels, Pattern Recognition Letters 13(7), 1992;
// Gil and Werman, Computing 2-D min, median, and max filters, IEEE PAMI 15(5),
// 1993; for any associative operation, Tangwongsan, Hirzel and Schneider,
// Low-latency sliding-window aggregation in worst-case constant time, DEBS 2017.
// Chan, Golub and LeVeque, Algorithms for computing the sample variance, The
// American Statistician 37(3), 1983.
package window
