package metrics

import (
	"encoding/binary"
	"math"

	"github.com/troupe-ml/troupe/ml/sketch"
)

// numBins is how many bins of equal width a Calibration has.
const numBins = 10

// Calibration holds predicted probabilities against how often what they predict
// is so. Rows are put into 10 bins of equal width by their probability: those
// above m/10 and up to (m+1)/10, the first with 0. The zero value has seen no
// rows and is ready to use; it is not safe for concurrent use.
type Calibration struct {
	bins [numBins]bin
}

type bin struct {
	numRows, hits int64
	sum           sketch.Sum // of the probabilities
}

// CalibrationBin is one bin of a reliability diagram.
type CalibrationBin struct {
	Above       float64 `json:"above"` // what it begins with
	UpTo        float64 `json:"up_to"` // and ends with, included
	Rows        int64   `json:"rows"`
	Probability float64 `json:"probability"` // mean of those predicted; 0 without rows
	Share       float64 `json:"share"`       // of the rows that are what was predicted; 0 without rows
}

// binOf returns the bin of a probability.
func binOf(p float64) int {
	m := min(int(p*numBins), numBins-1)
	for m > 0 && p <= float64(m)/numBins {
		m--
	}
	for m < numBins-1 && p > float64(m+1)/numBins {
		m++
	}
	return m
}

// Add adds a row: the probability predicted, in 0..1, and whether it is so.
func (c *Calibration) Add(probability float64, hit bool) { c.add(probability, hit, 1) }

func (c *Calibration) add(probability float64, hit bool, numRows int64) {
	b := &c.bins[binOf(probability)]
	b.numRows += numRows
	addTimes(&b.sum, probability, numRows)
	if hit {
		b.hits += numRows
	}
}

// Merge adds the rows that o has seen.
func (c *Calibration) Merge(o *Calibration) {
	for m := range c.bins {
		c.bins[m].numRows += o.bins[m].numRows
		c.bins[m].hits += o.bins[m].hits
		c.bins[m].sum.Merge(&o.bins[m].sum)
	}
}

// NumRows returns the number of rows seen.
func (c *Calibration) NumRows() (n int64) {
	for m := range c.bins {
		n += c.bins[m].numRows
	}
	return n
}

// Bins returns the reliability diagram, all 10 bins.
func (c *Calibration) Bins() []CalibrationBin {
	out := make([]CalibrationBin, numBins)
	for m := range c.bins {
		b := &c.bins[m]
		out[m] = CalibrationBin{Above: float64(m) / numBins, UpTo: float64(m+1) / numBins, Rows: b.numRows}
		if b.numRows > 0 {
			out[m].Probability = b.sum.Value() / float64(b.numRows)
			out[m].Share = float64(b.hits) / float64(b.numRows)
		}
	}
	return out
}

// Error returns the expected calibration error: the mean over the rows of how
// far their bin's share is from its mean probability, the sum over the bins of
// |hits - sum of probabilities| / rows of all. The error is of kind Invalid when
// there are no rows.
//
// Source: Naeini, Cooper and Hauskrecht, AAAI 2015; Guo et al., ICML 2017, eq. 3.
func (c *Calibration) Error() (float64, error) {
	n := c.NumRows()
	if n == 0 {
		return 0, noRows("calibration_error")
	}
	off := 0.0 // over bins in order: the same for any split of the rows
	for m := range c.bins {
		off += math.Abs(float64(c.bins[m].hits) - c.bins[m].sum.Value())
	}
	return off / float64(n), nil
}

func (c *Calibration) append(b []byte) []byte {
	for m := range c.bins {
		b = binary.AppendUvarint(b, uint64(c.bins[m].numRows))
		b = binary.AppendUvarint(b, uint64(c.bins[m].hits))
		b = c.bins[m].sum.Append(b)
	}
	return b
}

func (r *reader) calibration() (c Calibration) {
	for m := range c.bins {
		c.bins[m] = bin{numRows: r.rows(), hits: r.rows(), sum: r.sum()}
		if c.bins[m].hits > c.bins[m].numRows {
			r.Fail("bin %d has %d hits in %d rows", m, c.bins[m].hits, c.bins[m].numRows)
		}
	}
	return c
}
