package s3test

import (
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

// Request is one that the proxy has seen.
type Request struct {
	Method string
	Key    string // of the object, without the bucket
	Query  string
	Range  string
}

// Answer is what becomes of a request.
type Answer uint8

// What the proxy does.
const (
	Pass   Answer = iota
	Busy          // 503 SlowDown
	Fail          // 500 InternalError
	Cut           // the connection ends in the middle of the answer's body
	Drop          // the connection ends without an answer, before the server hears of it
	Lose          // the connection ends without an answer, after the server has done it
	Hang          // nothing happens until the client gives up
	Other         // the answer comes with another ETag
	Forbid        // 403 AccessDenied
	Expire        // 400 ExpiredToken
)

// Fault decides what becomes of the nth request, counted from 0 since the fault
// was set. It is called for one request at a time.
type Fault func(n int, r Request) Answer

// Set lets a fault loose, or with nil lets everything pass again, and begins to
// count requests anew.
func (s *Server) Set(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.log = f, nil
}

// Requests returns the requests since the last Set.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.log...)
}

func (s *Server) decide(r *http.Request) Answer {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	one := Request{r.Method, key, r.URL.RawQuery, r.Header.Get("Range")}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.log)
	s.log = append(s.log, one)
	if s.fault == nil {
		return Pass
	}
	return s.fault(n, one)
}

// pass hands requests on.
func (s *Server) pass() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "server"})
			r.Out.Host = r.In.Host // which the client has signed
		},
		Transport:    s.back,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
}

func (s *Server) proxy() http.Handler {
	back := s.pass()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch s.decide(r) {
		case Pass:
			back.ServeHTTP(w, r)
		case Busy:
			refuse(w, r, http.StatusServiceUnavailable, "SlowDown")
		case Fail:
			refuse(w, r, http.StatusInternalServerError, "InternalError")
		case Forbid:
			refuse(w, r, http.StatusForbidden, "AccessDenied")
		case Expire:
			refuse(w, r, http.StatusBadRequest, "ExpiredToken")
		case Cut:
			back.ServeHTTP(&cutter{ResponseWriter: w}, r)
			panic(http.ErrAbortHandler)
		case Lose:
			back.ServeHTTP(&sink{header: http.Header{}}, r)
			panic(http.ErrAbortHandler)
		case Hang:
			_, _ = io.Copy(io.Discard, r.Body) // only then does the server see the client go
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		case Other:
			back.ServeHTTP(&renamer{w}, r)
		default:
			panic(http.ErrAbortHandler)
		}
	})
}

func refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	_, _ = io.Copy(io.Discard, r.Body) // the client may not listen before it has spoken
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>as the test wants it</Message></Error>") // the client may be gone
}

// cutter lets the first bytes of a body pass and ends the connection.
type cutter struct {
	http.ResponseWriter
}

func (c *cutter) Write(b []byte) (int, error) {
	n := min(len(b)/2, 4096)
	_, _ = c.ResponseWriter.Write(b[:n]) // the connection ends anyway
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// sink takes an answer that nobody gets.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }

// renamer changes the ETag of an answer.
type renamer struct{ http.ResponseWriter }

func (r *renamer) WriteHeader(status int) {
	r.Header().Set("ETag", `"another"`)
	r.ResponseWriter.WriteHeader(status)
}
