package store_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store"
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

func TestNamesAreAcceptedAsTheirFormSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[A-Za-z0-9_. /*>-]{0,12}`).Draw(t, "name")
		err := store.CheckName(name)
		if want := nameForm.MatchString(name); (err == nil) != want {
			t.Fatalf("CheckName(%q) = %v, the form says %v", name, err, want)
		}
		if err != nil && fault.Of(err) != fault.Invalid {
			t.Fatalf("CheckName(%q) is of kind %v", name, fault.Of(err))
		}
	})
	if err := store.CheckName(strings.Repeat("n", store.MaxNameBytes)); err != nil {
		t.Error(err)
	}
	if err := store.CheckName(strings.Repeat("n", store.MaxNameBytes+1)); fault.Of(err) != fault.Invalid {
		t.Errorf("a name that is too long: %v", err)
	}
}

func TestADigestIsCheckedToTheLastDigit(t *testing.T) {
	t.Parallel()
	good := store.DigestOf([]byte("hello"))
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []store.Digest{"", "sha256:", good[:len(good)-1], good + "0", "md5:" + good[4:], store.Digest(strings.ToUpper(string(good))), good[:len(good)-1] + "/"} {
		if err := bad.Check(); fault.Of(err) != fault.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestVerifyRefusesOtherBytes(t *testing.T) {
	t.Parallel()
	d := store.DigestOf([]byte("hello"))
	if err := d.Verify([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := d.Verify([]byte("hellp")); !errors.Is(err, store.ErrCorrupt) || fault.Of(err) != fault.Corrupt {
		t.Fatalf("%v", err)
	}
}

func TestTheSentinelsCarryTheirKind(t *testing.T) {
	t.Parallel()
	for err, kind := range map[error]fault.Kind{store.ErrNotFound: fault.NotFound, store.ErrConflict: fault.Conflict, store.ErrCorrupt: fault.Corrupt} {
		if fault.Of(err) != kind {
			t.Errorf("%v is of kind %v", err, fault.Of(err))
		}
	}
}
