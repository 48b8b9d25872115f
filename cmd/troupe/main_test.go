package main

import (
	"os"
	"testing"
)

// asProgram is set for processes of this test's binary that are to be troupe
// itself: so the tests run what was just compiled, under the race detector if
// they are.
const asProgram = "TROUPE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	if err := os.Setenv(asProgram, "1"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
