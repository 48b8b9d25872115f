package parquet

import (
	"fmt"

	"github.com/parquet-go/parquet-go/format"

	"github.com/troupe-ml/troupe/data"
)

// Unsupported is a column of a file that cannot be read, and why.
type Unsupported struct {
	Name   string // path of the column, parts joined with dots
	Reason string
}

// maxDepth bounds the nesting of structs, which is walked by recursion.
const maxDepth = 64

// part is what of the lists in a column is read.
type part uint8

const (
	whole part = iota // no list: the value
	listCount
	listFirst
	listLast
	listElement // all elements: the list has become rows
)

// Names of the columns that lists become, behind the list's own.
const (
	countName = "count"
	firstName = "first"
	lastName  = "last"
)

// schemaWalk turns the flattened tree into leaves.
type schemaWalk struct {
	elements []element
	next     int
	numLeaf  int
	leaves   []leaf
	refused  []Unsupported
	nested   []leaf        // within lists within lists, which are only counted
	physical []format.Type // by chunk
}

// place is where the walk is.
type place struct {
	path    string // name of the group
	depth   int
	def     int
	rep     int
	wrapped int  // so many more levels below are wrapping of a list and give no name
	isMap   bool // below a map, of which only the entries are counted
	list    *openList
}

// openList is the outermost list around a place.
type openList struct {
	name    string
	def     int
	counted bool // its count is a column already
}

// leavesOf lists the columns of the schema: leaves of structs are named by path
// (a.b), lists become their count, first and last element (tags.count, tags.first,
// tags.last), maps and lists within lists their count; types that have no
// counterpart are refused one by one.
func leavesOf(elements []element) (*schemaWalk, error) {
	if len(elements) == 0 {
		return nil, fmt.Errorf("the schema is empty")
	}
	if len(elements) > maxSchemaSize {
		return nil, fmt.Errorf("%d schema elements are too many", len(elements))
	}
	w := &schemaWalk{elements: elements, next: 1}
	if err := w.children(elements[0].children, place{}); err != nil {
		return nil, err
	}
	if w.next != len(elements) {
		return nil, fmt.Errorf("%d schema elements are no children of anything", len(elements)-w.next)
	}
	seen := make(map[string]bool, len(w.leaves))
	sharers := make([]int, w.numLeaf)
	for i := range w.leaves {
		l := &w.leaves[i]
		if seen[l.field.Name] {
			return nil, fmt.Errorf("column %q occurs twice", l.field.Name)
		}
		seen[l.field.Name] = true
		sharers[l.at]++
	}
	for i := range w.leaves {
		w.leaves[i].sharers = sharers[w.leaves[i].at]
	}
	return w, nil
}

func (w *schemaWalk) children(n int32, p place) error {
	if n < 0 || int(n) > len(w.elements)-w.next {
		return fmt.Errorf("schema element %q claims %d children, %d follow", p.path, n, len(w.elements)-w.next)
	}
	if p.depth > maxDepth {
		return fmt.Errorf("schema element %q is nested too deeply", p.path)
	}
	for range n {
		if w.next >= len(w.elements) {
			return fmt.Errorf("schema element %q lacks children", p.path)
		}
		e := &w.elements[w.next]
		w.next++
		if err := w.element(e, p); err != nil {
			return err
		}
	}
	return nil
}

// element walks one group or leaf below p.
func (w *schemaWalk) element(e *element, p place) error {
	in := p
	in.depth++
	switch {
	case p.wrapped > 0:
		in.wrapped--
	case p.depth > 0:
		in.path = p.path + "." + e.name
	default:
		in.path = e.name
	}
	switch e.repetition {
	case format.Required:
	case format.Optional:
		in.def++
	case format.Repeated:
		in.def++
		in.rep++
		if in.list == nil {
			in.list = &openList{name: in.path, def: in.def}
		}
	default:
		return fmt.Errorf("column %q: repetition %d", in.path, e.repetition)
	}
	if e.isLeaf {
		if e.physical < format.Boolean || e.physical > format.FixedLenByteArray {
			return fmt.Errorf("column %q: physical type %d", in.path, e.physical)
		}
		w.leaf(e, in)
		return nil
	}
	in.wrapped = w.wrapping(e, p)
	in.isMap = p.isMap || e.isMap()
	return w.children(e.children, in)
}

// wrapping returns how many levels below a group only wrap the elements of a
// list or the entries of a map.
//
// Source: Apache Parquet, LogicalTypes.md, "Lists", with its rules for files
// that were written before them.
func (w *schemaWalk) wrapping(e *element, p place) int {
	if p.wrapped > 0 && e.repetition == format.Repeated {
		return p.wrapped - 1
	}
	if e.children != 1 || w.next >= len(w.elements) || !e.isList() && !e.isMap() {
		return 0
	}
	repeated := &w.elements[w.next]
	if repeated.repetition != format.Repeated {
		return 0
	}
	if e.isMap() || repeated.isLeaf || repeated.children != 1 || repeated.name == "array" || repeated.name == e.name+"_tuple" {
		return 1
	}
	return 2
}

func (e *element) isList() bool {
	return e.logical.id == logicalList || e.converted == convertedList
}

func (e *element) isMap() bool {
	return e.logical.id == logicalMap || e.converted == convertedMap || e.converted == convertedMapKeyValue
}

// leaf adds the columns that a leaf is read as.
func (w *schemaWalk) leaf(e *element, p place) {
	l := leaf{physical: e.physical, width: int(e.width), maxDef: p.def, maxRep: p.rep, at: w.numLeaf}
	w.numLeaf++
	w.physical = append(w.physical, e.physical)
	l.field = data.Field{Name: p.path, Nullable: p.def > 0}
	l.path = p.path
	if p.list != nil {
		l.listDef, l.list, l.isMap = p.list.def, p.list.name, p.isMap
	}
	reason := l.interpret(e)
	l.element = l.field.Type
	if p.list != nil && !p.list.counted {
		p.list.counted = true
		count := l
		count.part = listCount
		count.field = data.Field{Name: p.list.name + "." + countName, Type: data.Int32, Nullable: p.list.def > 1}
		w.leaves = append(w.leaves, count)
	}
	switch {
	case p.list != nil && (p.isMap || p.rep > 1): // only counted
		w.nested = append(w.nested, l)
	case reason != "":
		w.refused = append(w.refused, Unsupported{p.path, reason})
	case l.conv == fromInterval:
		for _, part := range intervalParts {
			one := l
			one.conv, one.path = part.conv, l.path+"."+part.name
			one.field.Name = one.path
			w.add(one)
		}
	default:
		w.add(l)
	}
}

// add adds a column, or the ends of a list of them.
func (w *schemaWalk) add(l leaf) {
	if l.maxRep == 0 {
		w.leaves = append(w.leaves, l)
		return
	}
	for _, ends := range []part{listFirst, listLast} {
		one := l
		one.part = ends
		one.field.Name += "." + map[part]string{listFirst: firstName, listLast: lastName}[ends]
		w.leaves = append(w.leaves, one)
	}
}
