package main

import (
	"fmt"
	"math"
	"strings"
)

// isa is one of the vector instruction sets.
type isa struct {
	bits    int    // of a vector
	reg     string // letter of its registers
	maxRows int    // of a tile of a product
}

var (
	avx512 = isa{512, "Z", 12}
	avx2   = isa{256, "Y", 6}
)

// unit is one assembly file in the making.
type unit struct {
	isa
	text      strings.Builder
	functions []string // their Go signatures
	constants []string // names, in the order of their first use
	values    map[string][]uint32
}

func newUnit(i isa) *unit { return &unit{isa: i, values: map[string][]uint32{}} }

// bytes returns the size of a vector.
func (u *unit) bytes() int { return u.bits / 8 }

// v returns the name of vector register i, x and y those of its lower parts.
func (u *unit) v(i int) string { return fmt.Sprintf("%s%d", u.reg, i) }
func x(i int) string           { return fmt.Sprintf("X%d", i) }
func y(i int) string           { return fmt.Sprintf("Y%d", i) }

// name returns the name of a function of this unit's instruction set.
func (u *unit) name(base string) string { return fmt.Sprintf("%s%d", base, u.bits) }

// begin starts a function with the Go signature (name, parameters) and the
// size of its arguments and results in bytes.
func (u *unit) begin(name, parameters string, size int) {
	u.functions = append(u.functions, name+parameters)
	fmt.Fprintf(&u.text, "// func %s%s\nTEXT ·%s(SB), NOSPLIT, $0-%d\n", name, parameters, name, size)
}

// end leaves the function.
func (u *unit) end() { u.op("VZEROUPPER"); u.op("RET"); u.text.WriteByte('\n') }

// op writes an instruction, operands in the order of Go's assembler.
func (u *unit) op(name string, operands ...string) {
	if len(operands) == 0 {
		fmt.Fprintf(&u.text, "\t%s\n", name)
		return
	}
	fmt.Fprintf(&u.text, "\t%s %s\n", name, strings.Join(operands, ", "))
}

// label places a label.
func (u *unit) label(name string) { fmt.Fprintf(&u.text, "%s:\n", name) }

// bitwise returns the name of a bitwise instruction on integers, which has
// another one in AVX-512.
func (u *unit) bitwise(name string) string {
	if u.isa == avx512 {
		return name + "D"
	}
	return name
}

// zero clears vector register i.
func (u *unit) zero(i int) { u.op(u.bitwise("VPXOR"), u.v(i), u.v(i), u.v(i)) }

// float returns the operand for a vector full of the float32 f.
func (u *unit) float(f float32) string { return u.word(math.Float32bits(f)) }

// word returns the operand for a vector full of the word w.
func (u *unit) word(w uint32) string {
	return u.constant(fmt.Sprintf("word%08x", w), func(int) uint32 { return w })
}

// multiples returns the operand for a vector of 0, w, 2w, 3w ...
func (u *unit) multiples(w uint32) string {
	return u.constant(fmt.Sprintf("multiples%08x", w), func(lane int) uint32 { return uint32(lane) * w })
}

func (u *unit) constant(name string, f func(lane int) uint32) string {
	if _, ok := u.values[name]; !ok {
		words := make([]uint32, u.bits/32)
		for i := range words {
			words[i] = f(i)
		}
		u.values[name] = words
		u.constants = append(u.constants, name)
	}
	return name + "<>(SB)"
}

// load puts a constant operand into register i.
func (u *unit) load(constant string, i int) { u.op("VMOVUPS", constant, u.v(i)) }

// assembly returns the file.
func (u *unit) assembly() []byte {
	var b strings.Builder
	b.WriteString(header + "//go:build amd64\n\n#include \"textflag.h\"\n\n")
	for _, name := range u.constants {
		words := u.values[name]
		for i := 0; i < len(words); i += 2 {
			fmt.Fprintf(&b, "DATA %s<>+%d(SB)/8, $0x%08x%08x\n", name, 4*i, words[i+1], words[i])
		}
		fmt.Fprintf(&b, "GLOBL %s<>(SB), RODATA|NOPTR, $%d\n\n", name, u.bytes())
	}
	b.WriteString(strings.TrimRight(u.text.String(), "\n") + "\n")
	return []byte(b.String())
}

// at returns a memory operand.
func at(offset int, register string) string {
	if offset == 0 {
		return "(" + register + ")"
	}
	return fmt.Sprintf("%d(%s)", offset, register)
}

// argument returns the operand of a function's argument.
func argument(name string, offset int) string { return fmt.Sprintf("%s+%d(FP)", name, offset) }

func imm(n int) string { return fmt.Sprintf("$%d", n) }
