package neural

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"

	"github.com/zeebo/xxh3"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/internal/unpack"
	"github.com/troupe-ml/troupe/ml/kernels"
	"github.com/troupe-ml/troupe/ml/models"
)

// state is all that training has learned so far. Everything else follows from
// it, the settings and the tables.
type state struct {
	epoch     int   // epochs that are complete
	batch     int   // batches of the next one that are
	iteration int64 // updates so far
	loss      int64 // the sum over the rows of the epoch so far, in lossScale
	weight    int64 // what those rows weigh together, in weightScale
	schedule
	history []models.Epoch

	// flat vectors
	weights, first, second []float32 // parameters, and what the optimizer remembers; second is nil when it has one vector
	bestWeights            []float32 // of the best epoch; nil when there is none yet
}

const (
	stateVersion = 4
	stateMagic   = "TRNN"
)

// fingerprint tells checkpoints of one fit from those of another. The number of
// epochs is no part of it, unless the learning rate follows from it: training may go
// on longer than was planned.
func (e *Estimator) fingerprint(train, validation models.Table) (xxh3.Uint128, error) {
	c := e.config
	if c.Scheduler.Type != Cosine { // which reaches its end with the last epoch
		c.Epochs = 0
	}
	b, err := c.canonical()
	if err != nil {
		return xxh3.Uint128{}, err
	}
	b = fmt.Appendf(b, " %s %d %d %d %d", e.problem.Task, e.problem.NumClasses, train.NumFeatures, train.NumRows, validation.NumRows)
	if train.Weighted {
		b = append(b, " weighted"...)
	}
	if !c.Loss.plain() && validation.NumRows > 0 { // the best value so far was another loss's before
		b = append(b, " judged by class"...)
	}
	return xxh3.Hash128(b), nil
}

// encode writes the state: the same bytes for the same state.
func (s *state) encode(fingerprint xxh3.Uint128) ([]byte, error) {
	history, err := json.Marshal(s.history)
	if err != nil {
		return nil, fault.New(fault.Internal, "neural: checkpoint: %w", err)
	}
	vectors, kinds := [][]float32{s.weights, s.first}, byte(0)
	for i, more := range [][]float32{s.second, s.bestWeights} {
		if more != nil {
			vectors, kinds = append(vectors, more), kinds|1<<i
		}
	}
	b := make([]byte, 0, len(history)+len(vectors)*4*len(s.weights)+256)
	b = append(append(b, stateMagic...), stateVersion)
	print := fingerprint.Bytes()
	b = append(b, print[:]...)
	for _, v := range s.numbers() {
		b = binary.LittleEndian.AppendUint64(b, v.get())
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(len(history)))
	b = append(b, history...)
	b = append(b, kinds)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(s.weights)))
	for _, vector := range vectors {
		for _, v := range vector {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	return binary.LittleEndian.AppendUint64(b, xxh3.Hash(b)), nil
}

// number is a field of the state as 64 bits.
type number struct {
	get func() uint64
	set func(uint64)
}

func (s *state) numbers() []number {
	whole := func(p *int) number {
		return number{func() uint64 { return uint64(*p) }, func(v uint64) { *p = int(v) }}
	}
	long := func(p *int64) number {
		return number{func() uint64 { return uint64(*p) }, func(v uint64) { *p = int64(v) }}
	}
	float := func(p *float64) number {
		return number{func() uint64 { return math.Float64bits(*p) }, func(v uint64) { *p = math.Float64frombits(v) }}
	}
	return []number{
		whole(&s.epoch), whole(&s.batch), long(&s.iteration), long(&s.loss), long(&s.weight),
		float(&s.learningRate), float(&s.plateauBest), whole(&s.plateauBad),
		float(&s.best), whole(&s.bestEpoch), whole(&s.bad),
	}
}

// decodeState reads what encode has written. The error is of kind Corrupt when
// b is anything else, and Invalid when it is of another fit or version.
func decodeState(b []byte) (*state, xxh3.Uint128, error) {
	none := xxh3.Uint128{}
	const head = len(stateMagic) + 1 + 16
	if len(b) < head+8 || string(b[:len(stateMagic)]) != stateMagic {
		return nil, none, fault.New(fault.Corrupt, "neural: no checkpoint of a neural network: %d bytes", len(b))
	}
	if v := b[len(stateMagic)]; v != stateVersion {
		return nil, none, fault.New(fault.Invalid,
			"neural: a checkpoint of version %d, this program writes %d: train anew, or use the program that wrote it", v, stateVersion)
	}
	body, sum := b[:len(b)-8], binary.LittleEndian.Uint64(b[len(b)-8:])
	if xxh3.Hash(body) != sum {
		return nil, none, fault.New(fault.Corrupt, "neural: the checkpoint is damaged: its checksum is wrong")
	}
	print := body[len(stateMagic)+1 : head]
	fingerprint := xxh3.Uint128{Hi: binary.BigEndian.Uint64(print), Lo: binary.BigEndian.Uint64(print[8:])}
	s := &state{}
	r := unpack.New("neural: checkpoint", body[head:])
	for _, n := range s.numbers() {
		n.set(r.Uint64())
	}
	if err := json.Unmarshal(r.Bytes(int(r.Uint64())), &s.history); err != nil {
		return nil, none, fault.New(fault.Corrupt, "neural: checkpoint: history: %w", err)
	}
	vectors := []*[]float32{&s.weights, &s.first}
	kinds := r.Byte()
	for i, more := range []*[]float32{&s.second, &s.bestWeights} {
		if kinds&(1<<i) != 0 {
			vectors = append(vectors, more)
		}
	}
	size, count := r.Uint64(), len(vectors)
	if r.Err() != nil || kinds > 3 || size > maxParams || uint64(r.Len()) != uint64(count)*4*size {
		return nil, none, fault.New(fault.Corrupt, "neural: a checkpoint with %d vectors of %d in %d bytes", count, size, r.Len())
	}
	for _, to := range vectors {
		v, raw := kernels.Aligned(int(size)), r.Bytes(4*int(size))
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		*to = v
	}
	return s, fingerprint, nil
}

// History returns the epochs that a checkpoint's state remembers. The error is
// of kind Corrupt, or Invalid when a program of another version has written it.
func History(state []byte) ([]models.Epoch, error) {
	s, _, err := decodeState(state)
	if err != nil {
		return nil, err
	}
	return s.history, nil
}

// Place is how far a state is: the epochs that are complete, and the batches of
// the next one that are. Two states of one fit are the same if they are at the
// same place.
type Place struct{ Epoch, Batch int64 }

// Less reports whether p comes before q.
func (p Place) Less(q Place) bool {
	return p.Epoch < q.Epoch || p.Epoch == q.Epoch && p.Batch < q.Batch
}

// PlaceOf returns the place of a state, which is not checked any further. The
// error is of kind Corrupt when it is none.
func PlaceOf(state []byte) (Place, error) {
	const head = len(stateMagic) + 1 + 16
	if len(state) < head+16 || string(state[:len(stateMagic)]) != stateMagic {
		return Place{}, fault.New(fault.Corrupt, "neural: no checkpoint of a neural network: %d bytes", len(state))
	}
	r := unpack.New("neural: checkpoint", state[head:])
	return Place{int64(r.Uint64()), int64(r.Uint64())}, nil
}
