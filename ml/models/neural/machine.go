package neural

import (
	"fmt"
	"sync"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/kernels"
)

// building is held by whoever makes a graph: gorgonia has a few variables that
// all graphs share.
var building sync.Mutex

// machine runs the part of a graph that some outputs need, on the caller's
// goroutine, in an order and with memory that are fixed when it is made. A run
// takes no lock, starts no goroutine, and allocates nothing unless an op other
// than ours does. A graph has one machine, and a machine one user at a time.
type machine struct {
	code   []instruction
	values []G.Value // by slot
	inputs []input
	slots  map[*G.Node]int // of inputs and outputs
}

var _ G.VM = (*machine)(nil)

// instruction is one op of the plan.
type instruction struct {
	op   G.Op
	from []int // slots of the inputs
	to   int   // slot of the result
	args []G.Value
	into G.Value // memory for the result of an op of ours
}

type input struct {
	node *G.Node
	slot int
}

// newMachine plans the computation of outputs. Every input node has its value,
// whose memory may change but not move. memory, by output, is where a result is
// to go; results without are the machine's own and valid until the next run.
func newMachine(g *G.ExprGraph, outputs []*G.Node, memory map[*G.Node]G.Value) (*machine, error) {
	m := &machine{slots: map[*G.Node]int{}}
	for _, n := range outputs {
		if err := m.visit(g, n); err != nil {
			return nil, err
		}
	}
	m.plan(outputs, memory)
	return m, nil
}

// visit adds what n needs, and then n, once.
func (m *machine) visit(g *G.ExprGraph, n *G.Node) error {
	if _, done := m.slots[n]; done {
		return nil
	}
	var from []int
	for it := g.From(n.ID()); it.Next(); {
		child, ok := it.Node().(*G.Node)
		if !ok {
			return fault.New(fault.Internal, "neural: graph: a child of %v is a %T", n, it.Node())
		}
		if err := m.visit(g, child); err != nil {
			return err
		}
		from = append(from, m.slots[child])
	}
	slot := len(m.values)
	m.values = append(m.values, nil)
	m.slots[n] = slot
	switch {
	case n.Op() == nil || n.Op().Arity() == 0: // an input or a constant
		m.inputs = append(m.inputs, input{n, slot})
	case n.Op().Arity() > 0 && n.Op().Arity() != len(from):
		return fault.New(fault.Internal, "neural: graph: %v takes %d inputs and has %d", n, n.Op().Arity(), len(from))
	default:
		m.code = append(m.code, instruction{op: n.Op(), from: from, to: slot, args: make([]G.Value, len(from))})
	}
	return nil
}

// plan gives every result of an op of ours its memory: what the caller named,
// else that of the first input if the op works in place and nobody needs the
// input later, else a buffer that nobody needs any more, else a new one.
func (m *machine) plan(outputs []*G.Node, memory map[*G.Node]G.Value) {
	named, last := map[int]G.Value{}, make([]int, len(m.values))
	for i, c := range m.code {
		for _, s := range c.from {
			last[s] = i
		}
	}
	for _, n := range outputs {
		last[m.slots[n]] = len(m.code)
		if v, ok := memory[n]; ok {
			named[m.slots[n]] = v
		}
	}
	buffers := newPool()
	for i := range m.code {
		c := &m.code[i]
		if o, ok := c.op.(*op); ok {
			if v, ok := named[c.to]; ok {
				c.into = v
			} else if first := c.from[0]; o.inPlace && last[first] == i && buffers.moves(first, c.to) {
				c.into = buffers.value(c.to, o)
			} else {
				c.into = buffers.take(c.to, o)
			}
		}
		for _, s := range c.from {
			if last[s] == i {
				buffers.release(s)
			}
		}
	}
}

// RunAll computes all outputs from the values that the input nodes have now.
func (m *machine) RunAll() error {
	for _, in := range m.inputs {
		m.values[in.slot] = in.node.Value()
	}
	for i := range m.code {
		c := &m.code[i]
		for j, s := range c.from {
			c.args[j] = m.values[s]
		}
		v, err := c.do()
		if err != nil {
			return fmt.Errorf("neural: %s: %w", c.op, err)
		}
		m.values[c.to] = v
	}
	return nil
}

func (c *instruction) do() (G.Value, error) {
	if o, ok := c.op.(*op); ok {
		return o.UsePreallocDo(c.into, c.args...)
	}
	return c.op.Do(c.args...)
}

// value returns what the last run has computed for an output.
func (m *machine) value(n *G.Node) G.Value { return m.values[m.slots[n]] }

// Reset does nothing: a run leaves nothing to undo.
func (m *machine) Reset() {}

// Close does nothing: a machine holds memory only.
func (m *machine) Close() error { return nil }

// pool is the memory of results, by slot, while a plan is made.
type pool struct {
	held map[int][]float32
	free [][]float32
}

func newPool() *pool { return &pool{held: map[int][]float32{}} }

// take gives slot the smallest free buffer that is large enough, or a new one.
func (p *pool) take(slot int, o *op) G.Value {
	if len(o.shape) == 0 {
		return o.result()
	}
	size, best := o.shape.TotalSize(), -1
	for i, b := range p.free {
		if len(b) >= size && (best < 0 || len(b) < len(p.free[best])) {
			best = i
		}
	}
	if best < 0 {
		p.held[slot] = kernels.Aligned(size)
	} else {
		p.held[slot] = p.free[best]
		p.free = append(p.free[:best], p.free[best+1:]...)
	}
	return p.value(slot, o)
}

// value returns the buffer of slot as the result of o.
func (p *pool) value(slot int, o *op) *tensor.Dense { return newTensor(o.shape, p.held[slot]) }

// moves makes the buffer of one slot that of another; false if it has none.
func (p *pool) moves(from, to int) bool {
	b, ok := p.held[from]
	if ok {
		delete(p.held, from)
		p.held[to] = b
	}
	return ok
}

// release takes back the buffer of slot, if it has one.
func (p *pool) release(slot int) {
	if b, ok := p.held[slot]; ok {
		delete(p.held, slot)
		p.free = append(p.free, b)
	}
}
