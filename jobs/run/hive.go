package run

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/internal/fault"
)

// hiveNull is how a folder's name says that the value is null.
const hiveNull = "__HIVE_DEFAULT_PARTITION__"

// partitionKeys reads the key=value folders of a file's path below the folder or
// the first wildcard of the input that it was found by: month=2024-05/part-0
// has month. Names are decoded as URLs are. A key is given once in a path.
func partitionKeys(below string) (keys, values []string, err error) {
	parts := strings.Split(below, "/")
	for _, part := range parts[:len(parts)-1] {
		k, v, ok := strings.Cut(part, "=")
		if !ok || k == "" {
			continue
		}
		key, err := url.PathUnescape(k)
		if err == nil {
			v, err = url.PathUnescape(v)
		}
		if err != nil {
			return nil, nil, fault.New(fault.Invalid, "the folder %q is no key=value of which %% begins a hexadecimal code: %w", part, err)
		}
		for _, other := range keys {
			if other == key {
				return nil, nil, fault.New(fault.Invalid, "the folders of %q give %s twice", below, key)
			}
		}
		keys, values = append(keys, key), append(values, v)
	}
	return keys, values, nil
}

// below returns the part of a path that lies below what an input names: the
// folder, or the folder before the first wildcard of a glob.
func below(input, path string) string {
	root := input
	if i := strings.IndexAny(input, "*?["); i >= 0 {
		root = input[:strings.LastIndex(input[:i], "/")+1]
	}
	rest := strings.TrimPrefix(path, root)
	if rest == "" || rest == path && root != "" { // the file itself
		return path[strings.LastIndex(path, "/")+1:]
	}
	return strings.TrimPrefix(rest, "/")
}

// partitionFields returns the columns that the folders of files give, in order
// of first appearance: int64 when every value is a whole number as Go writes
// it, date when every one is a date, else string. Nullable where a value is
// missing, or a file's folders have no such key.
func partitionFields(keys, values [][]string) []data.Field {
	var fields []data.Field
	for _, file := range keys {
		for _, k := range file {
			if (data.Schema{Fields: fields}).Index(k) < 0 {
				fields = append(fields, data.Field{Name: k})
			}
		}
	}
	for i := range fields {
		f := &fields[i]
		whole, day := true, true
		for n := range keys {
			v, ok := partitionText(keys[n], values[n], f.Name)
			if !ok {
				f.Nullable = true
				continue
			}
			number, err := strconv.ParseInt(v, 10, 64)
			whole = whole && err == nil && strconv.FormatInt(number, 10) == v
			_, err = data.ParseDate(v)
			day = day && err == nil
		}
		switch {
		case whole:
			f.Type = data.Int64
		case day:
			f.Type = data.Date
		default:
			f.Type = data.String
		}
	}
	return fields
}

// partitionText returns the value that a file's folders give a key.
func partitionText(keys, values []string, key string) (string, bool) {
	for i, k := range keys {
		if k == key {
			return values[i], values[i] != hiveNull
		}
	}
	return "", false
}

// partitionValue returns the value of a partition's column, nil for null.
func partitionValue(f data.Field, text string, ok bool) *data.Value {
	if !ok {
		return nil
	}
	v := data.StringValue(text)
	switch f.Type {
	case data.Int64:
		n, _ := strconv.ParseInt(text, 10, 64) //nolint:errcheck // partitionFields has looked at it
		v = data.IntValue(n)
	case data.Date:
		n, _ := data.ParseDate(text) //nolint:errcheck // partitionFields has looked at it
		v = data.IntValue(int64(n))
	}
	return &v
}
