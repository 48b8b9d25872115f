package neural

import (
	"fmt"
	"strconv"
	"strings"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/troupe-ml/troupe/internal/rng"
	"github.com/troupe-ml/troupe/ml/kernels"
)

// Embedding gives each category of a feature a row of numbers that is learned,
// in place of the feature. The feature is the category's code; the last two
// codes are those of missing values and of all that was not learned from.
type Embedding struct {
	Feature int // its place in the rows of the table
	Codes   int // how many there are
	Size    int // how many numbers each has, 1 to MaxEmbedding
}

// MaxEmbedding is the most numbers of a category.
const MaxEmbedding = 1024

// MaxCodes is the most categories of an embedding.
const MaxCodes = 1 << 20

// table is an embedding's part of a flat vector: a row for each code, padded.
type table struct {
	Embedding
	first int
}

func (t table) stride() int              { return kernels.PadCols(t.Size) }
func (t table) end() int                 { return t.first + t.Codes*t.stride() }
func (t table) shape() tensor.Shape      { return tensor.Shape{t.Codes, t.stride()} }
func (t table) of(f []float32) []float32 { return f[t.first:t.end():t.end()] }

// row returns the place in a table of the row of a code. What is no code is as
// something that was not learned from.
func (t table) row(code float32) int {
	at := t.Codes - 1
	if code >= 0 && code < float32(t.Codes) {
		at = int(code)
	}
	return at * t.stride()
}

// checkEmbeddings reports what is wrong with embeddings of so many features.
func checkEmbeddings(all []Embedding, must func(bool, string, ...any)) {
	for i, e := range all {
		must(e.Feature >= 0 && e.Feature < MaxWidth && (i == 0 || e.Feature > all[i-1].Feature), "embedding %d is of feature %d, expected ascending features", i, e.Feature)
		must(e.Codes >= 2 && e.Codes <= MaxCodes, "embedding %d of %d codes, expected 2 to %d", i, e.Codes, MaxCodes)
		must(e.Size >= 1 && e.Size <= MaxEmbedding, "embedding %d of size %d, expected 1 to %d", i, e.Size, MaxEmbedding)
	}
}

// embedded returns how many numbers the first layer is given of so many features.
func embedded(numFeatures int, all []Embedding) int {
	for _, e := range all {
		numFeatures += e.Size - 1
	}
	return numFeatures
}

// drawTables makes new tables: normal, as PyTorch's nn.Embedding, but for the last
// two rows, which begin as zero, since there may be nothing to learn them from.
func (s shape) drawTables(flat []float32, seed uint64) {
	for i, t := range s.tables {
		r, to := rng.New(seed, fmt.Sprintf("neural embedding %d", i)), t.of(flat)
		for code := range t.Codes - 2 {
			for k := range t.Size {
				to[code*t.stride()+k] = float32(r.NormFloat64())
			}
		}
	}
}

// embed is the first layer's input: the features that have no embedding, in their
// order, and then the rows of those that have.
type embed struct {
	*builder
	tables   []table
	features int
	width    int   // of the result
	plain    []int // the features that have no embedding
}

func newEmbed(b *builder, s shape) *embed {
	e := &embed{builder: b, tables: s.tables, features: s.numFeatures, width: s.layers[0].In}
	next := 0
	for f := range s.numFeatures {
		if next < len(s.tables) && s.tables[next].Feature == f {
			next++
			continue
		}
		e.plain = append(e.plain, f)
	}
	return e
}

// node returns the input as a node of the rows x and the tables' nodes.
func (e *embed) node(x *G.Node, tables []*G.Node) (*G.Node, error) {
	o := &op{name: "embed", shape: e.of(e.width), active: len(tables), diff: e.gradient}
	o.run = func(out []float32, in [][]float32) {
		x, y := e.matrix(in[len(in)-1], e.features), e.matrix(out, e.width)
		for i := range e.rows {
			from, to := x.Row(i), y.Row(i)
			for k, f := range e.plain {
				to[k] = from[f]
			}
			at := len(e.plain)
			for k, t := range e.tables {
				row := t.row(from[t.Feature])
				copy(to[at:at+t.Size], in[k][row:row+t.Size])
				at += t.Size
			}
			clear(y.Data[i*y.Stride+y.Cols : i*y.Stride+kernels.PadCols(y.Cols)])
		}
	}
	return e.apply(o, append(append([]*G.Node{}, tables...), x)...)
}

// gradient adds to each table's rows what the block's rows had of them, in the
// order of the rows.
func (e *embed) gradient(in G.Nodes, _, gy *G.Node) (G.Nodes, error) {
	nodes, at := make(G.Nodes, len(in)), len(e.plain)
	for k, t := range e.tables {
		first := at
		o := &op{name: "embed-dtable", shape: t.shape()}
		o.run = func(out []float32, in [][]float32) {
			clear(out)
			x, g := e.matrix(in[1], e.features), e.matrix(in[0], e.width)
			for i := range e.rows {
				row := t.row(x.Row(i)[t.Feature])
				to := out[row : row+t.Size]
				for j, v := range g.Row(i)[first : first+t.Size] {
					to[j] += v
				}
			}
		}
		var err error
		if nodes[k], err = e.apply(o, gy, in[len(in)-1]); err != nil {
			return nil, err
		}
		at += t.Size
	}
	return nodes, nil
}

func tableName(i int) string { return fmt.Sprintf("embeddings.%d.weight", i) }

// plainTable returns a table's numbers without padding.
func (t table) plainTable(flat []float32) []float32 {
	out, from := make([]float32, 0, t.Codes*t.Size), t.of(flat)
	for code := range t.Codes {
		out = append(out, from[code*t.stride():code*t.stride()+t.Size]...)
	}
	return out
}

// pack is the inverse of plainTable.
func (t table) pack(flat, plain []float32) {
	to := t.of(flat)
	for code := range t.Codes {
		copy(to[code*t.stride():], plain[code*t.Size:(code+1)*t.Size])
	}
}

// embeddedFeatures writes the features that have embeddings, for the metadata.
func (s shape) embeddedFeatures() string {
	names := make([]string, len(s.tables))
	for i, t := range s.tables {
		names[i] = strconv.Itoa(t.Feature)
	}
	return strings.Join(names, ",")
}

// embeddingsOf returns the embeddings that the metadata and the tensors describe.
func embeddingsOf(list string, arrays map[string]array) (all []Embedding, err error) {
	for i, text := range strings.Split(list, ",") {
		feature, err := strconv.Atoi(text)
		t := arrays[tableName(i)]
		if err != nil || strconv.Itoa(feature) != text || len(t.shape) != 2 {
			return nil, damaged("embedding %d is of feature %q and has shape %v", i, text, t.shape)
		}
		all = append(all, Embedding{Feature: feature, Codes: t.shape[0], Size: t.shape[1]})
	}
	checkEmbeddings(all, func(ok bool, format string, args ...any) {
		if !ok && err == nil {
			err = damaged(format, args...)
		}
	})
	return all, err
}
