// What the operators share: the instruction sets, memory, and the table of operators.
#ifndef ORTSERVE_KERNEL_H
#define ORTSERVE_KERNEL_H

#include "ort.h"

// The instruction sets that there are kernels for, the later the better. A node has one as its attribute "isa".
enum isa { ISA_NONE, ISA_AVX2, ISA_AVX512, ISA_COUNT };

// isa_runs says whether this processor has an instruction set.
int isa_runs(int isa);

// isa_read reads a node's attributes "isa" and "threads".
ort_status isa_read(ort_api api, const void *info, int *isa, int *threads);

// memory_get returns size bytes that begin on a cache line, in huge pages where that wastes nothing; NULL where there are none.
// free() frees them.
void *memory_get(size_t size);

// memory_drop tells the system that bytes of a mapped file are not needed for now: what is read again comes from the file. Other memory, and
// pages that somebody has written to, are left alone.
void memory_drop(const void *data, size_t size);

// spread calls f(data, i) for every i < n on so many threads, this one included.
void spread(int threads, void (*f)(void *, size_t), size_t n, void *data);

// scratch_get returns at least size bytes for a run, and scratch_put takes them back for the next one. NULL where there are none.
void *scratch_get(size_t size);
void scratch_put(void *);

// scratch_drop frees what waits for the next run.
void scratch_drop(void);

// The operators.
extern const ort_operator matmul_operator;
const ort_operator *attention_operator(size_t i); // one for each type of the cache, then NULL

// What all operators say of themselves.
const char *on_processor(const ort_operator *);
int all_required(const ort_operator *, size_t i);  // of outputs
int any_memory(const ort_operator *, size_t i);    // of inputs: the processor's

// kernel_domain makes the domain of all operators. Where that fails it makes none.
ort_status kernel_domain(ort_api api, void **made);

#endif
