package kernels

import "github.com/klauspost/cpuid/v2"

// detect returns the fastest variant that this machine and its operating system
// can run.
func detect() Variant {
	switch {
	case cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512DQ, cpuid.AVX512VL, cpuid.AVX2, cpuid.FMA3):
		return AVX512
	case cpuid.CPU.Supports(cpuid.AVX2, cpuid.FMA3):
		return AVX2
	default:
		return Portable
	}
}
