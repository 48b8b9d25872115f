//go:build !linux

package run

import (
	"errors"
	"os"
)

// errNoShared says why: where a machine's start has no name, tables are not
// shared.
var errNoShared = errors.New("tables are not shared on this system")

func machineStart() (string, error) { return "", errNoShared }

func allocate(*os.File, int64) error { return errNoShared }

func lock(*os.File, bool, bool) (bool, error) { return false, errNoShared }

func mapped(*os.File, int64) ([]byte, func(), error) { return nil, nil, errNoShared }
