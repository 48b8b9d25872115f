package bundle

import (
	"cmp"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/models/neural"
)

// Weights returns the weights of a network as a safetensors file with the keys
// that PyTorch has: layers.N.weight and layers.N.bias. The error is of kind
// Invalid when the model is no network.
func (b *Bundle) Weights() ([]byte, error) {
	if b.Kind != MLP {
		return nil, fault.New(fault.Invalid, "bundle: weights: a model of kind %q is not written as safetensors, only %q is", b.Kind, MLP)
	}
	return b.Model.MarshalBinary()
}

// WithWeights returns a bundle that is b with the weights of a safetensors file
// in the place of its own, and golden rows predicted anew. Its metrics are gone,
// since nobody has measured it. Errors are as of neural.Model.WithWeights.
func (b *Bundle) WithWeights(file []byte) (*Bundle, error) {
	if err := cmp.Or(refuseForeign(file), refuseArchives(file)); err != nil {
		return nil, err
	}
	m, ok := b.Model.(*neural.Model)
	if !ok {
		return nil, fault.New(fault.Invalid, "bundle: weights for a model of kind %q, which takes none: only %q does", b.Kind, MLP)
	}
	model, err := m.WithWeights(file)
	if err != nil {
		return nil, err
	}
	out := &Bundle{
		Signature: b.Signature, Pipeline: b.Pipeline, Encoder: b.Encoder, Target: b.Target, Kind: b.Kind, Model: model, Profile: b.Profile,
	}
	if b.golden == nil {
		return out, nil
	}
	return out, out.SetGolden(b.golden)
}
