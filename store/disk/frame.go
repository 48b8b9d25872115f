package disk

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	logLine    = "troupe log 1\n"
	headerSize = 16
)

// appendFrame appends the frame of a batch of records.
func appendFrame(b []byte, records [][]byte) []byte {
	start := len(b)
	b = append(b, make([]byte, headerSize)...)
	for _, r := range records {
		b = binary.AppendUvarint(b, uint64(len(r)))
		b = append(b, r...)
	}
	header, payload := b[start:start+headerSize], b[start+headerSize:]
	binary.LittleEndian.PutUint32(header, uint32(len(payload)))
	binary.LittleEndian.PutUint32(header[4:], uint32(len(records)))
	binary.LittleEndian.PutUint32(header[8:], crc32.Checksum(payload, castagnoli))
	binary.LittleEndian.PutUint32(header[12:], crc32.Checksum(header[:12], castagnoli))
	return b
}

// readFrame returns the payload of the frame at the start of b, the number of
// its records and the size of the frame; ok is false when there is no whole one.
func readFrame(b []byte) (payload []byte, records uint32, size int, ok bool) {
	if len(b) < headerSize || crc32.Checksum(b[:12], castagnoli) != binary.LittleEndian.Uint32(b[12:]) {
		return nil, 0, 0, false
	}
	n := int(binary.LittleEndian.Uint32(b))
	if len(b)-headerSize < n {
		return nil, 0, 0, false
	}
	payload = b[headerSize : headerSize+n]
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(b[8:]) {
		return nil, 0, 0, false
	}
	return payload, binary.LittleEndian.Uint32(b[4:]), headerSize + n, true
}

// splitPayload appends the records of a payload; ok is false when they are not
// as many as announced.
func splitPayload(to [][]byte, payload []byte, records uint32) (_ [][]byte, ok bool) {
	for range records {
		n, used := binary.Uvarint(payload)
		if used <= 0 || n > uint64(len(payload)-used) {
			return to, false
		}
		end := used + int(n)
		to = append(to, payload[used:end:end])
		payload = payload[end:]
	}
	return to, len(payload) == 0
}

// holdsFrame reports whether a whole frame begins anywhere in b.
func holdsFrame(b []byte) bool {
	for i := range b {
		if _, n, _, ok := readFrame(b[i:]); ok && n > 0 {
			return true
		}
	}
	return false
}
