#include "kernel.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20, CACHE_LINE = 64 };

void *memory_get(size_t size) {
	void *p = NULL;
	if (posix_memalign(&p, size < HUGE_PAGE ? CACHE_LINE : HUGE_PAGE, size)) return NULL;
#ifdef MADV_HUGEPAGE
	if (size >= HUGE_PAGE) madvise(p, size & ~(size_t)(HUGE_PAGE - 1), MADV_HUGEPAGE); // what fails leaves small pages
#endif
	return p;
}

#ifdef __linux__
// clean says whether whole pages [from, to) are all as the file has them: none is the process's own copy.
static int clean(uintptr_t from, uintptr_t to, uintptr_t page) {
	const uint64_t swapped = 1ull << 62, of_file = 1ull << 61, there = 1ull << 63; // Documentation/admin-guide/mm/pagemap.rst
	uint64_t pages[512];
	FILE *map = fopen("/proc/self/pagemap", "r");
	int is = map && !fseeko(map, (off_t)(from / page * sizeof *pages), SEEK_SET);
	for (uintptr_t left = (to - from) / page; is && left;) {
		size_t n = left < 512 ? left : 512;
		is = fread(pages, sizeof *pages, n, map) == n;
		for (size_t i = 0; is && i < n; i++) is = !(pages[i] & swapped) && (!(pages[i] & there) || (pages[i] & of_file));
		left -= n;
	}
	if (map) fclose(map);
	return is;
}

void memory_drop(const void *data, size_t size) {
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = ((uintptr_t)data + page - 1) & ~(page - 1), to = ((uintptr_t)data + size) & ~(page - 1);
	FILE *maps = from < to ? fopen("/proc/self/maps", "r") : NULL; // proc_pid_maps(5)
	if (!maps) return;
	char *line = NULL;
	size_t room = 0;
	while (getline(&line, &room, maps) > 0) {
		unsigned long begin, end, inode;
		char mode[5];
		if (sscanf(line, "%lx-%lx %4s %*x %*s %lu", &begin, &end, mode, &inode) != 4 || end <= from) continue;
		if (begin <= from && to <= end && inode && mode[3] == 'p' && clean(from, to, page)) madvise((void *)from, to - from, MADV_DONTNEED);
		break;
	}
	free(line);
	fclose(maps);
}
#else
void memory_drop(const void *data, size_t size) { (void)data, (void)size; }
#endif

struct spreading {
	void (*f)(void *, size_t);
	void *data;
	size_t n;
	atomic_size_t next;
};

static void *spread_some(void *p) {
	struct spreading *s = p;
	for (size_t i; (i = atomic_fetch_add(&s->next, 1)) < s->n;) s->f(s->data, i);
	return NULL;
}

void spread(int threads, void (*f)(void *, size_t), size_t n, void *data) {
	struct spreading s = {f, data, n, 0};
	pthread_t others[63];
	int started = 0;
	while (started < threads - 1 && started < 63 && (size_t)started + 1 < n && !pthread_create(&others[started], NULL, spread_some, &s)) started++;
	spread_some(&s);
	while (started > 0) pthread_join(others[--started], NULL);
}

// The scratch of the last run: its size, then what the run sees.
static _Atomic(size_t *) spare;

void *scratch_get(size_t size) {
	size_t *p = atomic_exchange(&spare, NULL);
	if (!p || *p < size) {
		free(p);
		void *fresh = NULL;
		if (posix_memalign(&fresh, CACHE_LINE, CACHE_LINE + size)) return NULL;
		p = fresh;
		*p = size;
	}
	return (char *)p + CACHE_LINE;
}

void scratch_put(void *scratch) {
	if (scratch) free(atomic_exchange(&spare, (size_t *)((char *)scratch - CACHE_LINE)));
}

void scratch_drop(void) { free(atomic_exchange(&spare, NULL)); }
