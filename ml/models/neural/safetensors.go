package neural

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
)

// array is one named tensor of a safetensors file.
type array struct {
	name   string
	shape  []int
	values []float32
	whole  *int64 // of a single whole number, in place of values; its shape is empty
}

// size is how many bytes the tensor has.
func (a array) size() int64 {
	if a.whole != nil {
		return 8
	}
	return 4 * int64(len(a.values))
}

// tensorHeader is how the file's JSON describes a tensor.
type tensorHeader struct {
	Dtype   string  `json:"dtype"`
	Shape   []int   `json:"shape"`
	Offsets []int64 `json:"data_offsets"`
}

const (
	metadataKey = "__metadata__"
	maxHeader   = 100 << 20 // bytes, as the format has it
)

// encodeTensors writes a safetensors file: a header's length in 8 bytes, the
// header as JSON, and the values in the order given, in which whole numbers come
// first so that they lie at multiples of 8. Equal arguments give equal
// bytes.
//
// Source: the safetensors format, https://github.com/huggingface/safetensors.
func encodeTensors(metadata map[string]string, tensors []array) ([]byte, error) {
	header, at := map[string]any{metadataKey: metadata}, int64(0)
	for _, t := range tensors {
		next, kind := at+t.size(), "F32"
		if t.whole != nil {
			kind = "I64"
		}
		header[t.name] = tensorHeader{Dtype: kind, Shape: t.shape, Offsets: []int64{at, next}}
		at = next
	}
	text, err := json.Marshal(header) // keys in order
	if err != nil {
		return nil, fault.New(fault.Internal, "safetensors: header: %w", err)
	}
	text = append(text, strings.Repeat(" ", (8-len(text)%8)%8)...)
	b := make([]byte, 0, 8+int64(len(text))+at)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(text)))
	b = append(b, text...)
	for _, t := range tensors {
		if t.whole != nil {
			b = binary.LittleEndian.AppendUint64(b, uint64(*t.whole))
		}
		for _, v := range t.values {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	return b, nil
}

// decodeTensors reads a safetensors file of float32 tensors and single whole
// numbers. It is strict: what the format leaves open (gaps, tensors that overlap,
// bytes that belong to none, keys twice, unknown fields) is an error of kind Corrupt.
func decodeTensors(b []byte) (metadata map[string]string, tensors map[string]array, err error) {
	if len(b) < 8 {
		return nil, nil, damaged("%d bytes, expected at least 8", len(b))
	}
	size := binary.LittleEndian.Uint64(b)
	if size > maxHeader || size > uint64(len(b)-8) {
		return nil, nil, damaged("a header of %d bytes in a file of %d", size, len(b))
	}
	header, err := decodeHeader(b[8 : 8+size])
	if err != nil {
		return nil, nil, err
	}
	data := b[8+size:]
	used := int64(0)
	tensors = map[string]array{}
	for _, name := range slices.Sorted(maps.Keys(header)) { // the same error each time
		raw := header[name]
		if name == metadataKey {
			if err := decodeStrict(raw, &metadata); err != nil {
				return nil, nil, damaged("metadata: %v", err)
			}
			continue
		}
		t, err := decodeTensor(name, raw, data)
		if err != nil {
			return nil, nil, err
		}
		tensors[name] = t
		used += t.size()
	}
	if used != int64(len(data)) {
		return nil, nil, damaged("tensors of %d bytes in all for %d bytes of data", used, len(data))
	}
	return metadata, tensors, overlap(header, data)
}

func decodeTensor(name string, raw json.RawMessage, data []byte) (array, error) {
	var h tensorHeader
	if err := decodeStrict(raw, &h); err != nil {
		return array{}, damaged("tensor %q: %v", name, err)
	}
	if h.Dtype != "F32" && (h.Dtype != "I64" || len(h.Shape) > 0) {
		return array{}, damaged("tensor %q of shape %v holds %s, expected F32: save model.float().state_dict()", name, h.Shape, h.Dtype)
	}
	if len(h.Offsets) != 2 || h.Offsets[0] < 0 || h.Offsets[1] < h.Offsets[0] || h.Offsets[1] > int64(len(data)) {
		return array{}, damaged("tensor %q is at %v of %d bytes", name, h.Offsets, len(data))
	}
	part := data[h.Offsets[0]:h.Offsets[1]]
	if h.Dtype == "I64" {
		if len(part) != 8 {
			return array{}, damaged("tensor %q of a whole number has %d bytes", name, len(part))
		}
		whole := int64(binary.LittleEndian.Uint64(part))
		return array{name: name, shape: h.Shape, whole: &whole}, nil
	}
	size := int64(1)
	for _, n := range h.Shape {
		if n < 1 || int64(n) > int64(len(part))/size {
			return array{}, damaged("tensor %q of shape %v has %d bytes", name, h.Shape, len(part))
		}
		size *= int64(n)
	}
	if 4*size != int64(len(part)) {
		return array{}, damaged("tensor %q of shape %v has %d bytes", name, h.Shape, len(part))
	}
	values := make([]float32, size)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(part[4*i:]))
	}
	return array{name: name, shape: h.Shape, values: values}, nil
}

// overlap checks that no byte of data belongs to two tensors.
func overlap(header map[string]json.RawMessage, data []byte) error {
	starts := map[int64]int64{}
	for name, raw := range header {
		var h tensorHeader
		if name != metadataKey && json.Unmarshal(raw, &h) == nil {
			starts[h.Offsets[0]] = h.Offsets[1]
		}
	}
	at := int64(0)
	for at < int64(len(data)) {
		next, ok := starts[at]
		if !ok || next <= at {
			return damaged("no tensor begins at byte %d of the data", at)
		}
		at = next
	}
	return nil
}

// decodeHeader reads an object, refusing a key that comes twice.
func decodeHeader(text []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, damaged("the header is no JSON object")
	}
	header := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, damaged("header: %v", err)
		}
		name, _ := t.(string)
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, damaged("header: %q: %v", name, err)
		}
		if _, twice := header[name]; twice {
			return nil, damaged("header: %q twice", name)
		}
		header[name] = raw
	}
	if _, err := d.Token(); err != nil {
		return nil, damaged("header: %v", err)
	}
	if rest := bytes.Trim(text[d.InputOffset():], " "); len(rest) > 0 {
		return nil, damaged("header: %d bytes after its end", len(rest))
	}
	return header, nil
}

func decodeStrict(raw json.RawMessage, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func damaged(format string, args ...any) error {
	return fault.New(fault.Corrupt, "neural: model: "+format, args...)
}
