package generate

import (
	"math"
)

// What the rows are made of. A risk is in powers of two of the odds of fraud.
var (
	categories = [...]struct {
		name        string
		share, risk float64
		amount      float64 // in powers of two of what the user usually pays
	}{
		{"groceries", 220, -0.9, -0.3}, {"restaurants", 140, -0.6, -0.2}, {"fuel", 110, 0.2, 0.1}, {"transport", 90, -0.5, -0.8},
		{"online_retail", 85, 0.7, 0.3}, {"pharmacy", 60, -0.7, -0.5}, {"clothing", 50, 0.1, 0.5}, {"entertainment", 45, 0.1, 0},
		{"utilities", 40, -1.2, 0.8}, {"electronics", 30, 1, 1.3}, {"home", 28, 0, 0.8}, {"travel", 24, 0.6, 1.6},
		{"health", 20, -0.6, 0.4}, {"gaming", 16, 1.1, -0.4}, {"education", 12, -0.9, 1.0}, {"jewelry", 9, 1.3, 1.8},
		{"gift_cards", 8, 1.6, 0.2}, {"crypto", 6, 1.7, 1.0}, {"charity", 4, -0.3, -0.2}, {"gambling", 3, 1.4, 0.6},
	}
	countries = [...]struct {
		name        string
		share, risk float64
	}{
		{"DE", 300, -0.3}, {"FR", 190, -0.2}, {"GB", 150, 0}, {"ES", 90, 0.1}, {"IT", 80, 0.2}, {"PL", 60, 0}, {"NL", 50, -0.4},
		{"US", 40, 0.8}, {"SE", 20, -0.5}, {"BR", 12, 1.6}, {"NG", 5, 2.4}, {"RO", 3, 1.4},
	}
	busyness = [24]float64{14, 9, 6, 5, 5, 8, 16, 30, 44, 50, 54, 60, 68, 64, 56, 54, 58, 68, 76, 74, 60, 46, 34, 22}
)

const (
	tableSize = 1024
	dayMicros = 86_400_000_000
	// riskScale stretches the risks; a larger one makes the label easier to
	// predict.
	riskScale = 1.7
)

// transaction is one row.
type transaction struct {
	user       int64
	ts         int64
	hour       int
	amount     float64
	total      float64
	count      int64
	category   uint8
	country    uint8
	noAmount   bool
	noCategory bool
	fraud      bool
}

// stream is the random numbers of one row or user.
//
// Source: Steele, Lea and Flood, OOPSLA 2014 (SplitMix64).
type stream uint64

func (s *stream) next() uint64 {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// uniform returns a number in [0, 1).
func (s *stream) uniform() float64 { return float64(s.next()>>11) / (1 << 53) }

// normal returns a number of mean 0 and deviation 1, the sum of four uniform
// ones, so never beyond 3.5.
func (s *stream) normal() float64 {
	v := s.next()
	sum := int64(v&0xffff) + int64(v>>16&0xffff) + int64(v>>32&0xffff) + int64(v>>48)
	return float64(float64(sum-2*0xffff) * (1 / 37837.8)) // 65536 * sqrt(4/12)
}

// pow2 is 2^x for -1000 < x < 1000, to about 1e-6, with the same bits on every
// processor: each product is rounded before it is added to anything.
func pow2(x float64) float64 {
	k := math.Floor(x)
	f := x - k
	p := 0.00021872
	for _, c := range [...]float64{0.0012388, 0.0096836, 0.0554804, 0.2402305, 0.6931472, 1} {
		p = float64(p*f) + c
	}
	return float64(math.Float64frombits(uint64(int64(k)+1023)<<52) * p)
}

// cents rounds to two places.
func cents(v float64) float64 { return math.Floor(float64(v*100)+0.5) / 100 }

// lottery returns a table in which each of n things takes its share.
func lottery(n int, share func(i int) float64) (table [tableSize]uint8) {
	sum := 0.0
	for i := range n {
		sum += share(i)
	}
	at, before := 0, 0.0
	for i := range n {
		before += share(i)
		for ; at < tableSize && float64(at) < float64(before/sum*tableSize); at++ {
			table[at] = uint8(i)
		}
	}
	for ; at < tableSize; at++ {
		table[at] = uint8(n - 1)
	}
	return table
}

// Purposes of the draws from one seed.
const (
	ofRow = iota + 1
	ofUser
	ofTime
)

// time returns when a row happens. Later rows are not earlier: each has a slot
// of its own in the day, and nights have few. hint is the hour of a row nearby.
func (g *Generator) time(number int64, hint *int) int64 {
	s := stream(g.ofTime.Mix(uint64(number)))
	days := float64(float64(float64(number)+s.uniform()) / float64(g.cfg.Rows) * float64(g.cfg.Days))
	day := math.Floor(days)
	part := days - day
	h := *hint
	for h > 0 && part < g.dayparts[h] {
		h--
	}
	for h < 23 && part >= g.dayparts[h+1] {
		h++
	}
	*hint = h
	within := min((part-g.dayparts[h])/(g.dayparts[h+1]-g.dayparts[h]), 0.9999999)
	return g.start + int64(day)*dayMicros + int64(float64(float64(h)+within)*(dayMicros/24))
}

// row makes the row of that number, which happens at ts.
func (g *Generator) row(number, ts int64) (r transaction) {
	r.ts = ts
	r.hour = int((ts - g.start) % dayMicros / (dayMicros / 24))
	s := stream(g.ofRow.Mix(uint64(number)))
	risk := g.draw(&r, &s)
	r.fraud = s.uniform() < odds(float64(risk*riskScale)+g.bias)
	missing := s.next()
	r.noAmount = missing&0xff == 0             // 0.4 %
	r.noCategory = missing>>8&0x7f == 0        // 0.8 %
	r.amount = float64(r.amount) * g.inflation // drift comes after, and does not change, the label
	r.amount = max(cents(r.amount), 0.01)
	return r
}

// draw fills in all but time and label, and returns the risk.
func (g *Generator) draw(r *transaction, s *stream) (risk float64) {
	u := s.uniform()
	r.user = 1 + int64(float64(u*u)*float64(g.cfg.Users)) // the first are the busiest
	usual, home := g.habits(r.user)

	v := s.next()
	r.category = g.categories[v%tableSize]
	r.country = home
	if v>>10&15 == 0 { // abroad
		r.country = g.countries[v>>20%tableSize]
	}
	more := float64(0.9*s.normal()) + categories[r.category].amount
	r.amount = float64(usual * pow2(more))
	c := s.uniform()
	r.count = 1 + int64(60*float64(c*c))
	r.total = cents(float64(usual*float64(r.count)) * (0.8 + float64(0.4*s.uniform())))
	return riskOf(r, more)
}

// habits are what a user usually pays, and where.
func (g *Generator) habits(user int64) (usual float64, home uint8) {
	if user < int64(len(g.usual)) {
		return g.usual[user], g.home[user]
	}
	s := stream(g.ofUser.Mix(uint64(user)))
	return float64(32 * pow2(float64(1.1*s.normal()))), g.countries[s.next()%tableSize]
}

// maxRemembered is how many users' habits are kept: the busiest ones', in 2 MiB.
const maxRemembered = 1 << 18

// remember works out the habits of the busiest users.
func (g *Generator) remember() {
	n := min(g.cfg.Users+1, maxRemembered, g.cfg.Rows)
	usual, home := make([]float64, n), make([]uint8, n)
	for i := range usual {
		usual[i], home[i] = g.habits(int64(i))
	}
	g.usual, g.home = usual, home
}

// riskOf is the rule behind the label: what is unusual for the user, kind and
// place, the night, a short history, and some of these together.
func riskOf(r *transaction, more float64) float64 {
	risk := categories[r.category].risk + countries[r.country].risk
	night, much := r.hour < 6, more > 1
	risk += float64(1.8 * max(more-0.6, 0))
	if night {
		risk += 1
		if much {
			risk += 1.5
		}
	}
	if r.count <= 3 {
		risk += 0.8
		if categories[r.category].risk > 0.6 {
			risk++
		}
	}
	if more < -1.8 && categories[r.category].risk > 0.6 { // a card is tried out
		risk += 2
	}
	return risk
}

// odds returns the probability of log-odds in powers of two.
func odds(x float64) float64 { return 1 / (1 + pow2(-min(max(x, -60), 60))) }

// calibrate finds the bias that gives the fraud rate, from a sample of rows.
func (g *Generator) calibrate() {
	const sample = 1 << 13
	risks := make([]float64, sample)
	for i := range risks {
		s := stream(g.ofRow.Mix(1<<60 + uint64(i)))
		var r transaction
		part := float64(i) / sample
		for r.hour < 23 && part >= g.dayparts[r.hour+1] {
			r.hour++
		}
		risks[i] = g.draw(&r, &s) * riskScale
	}
	low, high := -60.0, 60.0
	for range 40 {
		g.bias = (low + high) / 2
		sum := 0.0
		for _, risk := range risks {
			sum += odds(risk + g.bias)
		}
		if sum < g.cfg.FraudRate*sample {
			low = g.bias
		} else {
			high = g.bias
		}
	}
}
