package main

import (
	"flag"
	"os"
	"testing"
)

// asProgram is set for processes of this test's binary that are to be troupe
// itself: so the tests run what was just compiled, under the race detector if
// they are.
const asProgram = "TROUPE_TEST_AS_PROGRAM"

// asVersion is the version that such a process has, other than a developer's.
const asVersion = "TROUPE_TEST_AS_PROGRAM_VERSION"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		if v := os.Getenv(asVersion); v != "" {
			version = v
		}
		main()
		return
	}
	if err := os.Setenv(asProgram, "1"); err != nil {
		panic(err)
	}
	// These tests wait for processes far more than they compute.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
