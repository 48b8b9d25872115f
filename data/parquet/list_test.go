package parquet_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pq "github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
)

// requireLists compares counts with the lists and maps that the expected values
// write out, and first and last elements where these are numbers.
func requireLists(t *testing.T, n nasty, batches []*data.Batch) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dataDir, "nasty/expected", n.File+".csv"))
	require.NoError(t, err)
	lines, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	require.NoError(t, err)
	name, lines := lines[0][1], lines[1:]
	seen := 0
	for _, b := range batches {
		for i := range b.NumRows {
			want := lines[seen][1]
			seen++
			elements, missing := topElements(want)
			count := cell(b.Column(name+".count"), i)
			if missing {
				require.Nil(t, count, want)
			} else {
				require.Equal(t, int32(len(elements)), count, want)
			}
			first := b.Column(name + ".first")
			if first == nil {
				continue
			}
			if len(elements) == 0 {
				elements = []string{"NULL"}
			}
			for text, c := range map[string]*data.Column{elements[0]: first, elements[len(elements)-1]: b.Column(name + ".last")} {
				got := cell(c, i)
				require.True(t, got == nil && text == "NULL" || fmt.Sprint(got) == text, "%v of %s", got, want)
			}
		}
	}
	require.Len(t, lines, seen)
}

// topElements splits [a, [b, c]] or {k=v, k=v} at the commas of its own level.
func topElements(s string) (elements []string, missing bool) {
	if s == `\N` {
		return nil, true
	}
	depth, from := 0, 1
	for i, c := range s {
		switch {
		case strings.ContainsRune("[{", c):
			depth++
		case strings.ContainsRune("]}", c):
			depth--
			if depth == 0 && i > from {
				elements = append(elements, s[from:i])
			}
		case c == ',' && depth == 1:
			elements = append(elements, s[from:i])
			from = i + 2
		}
	}
	return elements, false
}

type person struct {
	Name string `parquet:"name,dict"`
	Age  *int32 `parquet:"age,optional"`
}

type listed struct {
	ID     int64              `parquet:"id"`
	Tags   []string           `parquet:"tags,list"`
	Raw    []float64          `parquet:"raw"`
	People []person           `parquet:"people,list"`
	In     struct{ X []bool } `parquet:"in"`
	Map    map[string]int64   `parquet:"map"`
}

func (p person) String() string {
	if p.Age == nil {
		return p.Name + " <nil>"
	}
	return fmt.Sprint(p.Name, " ", *p.Age)
}

// drawListed returns rows with lists of all kinds, some of them empty.
func drawListed(t *rapid.T) []listed {
	var rows []listed
	length := rapid.IntRange(0, 4)
	for i := range rapid.IntRange(1, 60).Draw(t, "rows") {
		r := listed{ID: int64(i), Map: map[string]int64{}}
		for k := range length.Draw(t, "tags") {
			r.Tags = append(r.Tags, fmt.Sprint(k, i%3))
		}
		for k := range length.Draw(t, "raw") {
			r.Raw = append(r.Raw, float64(k*i))
		}
		for k := range length.Draw(t, "people") {
			age := int32(i * k)
			p := person{Name: fmt.Sprint(i%4, k), Age: &age}
			if k == i%3 {
				p.Age = nil
			}
			r.People = append(r.People, p)
		}
		for k := range length.Draw(t, "in") {
			r.In.X = append(r.In.X, (k+i)%2 == 0)
		}
		for k := range length.Draw(t, "map") {
			r.Map[fmt.Sprint(k)] = 1
		}
		rows = append(rows, r)
	}
	return rows
}

// writeListed writes rows as another writer does.
func writeListed(t *rapid.T, rows []listed) []byte {
	var out bytes.Buffer
	w := pq.NewGenericWriter[listed](&out, pq.DataPageVersion(rapid.IntRange(1, 2).Draw(t, "version")), pq.PageBufferSize(rapid.SampledFrom([]int{16, 100, 1 << 20}).Draw(t, "page")))
	_, err := w.Write(rows)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

// Lists of another writer become their count and their ends, row by row.
func TestListsBecomeCountFirstAndLast(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := drawListed(t)
		f := open(t, writeListed(t, rows))
		require.ElementsMatch(t, []string{
			"id", "tags.count", "tags.first", "tags.last", "raw.count", "raw.first", "raw.last", "people.count", "people.name.first", "people.name.last",
			"people.age.first", "people.age.last", "in.X.count", "in.X.first", "in.X.last", "map.count",
		}, f.Schema().Names())
		b := readAll(t, f)[0]
		for _, c := range b.Columns {
			requireTidy(t, c)
		}
		for i, r := range rows {
			requireEnds(t, b, i, "tags", r.Tags, func(s string) any { return s })
			requireEnds(t, b, i, "in.X", r.In.X, func(v bool) any { return v })
			require.Equal(t, int32(len(r.Map)), cell(b.Column("map.count"), i))
			require.Equal(t, int32(len(r.Raw)), cell(b.Column("raw.count"), i))
			if len(r.Raw) > 0 {
				require.Equal(t, r.Raw[len(r.Raw)-1], b.Column("raw.last").Float64s[i])
			}
			require.Equal(t, int32(len(r.People)), cell(b.Column("people.count"), i))
			if n := len(r.People); n > 0 {
				last := fmt.Sprint(cell(b.Column("people.name.last"), i), " ", cell(b.Column("people.age.last"), i))
				require.Equal(t, r.People[n-1].String(), last)
			}
		}
	})
}

func requireEnds[T any](t require.TestingT, b *data.Batch, row int, name string, list []T, asCell func(T) any) {
	require.Equal(t, int32(len(list)), cell(b.Column(name+".count"), row))
	first, last := cell(b.Column(name+".first"), row), cell(b.Column(name+".last"), row)
	if len(list) == 0 {
		require.Nil(t, first)
		require.Nil(t, last)
		return
	}
	require.Equal(t, asCell(list[0]), first)
	require.Equal(t, asCell(list[len(list)-1]), last)
}
