package exit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/troupe-ml/troupe/cmd/troupe/internal/exit"
	"github.com/troupe-ml/troupe/internal/fault"
)

func TestCodesOfErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want exit.Code
	}{
		{nil, 0},
		{errors.New("a bug"), 1},
		{fault.New(fault.NotFound, "no such job"), 1},
		{fault.New(fault.Conflict, "in use"), 1},
		{fault.New(fault.Exhausted, "full"), 1},
		{fault.New(fault.Corrupt, "torn"), 1},
		{fault.New(fault.Invalid, "a typing error"), 2},
		{exit.With(exit.Refused, nil), 3},
		{fault.New(fault.Unavailable, "no cluster"), 4},
		{fmt.Errorf("list: %w", exit.With(exit.Unreachable, fault.New(fault.Invalid, "token"))), 4},
		{exit.ErrTimeout, 124},
		{context.DeadlineExceeded, 124},
		{exit.ErrInterrupted, 130},
		{context.Canceled, 130},
	} {
		assert.Equal(t, c.want, exit.Of(c.err), "%v", c.err)
	}
}

func TestTheCauseIsWhatPeopleHear(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := errors.New("read: connection closed")
	assert.Equal(t, failed, exit.Because(ctx, failed))
	cancel(exit.ErrInterrupted)
	assert.Equal(t, exit.ErrInterrupted, exit.Because(ctx, failed))
	assert.NoError(t, exit.Because(ctx, nil), "what went well stays well")
}
