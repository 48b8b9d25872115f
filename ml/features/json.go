package features

import (
	"bytes"
	"encoding/json"
	"math"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// pipelineVersion is the version of a pipeline's JSON.
const pipelineVersion = 1

// document is a pipeline as JSON.
type document struct {
	Version int               `json:"version"`
	Config  Config            `json:"config"`
	Input   data.Schema       `json:"input"`
	Passes  int               `json:"passes"`  // that are done
	Learned []json.RawMessage `json:"learned"` // of each step; null for one that learns nothing, or has not yet
}

// MarshalJSON writes the pipeline and all it has learned, in one form: equal
// pipelines have equal bytes. Floats come back to the bit.
func (p *Pipeline) MarshalJSON() ([]byte, error) {
	d := document{Version: pipelineVersion, Config: p.cfg, Input: p.input, Passes: p.fitted}
	d.Config.Steps = make([]Step, len(p.steps))
	for i, s := range p.steps {
		d.Config.Steps[i] = s.Step
		d.Config.Steps[i].Params = plainParams(s.Params)
		var learned any
		if c, ok := s.op.(carrier); ok {
			learned = c.learned()
		}
		raw, err := json.Marshal(learned)
		if err != nil {
			return nil, fault.New(fault.Internal, "features: write %v: %w", s.Step, err)
		}
		d.Learned = append(d.Learned, raw)
	}
	return json.Marshal(d)
}

// plainParams replaces infinities, which JSON has none of, by what YAML calls
// them.
func plainParams(params map[string]any) map[string]any {
	if len(params) == 0 {
		return nil
	}
	out := make(map[string]any, len(params))
	for name, v := range params {
		out[name] = plainParam(v)
	}
	return out
}

func plainParam(v any) any {
	if f, ok := v.(float64); ok && math.IsInf(f, 0) {
		if f > 0 {
			return ".inf"
		}
		return "-.inf"
	}
	list, ok := toList(v)
	if !ok {
		return v
	}
	out := make([]any, len(list))
	for i, item := range list {
		out[i] = plainParam(item)
	}
	return out
}

// Load reads what MarshalJSON has written. The error is of kind Corrupt when it
// is anything else.
func Load(text []byte) (*Pipeline, error) {
	j := json.NewDecoder(bytes.NewReader(text))
	j.UseNumber()
	j.DisallowUnknownFields()
	var d document
	if err := j.Decode(&d); err != nil {
		return nil, fault.New(fault.Corrupt, "features: read a pipeline: %w", err)
	}
	if d.Version != pipelineVersion {
		return nil, fault.New(fault.Corrupt, "features: read a pipeline: version %d, expected %d", d.Version, pipelineVersion)
	}
	p, err := compile(&compiler{cfg: d.Config, input: d.Input, loading: true})
	if err != nil {
		return nil, fault.New(fault.Corrupt, "features: read a pipeline: %w", err)
	}
	if d.Passes < 0 || d.Passes > p.numPasses || len(d.Learned) != len(p.steps) {
		return nil, fault.New(fault.Corrupt, "features: read a pipeline: it has %d passes and %d features, expected at most %d and %d",
			d.Passes, len(d.Learned), p.numPasses, len(p.steps))
	}
	p.fitted = d.Passes
	for i := range p.steps {
		carries, ok := p.steps[i].op.(carrier)
		_, learns := p.steps[i].op.(learner)
		if !ok || learns && p.steps[i].pass >= p.fitted {
			continue
		}
		if p.steps[i].op, err = carries.learn(d.Learned[i]); err != nil {
			return nil, fault.New(fault.Corrupt, "features: read a pipeline: %v: %w", p.steps[i].Step, err)
		}
		if op, ok := p.steps[i].op.(inPasses); ok {
			if all, done := op.passes(); done != min(all, p.fitted-p.steps[i].pass) {
				return nil, fault.New(fault.Corrupt, "features: read a pipeline: %v has learned in %d passes, expected %d", p.steps[i].Step, done, min(all, p.fitted-p.steps[i].pass))
			}
		}
	}
	c := &compiler{cfg: p.cfg, input: p.input}
	if c.checkOutputs(p.steps); c.err() != nil {
		return nil, fault.New(fault.Corrupt, "features: read a pipeline: %w", c.err())
	}
	return p, nil
}

// UnmarshalJSON is Load.
func (p *Pipeline) UnmarshalJSON(text []byte) error {
	got, err := Load(text)
	if err != nil {
		return err
	}
	*p = *got
	return nil
}
