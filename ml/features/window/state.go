package window

import (
	"fmt"
	"math/bits"

	"github.com/troupe-ml/troupe/data"
)

// State is one operation over one column, and as much of the entity in progress
// as its next row needs: N rows of a lag or diff, the rows of a window. It is
// not safe for concurrent use.
type State struct {
	config Config
	of     data.Type
	runner
}

// runner is what lag and diff, and rolling statistics do in their own ways.
type runner interface {
	run(in *data.Column, times []int64, starts data.Bitmap) *data.Column
	append(b []byte) []byte // the entity in progress
	decode(r *reader)       // what append has written
}

// New returns a state that has seen no rows, for a column of type t. The error
// is Invalid when the configuration is wrong or does not take that type.
func New(c Config, t data.Type) (*State, error) {
	out, err := c.Output(t)
	if err != nil {
		return nil, fmt.Errorf("window: %s: %w", c.Op, err)
	}
	return &State{config: c, of: t, runner: newRunner(c, t, out)}, nil
}

func newRunner(c Config, of, out data.Type) runner {
	switch {
	case c.back():
		return &back{op: c.Op, n: c.N, of: of, out: out}
	case c.picks():
		return newPicking(c, of, out)
	}
	return newRolling(c)
}

// Run returns the outputs of rows that follow those given before. in has the
// type that the state was made for, and is not kept; times are those of its
// rows in microseconds, never descending within an entity, and nil when the
// window is none of time; starts has the bit of each row that begins a new
// entity, before which everything is forgotten, nil when none does. A call
// costs the rows still needed once, and the same for each row, however long the
// window is beyond 64 rows.
//
// The output has no Valid when nothing in it is null. Strings are those of the
// output's rows alone.
func (s *State) Run(in *data.Column, times []int64, starts data.Bitmap) *data.Column {
	return s.run(in, times, starts)
}

// nextStart returns the first row from a row on that begins an entity; numRows
// when there is none.
func nextStart(starts data.Bitmap, from, numRows int) int {
	if from >= numRows || starts == nil {
		return numRows
	}
	at := from >> 6
	word := starts[at] >> (uint(from) & 63) << (uint(from) & 63)
	for word == 0 {
		if at++; at<<6 >= numRows {
			return numRows
		}
		word = starts[at]
	}
	return min(numRows, at<<6+bits.TrailingZeros64(word))
}

// eachNull calls visit with the rows of a bitmap that are not set.
func eachNull(valid data.Bitmap, numRows int, visit func(row int)) {
	for at, word := range valid {
		if word = ^word; word == 0 {
			continue
		}
		for ; word != 0; word &= word - 1 {
			if row := at<<6 + bits.TrailingZeros64(word); row < numRows {
				visit(row)
			}
		}
	}
}

// finish gives the nulls of a column the zero value, and drops the marks when
// there are none.
func finish(c *data.Column) *data.Column {
	nulls := 0
	eachNull(c.Valid, c.Len(), func(row int) {
		c.Zero(row)
		nulls++
	})
	if nulls == 0 {
		c.Valid = nil
	}
	return c
}
