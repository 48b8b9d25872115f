package ring

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net"
	"time"

	"github.com/troupe-ml/troupe/internal/clock"
	"github.com/troupe-ml/troupe/internal/fault"
)

// The first bytes of every link. The magic number is in the machine's own byte
// order, as are the numbers that follow: machines of the other order refuse
// each other.
const (
	magic    = 0x72745072
	protocol = 8
)

// key names a generation of a gang; task tells gangs of the same process apart.
type key struct {
	task       [16]byte // digest of job and task
	generation uint64
}

// hello is what a rank says when it has dialled one to its right.
type hello struct {
	key      key
	rank     uint32 // of the caller
	world    uint32
	distance uint32 // from the caller's rank to the one that is called: 1 for its neighbour
}

// offer names memory that the caller has for the link, which a process of the same
// machine can open. Without a name there is none.
type offer struct {
	process, file uint32
	name          [16]byte // drawn
}

const (
	greetBytes = 8 + 16 + 8 + 4 + 4 + 4
	helloBytes = greetBytes + 4 + 4 + 16
)

// What the acceptor answers, in one byte.
const (
	accepted byte = 1
	stale    byte = 2
	nearby   byte = 3 // accepted, and what follows goes through the memory
)

func (g Gang) key() key {
	h := sha256.New()
	var n [8]byte
	binary.NativeEndian.PutUint64(n[:], uint64(len(g.Job)))
	h.Write(n[:])
	h.Write([]byte(g.Job))
	h.Write([]byte(g.Task))
	k := key{generation: g.Generation}
	copy(k.task[:], h.Sum(nil))
	return k
}

// hello is what g says to the rank so far to its right.
func (g Gang) hello(distance int) hello {
	return hello{g.key(), uint32(g.Rank), uint32(len(g.Peers)), uint32(distance)}
}

// left is the hello that g expects of the rank so far to its left.
func (g Gang) left(distance int) hello {
	n := len(g.Peers)
	g.Rank = (g.Rank - distance + n) % n
	return g.hello(distance)
}

// bytes are all that the caller says.
func (h hello) bytes(o offer) []byte {
	b := make([]byte, 0, helloBytes)
	b = binary.NativeEndian.AppendUint32(b, magic)
	b = binary.NativeEndian.AppendUint32(b, protocol)
	b = append(b, h.key.task[:]...)
	b = binary.NativeEndian.AppendUint64(b, h.key.generation)
	b = binary.NativeEndian.AppendUint32(b, h.rank)
	b = binary.NativeEndian.AppendUint32(b, h.world)
	b = binary.NativeEndian.AppendUint32(b, h.distance)
	b = binary.NativeEndian.AppendUint32(b, o.process)
	b = binary.NativeEndian.AppendUint32(b, o.file)
	return append(b, o.name[:]...)
}

// readHello reads the hello of a link within a time.
func readHello(c net.Conn, clk clock.Clock, within time.Duration) (h hello, o offer, err error) {
	if err := c.SetReadDeadline(clk.Now().Add(within)); err != nil {
		return h, o, err
	}
	b := make([]byte, helloBytes)
	if _, err := io.ReadFull(c, b); err != nil {
		return h, o, err
	}
	copy(h.key.task[:], b[8:24])
	h.key.generation = binary.NativeEndian.Uint64(b[24:])
	h.rank = binary.NativeEndian.Uint32(b[32:])
	h.world = binary.NativeEndian.Uint32(b[36:])
	h.distance = binary.NativeEndian.Uint32(b[40:])
	o.process = binary.NativeEndian.Uint32(b[greetBytes:])
	o.file = binary.NativeEndian.Uint32(b[greetBytes+4:])
	copy(o.name[:], b[greetBytes+8:])
	if !bytes.Equal(b, h.bytes(o)) {
		return h, o, fault.New(fault.Invalid, "ring: a stranger, or another version of the protocol than %d", protocol)
	}
	return h, o, c.SetReadDeadline(time.Time{})
}

// welcome tells the caller of a link that its rank is there.
func welcome(c net.Conn, clk clock.Clock, within time.Duration) error {
	if s, ok := c.(*shared); ok {
		return answer(s.Conn, clk, within, nearby)
	}
	return answer(c, clk, within, accepted)
}

// answer tells the caller of a link what became of it.
func answer(c net.Conn, clk clock.Clock, within time.Duration, what byte) error {
	if err := c.SetWriteDeadline(clk.Now().Add(within)); err != nil {
		return err
	}
	if _, err := c.Write([]byte{what}); err != nil {
		return err
	}
	return c.SetWriteDeadline(time.Time{})
}
