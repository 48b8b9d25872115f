package spec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"reflect"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Canonical returns the spec as JSON: every field, defaults included, in a
// fixed order without white space. Equal specs have equal bytes. Decode reads
// it, and so does Parse.
func (s Spec) Canonical() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	h := header{string(s.Kind), s.Name}
	var err error
	switch {
	case s.Kind == KindFeatures && s.Features != nil:
		err = e.Encode(struct {
			header
			*Features
		}{h, s.Features})
	case s.Kind == KindTrain && s.Train != nil:
		err = e.Encode(struct {
			header
			*Train
		}{h, s.Train})
	case s.Kind == KindPredict && s.Predict != nil:
		err = e.Encode(struct {
			header
			*Predict
		}{h, s.Predict})
	case s.Kind == KindDrift && s.Drift != nil:
		err = e.Encode(struct {
			header
			*Drift
		}{h, s.Drift})
	default:
		err = e.Encode(h)
	}
	if err != nil { // only of a NaN that somebody put in: Parse lets none pass
		panic(fmt.Sprintf("spec: %s %q has no canonical form: %v", s.Kind, s.Name, err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// MarshalJSON returns the canonical form.
func (s Spec) MarshalJSON() ([]byte, error) { return s.Canonical(), nil }

// UnmarshalJSON is Decode.
func (s *Spec) UnmarshalJSON(b []byte) error {
	out, err := Decode(b)
	*s = out
	return err
}

// Digest names the spec by what it computes: "sha256:" and 64 hexadecimal
// digits of the canonical form without the fields that cannot change the
// result, which are workers and threads. Paths count as they are written, so
// take the digest before Resolve if it shall be the same in every folder.
func (s Spec) Digest() string {
	c := s.Clone()
	body := c.body().Elem()
	for _, r := range rulesOf(body.Type()) {
		if r.effort {
			body.Field(r.index).SetZero()
		}
	}
	sum := sha256.Sum256(c.Canonical())
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Clone returns a copy that shares nothing with s.
func (s Spec) Clone() Spec {
	c := s
	if body := s.body(); body.IsValid() {
		c = Spec{Kind: s.Kind, Name: s.Name}
		c.body().Elem().Set(deepCopy(body.Elem()))
	}
	return c
}

func deepCopy(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return out
		}
		c := deepCopy(v.Elem())
		if v.Kind() == reflect.Interface {
			out.Set(c)
			return out
		}
		out.Set(reflect.New(v.Type().Elem()))
		out.Elem().Set(c)
	case reflect.Struct:
		for i := range v.NumField() {
			out.Field(i).Set(deepCopy(v.Field(i)))
		}
	case reflect.Slice:
		if v.IsNil() {
			return out
		}
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(deepCopy(v.Index(i)))
		}
	case reflect.Map:
		if v.IsNil() {
			return out
		}
		out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for it := v.MapRange(); it.Next(); {
			out.SetMapIndex(it.Key(), deepCopy(it.Value()))
		}
	}
	return out
}

// Decode reads one spec from its canonical form, or from any other JSON of the
// same fields, as strictly as Parse. The error is of kind Invalid.
func Decode(canonical []byte) (Spec, error) {
	d := &decoder{}
	j := json.NewDecoder(bytes.NewReader(canonical))
	j.UseNumber()
	n, err := fromJSON(j, 0)
	if err == nil {
		if _, more := j.Token(); more != io.EOF {
			err = fmt.Errorf("something follows the document")
		}
	}
	if err != nil {
		return Spec{}, fault.New(fault.Invalid, "decode spec: %w", err)
	}
	s := d.spec(n)
	return s, d.faults.err()
}

// fromJSON reads the next value. It keeps the first of two equal keys from
// being lost silently: there may be only one.
func fromJSON(j *json.Decoder, depth int) (*node, error) {
	t, err := j.Token()
	if err != nil {
		return nil, err
	}
	n := &node{at: place{file: "spec", line: 1, column: int(j.InputOffset())}}
	if depth > maxDepth {
		return nil, fmt.Errorf("more than %d deep", maxDepth)
	}
	switch v := t.(type) {
	case json.Number:
		plainScalar(n, v.String())
	case string:
		n.shape, n.text = shapeText, v
	case bool:
		n.shape, n.truth, n.text = shapeBool, v, fmt.Sprint(v)
	case json.Delim:
		if v == '[' {
			err = n.readList(j, depth)
		} else {
			err = n.readMap(j, depth)
		}
	}
	return n, err
}

func (n *node) readList(j *json.Decoder, depth int) error {
	n.shape = shapeList
	for j.More() {
		item, err := fromJSON(j, depth+1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	_, err := j.Token()
	return err
}

func (n *node) readMap(j *json.Decoder, depth int) error {
	n.shape = shapeMap
	for j.More() {
		key, err := j.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		if n.lookup(name) != nil {
			return fmt.Errorf("the key %q is given twice", name)
		}
		value, err := fromJSON(j, depth+1)
		if err != nil {
			return err
		}
		n.entries = append(n.entries, entry{name, value.at, value})
	}
	_, err := j.Token()
	return err
}
