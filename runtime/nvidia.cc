// SPDX-License-Identifier: Apache-2.0
#include "runtime/nvidia.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/text.h"
#include "runtime/nvidia_devices.h"
#include "runtime/nvidia_files.h"
#include "runtime/nvidia_libraries.h"

namespace runtime {
namespace {

using enum DriverCapability;

// Control nodes of the three kinds of drivers: the usual one, WSL's and Tegra's.
constexpr std::array<std::string_view, 3> kSigns = {"/dev/nvidiactl", "/dev/dxg", "/dev/nvmap"};
// Tell a program which GPUs it may use: they pass even where other variables are withheld.
constexpr std::array<std::string_view, 6> kPassing = {
    "CUDA_VISIBLE_DEVICES",    "CUDA_DEVICE_ORDER",      "NVIDIA_VISIBLE_DEVICES",
    "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE",
};
constexpr std::string_view kDriverContainer = "/run/nvidia/driver";
constexpr std::string_view kShareOfDriver = "/usr/local/nvidia/share/";
constexpr std::string_view kDefaultMpsDirectory = "/tmp/nvidia-mps";

// NVIDIA_DRIVER_CAPABILITIES; unset means everything but 32-bit libraries, as with Apptainer's
// --nv.
DriverCapability wanted_capabilities(const NvidiaRequest& request, HostAdditions& out) {
  const std::optional<std::string_view> text =
      find_variable(request.environment, "NVIDIA_DRIVER_CAPABILITIES");
  const DriverCapability everything = compute | utility | video | graphics | display | ngx;
  DriverCapability wanted = request.compat32 ? compat32 : none;
  if (!text || text->empty()) return wanted | everything;
  for (const std::string& word : base::split(*text, ',')) {
    const std::optional<DriverCapability> capability = find_driver_capability(word);
    if (capability) wanted = wanted | (*capability == all ? everything | compat32 : *capability);
    if (!capability && !word.empty()) {
      out.warnings.push_back(
          base::cat("NVIDIA_DRIVER_CAPABILITIES: unknown word ", base::printable(word)));
    }
  }
  return wanted;
}

std::vector<HostLibrary> filtered(std::vector<HostLibrary> libraries,
                                  DriverCapability capabilities) {
  std::erase_if(libraries, [&](const HostLibrary& library) {
    const DriverLibraryRow* const row = find_driver_library(library_stem(base_name(library.file)));
    return row != nullptr && !shares(row->capabilities, capabilities);
  });
  return libraries;
}

// Where an image may keep libraries; what lies below /lib there is the same or no place for these.
std::vector<std::string> image_library_directories(const LibraryAbi* abi) {
  std::vector<std::string> directories;
  if (abi != nullptr) directories = base::split(abi->directories, ' ');
  std::erase_if(directories, [](const std::string& path) { return !path.starts_with("/usr/"); });
  return directories;
}

bool is_older_kernel(std::string_view release, unsigned major, unsigned minor) {
  std::array<unsigned, 2> numbers{};
  const char *at = release.data(), *const end = at + release.size();
  for (unsigned& number : numbers) {
    at = std::from_chars(at, end, number).ptr;
    if (at != end) ++at;
  }
  return std::pair(numbers[0], numbers[1]) < std::pair(major, minor);
}

class AdditionsBuilder {
 public:
  AdditionsBuilder(const RootTree& host, const NvidiaRequest& request, const NvidiaDriver& driver,
                   DriverCapability capabilities, HostAdditions& out)
      : host_(host),
        tree_(driver.top),
        request_(request),
        driver_(driver),
        capabilities_(capabilities),
        out_(out) {}

  void add_programs();
  void add_sockets();
  void add_configs();
  void add_back_ends(const std::vector<HostLibrary>& libraries, const LibraryAbi* abi);
  void add_firmware();
  void add_variables(const std::vector<NvidiaGpu>& gpus, const VisibleDevices& selection);

 private:
  void add_visible_devices(const std::vector<NvidiaGpu>& gpus, const VisibleDevices& selection);
  void add_config(const DriverConfigRow& row, const std::string& from, const std::string& to,
                  const std::vector<std::string>& needs);

  const RootTree& host_;
  const RootTree tree_;
  const NvidiaRequest& request_;
  const NvidiaDriver& driver_;
  const DriverCapability capabilities_;
  HostAdditions& out_;
};

void AdditionsBuilder::add_programs() {
  for (const DriverFileRow& row : driver_programs()) {
    if (!shares(row.capabilities, capabilities_)) continue;
    add_program(tree_, driver_program_directories(), row.name, out_);
  }
}

void AdditionsBuilder::add_sockets() {
  for (const DriverFileRow& row : driver_sockets()) {
    if (!shares(row.capabilities, capabilities_)) continue;
    if (!row.sign.empty() && !host_.exists(row.sign)) continue;
    if (const std::optional<std::string> path = host_.resolve(row.name))
      out_.binds.push_back({host_.outside(*path), std::string(row.name)});
  }
  if (!shares(capabilities_, compute)) return;
  std::string mps = variable_or_empty(request_.environment, "CUDA_MPS_PIPE_DIRECTORY");
  if (mps.empty()) mps = kDefaultMpsDirectory;
  const std::optional<std::string> path = host_.resolve(mps);
  if (path && mps.starts_with('/') && host_.is_directory(*path))
    out_.binds.push_back({host_.outside(*path), normal_path(mps), false});
}

void AdditionsBuilder::add_configs() {
  const std::vector<std::string> places = image_library_directories(native_abi());
  for (const DriverConfigRow& row : driver_configs()) {
    if (!shares(row.capabilities, capabilities_)) continue;
    const std::string directory(parent_path(row.path));
    std::vector<std::string> needs;
    if (!row.reader.empty()) {
      needs.push_back(directory);
      for (const std::string& place : places) needs.push_back(base::cat(place, "/", row.reader));
    }
    add_config(row, directory, directory, needs);
    // The same below the prefix of drivers that a cloud's machines come with.
    constexpr std::string_view kShare = "/usr/share/";
    if (directory.starts_with(kShare))
      add_config(row, base::cat(kShareOfDriver, directory.substr(kShare.size())), directory, needs);
  }
}

void AdditionsBuilder::add_config(const DriverConfigRow& row, const std::string& from,
                                  const std::string& to, const std::vector<std::string>& needs) {
  const std::string pattern(base_name(row.path));
  const bool is_name = pattern.find('*') == std::string::npos;  // and so needs no look at others
  for (const std::string& name : is_name ? std::vector{pattern} : tree_.list(from)) {
    if (!matches_star(pattern, name)) continue;
    if (const std::optional<std::string> file = tree_.resolve(base::cat(from, "/", name)))
      out_.binds.push_back({tree_.outside(*file), base::cat(to, "/", name), true, false, needs});
  }
}

// Wherever the image keeps the library that loads them.
void AdditionsBuilder::add_back_ends(const std::vector<HostLibrary>& libraries,
                                     const LibraryAbi* abi) {
  for (const DriverBackEndRow& row : driver_back_ends()) {
    const auto library = std::ranges::find(libraries, row.of, &HostLibrary::name);
    if (library == libraries.end() || !shares(row.capabilities, capabilities_)) continue;
    for (const std::string& place : image_library_directories(abi)) {
      out_.binds.push_back({library->file,
                            base::cat(place, "/", row.name),
                            true,
                            true,
                            {base::cat(place, "/", row.reader)}});
    }
  }
}

// Kernels before 5.7 load it from the root of the process that opens a GPU first, later ones from
// the host's own: then it is shown for programs that look whether it is there.
void AdditionsBuilder::add_firmware() {
  if (driver_.version.empty() || !shares(capabilities_, utility | compute)) return;
  std::vector<std::string> places;
  if (const auto custom = host_.read("/sys/module/firmware_class/parameters/path"))
    places.push_back(custom->substr(0, custom->find('\n')));
  for (const std::string_view place : firmware_directories()) {
    std::string path(place);
    if (path.ends_with('%')) path.replace(path.size() - 1, 1, request_.kernel_release);
    places.push_back(path);
  }
  for (const std::string& place : places) {
    if (!place.starts_with('/')) continue;
    const std::string path = base::cat(place, "/nvidia/", driver_.version);
    const std::optional<std::string> directory = tree_.resolve(path);
    if (!directory) continue;
    HostBind bind{tree_.outside(*directory), base::cat("/lib/firmware/nvidia/", driver_.version)};
    bind.gives_way = true;
    if (!is_older_kernel(request_.kernel_release, 5, 7)) bind.needs = {"/lib/firmware/nvidia"};
    out_.binds.push_back(std::move(bind));
    return;
  }
}

// Without a /dev of our own every node is visible: the choice is passed on in CUDA's own variable.
void AdditionsBuilder::add_visible_devices(const std::vector<NvidiaGpu>& gpus,
                                           const VisibleDevices& selection) {
  if (selection.all || find_variable(request_.environment, "CUDA_VISIBLE_DEVICES")) return;
  // Of names that nobody knows, none hides the GPUs that are there.
  if (selection.gpus.empty() && selection.mig.empty() && !selection.all_mig) return;
  std::vector<std::string> words;
  for (const std::size_t gpu : selection.gpus) {
    if (gpus[gpu].uuid.empty()) return;
    words.push_back(gpus[gpu].uuid);
  }
  if (!selection.mig.empty() || selection.all_mig) {
    const std::string visible = variable_or_empty(request_.environment, "NVIDIA_VISIBLE_DEVICES");
    if (visible.find(':') != std::string::npos) return;  // CUDA has no such form
    words = {visible};
  }
  out_.variables.push_back({"CUDA_VISIBLE_DEVICES", base::join(words, ",")});
}

void AdditionsBuilder::add_variables(const std::vector<NvidiaGpu>& gpus,
                                     const VisibleDevices& selection) {
  pass_variables(request_.environment, kPassing, out_);
  add_visible_devices(gpus, selection);
}

std::optional<NvidiaDriver> find_host_driver(const RootTree& host, const NvidiaRequest& request,
                                             const std::string& version, bool want32) {
  std::vector<std::string> directories =
      base::split(variable_or_empty(request.environment, "LD_LIBRARY_PATH"), ':');
  std::erase_if(directories, [](const std::string& path) { return !path.starts_with('/'); });
  for (const std::string_view path : driver_library_directories()) directories.emplace_back(path);
  if (!request.driver_root.empty())
    return find_nvidia_driver(RootTree(request.driver_root), "", want32, directories);
  if (auto driver = find_nvidia_driver(host, version, want32, directories)) return driver;
  const std::optional<std::string> container = host.resolve(kDriverContainer);
  if (!container) return std::nullopt;
  return find_nvidia_driver(RootTree(host.outside(*container)), version, want32, directories);
}

bool has_nvidia_devices(const RootTree& host) {
  return std::ranges::any_of(kSigns, [&](std::string_view path) { return host.exists(path); });
}

void warn_of_absence(const RootTree& host, const NvidiaRequest& request, const std::string& version,
                     HostAdditions& out) {
  std::vector<std::string>& where = request.mode == GpuMode::required ? out.warnings : out.notes;
  if (!version.empty() && find_host_driver(host, request, "", false)) {
    out.warnings.push_back(base::cat(
        "the NVIDIA kernel module is ", version,
        ", but the host's libraries have another version: the driver was updated without a "
        "reboot. No NVIDIA libraries are injected"));
  } else {
    where.push_back(
        "could not find any NVIDIA driver libraries on this host (ld.so.cache, LD_LIBRARY_PATH, "
        "/usr/local/nvidia, /run/nvidia/driver)");
  }
}

}  // namespace

HostAdditions nvidia_additions(const RootTree& host, const NvidiaRequest& request) {
  HostAdditions out;
  if (request.mode == GpuMode::forbidden) return out;
  const bool devices = has_nvidia_devices(host);
  if (request.mode == GpuMode::automatic && !devices && request.driver_root.empty()) return out;

  const std::vector<NvidiaGpu> gpus = list_nvidia_gpus(host);
  const std::string version = loaded_nvidia_version(host).value_or("");
  // nvidia-smi, run by root, makes /dev/nvidiactl even where no driver is loaded.
  if (request.mode == GpuMode::automatic && request.driver_root.empty() && gpus.empty() &&
      version.empty() && !host.exists(kSigns[1]) && !host.exists(kSigns[2]))
    return out;
  const VisibleDevices selection = select_nvidia_devices(
      host, gpus, find_variable(request.environment, "NVIDIA_VISIBLE_DEVICES"));
  if (!selection.inject) {
    out.notes.push_back("NVIDIA: nothing is injected, as NVIDIA_VISIBLE_DEVICES says");
    return out;
  }
  const DriverCapability capabilities = wanted_capabilities(request, out);
  const bool want32 = shares(capabilities, compat32);
  std::optional<NvidiaDriver> driver = find_host_driver(host, request, version, want32);
  if (!driver) {
    warn_of_absence(host, request, version, out);
    return out;
  }
  if (request.mode == GpuMode::required && !devices) {
    out.warnings.push_back(
        "--nv: the driver's libraries are here, but no NVIDIA device: is the kernel module "
        "loaded?");
  }
  out.nvidia_version = driver->version;
  out.libraries = filtered(std::move(driver->libraries), capabilities);
  out.libraries32 = filtered(std::move(driver->libraries32), capabilities);
  AdditionsBuilder builder(host, request, *driver, capabilities, out);
  builder.add_programs();
  builder.add_sockets();
  builder.add_configs();
  builder.add_back_ends(out.libraries, native_abi());
  builder.add_back_ends(out.libraries32, compat_abi());
  builder.add_firmware();
  builder.add_variables(gpus, selection);
  if (host.is_directory("/usr/lib/wsl/drivers"))
    out.binds.push_back({host.outside("/usr/lib/wsl"), "/usr/lib/wsl"});
  for (const std::string& node : nvidia_device_nodes(host, gpus, selection, capabilities))
    out.devices.push_back({host.outside(node), node});
  for (const std::string& name : selection.unknown) {
    out.warnings.push_back(
        base::cat("NVIDIA_VISIBLE_DEVICES: the host has no device ", base::printable(name)));
  }
  out.notes.insert(
      out.notes.begin(),
      base::cat("NVIDIA driver ", driver->version.empty() ? "?" : driver->version, " with ",
                out.libraries.size(), " libraries from ",
                out.libraries.empty() ? std::string("nowhere")
                                      : std::string(parent_path(out.libraries.front().file))));
  return out;
}

std::optional<std::string> find_forward_compatibility(const RootTree& image,
                                                      std::string_view driver_version) {
  constexpr std::string_view kDirectory = "/usr/local/cuda/compat";
  const auto major = [](std::string_view version) {
    unsigned value = 0;
    std::from_chars(version.data(), version.data() + version.size(), value);
    return value;
  };
  if (driver_version.empty()) return std::nullopt;
  for (const std::string& name : image.list(kDirectory)) {
    if (library_stem(name) == "libcuda" &&
        major(driver_version_suffix(name)) > major(driver_version))
      return std::string(kDirectory);
  }
  return std::nullopt;
}

}  // namespace runtime
