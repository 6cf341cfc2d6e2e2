package kernel

/*
#cgo CFLAGS: -std=gnu11 -O3 -Wall -Wno-psabi
#include <stdio.h>
#include "attention_tile.h"
#include "kernel.h"

// add_operators gives a session's options the operators. Where it fails it returns 0 and writes why.
static int add_operators(const void *table, void *options, char *why, size_t room) {
	static void *domain; // of the process: sessions refer to it
	ort_api api = table;
	ort_status s = NULL;
	if (!domain) s = kernel_domain(api, &domain);
	if (!s) s = ort_add_domain(api)(options, domain);
	if (!s) return 1;
	snprintf(why, room, "%s", ort_error_text(api)(s));
	ort_release_status(api)(s);
	return 0;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unsafe"
)

// Domain is that of the operators.
const Domain = "ortserve"

// MatMul is the operator in the place of MatMulNBits. Its inputs are x float32 [...,K], weights uint8 [N,blocks,block·bits/8], scales float32
// [N,blocks], zero points uint8 (optional), bias float32 [N] (optional), all but x constant and laid out as those of MatMulNBits. Its
// attributes are K, N, bits, block_size as there, isa (ISA) and threads.
const MatMul = "PackedMatMulNBits"

// Attention is the operator in the place of GroupQueryAttention, the others are those for a cache of float16 and of int8. Inputs, outputs and
// attributes are those of GroupQueryAttention, as far as attention.h goes; all attributes must be there, and isa (ISA) and threads. All but
// the cache is float32.
const (
	Attention        = "GroupQueryAttention"
	AttentionFloat16 = "GroupQueryAttentionFloat16"
	AttentionInt8    = "GroupQueryAttentionInt8"
)

// HeadSize says whether Attention takes heads of that size.
func HeadSize(n int) bool { return n > 0 && n%8 == 0 && n <= C.MAX_SIZE }

// ISA is an instruction set that there are kernels for; 0 is none.
type ISA int

var names = []string{"", "avx2", "avx512vnni"}

// String returns its name: "avx512vnni".
func (i ISA) String() string { return names[i] }

// Runs says whether this processor has it.
func (i ISA) Runs() bool { return C.isa_runs(C.int(i)) != 0 }

// Best returns the best that this processor has, 0 where there is none.
func Best() ISA {
	for i := ISA(len(names) - 1); i > 0; i-- {
		if i.Runs() {
			return i
		}
	}
	return 0
}

// Parse returns the instruction set of this name. The error says that there is none, or that this processor lacks it.
func Parse(name string) (ISA, error) {
	for i, n := range names {
		if n != name || i == 0 {
			continue
		}
		if !ISA(i).Runs() {
			return 0, fmt.Errorf("this processor does not have %s", name)
		}
		return ISA(i), nil
	}
	return 0, fmt.Errorf("there are no kernels for %q, but for %s", name, strings.Join(names[1:], ", "))
}

var adding sync.Mutex

// AddTo gives a session the operators. Table is ONNX Runtime's OrtApi of version 24 or later, options an OrtSessionOptions. The error is
// ONNX Runtime's.
func AddTo(table, options unsafe.Pointer) error {
	adding.Lock()
	defer adding.Unlock()
	var why [512]C.char
	if C.add_operators(table, options, &why[0], C.size_t(len(why))) != 0 {
		return nil
	}
	return errors.New(C.GoString(&why[0]))
}

// Release frees the memory that runs keep for the next one.
func Release() { C.scratch_drop() }
