/* SPDX-License-Identifier: MIT */
#ifndef __clang_analyzer__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wcast-function-type"
#define VOLK_IMPLEMENTATION
#include <volk.h>
#pragma GCC diagnostic pop
#endif
#include "loader.h"
#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static VkInstance instance;
static VkDebugUtilsMessengerEXT messenger;
static int users;
static atomic_int messages;

int pith_vk_validation_messages(void)
{
    return atomic_load(&messages);
}

const char *pith_vk_result_name(VkResult result)
{
    switch (result) {
#define NAME(x) case VK_##x: return #x;
        NAME(SUCCESS) NAME(NOT_READY) NAME(TIMEOUT) NAME(INCOMPLETE) NAME(ERROR_OUT_OF_HOST_MEMORY) NAME(ERROR_OUT_OF_DEVICE_MEMORY)
        NAME(ERROR_INITIALIZATION_FAILED) NAME(ERROR_DEVICE_LOST) NAME(ERROR_MEMORY_MAP_FAILED) NAME(ERROR_LAYER_NOT_PRESENT)
        NAME(ERROR_EXTENSION_NOT_PRESENT) NAME(ERROR_FEATURE_NOT_PRESENT) NAME(ERROR_INCOMPATIBLE_DRIVER)
        NAME(ERROR_TOO_MANY_OBJECTS) NAME(ERROR_FRAGMENTED_POOL) NAME(ERROR_OUT_OF_POOL_MEMORY) NAME(ERROR_UNKNOWN)
#undef NAME
    default: return "an unnamed error";
    }
}

pith_status pith_vk_check(VkResult result, const char *what)
{
    if (result == VK_SUCCESS)
        return PITH_OK;
    bool memory = result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY;
    return pith_fail(memory ? PITH_ERROR_NO_MEMORY : PITH_ERROR_DEVICE, "vulkan: %s: %s (%d)", what, pith_vk_result_name(result), (int)result);
}

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
    (void)severity;
    (void)types;
    (void)user;
    atomic_fetch_add(&messages, 1);
    pith_log(PITH_LOG_ERROR, "vulkan validation: %s", data->pMessage);
    return VK_FALSE;
}

static bool has_layer(const char *name)
{
    uint32_t n = 0;
    VkLayerProperties layers[64];
    if (vkEnumerateInstanceLayerProperties(&n, NULL) != VK_SUCCESS)
        return false;
    n = n < 64 ? n : 64;
    if (vkEnumerateInstanceLayerProperties(&n, layers) < 0)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(layers[i].layerName, name) == 0)
            return true;
    return false;
}

static pith_status create(void)
{
    const char *asked = getenv("PITH_VK_VALIDATION");
    const char *layer = "VK_LAYER_KHRONOS_validation";
    bool validate = asked && *asked && strcmp(asked, "0") != 0;
    if (validate && !has_layer(layer))
        return pith_fail(PITH_ERROR_DEVICE, "vulkan: PITH_VK_VALIDATION is set, but there is no %s", layer);
    const VkValidationFeatureEnableEXT enable[] = {VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    bool sync = validate && strcmp(asked, "core") != 0;
    const VkValidationFeaturesEXT features = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT, .enabledValidationFeatureCount = sync,
                                              .pEnabledValidationFeatures = enable};
    const VkApplicationInfo app = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .pApplicationName = "pith", .pEngineName = "pith",
                                   .apiVersion = VK_API_VERSION_1_3};
    const char *extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pNext = validate ? &features : NULL,
                                       .pApplicationInfo = &app, .enabledLayerCount = validate ? 1 : 0, .ppEnabledLayerNames = &layer,
                                       .enabledExtensionCount = validate ? 1 : 0, .ppEnabledExtensionNames = extensions};
    VkResult result = vkCreateInstance(&info, NULL, &instance);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER || result == VK_ERROR_INITIALIZATION_FAILED) {
        instance = NULL; /* a loader without drivers: no devices */
        return PITH_OK;
    }
    PITH_VK_TRY(result, "making an instance");
    volkLoadInstanceOnly(instance);
    if (validate) {
        const VkDebugUtilsMessengerCreateInfoEXT m = {
            .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
            .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT,
            .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
            .pfnUserCallback = on_message};
        vkCreateDebugUtilsMessengerEXT(instance, &m, NULL, &messenger);
    }
    return PITH_OK;
}

pith_status pith_vk_instance_acquire(VkInstance *out)
{
    static bool looked, found;
    pith_status status = PITH_OK;
    *out = NULL;
    pthread_mutex_lock(&lock);
    if (!looked)
        found = volkInitialize() == VK_SUCCESS;
    looked = true;
    if (found && !instance)
        status = create();
    if (instance) {
        users++;
        *out = instance;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

void pith_vk_instance_release(void)
{
    pthread_mutex_lock(&lock);
    if (users > 0 && --users == 0) {
        if (messenger)
            vkDestroyDebugUtilsMessengerEXT(instance, messenger, NULL);
        vkDestroyInstance(instance, NULL);
        messenger = VK_NULL_HANDLE;
        instance = NULL;
    }
    pthread_mutex_unlock(&lock);
}
