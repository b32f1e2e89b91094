/* Stands in for libcuda.so.1, so that the real cuda-python runs without a GPU: its memory is the
 * host's, queued work is done when a stream is waited for, and calls without a context fail.
 * Built and used by tests/engines/test_cuda_python.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS, INVALID_VALUE, OUT_OF_MEMORY, INVALID_CONTEXT = 201, NOT_READY = 600,
       NOT_SUPPORTED = 801, CAPTURE_UNSUPPORTED = 900 };
enum { RUBBISH = 0xCD, THREAD_LOCAL = 1, DEPTH = 16 };

typedef struct { int time; } Event;
typedef struct Work {
    struct Work *next;
    Event *event; /* NULL: a copy */
    void *target;
    const void *source;
    size_t size;
} Work;
typedef struct { Work *first, *last; } Queue;
typedef struct { Queue queue, recorded; int capturing; } Stream;

static __thread void *contexts[DEPTH];
static __thread int depth;
static int now;

#define NEEDS_CONTEXT if (depth == 0) return INVALID_CONTEXT

static int put(Stream *stream, Event *event, void *target, const void *source, size_t size) {
    Queue *queue = stream->capturing ? &stream->recorded : &stream->queue;
    Work *work = malloc(sizeof *work);
    *work = (Work){NULL, event, target, source, size};
    if (queue->first) queue->last->next = work; else queue->first = work;
    queue->last = work;
    return SUCCESS;
}

static void *rubbish(size_t size) {
    void *block = NULL;
    if (posix_memalign(&block, 256, size) == 0) memset(block, RUBBISH, size);
    return block;
}

int cuInit(unsigned flags) { return flags; }
int cuDriverGetVersion(int *version) { *version = 13000; return SUCCESS; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return ordinal ? 101 : SUCCESS; }
int cuDevicePrimaryCtxRetain(void **context, int device) {
    (void)device;
    *context = &now;
    return SUCCESS;
}
int cuDevicePrimaryCtxRelease_v2(int device) { return device; }
int cuCtxPushCurrent_v2(void *context) { contexts[depth++] = context; return SUCCESS; }
int cuCtxPopCurrent_v2(void **context) { NEEDS_CONTEXT; *context = contexts[--depth]; return SUCCESS; }

int cuMemAlloc_v2(uint64_t *address, size_t size) {
    NEEDS_CONTEXT;
    if (size == 0) return INVALID_VALUE;
    *address = (uint64_t)rubbish(size);
    return *address ? SUCCESS : OUT_OF_MEMORY;
}
int cuMemFree_v2(uint64_t address) { NEEDS_CONTEXT; free((void *)address); return SUCCESS; }
int cuMemHostAlloc(void **block, size_t size, unsigned flags) {
    NEEDS_CONTEXT;
    *block = rubbish(size);
    return flags;
}
int cuMemFreeHost(void *block) { NEEDS_CONTEXT; free(block); return SUCCESS; }
int cuMemcpyHtoDAsync_v2(uint64_t target, const void *source, size_t size, Stream *stream) {
    NEEDS_CONTEXT;
    return put(stream, NULL, (void *)target, source, size);
}
int cuMemcpyDtoHAsync_v2(void *target, uint64_t source, size_t size, Stream *stream) {
    NEEDS_CONTEXT;
    return put(stream, NULL, target, (const void *)source, size);
}

int cuStreamCreate(Stream **stream, unsigned flags) {
    NEEDS_CONTEXT;
    *stream = calloc(1, sizeof **stream);
    return flags == 1 ? SUCCESS : INVALID_VALUE;
}
int cuStreamDestroy_v2(Stream *stream) { NEEDS_CONTEXT; free(stream); return SUCCESS; }
int cuStreamSynchronize(Stream *stream) {
    NEEDS_CONTEXT;
    if (stream->capturing) return CAPTURE_UNSUPPORTED;
    for (Work *work = stream->queue.first, *next; work; work = next) {
        if (work->event) work->event->time = ++now;
        else memcpy(work->target, work->source, work->size);
        next = work->next;
        free(work);
    }
    stream->queue = (Queue){NULL, NULL};
    return SUCCESS;
}

int cuEventCreate(Event **event, unsigned flags) {
    NEEDS_CONTEXT;
    *event = calloc(1, sizeof **event);
    return flags;
}
int cuEventDestroy_v2(Event *event) { NEEDS_CONTEXT; free(event); return SUCCESS; }
int cuEventRecord(Event *event, Stream *stream) {
    NEEDS_CONTEXT;
    return put(stream, event, NULL, NULL, 0);
}
int cuEventElapsedTime(float *milliseconds, Event *start, Event *stop) {
    *milliseconds = stop->time - start->time;
    return start->time && stop->time ? SUCCESS : NOT_READY;
}

int cuStreamBeginCapture_v2(Stream *stream, int mode) {
    NEEDS_CONTEXT;
    stream->capturing = 1;
    stream->recorded = (Queue){NULL, NULL};
    return mode == THREAD_LOCAL ? SUCCESS : INVALID_VALUE;
}
int cuStreamEndCapture(Stream *stream, Work ***graph) {
    NEEDS_CONTEXT;
    stream->capturing = 0;
    *graph = malloc(sizeof **graph);
    **graph = stream->recorded.first;
    return SUCCESS;
}
int cuGraphInstantiateWithFlags(Work ***executable, Work **graph, unsigned long long flags) {
    NEEDS_CONTEXT;
    *executable = malloc(sizeof **executable);
    **executable = *graph;
    return (int)flags;
}
int cuGraphDestroy(Work **graph) { NEEDS_CONTEXT; free(graph); return SUCCESS; }
int cuGraphExecDestroy(Work **executable) { NEEDS_CONTEXT; free(executable); return SUCCESS; }
int cuGraphLaunch(Work **executable, Stream *stream) {
    NEEDS_CONTEXT;
    for (Work *work = *executable; work; work = work->next)
        put(stream, work->event, work->target, work->source, work->size);
    return SUCCESS;
}

int cuGetErrorString(int code, const char **text) {
    static char words[40];
    snprintf(words, sizeof words, "stand-in's code %d", code);
    *text = words;
    return SUCCESS;
}

static int not_supported(void) { return NOT_SUPPORTED; }

/* How cuda-python finds the calls: by name, without the suffix of their version. */
int cuGetProcAddress_v2(const char *name, void **call, int version, uint64_t flags, int *status) {
    static const char *const endings[] = {"_v2", "WithFlags", ""};
    static void *self;
    (void)version, (void)flags;
    if (self == NULL) self = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    *call = NULL;
    for (size_t index = 0; index < sizeof endings / sizeof *endings && *call == NULL; ++index) {
        char whole[200];
        snprintf(whole, sizeof whole, "%s%s", name, endings[index]);
        *call = dlsym(self, whole);
    }
    if (*call == NULL) *call = (void *)not_supported;
    if (status) *status = 0;
    return SUCCESS;
}
int cuGetProcAddress(const char *name, void **call, int version, uint64_t flags) {
    return cuGetProcAddress_v2(name, call, version, flags, NULL);
}
