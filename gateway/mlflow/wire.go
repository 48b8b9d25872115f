package mlflow

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/troupe-ml/troupe/internal/fault"
)

// integer is a whole number that clients write as a number or as text: JSON of
// protocol buffers has 64-bit ones as text. Answers have numbers, as MLflow's.
type integer int64

// UnmarshalJSON reads both forms.
func (n *integer) UnmarshalJSON(b []byte) error {
	text := string(bytes.Trim(b, `"`))
	if text == "null" || text == "" {
		return nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if f, ferr := strconv.ParseFloat(text, 64); err != nil && ferr == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		v, err = int64(f), nil
	}
	if err != nil {
		return fault.New(fault.Invalid, "%.40s is not a whole number", b)
	}
	*n = integer(v)
	return nil
}

// time returns the instant of milliseconds since 1970; the zero time for 0.
func (n integer) time() time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(n)).UTC()
}

// millis is the number of an instant, and 0 for no time.
func millis(t time.Time) integer {
	if t.IsZero() {
		return 0
	}
	return integer(t.UnixMilli())
}

// texts is a list, or in the query of a URL its only element.
type texts []string

// UnmarshalJSON reads both forms.
func (t *texts) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte("[")) {
		return json.Unmarshal(b, (*[]string)(t))
	}
	var one string
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*t = texts{one}
	return nil
}

// flag is a bool, or in the query of a URL its text.
type flag bool

// UnmarshalJSON reads both forms.
func (f *flag) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseBool(string(bytes.Trim(b, `"`)))
	if err != nil {
		return fault.New(fault.Invalid, "%.40s is neither true nor false", b)
	}
	*f = flag(v)
	return nil
}

// pair is a tag, a param, or whatever else has a name and a text.
type pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// decode reads a request: its body, or else the query of its URL, as also when the
// body is null, which some clients send for none. Fields that
// nobody knows are left aside, as newer clients have more of them.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return fault.New(fault.Invalid, "the body cannot be read, or has more than %d bytes: %w", maxBody, err)
	}
	if body = bytes.TrimSpace(body); len(body) == 0 || string(body) == "null" {
		fields := map[string]any{}
		for key, values := range r.URL.Query() {
			if fields[key] = any(values); len(values) == 1 {
				fields[key] = values[0]
			}
		}
		if body, err = json.Marshal(fields); err != nil {
			return fault.New(fault.Invalid, "the query: %w", err)
		}
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fault.New(fault.Invalid, "the request is not what this endpoint reads: %w", err)
	}
	return nil
}

// resultsOf checks how many results are asked for.
func resultsOf(asked integer, most, standard int) (int, error) {
	if asked == 0 {
		return standard, nil
	}
	if asked < 0 || int(asked) > most {
		return 0, fault.New(fault.Invalid, "max_results is %d: ask for 1 to %d", asked, most)
	}
	return int(asked), nil
}
