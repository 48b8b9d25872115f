package features

import "github.com/troupe-ml/troupe/data"

// Learns says whether a step learns from rows before it is applied, and whether
// it learns from the target, whatever the types of its columns: true when it
// does for columns of some type. A step that cannot be compiled learns nothing.
func Learns(s Step) (rows, target bool) {
	const name = "a column"
	if s.Op == exprOp {
		return false, false
	}
	s.Of = make([]string, len(s.Of))
	for i := range s.Of {
		s.Of[i] = name
	}
	schema := data.Schema{Fields: []data.Field{
		{Name: name, Nullable: true}, {Name: "the target", Type: data.Float64}, {Name: "the entity", Type: data.String}, {Name: "the time", Type: data.Timestamp},
	}}
	if column, ok := s.Params["fold_column"].(string); ok { // the parameter that names a column
		schema.Fields = append(schema.Fields, data.Field{Name: column, Type: data.Int64})
	}
	for _, t := range []data.Type{data.Float64, data.String, data.Timestamp} {
		schema.Fields[0].Type = t
		p, err := Compile(Config{Steps: []Step{s}, Target: "the target", Entity: Entity{"the entity"}, Timestamp: "the time"}, schema)
		if err != nil {
			continue
		}
		return passesOf(p.steps[0]) > 0, p.steps[0].taught != ""
	}
	return false, false
}
