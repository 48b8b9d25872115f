package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type nodesOutput struct {
	Body struct {
		Nodes []Node `json:"nodes"`
	}
}

type nodeInput struct {
	Node string `path:"node" doc:"a node's id or name"`
}

type drained struct {
	Body struct {
		Node string `json:"node"`
	}
}

func (s *Server) nodeRoutes() {
	huma.Register(s.api, huma.Operation{OperationID: "list-nodes", Method: http.MethodGet, Path: "/v1/nodes", Summary: "List the nodes"}, func(ctx context.Context, _ *struct{}) (*nodesOutput, error) {
		nodes, err := s.cfg.Cluster.Nodes(ctx)
		if err != nil {
			return nil, problem(err)
		}
		out := &nodesOutput{}
		out.Body.Nodes = nodes
		return out, nil
	})
	huma.Register(s.api, huma.Operation{OperationID: "drain-node", Method: http.MethodPost, Path: "/v1/nodes/{node}/drain", Summary: "Let a node hand its work over and leave", DefaultStatus: http.StatusAccepted}, func(ctx context.Context, in *nodeInput) (*drained, error) {
		if err := s.cfg.Cluster.Drain(ctx, in.Node); err != nil {
			return nil, problem(err)
		}
		out := &drained{}
		out.Body.Node = in.Node
		return out, nil
	})
}

// decodeStrict reads exactly one JSON document without unknown fields.
func decodeStrict(b []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one JSON document")
	}
	return nil
}
