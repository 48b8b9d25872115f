package expr

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/data"
	"github.com/troupe-ml/troupe/ml/features/vector"
)

// val is a value of the dumb interpreter: nil, bool, int64, float64, string,
// stamp or day.
type val = any

type (
	stamp int64
	day   int64
)

// dumb computes a tree for one row, by the rules of the manual and without a
// thought for speed.
func dumb(t *tree, row map[string]val) val {
	switch t.shape {
	case column:
		return row[t.name]
	case number:
		if i, err := strconv.ParseInt(t.name, 10, 64); err == nil {
			return i
		}
		f, _ := strconv.ParseFloat(t.name, 64)
		return f
	case text:
		return t.name
	case truth:
		return t.name == "true"
	case null:
		return nil
	}
	args := make([]val, len(t.of))
	for i, of := range t.of {
		args[i] = dumb(of, row)
	}
	return dumbCall(t.name, args)
}

func missing(v val) bool {
	f, ok := v.(float64)
	return v == nil || ok && math.IsNaN(f)
}

func float(v val) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	}
	panic(fmt.Sprintf("%T is no number", v))
}

func orNil[T any](v T, ok bool) val {
	if !ok {
		return nil
	}
	return v
}

// dumbCall computes a function: first those that make something of nulls.
func dumbCall(name string, args []val) val {
	switch name {
	case "and", "or":
		for _, a := range args {
			if a == (name == "or") {
				return name == "or"
			}
		}
		if slices.Contains(args, nil) {
			return nil
		}
		return name == "and"
	case "if":
		if args[0] == true {
			return args[1]
		}
		return args[2]
	case "coalesce":
		for _, a := range args[:len(args)-1] {
			if !missing(a) {
				return a
			}
		}
		return args[len(args)-1]
	case "is_null":
		return missing(args[0])
	case "between":
		return dumbCall("and", []val{dumbCall(">=", args[:2]), dumbCall("<=", []val{args[0], args[2]})})
	case "in":
		if missing(args[0]) {
			return nil
		}
		for _, a := range args[1:] {
			if dumbCall("=", []val{args[0], a}) == true {
				return true
			}
		}
		return false
	}
	if slices.Contains(args, nil) {
		return nil
	}
	return dumbOfValues(name, args)
}

func dumbOfValues(name string, args []val) val {
	switch name {
	case "=", "!=", "<", "<=", ">", ">=":
		order, ok := dumbOrder(args[0], args[1])
		if !ok {
			return nil
		}
		return map[string]bool{"=": order == 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[name]
	case "not":
		return args[0] == false
	case "+", "-", "*", "//", "%":
		return dumbArithmetic(name, args[0], args[1])
	case "/":
		return orNil(float(args[0])/float(args[1]), float(args[1]) != 0)
	case "min", "max", "clamp":
		return dumbExtreme(name, args)
	}
	switch v := args[0].(type) {
	case string:
		return dumbText(name, v, args)
	case stamp:
		return dumbTime(name, time.UnixMicro(int64(v)).UTC())
	case day:
		return dumbTime(name, time.Unix(int64(v)*86400, 0).UTC())
	case bool:
		return map[string]val{"int": int64(one(v)), "float": float64(one(v)), "string": strconv.FormatBool(v), "bool": v}[name]
	}
	return dumbNumber(name, args)
}

func dumbOrder(a, b val) (int, bool) {
	switch a := a.(type) {
	case bool:
		return int(one(a)) - int(one(b.(bool))), true
	case string:
		return strings.Compare(a, b.(string)), true
	case stamp:
		if s, ok := b.(string); ok {
			i, _ := data.ParseTimestamp(s, true)
			b = stamp(i)
		}
		return big.NewInt(int64(a)).Cmp(big.NewInt(int64(b.(stamp)))), true
	case day:
		return int(a - b.(day)), true
	}
	if missing(a) || missing(b) {
		return 0, false
	}
	exact := func(v val) *big.Float {
		if i, ok := v.(int64); ok {
			return new(big.Float).SetPrec(64).SetInt64(i)
		}
		return new(big.Float).SetFloat64(v.(float64))
	}
	return exact(a).Cmp(exact(b)), true
}

func dumbArithmetic(name string, x, y val) val {
	if _, ok := x.(stamp); !ok {
		if _, ok := y.(stamp); ok {
			x, y = y, x
		}
	}
	switch a := x.(type) {
	case string:
		return a + y.(string)
	case stamp:
		if b, ok := y.(stamp); ok {
			d := new(big.Int).Sub(big.NewInt(int64(a)), big.NewInt(int64(b)))
			return orNil(float64(d.Int64())/1e6, d.IsInt64())
		}
		by := math.Round(float(y) * map[string]float64{"+": 1e6, "-": -1e6}[name])
		if !(by >= -1<<63 && by < 1<<63) {
			return nil
		}
		d := new(big.Int).Add(big.NewInt(int64(a)), big.NewInt(int64(by)))
		return orNil(stamp(d.Int64()), d.IsInt64())
	case day:
		if b, ok := y.(day); ok {
			return int64(a - b)
		}
		d := new(big.Int).Add(big.NewInt(int64(a)), new(big.Int).Mul(big.NewInt(y.(int64)), big.NewInt(map[string]int64{"+": 1, "-": -1}[name])))
		return orNil(day(d.Int64()), d.IsInt64() && d.Int64() == int64(int32(d.Int64())))
	}
	i, ok := x.(int64)
	j, also := y.(int64)
	if ok && also {
		return dumbWhole(name, i, j)
	}
	a, b := float(x), float(y)
	switch name {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return float64(a * b)
	case "//":
		return orNil(math.Floor(a/b), b != 0)
	}
	m := math.Mod(a, b)
	if m*b < 0 || m != 0 && math.Signbit(m) != math.Signbit(b) {
		m += b
	}
	return orNil(m, b != 0)
}

func dumbWhole(name string, i, j int64) val {
	a, b, out := big.NewInt(i), big.NewInt(j), new(big.Int)
	switch {
	case name == "+":
		out.Add(a, b)
	case name == "-":
		out.Sub(a, b)
	case name == "*":
		out.Mul(a, b)
	case j == 0:
		return nil
	default: // Euclid's division rounds so that the rest is not negative; ours, so that it has the sign of b
		rest := new(big.Int)
		out.DivMod(a, b, rest)
		if rest.Sign() != 0 && j < 0 {
			out.Sub(out, big.NewInt(1))
			rest.Add(rest, b)
		}
		if name == "%" {
			out = rest
		}
	}
	return orNil(out.Int64(), out.IsInt64())
}

func dumbExtreme(name string, args []val) val {
	if name == "clamp" {
		return dumbExtreme("min", []val{dumbExtreme("max", args[:2]), args[2]})
	}
	out := args[0]
	for _, a := range args[1:] {
		if f, ok := out.(float64); ok {
			switch a := a.(float64); {
			case math.IsNaN(f) || math.IsNaN(a):
				out = math.NaN() // for package math an infinity beats it
			case name == "min":
				out = math.Min(f, a)
			default:
				out = math.Max(f, a)
			}
			continue
		}
		if order, _ := dumbOrder(a, out); order < 0 == (name == "min") && order != 0 {
			out = a
		}
	}
	return out
}

func dumbText(name, s string, args []val) val {
	runes := []rune(s)
	switch name {
	case "lower":
		return strings.ToLower(s)
	case "upper":
		return strings.ToUpper(s)
	case "trim":
		return strings.TrimSpace(s)
	case "length":
		return int64(len(runes))
	case "contains":
		return strings.Contains(s, args[1].(string))
	case "starts_with":
		return strings.HasPrefix(s, args[1].(string))
	case "ends_with":
		return strings.HasSuffix(s, args[1].(string))
	case "replace":
		if args[1] == "" {
			return s
		}
		return strings.ReplaceAll(s, args[1].(string), args[2].(string))
	case "substr":
		from := int(args[1].(int64))
		if from == 0 {
			return nil
		}
		if from < 0 {
			from = max(0, len(runes)+from) + 1
		}
		runes = runes[min(from-1, len(runes)):]
		if len(args) > 2 {
			if args[2].(int64) < 0 {
				return nil
			}
			runes = runes[:min(int64(len(runes)), args[2].(int64))]
		}
		return string(runes)
	case "int":
		i, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		return orNil(i, err == nil)
	case "string":
		return s
	}
	panic(name)
}

func dumbTime(name string, t time.Time) val {
	date := day(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).Unix() / 86400)
	switch name {
	case "year":
		return int64(t.Year())
	case "quarter":
		return int64(t.Month()-1)/3 + 1
	case "month":
		return int64(t.Month())
	case "day":
		return int64(t.Day())
	case "hour":
		return int64(t.Hour())
	case "minute":
		return int64(t.Minute())
	case "second":
		return int64(t.Second())
	case "day_of_week":
		return int64(t.Weekday()+6) % 7
	case "day_of_year":
		return int64(t.YearDay())
	case "is_weekend":
		return t.Weekday() == time.Saturday || t.Weekday() == time.Sunday
	case "epoch":
		if s := t.Unix(); s > math.MaxInt64/1_000_000 || s < math.MinInt64/1_000_000-1 { // rounded down
			return float64(s) // of a date for which microseconds have no room
		}
		return float64(t.UnixMicro()) / 1e6
	case "date":
		return date
	}
	panic(name)
}

func dumbNumber(name string, args []val) val {
	if i, ok := args[0].(int64); ok {
		least := i == math.MinInt64
		switch name {
		case "-x":
			return orNil(-i, !least)
		case "abs":
			return orNil(max(i, -i), !least)
		case "sign":
			return int64(one(i > 0)) - int64(one(i < 0))
		case "floor", "ceil", "round", "trunc", "int":
			return i
		case "string":
			return strconv.FormatInt(i, 10)
		}
	}
	return dumbFloat(name, float(args[0]), args)
}

func dumbFloat(name string, x float64, args []val) val {
	switch name {
	case "-x":
		return -x
	case "abs":
		return math.Abs(x)
	case "sign":
		if x == 0 || x != x {
			return x
		}
		return math.Copysign(1, x)
	case "floor":
		return math.Floor(x)
	case "ceil":
		return math.Ceil(x)
	case "round":
		return math.Round(x)
	case "trunc":
		return math.Trunc(x)
	case "sqrt":
		return orNil(math.Sqrt(x), !(x < 0))
	case "exp":
		return vector.Exp(x)
	case "log":
		return orNil(vector.Log(x), !(x <= 0))
	case "log1p":
		out := []float64{0}
		vector.Log1p(out, []float64{x})
		return orNil(out[0], !(x <= -1))
	case "log2":
		return orNil(vector.Log2(x), !(x <= 0))
	case "log10":
		return orNil(vector.Log10(x), !(x <= 0))
	case "sin":
		return vector.Sin(x)
	case "pow":
		y := float(args[1])
		return orNil(vector.Pow(x, y), !(x == 0 && y < 0) && !(x < 0 && math.Trunc(y) != y))
	case "is_nan":
		return x != x
	case "float":
		return x
	case "int":
		return orNil(int64(x), math.Abs(x) < 1<<63 || x == -1<<63)
	case "bool":
		return orNil(x != 0, x == x)
	}
	panic(name)
}

// For the laws, which stand outside of the package.

type (
	Stamp = stamp
	Day   = day
)

// Interpret returns the dumb interpreter of a text.
func Interpret(text string) func(row map[string]any) any {
	t := parse(text)
	return func(row map[string]any) any { return dumb(t, row) }
}
