package node

import (
	"context"
	"encoding/json"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
)

// predictor returns what answers for the models that are deployed.
func (n *Node) predictor() api.Predictor { return noModels{} }

// noModels serves no model.
type noModels struct{}

// Predict implements api.Predictor.
func (noModels) Predict(_ context.Context, model string, _ []json.RawMessage) ([]api.Answer, error) {
	return nil, fault.New(fault.Unavailable, "no model is served here: %s", model)
}

// Served implements api.Predictor.
func (noModels) Served() []string { return nil }

// Refresh implements api.Predictor.
func (noModels) Refresh() {}
