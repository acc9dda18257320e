/* SPDX-License-Identifier: MIT */
/* Physical devices, what they can do, and a logical device with one compute queue. What a device can do is masked by
 * `hide`, so that every fallback runs on one device. */
#ifndef PITH_VK_DEVICE_H
#define PITH_VK_DEVICE_H

#include "loader.h"
#include "tuned.h"

/* X(NAME, "name in hide", what is lost) */
#define PITH_VK_CAP_MAP(X)                                                            \
    X(FP16, "fp16", "half arithmetic and 16-bit storage")                             \
    X(INT8, "int8", "byte arithmetic")                                                \
    X(INTDOT, "intdot", "packed integer dot products")                                \
    X(SUBGROUP, "subgroup", "shuffles within a subgroup")                             \
    X(HALF, "half", "mat-vec in halves")                                              \
    X(SUBNORMAL, "subnormal", "subnormal halves: codes in mat-vec, scales in products") \
    X(STEP, "step", "append and attention of one token in one dispatch")              \
    X(CHAIN, "chain", "dispatches of a token that wait in the shader instead of behind barriers") \
    X(COOPMAT, "coopmat", "KHR cooperative matrices")                                 \
    X(COOPMAT2, "coopmat2", "NV cooperative matrices 2, in attention of many tokens")  \
    X(HOSTVISIBLE, "hostvisible", "device memory that the host writes without a copy") \
    X(TIMESTAMPS, "timestamps", "timestamp queries")

enum {
#define X(NAME, name, what) PITH_VK_CAP_BIT_##NAME,
    PITH_VK_CAP_MAP(X)
#undef X
    PITH_VK_CAP_COUNT
};
#define PITH_VK_CAP(NAME) (1u << PITH_VK_CAP_BIT_##NAME)

typedef struct pith_vk_physical {
    VkPhysicalDevice handle;
    VkPhysicalDeviceProperties properties;
    VkPhysicalDeviceDriverProperties driver;
    VkPhysicalDeviceMemoryProperties memory;
    uint32_t caps;          /* PITH_VK_CAP, nothing hidden */
    uint32_t subgroup, subgroup_min, subgroup_max;
    uint32_t family;        /* queue family with compute */
    uint32_t timestamp_bits;
    uint32_t matrix[3];     /* M, N, K of the cooperative matrices in use: halves in, f32 sums, subgroup scope */
    uint32_t cores;         /* compute units as the vendor tells; 0: unknown */
    uint64_t max_buffer;    /* bytes of one buffer or allocation */
    bool fast_dots;         /* accelerated dot products of four signed bytes in a word */
    bool budget;            /* tells how much of each heap is free */
    char pci[16];           /* "0000:01:00.0" or "" */
    bool usable;            /* Vulkan 1.2, a compute queue */
    bool statistics;        /* set by who wants them: pipelines keep what their compiler tells (executable properties) */
} pith_vk_physical;

/* Device memory as it was really taken: what plans are compared with, and what is alive when nothing should be. */
typedef struct pith_vk_ledger {
    uint64_t heap[VK_MAX_MEMORY_HEAPS], now, peak; /* bytes */
    int32_t n;              /* allocations alive */
} pith_vk_ledger;

typedef struct pith_vk_device {
    VkDevice handle;
    struct VolkDeviceTable fn;
    pith_vk_physical physical;
    VkQueue queue;
    uint32_t caps;          /* what may be used */
    uint32_t shared_bytes;  /* per workgroup */
    uint64_t range_max;     /* bytes of one binding */
    uint32_t align;         /* of a binding's offset; a power of two */
    uint32_t cores;         /* rough number of compute units, for grids */
    bool full_subgroups, subgroup_control;
    bool exact;             /* the user wants activations that are not rounded to bytes */
    int byte_tile;          /* 1 + index in pith_vk_byte_tile_list, whatever the size; 0: by size */
    pith_vk_tuned tuned;    /* tiles that were measured to be fastest */
    pith_vk_ledger *ledger; /* owned; kept by memory.c */
} pith_vk_device;

/* Tests put functions of their own before the driver's: called with the table of every device made. NULL: nothing. */
extern void (*pith_vk_intercept)(struct VolkDeviceTable *fn);

/* Fills at most cap entries; returns the number of devices, 0 without a loader. The instance must be held. */
size_t pith_vk_physical_list(VkInstance instance, pith_vk_physical *out, size_t cap);
/* hide: comma-separated names of PITH_VK_CAP_MAP, "all" for every one, NULL for none. Errors: INVALID_ARGUMENT, DEVICE. */
pith_status pith_vk_device_create(const pith_vk_physical *physical, const char *hide, pith_vk_device *out);
void pith_vk_device_destroy(pith_vk_device *device);
/* From now on nothing of this device is destroyed: its work may still be running, or never end. What it holds stays
 * taken until the process ends, and so does the instance. */
void pith_vk_device_abandon(pith_vk_device *device);
/* Without what needs something that is not there. */
uint32_t pith_vk_caps_close(uint32_t caps);
/* "fp16,int8,subgroup" of a mask. */
void pith_vk_caps_describe(uint32_t caps, char *text, size_t size);
#endif
