package query

import (
	"encoding/base64"
	"encoding/json"
	"slices"

	"github.com/troupe-ml/troupe/internal/fault"
)

// Choose returns those of all that a filter lets pass, sorted by the clauses of
// order, a page at a time as Page does. It uses the memory of all. Errors are of
// kind Invalid.
func Choose[S Subject](g Grammar, all []S, filter string, order []string, page string, limit int) (chosen []S, next string, err error) {
	f, err := g.Parse(filter)
	if err != nil {
		return nil, "", err
	}
	o, err := g.ParseOrder(order...)
	if err != nil {
		return nil, "", err
	}
	from, err := PageStart(page)
	if err != nil {
		return nil, "", err
	}
	all = slices.DeleteFunc(all, func(s S) bool { return !f.Match(s) })
	Sort(o, all)
	chosen, next = Page(all, from, limit)
	return chosen, next, nil
}

// Page returns the items from a place, at most limit if that is not 0, and the
// token of the place behind them, which is empty at the end.
func Page[T any](all []T, from, limit int) (page []T, next string) {
	all = all[min(from, len(all)):]
	if limit <= 0 || len(all) <= limit {
		return all, ""
	}
	token, err := json.Marshal(pageToken{from + limit})
	if err != nil {
		return all, "" // a number always encodes
	}
	return all[:limit], base64.StdEncoding.EncodeToString(token)
}

type pageToken struct {
	Offset int `json:"offset"`
}

// PageStart reads a token of Page; the empty one is the start.
func PageStart(token string) (int, error) {
	var t pageToken
	if token == "" {
		return 0, nil
	}
	b, err := base64.StdEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	if err != nil || t.Offset < 0 {
		return 0, fault.New(fault.Invalid, "the page token %.40q is none that was given out", token)
	}
	return t.Offset, nil
}
