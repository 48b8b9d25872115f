package arrow

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Beyond returns those columns of UINT64 in which a value does not fit int64, for
// ReaderConfig.Digits: such numbers are keys and hashes, of which every digit
// counts. Those that are among Digits already are not looked at. It reads the schema
// alone if there is no other such column, else until all of them have such a value,
// or to the end. Faults are those of Reader.
func Beyond(ctx context.Context, r io.Reader, cfg ReaderConfig) (columns []string, err error) {
	defer func() { err = atDoor(recover(), err) }()
	in, err := NewReader(r, cfg)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	open := slices.DeleteFunc(slices.Clone(in.leaves), func(l leaf) bool { return !l.unsigned || l.digits })
	for len(open) > 0 {
		if ctx.Err() != nil {
			return nil, fault.Wrap(fault.Canceled, context.Cause(ctx))
		}
		rec, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		n := int(rec.record.NumRows())
		open = slices.DeleteFunc(open, func(l leaf) bool {
			if _, err := l.column(rec.record, n, &rec.room); !errors.Is(err, errBeyond) {
				return false // what else is wrong with it is found when it is read
			}
			columns = append(columns, l.field.Name)
			return true
		})
		rec.record.Release()
	}
	slices.Sort(columns)
	return columns, nil
}
