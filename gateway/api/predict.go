package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Answer is the prediction for one row.
type Answer struct {
	Prediction         any       `json:"prediction"`                    // the class, or the value of a regression
	Probability        *float64  `json:"probability,omitempty"`         // of the predicted class
	ClassProbabilities []float64 `json:"class_probabilities,omitempty"` // in the order of the model's classes
	ModelVersion       string    `json:"model_version"`
}

// Predictor gives predictions of deployed models.
type Predictor interface {
	// Predict answers for every row, in order. A row is a JSON object of features
	// by name or a list in the order of the signature. Errors: Unavailable when
	// no such model is deployed, *FieldErrors when rows do not fit the signature.
	Predict(ctx context.Context, model string, rows []json.RawMessage) ([]Answer, error)
	// Served returns the names of the models that are warm, sorted.
	Served() []string
	// Refresh looks for deployments now rather than at the next interval.
	Refresh()
}

// FieldError is what is wrong with one field of a request.
type FieldError struct {
	Row     int    `json:"row"`
	Field   string `json:"field"`
	Message string `json:"message"`
}

// FieldErrors is everything that is wrong with a request; its kind is Invalid.
type FieldErrors []FieldError

// Error returns the first fault and how many there are.
func (f FieldErrors) Error() string {
	if len(f) == 0 {
		return "no faults"
	}
	msg := "features." + f[0].Field + ": " + f[0].Message
	if len(f) > 1 {
		msg += " (and " + strconv.Itoa(len(f)-1) + " more)"
	}
	return msg
}

type predictMetrics struct {
	predictions *prometheus.CounterVec
	latency     prometheus.Histogram
}

func newPredictMetrics(reg prometheus.Registerer) predictMetrics {
	m := predictMetrics{
		predictions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "model_predictions_total", Help: "Predictions made, by the version of the model and the class predicted."}, []string{"model_version", "prediction_class"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "model_prediction_latency_seconds", Help: "Time from a request's arrival to its answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1},
		}),
	}
	reg.MustRegister(m.predictions, m.latency)
	return m
}

type predictInput struct {
	Model   string `path:"model" doc:"the model's name, or NAME@ENVIRONMENT; production is the default environment"`
	RawBody []byte `contentType:"application/json"`
}

type predictOutput struct{ Body any }

type healthOutput struct {
	Body struct {
		Status      string `json:"status"`
		ModelLoaded bool   `json:"model_loaded"`
	}
}

func (s *Server) predictRoutes() {
	huma.Register(s.api, huma.Operation{OperationID: "predict", Method: http.MethodPost, Path: "/v1/predict/{model}", Summary: "Predict one row or several", MaxBodyBytes: 16 << 20, SkipValidateBody: true}, s.predict)
	huma.Register(s.api, huma.Operation{OperationID: "health", Method: http.MethodGet, Path: "/health", Summary: "Whether this node is alive"}, func(context.Context, *struct{}) (*healthOutput, error) {
		out := &healthOutput{}
		out.Body.Status, out.Body.ModelLoaded = "healthy", len(s.cfg.Predictor.Served()) > 0
		return out, nil
	})
	huma.Register(s.api, huma.Operation{OperationID: "ready", Method: http.MethodGet, Path: "/ready", Summary: "Whether this node reaches its store"}, func(ctx context.Context, _ *struct{}) (*healthOutput, error) {
		if _, err := s.cfg.Store.Refs.List(ctx, "open."); err != nil {
			return nil, huma.Error503ServiceUnavailable("the store does not answer: " + err.Error())
		}
		out := &healthOutput{}
		out.Body.Status, out.Body.ModelLoaded = "ready", len(s.cfg.Predictor.Served()) > 0
		return out, nil
	})
}

// predict answers {"features": {...}} with one answer, {"features": [{...}, ...]}
// with a list of them.
func (s *Server) predict(ctx context.Context, in *predictInput) (*predictOutput, error) {
	start := s.cfg.Clock.Now()
	rows, single, err := parseRows(in.RawBody)
	if err != nil {
		return nil, err
	}
	answers, err := s.cfg.Predictor.Predict(ctx, in.Model, rows)
	if err != nil {
		return nil, predictProblem(err, single)
	}
	s.observe(answers, s.cfg.Clock.Now().Sub(start))
	if single {
		return &predictOutput{answers[0]}, nil
	}
	return &predictOutput{map[string]any{"predictions": answers}}, nil
}

func (s *Server) observe(answers []Answer, d time.Duration) {
	s.metrics.latency.Observe(d.Seconds())
	for _, a := range answers {
		class := "value"
		if a.Probability != nil {
			class = className(a.Prediction)
		}
		s.metrics.predictions.WithLabelValues(a.ModelVersion, class).Inc()
	}
}

func className(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "unknown"
	}
	return string(b)
}

// parseRows splits a request into rows. Malformed JSON is 400; a body of
// another shape is 422 and says what is expected.
func parseRows(body []byte) (rows []json.RawMessage, single bool, err error) {
	if !json.Valid(body) {
		var v any
		return nil, false, huma.Error400BadRequest("malformed JSON: " + json.Unmarshal(body, &v).Error())
	}
	var req struct {
		Features json.RawMessage `json:"features"`
	}
	const expected = `expected {"features": {"NAME": VALUE, ...}}, or a list of such objects`
	if err := decodeStrict(body, &req); err != nil || len(req.Features) == 0 {
		return nil, false, huma.Error422UnprocessableEntity(expected)
	}
	switch first := bytes.TrimSpace(req.Features)[0]; first {
	case '{':
		return []json.RawMessage{req.Features}, true, nil
	case '[':
		var list []json.RawMessage
		if err := json.Unmarshal(req.Features, &list); err != nil {
			return nil, false, huma.Error422UnprocessableEntity(expected)
		}
		if len(list) > 0 && (bytes.TrimSpace(list[0])[0] == '{' || bytes.TrimSpace(list[0])[0] == '[') {
			return list, false, nil
		}
		return []json.RawMessage{req.Features}, true, nil // one row in the order of the signature
	default:
		return nil, false, huma.Error422UnprocessableEntity(expected)
	}
}

// predictProblem names the bad fields of a 422.
func predictProblem(err error, single bool) error {
	var fields FieldErrors
	if !errors.As(err, &fields) {
		if fault.Of(err) == fault.NotFound {
			return huma.Error503ServiceUnavailable(err.Error())
		}
		return problem(err)
	}
	details := make([]error, len(fields))
	for i, f := range fields {
		at := "body.features"
		if !single {
			at += "[" + strconv.Itoa(f.Row) + "]"
		}
		details[i] = &huma.ErrorDetail{Location: at + "." + f.Field, Message: f.Message}
	}
	return huma.Error422UnprocessableEntity(fields.Error(), details...)
}

// Answer is POST /v1/predict for other doors: the same request and answer, with
// the status that HTTP would have.
func (s *Server) Answer(ctx context.Context, model string, body []byte) (status int, answer []byte) {
	out, err := s.predict(ctx, &predictInput{Model: model, RawBody: body})
	status = http.StatusOK
	var doc any
	if err == nil {
		doc = out.Body
	} else {
		var known huma.StatusError
		if !errors.As(err, &known) {
			known = huma.NewError(http.StatusInternalServerError, err.Error())
		}
		status, doc = known.GetStatus(), known
	}
	answer, err = json.Marshal(doc)
	if err != nil {
		return http.StatusInternalServerError, []byte(`{"status":500,"title":"Internal Server Error"}`)
	}
	return status, answer
}
