package neural

import "time"

// dealing is how the shards of a batch are divided over the ranks. Whoever takes
// longer for a shard is given fewer, so that all are done at the same time. Sums are
// exact, so that it makes no difference to the model; and all ranks know the same
// paces, from the sums of the batch before, and so come to the same division.
type dealing struct {
	rank   int
	clock  func() time.Duration // nil: all ranks count as equally fast
	began  time.Duration
	pace   int64   // nanoseconds that this rank takes for a shard, smoothed
	paces  []int64 // of all ranks, as of the last batch; 0: unknown
	shards int     // of the batch that counts are of
	counts []int   // of each rank
	until  int     // batches for which they stay
}

const (
	paceMemory  = 8   // batches that a pace is the mean of, about
	mostSlower  = 4   // times the pace, that a batch counts: a pause is none
	dealBatches = 16  // until shards may be dealt anew
	worthwhile  = 0.9 // of the time that a batch takes, for that to be done
)

func newDealing(rank, worldSize int, clock func() time.Duration) *dealing {
	return &dealing{rank: rank, clock: clock, paces: make([]int64, worldSize)}
}

// mine returns this rank's part of a batch of so many shards.
func (d *dealing) mine(shards int) (first, count int) {
	if len(d.paces) == 1 {
		return 0, shards
	}
	if d.until--; d.shards != shards || d.until <= 0 {
		shares := deal(shards, d.paces)
		if d.shards != shards || longest(shares, d.paces) < worthwhile*longest(d.counts, d.paces) {
			d.shards, d.counts = shards, shares
		}
		d.until = dealBatches
	}
	for _, n := range d.counts[:d.rank] {
		first += n
	}
	return first, d.counts[d.rank]
}

// begin is called when this rank begins with its shards, done when they are done.
func (d *dealing) begin() {
	if d.clock != nil {
		d.began = d.clock()
	}
}

func (d *dealing) done() {
	if d.clock == nil || len(d.paces) == 1 || d.counts[d.rank] == 0 {
		return
	}
	took := max(1, int64(d.clock()-d.began)/int64(d.counts[d.rank]))
	if d.pace == 0 {
		d.pace = took
	}
	d.pace += (min(took, mostSlower*d.pace) - d.pace) / paceMemory
}

// deal gives each rank at least one shard while there are enough, and each further
// one to the rank that would have done it first. A rank whose pace is unknown counts
// as fast as the fastest, and is known when it has done one.
func deal(shards int, paces []int64) []int {
	fastest := int64(0)
	for _, p := range paces {
		if p > 0 && (fastest == 0 || p < fastest) {
			fastest = p
		}
	}
	counts := make([]int, len(paces))
	for i := range shards {
		to := i
		if i >= len(counts) {
			to = first(counts, paces, max(fastest, 1))
		}
		counts[to]++
	}
	return counts
}

// first returns the rank that would be done first if it had one shard more.
func first(counts []int, paces []int64, unknown int64) (rank int) {
	var least int64
	for i, p := range paces {
		if p == 0 {
			p = unknown
		}
		if t := p * int64(counts[i]+1); i == 0 || t < least {
			rank, least = i, t
		}
	}
	return rank
}

// longest is how long the last rank takes.
func longest(counts []int, paces []int64) (t float64) {
	for i, n := range counts {
		t = max(t, float64(n)*float64(paces[i]))
	}
	return t
}
