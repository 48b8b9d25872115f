// Package rng is randomness as an argument: every generator is seeded from a
// spec and named after its purpose, so that two purposes never share a stream
// and the same spec always draws the same numbers.
package rng

import (
	"math/rand/v2"

	"github.com/zeebo/xxh3"
)

// New returns a generator for one purpose of one seed.
func New(seed uint64, purpose string) *rand.Rand {
	h := xxh3.HashString128Seed(purpose, seed)
	return rand.New(rand.NewPCG(h.Hi, h.Lo))
}

// Mix returns 64 well-mixed bits of its arguments: a counter-based generator
// for draws that must not depend on the order in which they are made.
//
// Source: Steele, Lea and Flood, OOPSLA 2014 (SplitMix64 finaliser).
func Mix(seed uint64, counters ...uint64) uint64 {
	h := seed
	for _, c := range counters {
		h = finalise(h + 0x9e3779b97f4a7c15 + c*0xd1342543de82ef95)
	}
	return finalise(h)
}

// Mixer is a seed and a first counter: Mix with what is left to say.
type Mixer uint64

// NewMixer returns a Mixer for which NewMixer(s, a).Mix(b) is Mix(s, a, b).
func NewMixer(seed, first uint64) Mixer {
	return Mixer(finalise(seed + 0x9e3779b97f4a7c15 + first*0xd1342543de82ef95))
}

// Mix returns 64 well-mixed bits of the seed and both counters.
func (m Mixer) Mix(second uint64) uint64 {
	return finalise(finalise(uint64(m) + 0x9e3779b97f4a7c15 + second*0xd1342543de82ef95))
}

func finalise(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
