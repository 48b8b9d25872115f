package run

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/jobs/spec"
)

// What a spec says of the optimizer is what a network is fitted with: each field of
// the one is the field of that name of the other.
func TestAllThatASpecSaysOfTheOptimizerIsUsed(t *testing.T) {
	t.Parallel()
	var o spec.Optimizer
	fields := reflect.ValueOf(&o).Elem()
	for i := range fields.NumField() {
		switch f := fields.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(fields.Type().Field(i).Name)
		case reflect.Float64:
			f.SetFloat(float64(i + 1))
		case reflect.Bool:
			f.SetBool(true)
		default:
			require.Fail(t, "a field of another kind", "%v", f.Kind())
		}
	}
	got := reflect.ValueOf(optimizerOf(o))
	require.Equal(t, fields.NumField(), got.NumField())
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Name
		require.EqualValues(t, fields.Field(i).Interface(), got.FieldByName(name).Convert(fields.Field(i).Type()).Interface(), name)
	}
}
