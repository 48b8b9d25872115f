package nats

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/troupe-ml/troupe/internal/fault"
)

// A frame is the message of one Append. Its headers name the place of its first
// record and their number. The body is the record when there is one; of several,
// each behind its length as an unsigned varint; and of what does not fit into a
// message, the name of the upload that holds it.
const (
	headerPlace = "Troupe-Place"
	headerCount = "Troupe-Count"
	kindLarge   = "large"
)

// position is a place in a log and the message that leads up to it.
type position struct {
	seq uint64 // of the last message before it, 0 at the start
	end uint64 // the number of records before it
}

// frame is a message of a log, read.
type frame struct {
	*stored
	first, count uint64
}

func (f frame) end() position { return position{f.seq, f.first + f.count} }

func parseFrame(m *stored) (frame, error) {
	first, err1 := strconv.ParseUint(m.header.Get(headerPlace), 10, 64)
	count, err2 := strconv.ParseUint(m.header.Get(headerCount), 10, 64)
	if err1 != nil || err2 != nil {
		return frame{}, fault.New(fault.Corrupt, "message %d has no place: it was not written by Troupe", m.seq)
	}
	return frame{m, first, count}, nil
}

// large is the body of a frame that was uploaded.
type large struct {
	Upload string `json:"upload"`
	First  uint64 `json:"first"` // sequence number of its first chunk
	Chunks int    `json:"chunks"`
	Bytes  int64  `json:"bytes"`
}

func packRecords(records [][]byte) []byte {
	if len(records) == 1 {
		return records[0]
	}
	n := 0
	for _, r := range records {
		n += binary.MaxVarintLen32 + len(r)
	}
	b := make([]byte, 0, n)
	for _, r := range records {
		b = binary.AppendUvarint(b, uint64(len(r)))
		b = append(b, r...)
	}
	return b
}

func unpackRecords(b []byte, count uint64) ([][]byte, error) {
	if count == 1 {
		return [][]byte{b}, nil
	}
	var records [][]byte
	for range count {
		n, k := binary.Uvarint(b)
		if k <= 0 || uint64(len(b)-k) < n {
			return nil, fault.New(fault.Corrupt, "a batch of %d records ends early", count)
		}
		end := k + int(n)
		records = append(records, b[k:end:end])
		b = b[end:]
	}
	if len(b) > 0 {
		return nil, fault.New(fault.Corrupt, "a batch of %d records goes on for %d bytes", count, len(b))
	}
	return records, nil
}

// frameMessage returns the message of an Append at a place.
func frameMessage(subject, id string, place uint64, count int, body []byte) *nats.Msg {
	return &nats.Msg{Subject: subject, Data: body, Header: nats.Header{
		headerID: {id}, headerPlace: {strconv.FormatUint(place, 10)}, headerCount: {strconv.Itoa(count)},
	}}
}

func decodeLarge(b []byte) (large, error) {
	var l large
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fault.Wrap(fault.Corrupt, fmt.Errorf("the list of chunks makes no sense: %w", err))
	}
	return l, nil
}
