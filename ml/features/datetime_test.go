package features_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features"
)

func instants() data.Schema {
	return data.Schema{Fields: []data.Field{{Name: "ts", Type: data.Timestamp, UTC: true, Nullable: true}}}
}

func instantBatch(t testing.TB, micros ...any) *data.Batch {
	b, err := data.NewBatch(instants(), []*data.Column{column(t, data.Timestamp, micros...)})
	require.NoError(t, err)
	return b
}

func zoned(t testing.TB, zone string) *features.Pipeline {
	s := with(step("ts", "datetime", "ts"), "parts", []any{"year", "month", "day", "hour", "minute", "day_of_week"}, "time_zone", zone)
	p, err := features.Compile(features.Config{Steps: []features.Step{s}}, instants())
	require.NoError(t, err)
	return p
}

func TestZonesAreThoseOfTheTimePackage(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo"} {
		t.Run(strings.ReplaceAll(zone, "/", " "), func(t *testing.T) {
			t.Parallel()
			place, err := time.LoadLocation(zone)
			require.NoError(t, err)
			p := zoned(t, zone)
			rapid.Check(t, func(t *rapid.T) {
				at := time.Unix(rapid.Int64Range(-2_208_988_800, 4_102_444_799).Draw(t, "second"), 0)
				if rapid.Bool().Draw(t, "near a change") {
					if start, _ := at.In(place).ZoneBounds(); !start.IsZero() && start.Unix() > -2_208_988_800 {
						at = start.Add(time.Duration(rapid.Int64Range(-2, 2).Draw(t, "off")) * time.Second)
					}
				}
				got, err := p.Apply(instantBatch(&testing.T{}, int(at.UnixMicro())))
				require.NoError(t, err)
				want := at.In(place)
				var parts []int
				for _, c := range got.Columns {
					parts = append(parts, int(c.Int32s[0]))
				}
				require.Equal(t, []int{want.Year(), int(want.Month()), want.Day(), want.Hour(), want.Minute(), (int(want.Weekday()) + 6) % 7}, parts, "%v", want)
			})
		})
	}
}

func TestAFixedOffset(t *testing.T) {
	t.Parallel()
	checkApply(t, zoned(t, "-03:30"), instantBatch(t, 0, null{}),
		named{"ts_year", column(t, data.Int32, 1969, null{})}, named{"ts_month", column(t, data.Int32, 12, null{})},
		named{"ts_day", column(t, data.Int32, 31, null{})}, named{"ts_hour", column(t, data.Int32, 20, null{})},
		named{"ts_minute", column(t, data.Int32, 30, null{})}, named{"ts_day_of_week", column(t, data.Int32, 2, null{})})
}

// A pipeline computes with the rules it was made with, not with those of the
// machine it runs on.
func TestAPipelineCarriesTheRulesOfItsZone(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(zoned(t, "Europe/Berlin"))
	require.NoError(t, err)
	require.Contains(t, string(text), ",7200,")
	changed := strings.ReplaceAll(strings.ReplaceAll(string(text), ",7200,", ",10800,"), "Europe/Berlin", "Nowhere/Else")
	p, err := features.Load([]byte(changed))
	require.NoError(t, err)
	summer := int(time.Date(2024, 7, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	got, err := p.Apply(instantBatch(t, summer))
	require.NoError(t, err)
	assert.Equal(t, []int32{15}, got.Column("ts_hour").Int32s)
	_, err = features.Load([]byte(strings.ReplaceAll(string(text), ",7200,", ",7200000,")))
	require.ErrorContains(t, err, "not sound")
}

func TestDatetimeRefuses(t *testing.T) {
	t.Parallel()
	schema := instants()
	schema.Fields = append(schema.Fields, data.Field{Name: "wall", Type: data.Timestamp}, data.Field{Name: "day", Type: data.Date})
	for _, c := range []struct {
		step features.Step
		want string
	}{
		{step("d", "datetime", "ts"), "parts: expected a list"},
		{with(step("d", "datetime", "ts"), "parts", []any{"hours"}), `parts: there is no "hours"; did you mean "hour"?`},
		{with(step("d", "datetime", "ts"), "cyclical", []any{"year"}), `cyclical: there is no "year"`},
		{with(step("d", "datetime", "ts"), "parts", []any{"hour", "hour"}), `parts: "hour" is given twice`},
		{with(step("d", "datetime", "day"), "parts", []any{"minute"}), `parts: a date has no minute`},
		{with(step("d", "datetime", "ts"), "parts", []any{"hour"}, "time_zone", "Europe/Berln"), `time_zone: there is no "Europe/Berln"`},
		{with(step("d", "datetime", "ts"), "parts", []any{"hour"}, "time_zone", "Local"), `time_zone: there is no "Local"`},
		{with(step("d", "datetime", "ts"), "parts", []any{"hour"}, "time_zone", "+19:00"), `at most 18 hours`},
		{with(step("d", "datetime", "wall"), "parts", []any{"hour"}, "time_zone", "Europe/Berlin"), `"wall" holds wall times, not instants`},
		{with(step("d", "datetime", "ts"), "parts", []any{"hour"}, "timezone", "UTC"), `there is no parameter "timezone"; did you mean "time_zone"?`},
	} {
		_, err := features.Compile(features.Config{Steps: []features.Step{c.step}}, schema)
		assert.ErrorContains(t, err, c.want)
	}
}
