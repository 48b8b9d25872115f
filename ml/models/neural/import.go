package neural

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
)

// WithWeights returns a model that is m with the weights of another safetensors
// file, as PyTorch's users write one: layers.N.weight of shape (outputs, inputs)
// and layers.N.bias; of a network with norms norms.N.weight and norms.N.bias, of
// batch norms also running_mean and running_var and, if they like,
// num_batches_tracked; and embeddings.N.weight of shape (codes, size). N ascends
// from layer to layer with any gaps, in which nn.Sequential has what holds no
// weights; a norm may also stand among the layers, behind the one that it
// normalises, which then needs no bias. Metadata are not read. Hidden layers may
// be other ones, and embeddings wider; features, codes and outputs must be as
// many. What the file does not say is as in m: the activation, the kind of norm,
// which features have embeddings, and whether blocks are residual.
//
// The error is of kind Invalid when something does not fit, and names the tensor,
// or Corrupt when b is no such file.
func (m *Model) WithWeights(b []byte) (_ *Model, err error) {
	defer door(&err)
	_, arrays, err := decodeTensors(b)
	if err != nil {
		return nil, err
	}
	f, err := sorted(arrays)
	if err != nil {
		return nil, err
	}
	n := m.network
	own, err := f.own(n)
	if err != nil {
		return nil, err
	}
	updates, err := n.takeTracked(own)
	if err != nil {
		return nil, foreign("num_batches_tracked is not the same number of all norms")
	}
	var embeddings []Embedding
	for i, t := range n.tables {
		embeddings = append(embeddings, Embedding{Feature: t.Feature, Codes: t.Codes, Size: f.embeddings[i].shape("weight")[1]})
	}
	weights, err := n.assemble(own, embeddings)
	if err != nil {
		return nil, fault.New(fault.Invalid, "neural: weights: %w", err)
	}
	out, err := newModel(n, m.target, weights)
	if err == nil {
		out.updates = updates
	}
	return out, err
}

func foreign(format string, args ...any) error {
	return fault.New(fault.Invalid, "neural: weights: "+format, args...)
}

// module is what has a number in another program's file.
type module struct {
	name  string // layers.3
	at    int
	parts map[string]array // by weight, bias ...
}

func (m module) shape(part string) []int { return m.parts[part].shape }
func (m module) has(part string) bool    { _, ok := m.parts[part]; return ok }

// foreignFile is another program's file, its modules in order.
type foreignFile struct{ layers, norms, embeddings []module }

// statistics are the parts that only a batch norm has.
var statistics = []string{"running_mean", "running_var", "num_batches_tracked"}

// renaming says how the keys of a wrapper's or a bare Sequential's tensors become
// those that are expected: "" of others.
func renaming(name string) string {
	for _, known := range []string{"layers.", "norms.", "embeddings."} {
		if before, _, ok := strings.Cut("."+name, "."+known); ok && before != "" {
			return fmt.Sprintf("; save {k.removeprefix(%q): v for k, v in model.state_dict().items()}", before[1:]+".")
		}
	}
	parts := strings.Split(name, ".")
	if len(parts) < 2 {
		return ""
	}
	if _, err := strconv.Atoi(parts[len(parts)-2]); err != nil {
		return ""
	}
	key := "k"
	if before := strings.Join(parts[:len(parts)-2], "."); before != "" {
		key = fmt.Sprintf("k.removeprefix('%s.')", before)
	}
	return fmt.Sprintf("; of an nn.Sequential save {f\"layers.{%s}\": v for k, v in model.state_dict().items()}", key)
}

// sorted finds the modules of a file.
func sorted(arrays map[string]array) (*foreignFile, error) {
	all := map[string]module{}
	for _, name := range slices.Sorted(maps.Keys(arrays)) { // the same error each time
		parts := strings.Split(name, ".")
		n := -1
		if len(parts) == 3 && slices.Contains([]string{"layers", "norms", "embeddings"}, parts[0]) {
			if at, err := strconv.Atoi(parts[1]); err == nil && strconv.Itoa(at) == parts[1] {
				n = at
			}
		}
		if n < 0 || !slices.Contains(append([]string{"weight", "bias"}, statistics...), parts[2]) {
			return nil, foreign("there is a tensor %q, expected layers.N.weight and layers.N.bias, and norms.N and embeddings.N where the network has some%s", name, renaming(name))
		}
		key := parts[0] + "." + parts[1]
		if all[key].parts == nil {
			all[key] = module{key, n, map[string]array{}}
		}
		all[key].parts[parts[2]] = arrays[name]
	}
	f := &foreignFile{}
	for _, m := range slices.SortedFunc(maps.Values(all), func(a, b module) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.name, b.name)) }) {
		switch {
		case strings.HasPrefix(m.name, "embeddings"):
			f.embeddings = append(f.embeddings, m)
		case strings.HasPrefix(m.name, "norms") || len(m.shape("weight")) == 1 || m.has("running_mean"):
			f.norms = append(f.norms, m)
		default:
			f.layers = append(f.layers, m)
		}
	}
	return f, nil
}

// own gives the tensors of the file the names that n has for them, once it is clear
// that they fit.
func (f *foreignFile) own(n network) (map[string]array, error) {
	if err := f.fit(n); err != nil {
		return nil, err
	}
	out := map[string]array{}
	put := func(name string, a array, ok bool) {
		if ok {
			a.name = name
			out[name] = a
		}
	}
	for i, l := range f.layers {
		put(weightName(i), l.parts["weight"], true)
		bias := l.parts["bias"]
		if !l.has("bias") {
			bias = array{shape: l.shape("weight")[:1], values: make([]float32, l.shape("weight")[0])}
		}
		put(biasName(i), bias, true)
	}
	tracked := !slices.ContainsFunc(f.norms, func(m module) bool { return !m.has("num_batches_tracked") })
	for i, m := range f.norms {
		names := map[string]string{"weight": scaleName(i), "bias": shiftName(i), "running_mean": meanName(i), "running_var": varianceName(i), "num_batches_tracked": trackedName(i)}
		for part, name := range names {
			put(name, m.parts[part], m.has(part) && (tracked || part != "num_batches_tracked"))
		}
	}
	for i, m := range f.embeddings {
		put(tableName(i), m.parts["weight"], true)
	}
	return out, nil
}

// fit reports what of the file does not fit a network.
func (f *foreignFile) fit(n network) error {
	if len(f.layers) == 0 {
		return foreign("there is no layers.N.weight of two dimensions")
	}
	if len(f.embeddings) != len(n.tables) {
		return foreign("%d embeddings, expected %d, one of each column that has one in the model they are put into", len(f.embeddings), len(n.tables))
	}
	width := n.numFeatures
	for i, e := range f.embeddings {
		t := n.tables[i]
		if err := e.complete([]string{"weight"}, nil); err != nil {
			return err
		}
		s := e.shape("weight")
		if len(s) != 2 || s[0] != t.Codes || s[1] > MaxEmbedding {
			return foreign("%s.weight has shape %v, expected [%d N]: a row for each category of feature %d, one for null and one for all else", e.name, s, t.Codes, t.Feature)
		}
		width += s[1] - 1
	}
	if err := f.fitNorms(n); err != nil {
		return err
	}
	before := fmt.Sprintf("the model has %d features", n.numFeatures)
	if len(n.tables) > 0 {
		before = fmt.Sprintf("of the model's %d features the embeddings make %d numbers", n.numFeatures, width)
	}
	for i, l := range f.layers {
		need, may := []string{"weight", "bias"}, []string(nil)
		if n.norm != NoNorm && i < len(f.layers)-1 { // whose norm has a bias of its own
			need, may = need[:1], need[1:]
		}
		if err := l.complete(need, may); err != nil {
			return err
		}
		out := "N"
		if i == len(f.layers)-1 {
			out = strconv.Itoa(n.problem.NumOutputs())
		}
		s := l.shape("weight")
		if len(s) != 2 || s[1] != width || out != "N" && s[0] != n.problem.NumOutputs() {
			return foreign("%s.weight has shape %v, expected [%s %d]: %s", l.name, s, out, width, before)
		}
		if l.has("bias") && !slices.Equal(l.shape("bias"), s[:1]) {
			return foreign("%s.bias has shape %v, expected %v", l.name, l.shape("bias"), s[:1])
		}
		width, before = s[0], fmt.Sprintf("%s.weight has %d outputs", l.name, s[0])
	}
	return nil
}

// fitNorms reports what of the norms does not fit.
func (f *foreignFile) fitNorms(n network) error {
	hidden := len(f.layers) - 1
	switch {
	case n.norm == NoNorm && len(f.norms) > 0:
		return foreign("there is a norm, %s, and the model they are put into has none", f.norms[0].name)
	case n.norm == NoNorm:
		return nil
	case len(f.norms) != hidden:
		return foreign("%d norms, expected %d: the model they are put into has a %s norm behind each layer but the last", len(f.norms), hidden, n.norm)
	}
	for i, m := range f.norms {
		need, may := []string{"weight", "bias"}, []string(nil)
		if n.norm == BatchNorm {
			need, may = append(need, statistics[:2]...), statistics[2:]
		}
		if err := m.complete(need, may); err != nil {
			return err
		}
		l, next := f.layers[i], f.layers[i+1]
		if strings.HasPrefix(m.name, "layers") && (m.at < l.at || m.at > next.at) {
			return foreign("%s is a norm, expected behind %s and before %s, whose sums it normalises", m.name, l.name, next.name)
		}
		for _, part := range need {
			if want := l.shape("weight")[:min(1, len(l.shape("weight")))]; !slices.Equal(m.shape(part), want) {
				return foreign("%s.%s has shape %v, expected %v: %s.weight has shape %v", m.name, part, m.shape(part), want, l.name, l.shape("weight"))
			}
		}
	}
	return nil
}

// complete reports a part that is missing, or that has no business there.
func (m module) complete(need, may []string) error {
	for _, part := range need {
		if !m.has(part) {
			return foreign("%s.%s is missing", m.name, part)
		}
	}
	for _, part := range slices.Sorted(maps.Keys(m.parts)) {
		if a := m.parts[part]; (a.whole != nil) != (part == "num_batches_tracked") {
			return foreign("%s.%s has shape %v, and is of another type than in PyTorch", m.name, part, a.shape)
		} else if v, ok := a.unfit(part); ok {
			return foreign("%s.%s holds %v", m.name, part, v)
		}
		if !slices.Contains(need, part) && !slices.Contains(may, part) {
			return foreign("%s.%s is of another kind of layer than the model they are put into has there, which has %s", m.name, part, strings.Join(append(need, may...), ", "))
		}
	}
	return nil
}

// unfit returns a value that the part of a module cannot have, if there is one.
func (a array) unfit(part string) (v float32, ok bool) {
	for _, v := range a.values {
		if !isNumber(v) || part == "running_var" && v < 0 {
			return v, true
		}
	}
	return 0, false
}
