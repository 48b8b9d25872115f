package bundle

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/ml/metrics"
)

// formatVersion is the version of the file as a whole.
const formatVersion = 1

// The parts of a bundle, in the order of the file after the manifest.
const (
	manifestPart  = "manifest.json"
	encoderPart   = "encoder.json"
	expectedPart  = "expected.parquet"
	goldenPart    = "golden.parquet"
	metricsPart   = "metrics.json"
	modelPart     = "model"
	pipelinePart  = "pipeline.json"
	profilePart   = "profile"
	signaturePart = "signature.json"
	targetPart    = "target.json"
)

// parts are the files in a bundle by name, without the manifest.
type parts map[string][]byte

// manifest is the table of contents.
type manifest struct {
	Format int            `json:"format"`
	Model  string         `json:"model"` // the kind of the model
	Task   metrics.Task   `json:"task"`
	Parts  []manifestLine `json:"parts"` // by name
}

type manifestLine struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// seal fills in the parts.
func (m *manifest) seal(p parts) {
	m.Parts = nil
	for _, name := range p.names() {
		sum := sha256.Sum256(p[name])
		m.Parts = append(m.Parts, manifestLine{Name: name, Bytes: int64(len(p[name])), SHA256: hex.EncodeToString(sum[:])})
	}
}

func (p parts) names() []string {
	names := make([]string, 0, len(p))
	for name := range p {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// pack writes the archive: a zip file whose entries are stored as they are, the
// manifest first and then the parts by name, without times. Equal arguments give
// equal bytes.
func pack(m manifest, p parts) ([]byte, error) {
	m.seal(p)
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fault.New(fault.Internal, "bundle: encode: %w", err)
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	if err := store(z, manifestPart, text); err != nil {
		return nil, err
	}
	for _, name := range p.names() {
		if err := store(z, name, p[name]); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, fault.New(fault.Internal, "bundle: encode: %w", err)
	}
	return b.Bytes(), nil
}

func store(z *zip.Writer, name string, content []byte) error {
	const firstDay = 1<<5 | 1 // 1980-01-01, the first that the format has
	w, err := z.CreateRaw(&zip.FileHeader{
		Name: name, Method: zip.Store, ModifiedDate: firstDay, CRC32: crc32.ChecksumIEEE(content),
		CompressedSize64: uint64(len(content)), UncompressedSize64: uint64(len(content)),
	})
	if err == nil {
		_, err = w.Write(content)
	}
	if err != nil {
		return fault.New(fault.Internal, "bundle: encode %s: %w", name, err)
	}
	return nil
}

// unpack reads what pack has written, and nothing else: every byte is accounted
// for. The parts share memory with b.
func unpack(b []byte) (manifest, parts, error) {
	if err := refuseForeign(b); err != nil {
		return manifest{}, nil, err
	}
	if err := refuseExports(b); err != nil {
		return manifest{}, nil, err
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return manifest{}, nil, corrupt("the %d bytes are no zip archive, or not all of one: %v", len(b), err)
	}
	if err := refusePickles(z); err != nil {
		return manifest{}, nil, err
	}
	p := parts{}
	for _, f := range z.File {
		content, err := stored(b, f)
		if err != nil {
			return manifest{}, nil, err
		}
		if _, twice := p[f.Name]; twice {
			return manifest{}, nil, corrupt("%s is there twice", f.Name)
		}
		p[f.Name] = content
	}
	m, err := readManifest(p)
	if err != nil {
		return manifest{}, nil, err
	}
	again, err := pack(m, p)
	if err != nil {
		return manifest{}, nil, err
	}
	if !bytes.Equal(again, b) {
		return manifest{}, nil, corrupt("the archive was changed after it was written: use the file as troupe wrote it")
	}
	return m, p, nil
}

// stored returns the content of an entry, checked.
func stored(b []byte, f *zip.File) ([]byte, error) {
	at, err := f.DataOffset()
	size := f.UncompressedSize64
	if err != nil || f.Method != zip.Store || f.CompressedSize64 != size || at < 0 || at > int64(len(b)) || size > uint64(int64(len(b))-at) {
		return nil, corrupt("%s is compressed, or lies outside the file", f.Name)
	}
	content := b[at : at+int64(size) : at+int64(size)]
	if crc32.ChecksumIEEE(content) != f.CRC32 {
		return nil, corrupt("%s is damaged: its checksum does not fit", f.Name)
	}
	return content, nil
}

// readManifest takes the manifest out of the parts and holds them against it.
func readManifest(p parts) (manifest, error) {
	text, ok := p[manifestPart]
	if !ok {
		return manifest{}, corrupt("%s is missing: this is no model that troupe has written", manifestPart)
	}
	delete(p, manifestPart)
	var m manifest
	if err := strict(text, &m); err != nil {
		return manifest{}, corrupt("%s: %v", manifestPart, err)
	}
	if m.Format != formatVersion {
		return manifest{}, fault.New(fault.Invalid, "bundle: format %d, and this version of troupe reads %d: use the version that wrote it", m.Format, formatVersion)
	}
	want := manifest{}
	want.seal(p)
	for i, line := range m.Parts {
		if _, ok := p[line.Name]; !ok {
			return manifest{}, corrupt("%s is missing", line.Name)
		}
		if i >= len(want.Parts) || want.Parts[i] != line {
			return manifest{}, corrupt("%s is not what the manifest says", line.Name)
		}
	}
	if len(m.Parts) != len(want.Parts) {
		return manifest{}, corrupt("%d parts, and the manifest has %d", len(want.Parts), len(m.Parts))
	}
	return m, nil
}

// strict decodes one JSON document without unknown fields.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF { //nolint:errorlint // io.EOF is never wrapped here
		return fault.New(fault.Corrupt, "text after its end")
	}
	return nil
}

func corrupt(format string, args ...any) error {
	return fault.New(fault.Corrupt, "bundle: decode: "+format, args...)
}

// howToExport says what to do with a pickle.
const howToExport = "a pickle is a program that runs when it is loaded, so it is never read: export the weights instead " +
	"(PyTorch: safetensors.torch.save_file(model.state_dict(), \"model.safetensors\"); XGBoost: model.save_model(\"model.json\"); " +
	"scikit-learn: skl2onnx), or train the model with troupe train"

// refuseForeign knows files that people take for models.
func refuseForeign(b []byte) error {
	switch {
	case len(b) > 1 && b[0] == 0x80 && b[1] >= 2 && b[1] <= 5:
		return fault.New(fault.Invalid, "bundle: this is a Python pickle: %s", howToExport)
	case bytes.HasPrefix(b, []byte("\x89HDF\r\n\x1a\n")):
		return fault.New(fault.Invalid, "bundle: this is an HDF5 file, such as Keras writes, and no bundle: train the model with troupe train")
	case len(b) == 0:
		return corrupt("the file is empty")
	}
	return nil
}

// refuseExports knows files that were written for other programs, or by them.
func refuseExports(b []byte) error {
	const header = 8 // bytes that say how long what follows is
	switch {
	case len(b) > header && b[header] == '{' && binary.LittleEndian.Uint64(b) <= uint64(len(b)-header):
		return fault.New(fault.Invalid, "bundle: this is a safetensors file, which has weights alone: put them into a model's bundle with "+
			"`troupe models import FILE --like MODEL-URI --out FILE.bundle`, and use that")
	case len(b) > 3 && b[0] == 0x08 && b[1] < 0x20 && b[2] == 0x12: // the version of the format, then who wrote it
		return fault.New(fault.Invalid, "bundle: this looks like ONNX, which troupe writes and does not read: name the model that it was written from, as runs:/ID/model or its bundle")
	}
	return nil
}

// refuseArchives knows what torch.save writes, where weights are expected.
func refuseArchives(b []byte) error {
	if !bytes.HasPrefix(b, []byte("PK\x03\x04")) {
		return nil
	}
	if z, err := zip.NewReader(bytes.NewReader(b), int64(len(b))); err == nil {
		if err := refusePickles(z); err != nil {
			return err
		}
	}
	return fault.New(fault.Invalid, "bundle: weights: this is a zip archive, such as a bundle is, and no safetensors file: `troupe models export MODEL --format safetensors` writes one")
}

// refusePickles finds the pickle inside of what torch.save writes.
func refusePickles(z *zip.Reader) error {
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, ".pkl") || strings.HasSuffix(f.Name, ".pickle") {
			return fault.New(fault.Invalid, "bundle: the archive holds a Python pickle, %s, as torch.save writes: %s", f.Name, howToExport)
		}
	}
	return nil
}
