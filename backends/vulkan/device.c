/* SPDX-License-Identifier: MIT */
#include "device.h"
#include "base/mem.h"
#include "coopmat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void (*pith_vk_intercept)(struct VolkDeviceTable *fn);

struct extensions {
    VkExtensionProperties *list;
    uint32_t n;
};

static struct extensions extensions_get(VkPhysicalDevice physical)
{
    struct extensions e = {0};
    if (vkEnumerateDeviceExtensionProperties(physical, NULL, &e.n, NULL) != VK_SUCCESS)
        e.n = 0;
    e.list = e.n ? pith_calloc(e.n, sizeof *e.list) : NULL;
    if (!e.list || vkEnumerateDeviceExtensionProperties(physical, NULL, &e.n, e.list) < 0)
        e.n = 0;
    return e;
}

static bool has(const struct extensions *e, const char *name)
{
    for (uint32_t i = 0; i < e->n; i++)
        if (strcmp(e->list[i].extensionName, name) == 0)
            return true;
    return false;
}

/* Everything that is asked of a device, chained; the same chain asks and enables. */
struct features {
    VkPhysicalDeviceFeatures2 base;
    VkPhysicalDeviceVulkan11Features v11;
    VkPhysicalDeviceVulkan12Features v12;
    VkPhysicalDeviceVulkan13Features v13;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR coopmat;
    VkPhysicalDeviceCooperativeMatrix2FeaturesNV coopmat2;
};

static void features_chain(struct features *f, bool v13, bool coopmat, bool coopmat2)
{
    *f = (struct features){
        .base = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &f->v11},
        .v11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, .pNext = &f->v12},
        .v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES},
        .v13 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES},
        .coopmat = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR},
        .coopmat2 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV}};
    void **end = &f->v12.pNext;
    if (v13) {
        *end = &f->v13;
        end = &f->v13.pNext;
    }
    if (coopmat) {
        *end = &f->coopmat;
        end = &f->coopmat.pNext;
    }
    if (coopmat2)
        *end = &f->coopmat2;
}

/* A product of halves with float sums, of subgroup scope; 16x16x16 where there is one. */
static bool coopmat_shape(VkInstance instance, VkPhysicalDevice physical, uint32_t shape[3])
{
    PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR get = (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)(void *)
        vkGetInstanceProcAddr(instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    uint32_t n = 0;
    if (!get || get(physical, &n, NULL) != VK_SUCCESS || n == 0)
        return false;
    VkCooperativeMatrixPropertiesKHR *p = pith_calloc(n, sizeof *p);
    bool found = false;
    shape[0] = shape[1] = shape[2] = 0;
    for (uint32_t i = 0; p && i < n; i++)
        p[i].sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR;
    if (p && get(physical, &n, p) < 0)
        n = 0;
    for (uint32_t i = 0; p && i < n; i++) {
        bool fits = (int)p[i].AType == VK_COMPONENT_TYPE_FLOAT16_KHR && (int)p[i].BType == VK_COMPONENT_TYPE_FLOAT16_KHR &&
                    (int)p[i].CType == VK_COMPONENT_TYPE_FLOAT32_KHR && (int)p[i].ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR &&
                    (int)p[i].scope == VK_SCOPE_SUBGROUP_KHR && 16 % p[i].MSize == 0 && 16 % p[i].NSize == 0 && 16 % p[i].KSize == 0;
        if (fits && p[i].MSize * p[i].NSize * p[i].KSize > shape[0] * shape[1] * shape[2]) {
            shape[0] = p[i].MSize;
            shape[1] = p[i].NSize;
            shape[2] = p[i].KSize;
            found = true;
        }
    }
    free(p);
    return found;
}

/* matrix: M, N and K of a cooperative matrix, or 0. */
static uint32_t caps_of(const struct features *f, const VkPhysicalDeviceSubgroupProperties *subgroup, bool v13, const uint32_t *matrix)
{
    const VkSubgroupFeatureFlags wanted = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT | VK_SUBGROUP_FEATURE_VOTE_BIT;
    uint32_t caps = PITH_VK_CAP(HOSTVISIBLE);
    if (f->v12.shaderFloat16 && f->v11.storageBuffer16BitAccess)
        caps |= PITH_VK_CAP(FP16);
    if (f->v12.shaderInt8)
        caps |= PITH_VK_CAP(INT8);
    if (v13 && f->v13.shaderIntegerDotProduct)
        caps |= PITH_VK_CAP(INTDOT);
    if ((subgroup->supportedOperations & wanted) == wanted && (subgroup->supportedStages & VK_SHADER_STAGE_COMPUTE_BIT))
        caps |= PITH_VK_CAP(SUBGROUP);
    caps |= PITH_VK_CAP(HALF) | PITH_VK_CAP(STEP) | PITH_VK_CAP(CHAIN);
    /* maintenance4: modules for Vulkan 1.3 give the workgroup's size by constants (LocalSizeId). */
    if (matrix[0] && v13 && f->v13.maintenance4 && f->coopmat.cooperativeMatrix && f->v12.shaderFloat16 && f->v11.storageBuffer16BitAccess &&
        f->v12.vulkanMemoryModel)
        caps |= PITH_VK_CAP(COOPMAT);
    const VkPhysicalDeviceCooperativeMatrix2FeaturesNV *two = &f->coopmat2;
    if (two->cooperativeMatrixReductions && two->cooperativeMatrixConversions && two->cooperativeMatrixPerElementOperations && matrix[0] == 16 &&
        matrix[1] == 16 && matrix[2] == 16)
        caps |= PITH_VK_CAP(COOPMAT2);
    return pith_vk_caps_close(caps);
}

/* For tests, PITH_VK_FORCE=1 in the environment: what a software device can without saying so, or has no use for. */
static uint32_t forced(void)
{
    const char *text = getenv("PITH_VK_FORCE");
    return text && strcmp(text, "1") == 0 ? PITH_VK_CAP(CHAIN) | PITH_VK_CAP(SUBNORMAL) : 0;
}

static void physical_fill(VkInstance instance, VkPhysicalDevice handle, pith_vk_physical *p)
{
    *p = (pith_vk_physical){.handle = handle};
    struct extensions e = extensions_get(handle);
    bool sm_count = has(&e, VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME), cu_count = has(&e, VK_AMD_SHADER_CORE_PROPERTIES_EXTENSION_NAME);
    bool pci = has(&e, VK_EXT_PCI_BUS_INFO_EXTENSION_NAME), coopmat = has(&e, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME);
    bool coopmat2 = coopmat && has(&e, VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME);
    p->budget = has(&e, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    free(e.list);
    vkGetPhysicalDeviceProperties(handle, &p->properties);
    vkGetPhysicalDeviceMemoryProperties(handle, &p->memory);
    if (p->properties.apiVersion < VK_API_VERSION_1_2)
        return;
    bool v13 = p->properties.apiVersion >= VK_API_VERSION_1_3;

    VkPhysicalDevicePCIBusInfoPropertiesEXT bus = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PCI_BUS_INFO_PROPERTIES_EXT};
    VkPhysicalDeviceSubgroupSizeControlProperties sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES, .pNext = pci ? &bus : NULL};
    VkPhysicalDeviceShaderSMBuiltinsPropertiesNV sm = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV};
    VkPhysicalDeviceShaderCorePropertiesAMD cu = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_AMD};
    VkPhysicalDeviceMaintenance4Properties size = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES, .pNext = &sizes};
    VkPhysicalDeviceMaintenance3Properties limits = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES,
                                                     .pNext = v13 ? (void *)&size : sizes.pNext};
    VkPhysicalDeviceDriverProperties driver = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES, .pNext = &limits};
    VkPhysicalDeviceSubgroupProperties subgroup = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, .pNext = &driver};
    VkPhysicalDeviceShaderIntegerDotProductProperties dots = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES};
    VkPhysicalDeviceProperties2 all = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &subgroup};
    if (v13) {
        dots.pNext = all.pNext;
        all.pNext = &dots;
    }
    if (sm_count) {
        sm.pNext = all.pNext;
        all.pNext = &sm;
    }
    if (cu_count) {
        cu.pNext = all.pNext;
        all.pNext = &cu;
    }
    VkPhysicalDeviceFloatControlsProperties floats = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FLOAT_CONTROLS_PROPERTIES, .pNext = all.pNext};
    all.pNext = &floats;
    vkGetPhysicalDeviceProperties2(handle, &all);
    p->cores = sm_count ? sm.shaderSMCount
               : cu_count ? cu.shaderEngineCount * cu.shaderArraysPerEngineCount * cu.computeUnitsPerShaderArray : 0;
    p->fast_dots = dots.integerDotProduct4x8BitPackedSignedAccelerated;
    p->driver = driver;
    p->driver.pNext = NULL;
    p->max_buffer = limits.maxMemoryAllocationSize;
    if (size.maxBufferSize && (!p->max_buffer || size.maxBufferSize < p->max_buffer))
        p->max_buffer = size.maxBufferSize;
    p->subgroup = p->subgroup_min = p->subgroup_max = subgroup.subgroupSize;
    if (v13 && sizes.minSubgroupSize) {
        p->subgroup_min = sizes.minSubgroupSize;
        p->subgroup_max = sizes.maxSubgroupSize;
    }
    if (pci)
        snprintf(p->pci, sizeof p->pci, "%04x:%02x:%02x.%x", bus.pciDomain & 0xFFFF, bus.pciBus & 0xFF, bus.pciDevice & 0xFF, bus.pciFunction & 0xF);

    struct features f;
    features_chain(&f, v13, coopmat, coopmat2);
    vkGetPhysicalDeviceFeatures2(handle, &f.base);
    if (!coopmat || !coopmat_shape(instance, handle, p->matrix))
        memset(p->matrix, 0, sizeof p->matrix);
    p->caps = caps_of(&f, &subgroup, v13, p->matrix);
    if (floats.shaderDenormPreserveFloat16) /* can, and without being told otherwise does: the self-test looks */
        p->caps = pith_vk_caps_close(p->caps | PITH_VK_CAP(SUBNORMAL));

    VkQueueFamilyProperties families[16];
    uint32_t n = 16;
    vkGetPhysicalDeviceQueueFamilyProperties(handle, &n, families);
    for (uint32_t i = 0; i < n && !p->usable; i++) {
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) {
            p->family = i;
            p->timestamp_bits = families[i].timestampValidBits;
            p->usable = true;
        }
    }
    if (p->timestamp_bits)
        p->caps |= PITH_VK_CAP(TIMESTAMPS);
    if (p->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU) /* gains nothing, and synchronisation validation cannot see waits in shaders */
        p->caps &= ~PITH_VK_CAP(CHAIN);
    p->caps = pith_vk_caps_close(p->caps | forced());
}

size_t pith_vk_physical_list(VkInstance instance, pith_vk_physical *out, size_t cap)
{
    VkPhysicalDevice handles[32];
    uint32_t n = 32;
    size_t count = 0;
    if (!instance || vkEnumeratePhysicalDevices(instance, &n, handles) < 0)
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        pith_vk_physical p;
        physical_fill(instance, handles[i], &p);
        if (!p.usable)
            continue;
        if (count < cap)
            out[count] = p;
        count++;
    }
    return count;
}

uint32_t pith_vk_caps_close(uint32_t caps)
{
    if (!(caps & PITH_VK_CAP(FP16)) || !(caps & PITH_VK_CAP(SUBGROUP)))
        caps &= ~PITH_VK_CAP(HALF);
    if (!(caps & PITH_VK_CAP(HALF)))
        caps &= ~PITH_VK_CAP(SUBNORMAL);
    if (!(caps & PITH_VK_CAP(SUBGROUP)))
        caps &= ~PITH_VK_CAP(STEP);
    if (!(caps & PITH_VK_CAP(FP16)))
        caps &= ~PITH_VK_CAP(COOPMAT);
    if (!(caps & PITH_VK_CAP(COOPMAT)) || !(caps & PITH_VK_CAP(SUBGROUP)))
        caps &= ~PITH_VK_CAP(COOPMAT2);
    return caps;
}

void pith_vk_caps_describe(uint32_t caps, char *text, size_t size)
{
    static const char *const names[] = {
#define X(NAME, name, what) name,
        PITH_VK_CAP_MAP(X)
#undef X
    };
    size_t n = 0;
    if (size)
        text[0] = '\0';
    for (int i = 0; i < PITH_VK_CAP_COUNT && n < size; i++)
        if (caps >> i & 1)
            n += (size_t)snprintf(text + n, size - n, "%s%s", n ? "," : "", names[i]);
}

static pith_status hide_parse(const char *hide, uint32_t *caps)
{
    static const struct { const char *name; uint32_t cap; } names[] = {
#define X(NAME, name, what) {name, PITH_VK_CAP(NAME)},
        PITH_VK_CAP_MAP(X)
#undef X
        {"all", UINT32_MAX}};
    for (const char *p = hide ? hide : ""; *p;) {
        size_t n = strcspn(p, ","), i = 0;
        while (i < sizeof names / sizeof names[0] && (strlen(names[i].name) != n || strncasecmp(names[i].name, p, n) != 0))
            i++;
        if (n && i == sizeof names / sizeof names[0]) {
            char all[256];
            pith_vk_caps_describe(UINT32_MAX, all, sizeof all);
            return pith_fail(PITH_ERROR_INVALID_ARGUMENT, "vulkan: hide: expected names of %s or all, got '%.*s'", all, (int)n, p);
        }
        if (n)
            *caps &= ~names[i].cap;
        p += n + (p[n] == ',');
    }
    return PITH_OK;
}

pith_status pith_vk_device_create(const pith_vk_physical *physical, const char *hide, pith_vk_device *out)
{
    *out = (pith_vk_device){.physical = *physical, .caps = physical->caps};
    PITH_TRY(hide_parse(hide, &out->caps));
    out->caps = pith_vk_caps_close(out->caps);
    const VkPhysicalDeviceLimits *limits = &physical->properties.limits;
    out->shared_bytes = limits->maxComputeSharedMemorySize;
    out->range_max = limits->maxStorageBufferRange;
    out->align = (uint32_t)limits->minStorageBufferOffsetAlignment;
    out->align = out->align < 64 ? 64 : out->align;
    out->cores = physical->cores ? physical->cores
                 : physical->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU     ? 64
                 : physical->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU ? 8
                                                                                              : 2;

    bool v13 = physical->properties.apiVersion >= VK_API_VERSION_1_3, coopmat = out->caps & PITH_VK_CAP(COOPMAT), coopmat2 = out->caps & PITH_VK_CAP(COOPMAT2);
    struct features f, have;
    features_chain(&have, v13, coopmat, coopmat2);
    vkGetPhysicalDeviceFeatures2(physical->handle, &have.base);
    features_chain(&f, v13, coopmat, coopmat2);
    bool fp16 = out->caps & PITH_VK_CAP(FP16);
    f.v11.storageBuffer16BitAccess = fp16;
    f.v12.shaderFloat16 = fp16;
    f.v12.shaderInt8 = out->caps & PITH_VK_CAP(INT8) ? VK_TRUE : VK_FALSE;
    f.v13.shaderIntegerDotProduct = out->caps & PITH_VK_CAP(INTDOT) ? VK_TRUE : VK_FALSE;
    f.v13.maintenance4 = have.v13.maintenance4;
    f.v13.computeFullSubgroups = have.v13.computeFullSubgroups;
    f.v13.subgroupSizeControl = have.v13.subgroupSizeControl;
    f.v12.timelineSemaphore = VK_TRUE; /* every Vulkan 1.2 device has it */
    out->full_subgroups = have.v13.computeFullSubgroups;
    out->subgroup_control = have.v13.subgroupSizeControl;
    f.v12.vulkanMemoryModel = coopmat;
    f.v12.vulkanMemoryModelDeviceScope = coopmat && have.v12.vulkanMemoryModelDeviceScope;
    f.coopmat.cooperativeMatrix = coopmat;
    f.coopmat2.cooperativeMatrixReductions = f.coopmat2.cooperativeMatrixConversions = f.coopmat2.cooperativeMatrixPerElementOperations = coopmat2;

    const float priority = 1.0f;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueFamilyIndex = physical->family,
                                           .queueCount = 1, .pQueuePriorities = &priority};
    const char *extensions[3];
    uint32_t n_extensions = 0;
    if (coopmat)
        extensions[n_extensions++] = VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME;
    if (coopmat2)
        extensions[n_extensions++] = VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME;
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR statistics = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR, .pNext = &f.base, .pipelineExecutableInfo = VK_TRUE};
    if (physical->statistics)
        extensions[n_extensions++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .queueCreateInfoCount = 1,
                                     .pNext = physical->statistics ? (const void *)&statistics : &f.base, .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = n_extensions, .ppEnabledExtensionNames = extensions};
    out->ledger = pith_calloc(1, sizeof *out->ledger);
    if (!out->ledger)
        return pith_fail(PITH_ERROR_NO_MEMORY, "vulkan: no memory for a device");
    VkResult result = vkCreateDevice(physical->handle, &info, NULL, &out->handle);
    if (result != VK_SUCCESS) {
        out->handle = NULL;
        pith_vk_device_destroy(out);
        return pith_vk_check(result, physical->properties.deviceName);
    }
    volkLoadDeviceTable(&out->fn, out->handle);
    if (pith_vk_intercept)
        pith_vk_intercept(&out->fn);
    out->fn.vkGetDeviceQueue(out->handle, physical->family, 0, &out->queue);
    return PITH_OK;
}

void pith_vk_device_destroy(pith_vk_device *device)
{
    if (device->handle)
        device->fn.vkDestroyDevice(device->handle, NULL);
    device->handle = NULL;
    free(device->ledger);
    device->ledger = NULL;
}

/* X(function, type of the object): what destroys. */
#define DESTROYERS(X)                                                                                                                  \
    X(vkDestroyBuffer, VkBuffer) X(vkFreeMemory, VkDeviceMemory) X(vkDestroyCommandPool, VkCommandPool)                                  \
    X(vkDestroyDescriptorPool, VkDescriptorPool) X(vkDestroyDescriptorSetLayout, VkDescriptorSetLayout) X(vkDestroyPipeline, VkPipeline) \
    X(vkDestroyPipelineCache, VkPipelineCache) X(vkDestroyPipelineLayout, VkPipelineLayout) X(vkDestroyQueryPool, VkQueryPool)           \
    X(vkDestroySemaphore, VkSemaphore) X(vkDestroyShaderModule, VkShaderModule)

#define X(name, type)                                                                                     \
    static VKAPI_ATTR void VKAPI_CALL keep_##name(VkDevice d, type object, const VkAllocationCallbacks *a) \
    {                                                                                                     \
        (void)d, (void)object, (void)a;                                                                   \
    }
DESTROYERS(X)
#undef X

static VKAPI_ATTR void VKAPI_CALL keep_device(VkDevice d, const VkAllocationCallbacks *a)
{
    (void)d, (void)a;
}

void pith_vk_device_abandon(pith_vk_device *device)
{
    VkInstance held;
    if (!device->handle || device->fn.vkDestroyDevice == keep_device || pith_vk_instance_acquire(&held) != PITH_OK)
        return;
#define X(name, type) device->fn.name = keep_##name;
    DESTROYERS(X)
#undef X
    device->fn.vkDestroyDevice = keep_device;
}
