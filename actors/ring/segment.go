package ring

import (
	"encoding/binary"
	"math"

	"github.com/troupe-ml/troupe/ml/kernels"
)

// sendSegment writes numbers to the right neighbour: packed if that is on another
// machine. Within a machine to copy bytes takes less time than to leave some out, but
// if all numbers have half of them. One that is short may wait for the next, if there
// are more.
func (c *Comm) sendSegment(v []int64, more bool) error {
	l := c.near
	l.write.Lock()
	defer l.write.Unlock()
	const before = roomBytes + headerBytes
	if half := c.narrow[:before/4+len(v)]; !c.away && kernels.Narrow(half[before/4:], v) {
		frame := bytesOf(half)
		putHeader(frame[:roomBytes], frameHalf, 4*len(v))
		return l.putFrame(frame, more)
	}
	if c.away {
		l.frame = pack(putHeader(l.frame[:roomBytes], framePacked, 0), v)
		putHeader(l.frame[:roomBytes], framePacked, len(l.frame)-before)
	} else {
		l.frame = append(putHeader(l.frame[:roomBytes], frameData, 8*len(v)), bytesOf(v)...)
	}
	return l.putFrame(l.frame, more)
}

// receiveSegment reads numbers from the left neighbour, and adds them to v or puts
// them in its place.
func (c *Comm) receiveSegment(v []int64, add bool) error {
	kind, n, err := c.near.next()
	switch {
	case err != nil:
		return err
	case kind == frameData && n == 8*len(v):
		return c.take(v, add)
	case kind == frameHalf && n == 4*len(v):
		return c.takeHalf(v, add)
	case kind != framePacked || n > packedLen(len(v)):
		return c.near.surprised(frameData, 8*len(v), kind, n)
	}
	if err := c.near.read(c.packed[:n]); err != nil {
		return err
	}
	return unpack(v, c.packed[:n], add)
}

// take reads a segment that is not packed.
func (c *Comm) take(v []int64, add bool) error {
	if !add {
		return c.near.read(bytesOf(v))
	}
	got := c.scratch[:len(v)]
	if err := c.near.read(bytesOf(got)); err != nil {
		return err
	}
	for i, x := range got {
		v[i] += x
	}
	return nil
}

// takeHalf reads a segment of numbers of half the bytes.
func (c *Comm) takeHalf(v []int64, add bool) error {
	got := c.half[:len(v)]
	if err := c.near.read(bytesOf(got)); err != nil {
		return err
	}
	if !add {
		clear(v)
	}
	kernels.AddNarrow(v, got)
	return nil
}

// sendFloats writes floats to the right neighbour; to another machine their first 16
// bits if the others are all zero, as those of bfloat16 are.
func (c *Comm) sendFloats(v []float32, more bool) error {
	if !c.away || !areBrief(v) {
		return c.near.send(frameData, bytesOf(v))
	}
	c.near.write.Lock()
	defer c.near.write.Unlock()
	frame := putHeader(c.near.frame[:roomBytes], frameBrief, 2*len(v))
	frame = frame[:len(frame)+2*len(v)]
	shorten(frame[roomBytes+headerBytes:], v)
	return c.near.putFrame(frame, more)
}

// shorten writes the first 16 bits of each float to b, little endian.
func shorten(b []byte, v []float32) {
	for len(v) >= 2 && len(b) >= 4 { // two at a time
		x, y := math.Float32bits(v[0]), math.Float32bits(v[1])
		binary.LittleEndian.PutUint32(b, x>>16|y&^(1<<16-1))
		v, b = v[2:], b[4:]
	}
	if len(v) > 0 {
		binary.LittleEndian.PutUint16(b, uint16(math.Float32bits(v[0])>>16))
	}
}

// lengthen reads what shorten has written.
func lengthen(v []float32, b []byte) {
	for len(v) >= 2 && len(b) >= 4 {
		x := binary.LittleEndian.Uint32(b)
		v[0], v[1] = math.Float32frombits(x<<16), math.Float32frombits(x&^(1<<16-1))
		v, b = v[2:], b[4:]
	}
	if len(v) > 0 {
		v[0] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)
	}
}

func areBrief(v []float32) bool {
	for _, x := range v {
		if math.Float32bits(x)&(1<<16-1) != 0 {
			return false
		}
	}
	return true
}

// receiveFloats reads what sendFloats has written.
func (c *Comm) receiveFloats(v []float32) error {
	kind, n, err := c.near.next()
	switch {
	case err != nil:
		return err
	case kind == frameData && n == 4*len(v):
		return c.near.read(bytesOf(v))
	case kind != frameBrief || n != 2*len(v):
		return c.near.surprised(frameData, 4*len(v), kind, n)
	}
	b := c.packed[:n]
	if err := c.near.read(b); err != nil {
		return err
	}
	lengthen(v, b)
	return nil
}
