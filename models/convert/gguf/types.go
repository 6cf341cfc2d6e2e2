package gguf

import (
	"encoding/binary"
	"fmt"
	"math"

	"ortserve/onnx/graph/nbits"
)

// Type is how a tensor's values are stored (enum ggml_type of ggml.h).
type Type uint32

// The types whose values this package reads.
const (
	F32     Type = 0
	F16     Type = 1
	Q4_0    Type = 2
	Q4_1    Type = 3
	Q5_0    Type = 6
	Q5_1    Type = 7
	Q8_0    Type = 8
	Q2_K    Type = 10
	Q3_K    Type = 11
	Q4_K    Type = 12
	Q5_K    Type = 13
	Q6_K    Type = 14
	IQ2_XXS Type = 16
	IQ2_XS  Type = 17
	IQ3_XXS Type = 18
	IQ1_S   Type = 19
	IQ4_NL  Type = 20
	IQ3_S   Type = 21
	IQ2_S   Type = 22
	IQ4_XS  Type = 23
	IQ1_M   Type = 29
	BF16    Type = 30
	TQ1_0   Type = 34
	TQ2_0   Type = 35
	MXFP4   Type = 39
	NVFP4   Type = 40
)

// superblock is the values of a block of the types named _K, and of most that begin with I and T.
const superblock = 256

// storage is how a block of values is stored. The layouts are those of ggml-common.h and ggml-quants.c of ggml-org/ggml; every
// product and sum is rounded to float32 as Python's gguf package does.
type storage struct {
	name          string
	values, bytes int
	dequantize    func(dst []float32, block []byte)
}

var storages = map[Type]storage{
	F32: {"F32", 1, 4, func(dst []float32, b []byte) { dst[0] = math.Float32frombits(binary.LittleEndian.Uint32(b)) }},
	F16: {"F16", 1, 2, func(dst []float32, b []byte) { dst[0] = half(b) }},
	BF16: {"BF16", 1, 2, func(dst []float32, b []byte) {
		dst[0] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)
	}},
	Q4_0:    {"Q4_0", 32, 2 + 16, q4_0},
	Q4_1:    {"Q4_1", 32, 2 + 2 + 16, q4_1},
	Q5_0:    {"Q5_0", 32, 2 + 4 + 16, q5_0},
	Q5_1:    {"Q5_1", 32, 2 + 2 + 4 + 16, q5_1},
	Q8_0:    {"Q8_0", 32, 2 + 32, q8_0},
	Q2_K:    {"Q2_K", superblock, 16 + 64 + 2 + 2, q2_K},
	Q3_K:    {"Q3_K", superblock, 32 + 64 + 12 + 2, q3_K},
	Q4_K:    {"Q4_K", superblock, 2 + 2 + 12 + 128, q4_K},
	Q5_K:    {"Q5_K", superblock, 2 + 2 + 12 + 32 + 128, q5_K},
	Q6_K:    {"Q6_K", superblock, 128 + 64 + 16 + 2, q6_K},
	IQ1_S:   {"IQ1_S", superblock, 2 + 32 + 16, iq1_s},
	IQ1_M:   {"IQ1_M", superblock, 32 + 16 + 8, iq1_m},
	IQ2_XXS: {"IQ2_XXS", superblock, 2 + 64, iq2_xxs},
	IQ2_XS:  {"IQ2_XS", superblock, 2 + 64 + 8, iq2_xs},
	IQ2_S:   {"IQ2_S", superblock, 2 + 32 + 32 + 8 + 8, iq2_s},
	IQ3_XXS: {"IQ3_XXS", superblock, 2 + 64 + 32, iq3_xxs},
	IQ3_S:   {"IQ3_S", superblock, 2 + 64 + 8 + 32 + 4, iq3_s},
	IQ4_NL:  {"IQ4_NL", 32, 2 + 16, iq4_nl},
	IQ4_XS:  {"IQ4_XS", superblock, 2 + 2 + 4 + 128, iq4_xs},
	TQ1_0:   {"TQ1_0", superblock, 48 + 4 + 2, tq1_0},
	TQ2_0:   {"TQ2_0", superblock, 64 + 2, tq2_0},
	MXFP4:   {"MXFP4", 32, 1 + 16, mxfp4},
	NVFP4:   {"NVFP4", 64, 4 + 32, nvfp4},
}

// otherNames are of types that models do not have, or whose values nothing reads back.
var otherNames = map[Type]string{9: "Q8_1", 15: "Q8_K", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 41: "Q1_0"}

func (t Type) String() string {
	if s, ok := storages[t]; ok {
		return s.name
	}
	if s, ok := otherNames[t]; ok {
		return s
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Block is the number of consecutive values of a row that are stored together, and the number of bytes they take; 0
// for types that this package does not read.
func (t Type) Block() (values, bytes int) {
	s := storages[t]
	return s.values, s.bytes
}

// Dequantize writes the values that raw holds to dst: whole blocks, of a type that can be read.
func (t Type) Dequantize(dst []float32, raw []byte) {
	s := storages[t]
	for ; s.values > 0 && len(dst) >= s.values && len(raw) >= s.bytes; dst, raw = dst[s.values:], raw[s.bytes:] {
		s.dequantize(dst[:s.values], raw[:s.bytes])
	}
}

// half is the float16 number that b begins with.
func half(b []byte) float32 { return nbits.FromFloat16(binary.LittleEndian.Uint16(b)) }
