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
	protocol = 7
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

const helloBytes = 8 + 16 + 8 + 4 + 4 + 4

// What the acceptor answers, in one byte.
const (
	accepted byte = 1
	stale    byte = 2
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

func (h hello) bytes() []byte {
	b := make([]byte, 0, helloBytes)
	b = binary.NativeEndian.AppendUint32(b, magic)
	b = binary.NativeEndian.AppendUint32(b, protocol)
	b = append(b, h.key.task[:]...)
	b = binary.NativeEndian.AppendUint64(b, h.key.generation)
	b = binary.NativeEndian.AppendUint32(b, h.rank)
	b = binary.NativeEndian.AppendUint32(b, h.world)
	return binary.NativeEndian.AppendUint32(b, h.distance)
}

// readHello reads the hello of a link within a time.
func readHello(c net.Conn, clk clock.Clock, within time.Duration) (hello, error) {
	if err := c.SetReadDeadline(clk.Now().Add(within)); err != nil {
		return hello{}, err
	}
	b := make([]byte, helloBytes)
	if _, err := io.ReadFull(c, b); err != nil {
		return hello{}, err
	}
	var h hello
	copy(h.key.task[:], b[8:24])
	h.key.generation = binary.NativeEndian.Uint64(b[24:])
	h.rank = binary.NativeEndian.Uint32(b[32:])
	h.world = binary.NativeEndian.Uint32(b[36:])
	h.distance = binary.NativeEndian.Uint32(b[40:])
	if !bytes.Equal(b, h.bytes()) {
		return hello{}, fault.New(fault.Invalid, "ring: a stranger, or another version of the protocol than %d", protocol)
	}
	return h, c.SetReadDeadline(time.Time{})
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
