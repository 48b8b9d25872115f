package parquet_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	pq "github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/data/parquet"
	"github.com/troupe-ml/troupe/internal/fault"
)

// exploded is what the rows should be, from the values that were written: id,
// number of people, element.
func exploded(rows []listed, list string) (out []string) {
	for _, r := range rows {
		var elements []string
		switch list {
		case "tags":
			elements = append(elements, r.Tags...)
		case "raw":
			for _, v := range r.Raw {
				elements = append(elements, fmt.Sprint(v))
			}
		case "people":
			for _, v := range r.People {
				elements = append(elements, v.String())
			}
		case "in.X":
			for _, v := range r.In.X {
				elements = append(elements, fmt.Sprint(v))
			}
		}
		if len(elements) == 0 {
			elements = []string{"<nil>"}
			if list == "people" {
				elements = []string{"<nil> <nil>"}
			}
		}
		for _, e := range elements {
			out = append(out, fmt.Sprint(r.ID, " ", len(r.Map), " ", e))
		}
	}
	return out
}

func shown(b *data.Batch, list string) (out []string) {
	for i := range b.NumRows {
		var e string
		switch c := b.Column(list); {
		case list == "people":
			e = fmt.Sprint(cell(b.Column("people.name"), i), " ", cell(b.Column("people.age"), i))
		case list == "raw" && c.Valid.Get(i):
			e = fmt.Sprint(c.Float64s[i])
		default:
			e = fmt.Sprint(cell(c, i))
		}
		out = append(out, fmt.Sprint(cell(b.Column("id"), i), " ", cell(b.Column("map.count"), i), " ", e))
	}
	return out
}

// Against the values that were written: an empty list leaves its row once.
func TestAListBecomesARowForEachElement(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := drawListed(t)
		list := rapid.SampledFrom([]string{"tags", "raw", "people", "in.X"}).Draw(t, "list")
		f, err := open(t, writeListed(t, rows)).Explode(list)
		require.NoError(t, err)
		want := exploded(rows, list)
		require.Equal(t, int64(len(want)), f.NumRows(), "known from the footer")
		columns := []string{"id", "map.count", list}
		if list == "people" {
			columns = []string{"people.age", "id", "people.name", "map.count"}
		}
		var got []string
		for g := range f.NumRowGroups() {
			rg := f.RowGroup(g)
			b, err := f.Read(context.Background(), g, parquet.ReadOptions{Columns: columns, Rows: parquet.RowSpan{To: rg.Rows}})
			require.NoError(t, err)
			require.Equal(t, columns, b.Schema.Names())
			require.Equal(t, rg.Rows, int64(b.NumRows))
			for _, c := range b.Columns {
				requireTidy(t, c)
			}
			got = append(got, shown(b, list)...)
			ids, err := f.Read(context.Background(), g, parquet.ReadOptions{Columns: []string{"id"}})
			require.NoError(t, err)
			require.Equal(t, b.Column("id").Int64s, ids.Columns[0].Int64s, "without a column of the list")
		}
		require.Equal(t, want, got)
	})
}

func TestRowsOfAListAreFiltered(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := drawListed(t)
		f, err := open(t, writeListed(t, rows)).Explode("people")
		require.NoError(t, err)
		p, err := data.ParsePredicate(rapid.SampledFrom([]string{`"people.age" > 20`, `"people.name" is null`, "id < 10", "true", `"people.age" is null and id >= 3`}).Draw(t, "where"))
		require.NoError(t, err)
		filter, err := p.Bind(f.Schema())
		require.NoError(t, err)
		columns := []string{"id", "people.name"}
		for g := range f.NumRowGroups() {
			all, err := f.Read(context.Background(), g, parquet.ReadOptions{Columns: f.Schema().Names()})
			require.NoError(t, err)
			rows, err := filter.Eval(all)
			require.NoError(t, err)
			want := all.Keep(rows)
			var kept data.Bitmap
			got, err := f.Read(context.Background(), g, parquet.ReadOptions{Columns: columns, Filter: filter, Kept: &kept})
			require.NoError(t, err)
			require.Equal(t, rows, kept)
			require.Equal(t, want.NumRows, got.NumRows)
			require.Equal(t, columns, got.Schema.Names())
			for i := range got.NumRows {
				require.Equal(t, cell(want.Column("people.name"), i), cell(got.Column("people.name"), i))
				require.Equal(t, cell(want.Column("id"), i), cell(got.Column("id"), i))
			}
			may := filter.MayMatch(func(column string) (data.Range, bool) { return f.Statistics(g, column) })
			require.True(t, may || want.NumRows == 0, "statistics rule out rows that there are")
		}
	})
}

type thing struct {
	Name string  `parquet:"name"`
	Tags []int64 `parquet:"tags,list"`
}

func TestAListThatCannotBecomeRowsIsRefused(t *testing.T) {
	t.Parallel()
	type shallow struct {
		ID     int64            `parquet:"id"`
		Lists  [][]int64        `parquet:"lists,list"`
		Map    map[string]int64 `parquet:"map"`
		Things []thing          `parquet:"things,list"`
	}
	var out bytes.Buffer
	w := pq.NewGenericWriter[shallow](&out)
	_, err := w.Write([]shallow{{ID: 1, Things: []thing{{"a", []int64{1, 2}}, {"b", nil}}}, {ID: 2}})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	f, err := parquet.Open(bytes.NewReader(out.Bytes()), int64(out.Len()), "deep.parquet")
	require.NoError(t, err)
	for list, why := range map[string]string{
		"lists":  `the elements of "lists" are lists themselves`,
		"map":    `"map" is a map`,
		"id":     `there is no list "id"; there are things`,
		"thing":  `there is no list "thing"; there are things`,
		"things": "",
	} {
		got, err := f.Explode(list)
		if why == "" {
			require.NoError(t, err)
			b, err := got.Read(t.Context(), 0, parquet.ReadOptions{Columns: []string{"id", "things.name"}})
			require.NoError(t, err)
			require.Equal(t, []int64{1, 1, 2}, b.Columns[0].Int64s)
			require.Equal(t, []any{"a", "b", nil}, []any{cell(b.Columns[1], 0), cell(b.Columns[1], 1), cell(b.Columns[1], 2)})
			_, err = got.Read(t.Context(), 0, parquet.ReadOptions{Columns: []string{"things.tags"}})
			require.ErrorContains(t, err, `it is within a list within the elements of "things"`)
			_, err = got.Read(t.Context(), 0, parquet.ReadOptions{Columns: []string{"id"}, Rows: parquet.RowSpan{From: 1, To: 2}})
			require.ErrorContains(t, err, "is read as a whole")
			_, err = got.Read(t.Context(), 0, parquet.ReadOptions{Columns: []string{"id"}, MaxBytes: 20})
			require.Equal(t, fault.Exhausted, fault.Of(err))
			continue
		}
		require.ErrorContains(t, err, why)
		require.Equal(t, fault.Invalid, fault.Of(err))
	}
}
