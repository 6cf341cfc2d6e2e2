#include "kernel.h"

int isa_runs(int isa) {
#if defined(__x86_64__)
	__builtin_cpu_init();
	int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
	switch (isa) {
	case ISA_AVX2: return avx2;
	case ISA_AVX512:
		return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
			__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
	}
#endif
	return 0;
}

ort_status isa_read(ort_api api, const void *info, int *isa, int *threads) {
	ort_status s = ort_int(api, info, "isa", ISA_NONE + 1, ISA_COUNT - 1, isa);
	if (!s) s = ort_int(api, info, "threads", 1, 1 << 16, threads);
	if (!s && !isa_runs(*isa)) return ort_error(api, "this processor lacks the instructions");
	return s;
}
