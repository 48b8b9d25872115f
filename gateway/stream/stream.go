// Package stream is the NATS front door: predictions by request and reply, as a
// micro service that any NATS client finds with $SRV.PING.
//
//	troupe.predict.MODEL        or MODEL@ENVIRONMENT; production is the default
//
// Requests and answers are the JSON of POST /v1/predict/MODEL, and the same code
// makes them. A request that fails is answered with the headers
// Nats-Service-Error-Code (the HTTP status) and Nats-Service-Error, and a
// problem document. All nodes share one queue group: each request is answered
// once, by one of them. Nothing here is durable: a request that nobody has
// answered is its sender's to repeat, which is harmless.
package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/troupe-ml/troupe/internal/fault"
)

// PredictPrefix begins the subjects of predictions; the model's name follows.
const PredictPrefix = "troupe.predict."

// maxInFlight is how many requests a node works on at a time. Further ones are
// answered with status 429 at once.
const maxInFlight = 1024

// Answerer predicts: the HTTP door's way from a request's body to its answer.
type Answerer interface {
	// Answer returns an HTTP status and a body: the prediction with 200, else a
	// problem document.
	Answer(ctx context.Context, model string, body []byte) (status int, answer []byte)
}

// Service answers requests until it is stopped.
type Service struct {
	answer  Answerer
	log     *slog.Logger
	service micro.Service
	ctx     context.Context // of every request; ends with Stop
	cancel  context.CancelFunc
	slots   chan struct{}
	wg      sync.WaitGroup
}

var semver = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

// serviceVersion returns the version as the micro protocol wants it.
func serviceVersion(version string) string {
	v := strings.TrimPrefix(version, "v")
	if semver.MatchString(v) {
		return v
	}
	return "0.0.0"
}

// Serve starts answering over a connection, which stays the caller's.
func Serve(nc *nats.Conn, version string, a Answerer, log *slog.Logger) (*Service, error) {
	s := &Service{answer: a, log: log, slots: make(chan struct{}, maxInFlight)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	service, err := micro.AddService(nc, micro.Config{
		Name: "troupe-predict", Version: serviceVersion(version), Description: "predictions of deployed models",
		QueueGroup: "troupe-predict", Metadata: map[string]string{"troupe_version": version},
	})
	if err == nil {
		s.service = service
		err = service.AddEndpoint("predict", micro.HandlerFunc(s.handle), micro.WithEndpointSubject(PredictPrefix+"*"))
	}
	if err != nil {
		s.cancel()
		return nil, fault.Wrap(fault.Unavailable, fmt.Errorf("predictions over NATS: %w", err))
	}
	return s, nil
}

// handle hands a request to a goroutine of its own, so that requests which
// arrive together can be gathered into a batch.
func (s *Service) handle(r micro.Request) {
	select {
	case s.slots <- struct{}{}:
	default:
		s.reply(r, http.StatusTooManyRequests, problem(http.StatusTooManyRequests, "this node works on "+strconv.Itoa(maxInFlight)+" requests: try again later"))
		return
	}
	s.wg.Go(func() {
		defer func() { <-s.slots }()
		status, answer := s.answer.Answer(s.ctx, strings.TrimPrefix(r.Subject(), PredictPrefix), r.Data())
		s.reply(r, status, answer)
	})
}

func (s *Service) reply(r micro.Request, status int, answer []byte) {
	var err error
	if status == http.StatusOK {
		err = r.Respond(answer)
	} else {
		err = r.Error(strconv.Itoa(status), http.StatusText(status), answer)
	}
	if err != nil {
		s.log.Debug("answer not sent", slog.Any("err", err))
	}
}

// problem returns an RFC 9457 problem document.
func problem(status int, detail string) []byte {
	b, err := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
	if err != nil {
		return nil
	}
	return b
}

// Stop takes no more requests and waits for those that are being worked on.
func (s *Service) Stop() error {
	err := s.service.Stop()
	s.wg.Wait()
	s.cancel()
	return err
}
