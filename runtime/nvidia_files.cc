// SPDX-License-Identifier: Apache-2.0
#include "runtime/nvidia_files.h"

#include <algorithm>
#include <array>

namespace runtime {
namespace {

using enum DriverCapability;

struct CapabilityWord {
  std::string_view word;
  DriverCapability capability;
};
constexpr auto kWords = std::to_array<CapabilityWord>({
    {"compute", compute},
    {"utility", utility},
    {"video", video},
    {"graphics", graphics},
    {"display", display},
    {"ngx", ngx},
    {"compat32", compat32},
    {"all", all},
});

constexpr DriverCapability kVisual = graphics | display;

constexpr auto kLibraries = std::to_array<DriverLibraryRow>({
    // Management
    {"libnvidia-ml", utility | compute},
    {"libnvidia-cfg", utility | compute},
    {"libnvidia-nscq", utility},
    // Computing
    {"libcuda", compute | video | kVisual},
    {"libcudadebugger", compute},
    {"libnvidia-opencl", compute},
    {"libnvidia-gpucomp", compute | kVisual},
    {"libnvidia-ptxjitcompiler", compute},
    {"libnvidia-fatbinaryloader", compute},
    {"libnvidia-allocator", compute | kVisual},
    {"libnvidia-compiler", compute},
    {"libnvidia-pkcs11", compute},
    {"libnvidia-pkcs11-openssl3", compute},
    {"libnvidia-nvvm", compute},
    {"libnvidia-nvvm70", compute, true},
    {"libnvidia-tileiras", compute},
    {"libnvidia-sandboxutils", compute},
    {"libnvidia-api", compute | kVisual, true},
    // Video
    {"libnvcuvid", video},
    {"libnvidia-encode", video},
    {"libnvidia-opticalflow", video},
    {"libvdpau_nvidia", video},
    // Graphics
    {"libnvidia-eglcore", kVisual},
    {"libnvidia-glcore", kVisual},
    {"libnvidia-glsi", kVisual},
    {"libnvidia-tls", kVisual},
    {"libnvidia-fbc", display},
    {"libnvidia-ifr", display},
    {"libnvidia-rtcore", kVisual},
    {"libnvoptix", kVisual | compute},
    {"libGLX_nvidia", kVisual},
    {"libEGL_nvidia", kVisual},
    {"libGLESv2_nvidia", kVisual},
    {"libGLESv1_CM_nvidia", kVisual},
    {"libnvidia-glvkspirv", kVisual},
    {"libnvidia-cbl", kVisual},
    {"libnvidia-ngx", ngx | kVisual},
    {"libnvidia-vulkan-producer", kVisual},
    {"libnvidia-present", kVisual},
    {"libnvidia-egl-gbm", kVisual, true},
    {"libnvidia-egl-wayland", kVisual, true},
    {"libnvidia-egl-wayland2", kVisual, true},
    {"libnvidia-egl-xcb", kVisual, true},
    {"libnvidia-egl-xlib", kVisual, true},
    // Of the settings program, which stays on the host
    {"libnvidia-gtk2", none},
    {"libnvidia-gtk3", none},
    {"libnvidia-wayland-client", none},
});

constexpr auto kLinks = std::to_array<DriverLinkRow>({
    {"libcuda.so", "libcuda.so.1"},
    {"libnvcuvid.so", "libnvcuvid.so.1"},
    {"libnvidia-encode.so", "libnvidia-encode.so.1"},
    {"libnvidia-opticalflow.so", "libnvidia-opticalflow.so.1"},
    {"libnvidia-ml.so", "libnvidia-ml.so.1"},
    {"libGLX_indirect.so.0", "libGLX_nvidia.so.0"},
});

constexpr auto kPrograms = std::to_array<DriverFileRow>({
    {"nvidia-smi", utility},
    {"nvidia-debugdump", utility},
    {"nvidia-persistenced", utility},
    {"nv-fabricmanager", utility},
    {"nvidia-cuda-mps-control", compute},
    {"nvidia-cuda-mps-server", compute},
    {"nvidia-imex", compute},
    {"nvidia-imex-ctl", compute},
});

constexpr auto kSockets = std::to_array<DriverFileRow>({
    {"/run/nvidia-persistenced/socket", utility},
    {"/run/nvidia-fabricmanager/socket", utility},
    {"/run/udev", compute, "/dev/nvidia-fs0"},  // GPUDirect Storage asks it what disks there are
});

constexpr std::string_view kEgl = "libEGL.so.1", kVulkan = "libvulkan.so.1", kXServer = "xorg";
constexpr auto kConfigs = std::to_array<DriverConfigRow>({
    {"/etc/OpenCL/vendors/nvidia*.icd", compute, ""},
    {"/etc/cufile.json", compute, ""},
    {"/usr/share/nvidia/nvoptix.bin", kVisual | compute, ""},
    {"/usr/share/glvnd/egl_vendor.d/10_nvidia.json", kVisual, kEgl},
    {"/etc/glvnd/egl_vendor.d/10_nvidia.json", kVisual, kEgl},
    {"/usr/share/egl/egl_external_platform.d/*nvidia*.json", kVisual, kEgl},
    {"/etc/egl/egl_external_platform.d/*nvidia*.json", kVisual, kEgl},
    {"/usr/share/vulkan/icd.d/nvidia*.json", kVisual, kVulkan},
    {"/usr/share/vulkan/implicit_layer.d/nvidia*.json", kVisual, kVulkan},
    {"/etc/vulkan/icd.d/nvidia*.json", kVisual, kVulkan},
    {"/etc/vulkan/implicit_layer.d/nvidia*.json", kVisual, kVulkan},
    {"/usr/share/nvidia/nvidia-application-profiles-*", kVisual, kEgl},
    {"/etc/nvidia/nvidia-application-profiles-rc*", kVisual, kEgl},
    {"/usr/lib/xorg/modules/drivers/nvidia_drv.so", display, kXServer},
    {"/usr/lib/xorg/modules/extensions/libglxserver_nvidia.so*", display, kXServer},
    {"/usr/lib64/xorg/modules/drivers/nvidia_drv.so", display, kXServer},
    {"/usr/lib64/xorg/modules/extensions/libglxserver_nvidia.so*", display, kXServer},
    {"/usr/share/X11/xorg.conf.d/*nvidia*.conf", display, kXServer},
});

constexpr auto kBackEnds = std::to_array<DriverBackEndRow>({
    {"gbm/nvidia-drm_gbm.so", "libnvidia-allocator.so.1", "libgbm.so.1", kVisual},
});

constexpr auto kFirmwareDirectories = std::to_array<std::string_view>({
    "/lib/firmware/updates/%",
    "/lib/firmware/updates",
    "/lib/firmware/%",
    "/lib/firmware",
});

constexpr auto kNodes = std::to_array<DriverFileRow>({
    {"nvidiactl", all},
    {"nvidia-uvm", compute},
    {"nvidia-uvm-tools", compute},
    {"nvidia-modeset", kVisual},
    {"nvidia-nvswitch*", compute | utility},
    {"nvidia-nvlink", compute | utility},
    {"nvidia-fs*", compute},
    {"gdrdrv", compute},
    {"dxg", all},
});

constexpr auto kLibraryDirectories = std::to_array<std::string_view>({
    "/usr/local/nvidia/lib64",
    "/usr/local/nvidia/lib",
    "/run/opengl-driver/lib",
    "/usr/lib/wsl/lib",
    "/usr/lib64/nvidia",
    "/usr/lib/nvidia",
    "/.singularity.d/libs",
});

constexpr auto kProgramDirectories = std::to_array<std::string_view>({
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/nvidia/bin",
    "/opt/bin",
    "/run/opengl-driver/bin",
    "/run/current-system/sw/bin",
    "/usr/lib/wsl/lib",
});

}  // namespace

std::optional<DriverCapability> find_driver_capability(std::string_view word) {
  const auto row = std::ranges::find(kWords, word, &CapabilityWord::word);
  if (row == kWords.end()) return std::nullopt;
  return row->capability;
}

const DriverLibraryRow* find_driver_library(std::string_view stem) {
  const auto row = std::ranges::find(kLibraries, stem, &DriverLibraryRow::stem);
  return row == kLibraries.end() ? nullptr : &*row;
}

std::span<const DriverLinkRow> driver_links() { return kLinks; }
std::span<const DriverFileRow> driver_programs() { return kPrograms; }
std::span<const DriverFileRow> driver_sockets() { return kSockets; }
std::span<const DriverConfigRow> driver_configs() { return kConfigs; }
std::span<const DriverBackEndRow> driver_back_ends() { return kBackEnds; }
std::span<const DriverFileRow> driver_nodes() { return kNodes; }
std::span<const std::string_view> firmware_directories() { return kFirmwareDirectories; }
std::span<const std::string_view> driver_library_directories() { return kLibraryDirectories; }
std::span<const std::string_view> driver_program_directories() { return kProgramDirectories; }

bool matches_star(std::string_view pattern, std::string_view text) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text;
  const std::string_view front = pattern.substr(0, star), back = pattern.substr(star + 1);
  const std::size_t second = back.find('*');
  if (second != std::string_view::npos) {  // "*middle*": the middle anywhere
    const std::string_view middle = back.substr(0, second);
    return text.starts_with(front) && text.find(middle, front.size()) != std::string_view::npos &&
           text.ends_with(back.substr(second + 1));
  }
  return text.size() >= front.size() + back.size() && text.starts_with(front) &&
         text.ends_with(back);
}

}  // namespace runtime
