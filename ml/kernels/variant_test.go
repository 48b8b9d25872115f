package kernels

import (
	"errors"
	"testing"

	"github.com/troupe-ml/troupe/internal/fault"
)

func TestUseTakesNames(t *testing.T) { //nolint:paralleltest // the choice is the process's
	defer forced.Store(0)
	for _, v := range variants() {
		if err := Use(v.String()); err != nil || Active() != v {
			t.Errorf("use %v: %v, active is %v", v, err, Active())
		}
	}
	for _, name := range []string{"", "auto"} {
		if err := Use(name); err != nil || Active() != best {
			t.Errorf("use %q: %v, active is %v", name, err, Active())
		}
	}
	var f *fault.Error
	if err := Use("sse"); !errors.As(err, &f) || f.Kind != fault.Invalid {
		t.Errorf("use of an unknown variant: %v", err)
	}
}

func TestShapesThatDoNotFitPanic(t *testing.T) {
	t.Parallel()
	d := Dense{In: 3, Out: 5}
	x, y, w, b := NewMatrix(2, 3), NewMatrix(2, 5), Aligned(d.WeightLen()), Aligned(d.BiasLen())
	short := y
	short.Data = short.Data[:20]
	for name, f := range map[string]func(){
		"rows":     func() { d.Forward(y, x.Slice(0, 1), w, b, ReLU) },
		"columns":  func() { d.Forward(y, y, w, b, ReLU) },
		"weights":  func() { d.Forward(y, x, w[1:], b, ReLU) },
		"bias":     func() { d.Forward(y, x, w, b[:5], ReLU) },
		"padding":  func() { d.Forward(short, x, w, b, ReLU) },
		"slice":    func() { x.Slice(1, 2) },
		"label":    func() { CrossEntropy(y, []int32{0, 5}, 1, make([]float32, 2)) },
		"negative": func() { CrossEntropy(y, []int32{0, -1}, 1, make([]float32, 2)) },
		"rate":     func() { Dropout{Rate: 1}.Apply(y, 0) },
		"moments":  func() { DefaultAdamW().Update(w, w, w[1:], w, 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
