package window

import (
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// The operations, as Config.Op names them.
const (
	Lag          = "lag"
	Diff         = "diff"
	RollingMean  = "rolling_mean"
	RollingSum   = "rolling_sum"
	RollingMin   = "rolling_min"
	RollingMax   = "rolling_max"
	RollingStd   = "rolling_std"
	RollingCount = "rolling_count"

	RollingFirst         = "rolling_first"
	RollingLast          = "rolling_last"
	RollingCountDistinct = "rolling_count_distinct"
)

// operations lists them. Their places are part of what MarshalBinary writes:
// only append.
var operations = []string{
	Lag, Diff, RollingMean, RollingSum, RollingMin, RollingMax, RollingStd, RollingCount, RollingFirst, RollingLast, RollingCountDistinct,
}

// Operations returns the names of all operations.
func Operations() []string { return slices.Clone(operations) }

// maxRows is the most rows that a window or a lag may reach back.
const maxRows = 1<<31 - 1

// Config is one window operation.
type Config struct {
	Op             string // one of Operations
	N              int    // lag, diff: how many rows back, at least 1
	Rows           int    // rolling: a window of so many rows; 0 when it is a window of time
	Span           int64  // rolling: a window of so many microseconds; 0 when it is a window of rows
	MinPeriods     int    // rolling: fewer values in the window give null; 0 is 1; counts have none
	IncludeCurrent bool   // rolling: whether the current row is in the window
}

// Validate reports what is wrong with the operation, as Invalid. The message
// begins with the parameter that it is about; the caller says of what.
func (c Config) Validate() error {
	switch {
	case !slices.Contains(operations, c.Op):
		return invalid("op: there is no %q; known are %s", c.Op, strings.Join(operations, ", "))
	case c.back():
		return c.validateBack()
	case c.N != 0:
		return invalid("n: only lag and diff have it; give a window instead")
	case c.Rows == 0 && c.Span == 0:
		return invalid("window: missing; give a number of rows or a length of time")
	case c.Rows != 0 && c.Span != 0:
		return invalid("window: both %d rows and a length of time; give one of them", c.Rows)
	case c.Rows < 0 || c.Rows > maxRows:
		return invalid("window: %d rows; use 1 to %d", c.Rows, maxRows)
	case c.Span < 0:
		return invalid("window: %d microseconds; use at least 1", c.Span)
	case c.Op == RollingStd && c.Rows == 1:
		return invalid("window: 1 row has no deviation; use 2 or more")
	case c.MinPeriods < 0:
		return invalid("min_periods: %d; use at least 1", c.MinPeriods)
	case c.counts() && c.MinPeriods > 1:
		return invalid("min_periods: %d, but a count is never null; leave it out", c.MinPeriods)
	case c.Rows > 0 && c.MinPeriods > c.Rows:
		return invalid("min_periods: %d is more than the %d rows of the window: all would be null", c.MinPeriods, c.Rows)
	}
	return nil
}

func (c Config) validateBack() error {
	switch {
	case c.N < 1 || c.N > maxRows:
		return invalid("n: %d; use 1 to %d", c.N, maxRows)
	case c.Rows != 0 || c.Span != 0:
		return invalid("window: %s has none; say with n how many rows back", c.Op)
	case c.MinPeriods != 0:
		return invalid("min_periods: %s has none; leave it out", c.Op)
	case c.IncludeCurrent:
		return invalid("include_current: %s has none; leave it out", c.Op)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...)
}

// back reports whether the operation looks at one row, N rows back.
func (c Config) back() bool { return c.Op == Lag || c.Op == Diff }

// counts reports whether the operation counts values, and so is never null.
func (c Config) counts() bool { return c.Op == RollingCount || c.Op == RollingCountDistinct }

// picks reports whether the operation tells values apart, or takes one of them.
func (c Config) picks() bool {
	return c.Op == RollingFirst || c.Op == RollingLast || c.Op == RollingCountDistinct
}

// Output returns the type of what the operation makes of a column of type t. The
// error is Invalid when it does not take that type.
func (c Config) Output(t data.Type) (data.Type, error) {
	if err := c.Validate(); err != nil {
		return 0, err
	}
	if t > data.Date {
		return 0, invalid("there is no %v", t)
	}
	switch c.Op {
	case Lag, RollingFirst, RollingLast:
		return t, nil
	case RollingCount, RollingCountDistinct:
		return data.Int64, nil
	case Diff:
		if t == data.String {
			return 0, invalid("the column is %v, expected a number, a timestamp or a date", t)
		}
	default:
		if !t.Numeric() {
			return 0, invalid("the column is %v, expected a number", t)
		}
	}
	return data.Float64, nil
}

// minValues is how many values a window must have to give one.
func (c Config) minValues() int32 {
	switch {
	case c.counts():
		return 0
	case c.Op == RollingStd:
		return max(2, int32(min(c.MinPeriods, maxRows)))
	}
	return max(1, int32(min(c.MinPeriods, maxRows)))
}
