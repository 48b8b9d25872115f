package features

import (
	"encoding/json"
	"strings"
)

// Entity is the columns that say together whom a row belongs to: rows are of one
// entity when all of them are equal. None means that all rows are of one.
type Entity []string

// MarshalJSON writes one column as a text, and several as a list.
func (e Entity) MarshalJSON() ([]byte, error) {
	if len(e) == 1 {
		return json.Marshal(e[0])
	}
	return json.Marshal([]string(e))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (e *Entity) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		if *e = nil; one != "" {
			*e = Entity{one}
		}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(e))
}

// String lists the columns for people.
func (e Entity) String() string { return strings.Join(e, ", ") }

// alone returns the column when it is one, and "" otherwise.
func (e Entity) alone() string {
	if len(e) == 1 {
		return e[0]
	}
	return ""
}
