package ring

// hop is a step of a small sum: what a rank knows goes so many places to the
// right. A rank that knows of itself and of the m-1 ranks to its left so comes to
// know of twice as many, or, where that would be one too many, is sent what the
// rank m-1 places to the left knows but for its own part.
//
// Source: Bar-Noy, Kipnis and Schieber, Parallel Processing Letters 3(1), 1993: of n
// ranks, all know the sum after the least number of steps there can be, log2 n
// rounded up, and need not be a power of two. With n of 2 and 3 it is a walk around
// the ring.
type hop struct {
	distance int
	whole    bool // with the sender's own part
}

// hops are the steps of a gang of n.
func hops(n int) []hop {
	if n <= 1 {
		return nil
	}
	known := (n + 1) / 2 // before the last
	return append(hops(known), hop{distance: n - known, whole: n%2 == 0})
}

// distances are those at which a gang of n has links, the ring's first.
func distances(n int) (all []int) {
	for _, h := range hops(n) {
		if len(all) == 0 || all[len(all)-1] != h.distance {
			all = append(all, h.distance)
		}
	}
	return all
}

// small reports whether the bytes that log2 n whole vectors have more than a
// reduction in parts take less time than the steps that they save, of some tens of
// microseconds each.
func (c *Comm) small(numbers int) bool {
	n, steps := c.WorldSize(), len(c.hops)
	more := 8 * numbers * (steps*n - 2*(n-1)) // bytes that a rank sends, times n
	return numbers <= len(c.scratch) && more <= c.cfg.SmallBytes*n*(2*(n-1)-steps)
}

// addWhole adds v over all ranks in the fewest steps.
func (c *Comm) addWhole(o operation, v []int64) error {
	others := c.others[:0] // the sum of the ranks to the left that are known
	for _, h := range c.hops {
		l := c.links[h.distance]
		mine, rest := v, others
		if !h.whole {
			mine, rest = others, nil
		}
		if err := l.sendWhole(o, mine, rest); err != nil {
			return err
		}
		if len(others) == 0 {
			others = c.others[:len(v)]
			if err := l.receiveWhole(o, others); err != nil {
				return err
			}
			continue
		}
		got := c.scratch[:len(v)]
		if err := l.receiveWhole(o, got); err != nil {
			return err
		}
		for i, x := range got {
			others[i] += x
		}
	}
	for i, x := range others {
		v[i] += x
	}
	return nil
}
