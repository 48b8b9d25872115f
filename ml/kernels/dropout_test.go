package kernels

import (
	"math"
	"testing"
)

// kept returns, for ones of shape (rows, cols), where d keeps them.
func kept(d Dropout, rows, cols int, firstRow uint64) [][]bool {
	y := NewMatrix(rows, cols)
	for i := range rows {
		for j := range cols {
			y.Row(i)[j] = 1
		}
	}
	d.Apply(y, firstRow)
	all := make([][]bool, rows)
	for i := range all {
		all[i] = make([]bool, cols)
		for j, v := range y.Row(i) {
			all[i][j] = v != 0
		}
	}
	return all
}

// share returns how often f holds, in standard deviations from what is expected
// of n independent draws with probability p.
func deviations(count, n int, p float64) float64 {
	return (float64(count) - float64(n)*p) / math.Sqrt(float64(n)*p*(1-p))
}

func TestDropoutKeepsTheRightShare(t *testing.T) {
	t.Parallel()
	const rows, cols = 1000, 500
	for _, rate := range []float64{0.001, 0.1, 0.3, 0.5, 0.9} {
		k := kept(Dropout{Seed: 42, Iteration: 7, Layer: 1, Rate: rate}, rows, cols, 1<<40)
		total, columns := 0, make([]int, cols)
		for i := range rows {
			row := 0
			for j := range cols {
				if k[i][j] {
					row++
					columns[j]++
				}
			}
			total += row
			if d := deviations(row, cols, 1-rate); math.Abs(d) > 5 && rate > 0.01 {
				t.Errorf("rate %v: row %d keeps %d of %d", rate, i, row, cols)
			}
		}
		if d := deviations(total, rows*cols, 1-rate); math.Abs(d) > 4 {
			t.Errorf("rate %v: %d of %d are kept, %.1f deviations off", rate, total, rows*cols, d)
		}
		for j, n := range columns {
			if d := deviations(n, rows, 1-rate); math.Abs(d) > 5 && rate > 0.01 {
				t.Errorf("rate %v: column %d keeps %d of %d", rate, j, n, rows)
			}
		}
	}
}

// Two masks that differ in one key, or are shifted by a row or a column, agree
// as often as independent ones do.
func TestDropoutMasksAreIndependent(t *testing.T) {
	t.Parallel()
	const rows, cols = 1000, 400
	base := Dropout{Seed: 42, Iteration: 7, Layer: 1, Rate: 0.5}
	a := kept(base, rows, cols, 0)
	others := map[string]Dropout{
		"seed":      {Seed: 43, Iteration: 7, Layer: 1, Rate: 0.5},
		"iteration": {Seed: 42, Iteration: 8, Layer: 1, Rate: 0.5},
		"layer":     {Seed: 42, Iteration: 7, Layer: 2, Rate: 0.5},
		"swapped":   {Seed: 42, Iteration: 1, Layer: 7, Rate: 0.5},
	}
	agree := func(name string, b [][]bool, di, dj int) {
		count, n := 0, 0
		for i := range rows - di {
			for j := range cols - dj {
				n++
				if a[i][j] == b[i+di][j+dj] {
					count++
				}
			}
		}
		if d := deviations(count, n, 0.5); math.Abs(d) > 4 {
			t.Errorf("%s, shifted by (%d, %d): %d of %d agree, %.1f deviations off", name, di, dj, count, n, d)
		}
	}
	for name, d := range others {
		agree(name, kept(d, rows, cols, 0), 0, 0)
	}
	for _, shift := range [][2]int{{0, 1}, {0, 2}, {0, 4}, {0, 8}, {0, 16}, {0, 32}, {0, 128}, {1, 0}, {2, 0}, {4, 0}, {64, 0}, {1, 1}, {3, 5}} {
		agree("the same", a, shift[0], shift[1])
	}
}

// Runs of four neighbours in a row take all 16 forms equally often.
func TestDropoutHasNoPatternInARow(t *testing.T) {
	t.Parallel()
	const rows, cols = 2000, 256
	k := kept(Dropout{Seed: 5, Rate: 0.5}, rows, cols, 0)
	var counts [16]int
	for _, row := range k {
		for j := 0; j < cols; j += 4 {
			form := 0
			for b := range 4 {
				if row[j+b] {
					form |= 1 << b
				}
			}
			counts[form]++
		}
	}
	chi, expected := 0.0, float64(rows*cols/4)/16
	for _, n := range counts {
		chi += (float64(n) - expected) * (float64(n) - expected) / expected
	}
	if chi > 37.7 { // one in a thousand, 15 degrees of freedom
		t.Errorf("chi-square %.1f over %v", chi, counts)
	}
}

func TestDropoutScalesWhatItKeeps(t *testing.T) {
	t.Parallel()
	d := Dropout{Seed: 1, Rate: 0.2}
	y := NewMatrix(10, 30)
	for i := range y.Rows {
		for j := range y.Row(i) {
			y.Row(i)[j] = 4
		}
	}
	d.Apply(y, 0)
	for i := range y.Rows {
		for _, v := range y.Row(i) {
			if v != 0 && v != 5 {
				t.Fatalf("4 became %v", v)
			}
		}
	}
	before := y.clone()
	Dropout{Seed: 1}.Apply(y, 0)
	for i, v := range before.Data {
		if y.Data[i] != v {
			t.Fatal("a rate of 0 changed something")
		}
	}
}
