package kernel

/*
#cgo CFLAGS: -std=gnu11 -O3 -Wall -Wno-psabi
#include <stdlib.h>
#include <string.h>
#include "attention_tile.h"
#include "kernel.h"

// add_operators gives a session's options the operators. It returns what went wrong, for the caller to free.
static char *add_operators(const void *table, void *options) {
	static void *domain; // of the process: sessions refer to it
	ort_api api = table;
	ort_status s = NULL;
	if (!domain) s = kernel_domain(api, &domain);
	if (!s) s = ort_add_domain(api)(options, domain);
	if (!s) return NULL;
	char *text = strdup(((const char *(*)(ort_status))api[2])(s)); // GetErrorMessage
	((void (*)(ort_status))api[93])(s); // ReleaseStatus
	return text;
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

// Attention is the operator in the place of GroupQueryAttention, and AttentionInt8 that for a cache of int8. Inputs, outputs and attributes
// are those of GroupQueryAttention, as far as attention.h goes; all attributes must be there, and isa (ISA) and threads.
const (
	Attention     = "GroupQueryAttention"
	AttentionInt8 = "GroupQueryAttentionInt8"
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
	text := C.add_operators(table, options)
	if text == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(text))
	return errors.New(C.GoString(text))
}
