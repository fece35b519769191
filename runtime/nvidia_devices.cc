// SPDX-License-Identifier: Apache-2.0
#include "runtime/nvidia_devices.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "base/text.h"
#include "runtime/host_additions.h"

namespace runtime {
namespace {

constexpr std::string_view kGpuDirectory = "/proc/driver/nvidia/gpus";
constexpr std::string_view kMigMinors = "/proc/driver/nvidia-caps/mig-minors";
constexpr std::string_view kCapDirectory = "/dev/nvidia-caps";
constexpr std::string_view kImexDirectory = "/dev/nvidia-caps-imex-channels";
constexpr std::size_t kMaxMigMinors = 4096;

// Value of a "Key: \t value" line.
std::optional<std::string_view> find_field(std::string_view text, std::string_view key) {
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = text.substr(start, end - start);
    start = end + 1;
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && base::trimmed(line.substr(0, colon)) == key)
      return base::trimmed(line.substr(colon + 1));
  }
  return std::nullopt;
}

// A line "gpu0/gi1/ci0/access 13" of mig-minors; without a compute instance `compute` is unset.
struct MigMinor {
  unsigned gpu_minor = 0, gpu_instance = 0;
  std::optional<unsigned> compute;
  unsigned cap = 0;  // /dev/nvidia-caps/nvidia-cap<cap>
};

std::optional<unsigned> numbered(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return std::nullopt;
  return base::find_number<unsigned>(text.substr(prefix.size()));
}

// Its `name` is what stands before the number.
std::optional<MigMinor> parse_mig_minor(std::string_view name, unsigned cap) {
  const std::vector<std::string> parts = base::split(name, '/');
  if (parts.size() < 3 || parts.back() != "access") return std::nullopt;
  const std::optional<unsigned> gpu = numbered(parts[0], "gpu");
  const std::optional<unsigned> instance = numbered(parts[1], "gi");
  if (!gpu || !instance) return std::nullopt;
  MigMinor out{*gpu, *instance, std::nullopt, cap};
  if (parts.size() == 4) {
    out.compute = numbered(parts[2], "ci");
    if (!out.compute) return std::nullopt;
  }
  return out;
}

std::string cap_name(unsigned cap) { return base::cat("nvidia-cap", cap); }
std::string cap_path(unsigned cap) { return base::cat(kCapDirectory, "/", cap_name(cap)); }

// The table lists every possible instance, thousands of them; those in use have a node.
std::vector<MigMinor> read_mig_minors(const RootTree& host) {
  std::vector<MigMinor> minors;
  const std::vector<std::string>& nodes = host.list(kCapDirectory);
  if (nodes.empty()) return minors;
  const std::optional<std::string> text = host.read(kMigMinors);
  if (!text) return minors;
  for (const std::string& line : base::split(*text, '\n')) {
    const std::size_t blank = std::min(line.find(' '), line.size());
    const std::string_view name = std::string_view(line).substr(0, blank);
    const std::optional<unsigned> cap =
        base::find_number<unsigned>(base::trimmed(std::string_view(line).substr(blank)));
    if (!cap || !std::ranges::binary_search(nodes, cap_name(*cap))) continue;
    const std::optional<MigMinor> minor = parse_mig_minor(name, *cap);
    if (minor && minors.size() < kMaxMigMinors && host.exists(cap_path(minor->cap)))
      minors.push_back(*minor);
  }
  return minors;
}

std::optional<std::size_t> find_gpu(const std::vector<NvidiaGpu>& gpus, std::string_view name) {
  if (const std::optional<unsigned> index = base::find_number<unsigned>(name))
    return *index < gpus.size() ? std::optional<std::size_t>(*index) : std::nullopt;
  if (!name.starts_with("GPU-")) return std::nullopt;
  // CUDA, and so HTCondor, shortens UUIDs to a unique beginning.
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    if (!gpus[i].uuid.starts_with(name)) continue;
    if (found) return std::nullopt;
    found = i;
  }
  return found;
}

// "0:1": the second part of the first GPU, parts in the order of their instance numbers.
std::optional<MigDevice> find_mig_by_index(const RootTree& host, const std::vector<NvidiaGpu>& gpus,
                                           std::string_view name) {
  const std::size_t colon = name.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::optional<unsigned> gpu = base::find_number<unsigned>(name.substr(0, colon));
  const std::optional<unsigned> part = base::find_number<unsigned>(name.substr(colon + 1));
  if (!gpu || !part || *gpu >= gpus.size()) return std::nullopt;
  std::vector<MigDevice> parts;
  for (const MigMinor& minor : read_mig_minors(host)) {
    if (minor.gpu_minor == gpus[*gpu].minor && minor.compute)
      parts.push_back({*gpu, minor.gpu_instance, *minor.compute});
  }
  std::ranges::sort(parts, {}, [](const MigDevice& device) {
    return std::tuple(device.gpu_instance, device.compute_instance);
  });
  return *part < parts.size() ? std::optional(parts[*part]) : std::nullopt;
}

// "MIG-GPU-<uuid>/<gpu instance>/<compute instance>", as drivers before 470 name them.
std::optional<MigDevice> find_mig_by_old_name(const std::vector<NvidiaGpu>& gpus,
                                              std::string_view name) {
  if (!name.starts_with("MIG-GPU-")) return std::nullopt;
  const std::vector<std::string> parts = base::split(name.substr(4), '/');
  if (parts.size() != 3) return std::nullopt;
  const std::optional<std::size_t> gpu = find_gpu(gpus, parts[0]);
  const std::optional<unsigned> instance = base::find_number<unsigned>(parts[1]),
                                part = base::find_number<unsigned>(parts[2]);
  if (!gpu || !instance || !part) return std::nullopt;
  return MigDevice{*gpu, *instance, *part};
}

void select_one(const RootTree& host, const std::vector<NvidiaGpu>& gpus, const std::string& name,
                VisibleDevices& out) {
  if (const std::optional<std::size_t> gpu = find_gpu(gpus, name)) {
    if (std::ranges::find(out.gpus, *gpu) == out.gpus.end()) out.gpus.push_back(*gpu);
    return;
  }
  std::optional<MigDevice> mig = find_mig_by_index(host, gpus, name);
  if (!mig) mig = find_mig_by_old_name(gpus, name);
  if (mig) {
    out.mig.push_back(*mig);
  } else if (name.starts_with("MIG-") && !name.starts_with("MIG-GPU-")) {
    out.all_mig = true;
  } else {
    out.unknown.push_back(name);
  }
}

class NodeCollector {
 public:
  explicit NodeCollector(const RootTree& host) : host_(host) {}
  void add(const std::string& path) {
    if (host_.exists(path) && std::ranges::find(nodes_, path) == nodes_.end())
      nodes_.push_back(path);
  }
  void add_matching(const std::string& directory, std::string_view pattern) {
    for (const std::string& name : host_.list(directory)) {
      if (matches_star(pattern, name)) add(directory + "/" + name);
    }
  }
  std::vector<std::string> take() { return std::move(nodes_); }

 private:
  const RootTree& host_;
  std::vector<std::string> nodes_;
};

void add_mig_nodes(const RootTree& host, const std::vector<NvidiaGpu>& gpus,
                   const VisibleDevices& selection, NodeCollector& nodes) {
  for (const MigMinor& minor : read_mig_minors(host)) {
    const bool chosen = std::ranges::any_of(selection.mig, [&](const MigDevice& device) {
      return gpus[device.gpu].minor == minor.gpu_minor &&
             device.gpu_instance == minor.gpu_instance &&
             (!minor.compute || *minor.compute == device.compute_instance);
    });
    const bool whole = std::ranges::any_of(
        selection.gpus, [&](std::size_t gpu) { return gpus[gpu].minor == minor.gpu_minor; });
    if (chosen || whole || selection.all || selection.all_mig) nodes.add(cap_path(minor.cap));
  }
}

void add_display_nodes(const RootTree& host, const NvidiaGpu& gpu, NodeCollector& nodes) {
  if (gpu.bus.empty()) return;
  for (const std::string& name : host.list("/sys/bus/pci/devices/" + gpu.bus + "/drm")) {
    if (is_display_node(name)) nodes.add("/dev/dri/" + name);
  }
  for (const std::string_view kind : {"-card", "-render"})
    nodes.add(base::cat("/dev/dri/by-path/pci-", gpu.bus, kind));
}

}  // namespace

std::vector<NvidiaGpu> list_nvidia_gpus(const RootTree& host) {
  std::vector<NvidiaGpu> gpus;
  for (const std::string& bus : host.list(kGpuDirectory)) {
    const std::optional<std::string> text =
        host.read(base::cat(kGpuDirectory, "/", bus, "/information"));
    if (!text) continue;
    const std::optional<unsigned> minor =
        base::find_number<unsigned>(find_field(*text, "Device Minor").value_or(""));
    if (minor)
      gpus.push_back({*minor, bus, std::string(find_field(*text, "GPU UUID").value_or(""))});
  }
  if (!gpus.empty()) return gpus;
  // Where /proc shows nothing (other kernels, containers) the nodes have to do.
  for (const std::string& name : host.list("/dev")) {
    if (const std::optional<unsigned> minor = numbered(name, "nvidia"))
      gpus.push_back({*minor, "", ""});
  }
  std::ranges::sort(gpus, {}, &NvidiaGpu::minor);
  return gpus;
}

VisibleDevices select_nvidia_devices(const RootTree& host, const std::vector<NvidiaGpu>& gpus,
                                     std::optional<std::string_view> visible_devices) {
  VisibleDevices out;
  if (!visible_devices || *visible_devices == "all") {
    out.all = true;
    for (std::size_t i = 0; i < gpus.size(); ++i) out.gpus.push_back(i);
    return out;
  }
  if (visible_devices->empty() || *visible_devices == "void") {
    out.inject = false;
    return out;
  }
  if (*visible_devices == "none") return out;
  for (const std::string& name : base::split(*visible_devices, ',')) {
    if (!name.empty()) select_one(host, gpus, std::string(base::trimmed(name)), out);
  }
  return out;
}

std::vector<std::string> nvidia_device_nodes(const RootTree& host,
                                             const std::vector<NvidiaGpu>& gpus,
                                             const VisibleDevices& selection,
                                             DriverCapability capabilities) {
  NodeCollector nodes(host);
  const auto add_gpu = [&](std::size_t index) {
    nodes.add(base::cat("/dev/nvidia", gpus[index].minor));
    if (shares(capabilities, DriverCapability::graphics | DriverCapability::display))
      add_display_nodes(host, gpus[index], nodes);
  };
  for (const std::size_t gpu : selection.gpus) add_gpu(gpu);
  for (const MigDevice& device : selection.mig) add_gpu(device.gpu);
  if (selection.all_mig) {
    for (std::size_t i = 0; i < gpus.size(); ++i) add_gpu(i);
  }
  add_mig_nodes(host, gpus, selection, nodes);
  for (const DriverFileRow& row : driver_nodes()) {
    if (!shares(row.capabilities, capabilities)) continue;
    if (row.name.find('*') == std::string_view::npos) {
      nodes.add(base::cat("/dev/", row.name));
    } else {
      nodes.add_matching("/dev", row.name);
    }
  }
  // The site decides by the nodes' permissions who may use which channel.
  nodes.add_matching(std::string(kImexDirectory), "channel*");
  return nodes.take();
}

}  // namespace runtime
