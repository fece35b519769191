// SPDX-License-Identifier: Apache-2.0
#include "runtime/cdi.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "runtime/cdi_spec.h"
#include "runtime/elf_file.h"
#include "runtime/ld_cache.h"

namespace runtime {
namespace {

constexpr std::size_t kMaxToldProblems = 3;

struct LoadedSpec {
  CdiSpec spec;
  std::string path;
  std::size_t rank = 0;  // of its directory
};

struct Registry {
  std::vector<LoadedSpec> specs;
  std::vector<std::string> problems;  // of invalid files
};

bool is_spec_name(std::string_view name) {
  return name.ends_with(".json") || name.ends_with(".yaml");
}

Registry load_specs(const RootTree& host, const std::vector<std::string>& directories) {
  Registry out;
  for (std::size_t rank = 0; rank < directories.size(); ++rank) {
    for (const std::string& name : host.list(directories[rank])) {
      const std::string path = directories[rank] + "/" + name;
      if (!is_spec_name(name) || !host.is_file(path)) continue;
      const std::optional<std::string> text = host.read(path, kMaxCdiSpecSize);
      if (!text) {
        out.problems.push_back(base::cat("CDI file ", base::printable(path), " cannot be read"));
        continue;
      }
      // An invalid file of one vendor must not take the devices of another away.
      try {
        out.specs.push_back({parse_cdi_spec(*text, path), path, rank});
      } catch (const base::Error& error) {
        out.problems.emplace_back(error.what());
      }
    }
  }
  return out;
}

struct FoundDevice {
  const LoadedSpec* file = nullptr;
  const CdiDevice* device = nullptr;
};

FoundDevice find_device(const Registry& registry, const std::string& qualified) {
  const std::size_t equals = qualified.find('=');
  const std::string kind = qualified.substr(0, equals), name = qualified.substr(equals + 1);
  FoundDevice best;
  const LoadedSpec* rival = nullptr;
  for (const LoadedSpec& file : registry.specs) {
    if (file.spec.kind != kind) continue;
    const auto device = std::ranges::find(file.spec.devices, name, &CdiDevice::name);
    if (device == file.spec.devices.end()) continue;
    rival = best.file != nullptr && best.file->rank == file.rank ? best.file : nullptr;
    best = {&file, &*device};
  }
  if (rival != nullptr) {
    throw base::error("CDI device ", qualified, ": both ", base::printable(rival->path), " and ",
                      base::printable(best.file->path), " define it");
  }
  return best;
}

// Arguments of the hooks that are imitated, "--folder X" and "--folder=X" alike.
std::vector<std::string> option_values(const std::vector<std::string>& arguments,
                                       std::string_view option) {
  std::vector<std::string> values;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view word = arguments[i];
    if (word == option && i + 1 < arguments.size()) values.push_back(arguments[i + 1]);
    if (word.starts_with(option) && word.size() > option.size() && word[option.size()] == '=')
      values.emplace_back(word.substr(option.size() + 1));
  }
  return values;
}

bool has_word(const CdiHook& hook, std::string_view word) {
  return std::ranges::find(hook.arguments, word) != hook.arguments.end();
}

class EditApplier {
 public:
  EditApplier(const RootTree& host, HostAdditions& out) : host_(host), out_(out) {}

  void apply(const CdiEdits& edits, const std::string& device);
  // After all edits: hooks see the mounts of every one.
  void imitate_hooks();

 private:
  void apply_node(const CdiDeviceNode& node, const std::string& device);
  void apply_mount(const CdiMount& mount, const std::string& device);
  void tell_beyond(const std::string& device, const std::string& of,
                   const std::vector<std::string>& fields);
  void imitate(const CdiHook& hook);
  void make_link(const std::string& spec);
  void add_folder(const std::string& folder);
  void add_library(std::string_view name, const std::string& file, const ElfFile& elf);

  const RootTree& host_;
  HostAdditions& out_;
  std::vector<CdiHook> hooks_;
  std::map<std::string, std::string> files_;  // container path of a mount or link: host path
  std::map<std::string, std::string> devices_;
};

void EditApplier::apply_node(const CdiDeviceNode& node, const std::string& device) {
  const std::optional<std::string> source = host_.resolve(node.host_path);
  const std::string path = normal_path(node.path);
  if (!source) {
    throw base::error("CDI device ", device, " needs the device node ",
                      base::printable(node.host_path), ", which this host does not have");
  }
  const HostDevice entry{host_.outside(*source), path};
  devices_[path] = entry.source;
  if (std::ranges::find(out_.devices, entry) == out_.devices.end()) out_.devices.push_back(entry);
  tell_beyond(device, base::printable(node.path), node.beyond_us);
}

void EditApplier::apply_mount(const CdiMount& mount, const std::string& device) {
  HostBind bind{"", normal_path(mount.container_path), mount.read_only};
  tell_beyond(device, base::printable(mount.container_path), mount.beyond_us);
  if (mount.impossible) return;
  if (bind.destination == "/") {
    throw base::error("CDI device ", device, " mounts ", base::printable(mount.host_path),
                      " on /: the container's root cannot be covered");
  }
  if (!mount.temporary) {
    const std::optional<std::string> source = host_.resolve(mount.host_path);
    if (!source) {
      throw base::error("CDI device ", device, " needs ", base::printable(mount.host_path),
                        ", which this host does not have");
    }
    bind.source = host_.outside(*source);
    files_[bind.destination] = bind.source;
  }
  if (std::ranges::find(out_.binds, bind) == out_.binds.end()) out_.binds.push_back(bind);
}

void EditApplier::apply(const CdiEdits& edits, const std::string& device) {
  for (const std::string& entry : edits.environment) {
    const std::size_t equals = entry.find('=');
    out_.overrides.push_back({entry.substr(0, equals), entry.substr(equals + 1)});
  }
  for (const CdiDeviceNode& node : edits.nodes) apply_node(node, device);
  for (const CdiMount& mount : edits.mounts) apply_mount(mount, device);
  hooks_.insert(hooks_.end(), edits.hooks.begin(), edits.hooks.end());
  tell_beyond(device, "container", edits.beyond_us);
}

void EditApplier::tell_beyond(const std::string& device, const std::string& of,
                              const std::vector<std::string>& fields) {
  for (const std::string& field : fields)
    out_.notes.push_back(
        base::cat("CDI ", device, ": ", field, " of ", of, " needs privileges and is skipped"));
}

// Files of both sizes of pointers bear the same names.
void EditApplier::add_library(std::string_view name, const std::string& file, const ElfFile& elf) {
  const auto is_of = [&](const LibraryAbi* abi) {
    return abi != nullptr && abi->elf_machine == elf.machine && abi->is_64 == elf.is_64;
  };
  if (!is_of(native_abi()) && !is_of(compat_abi())) return;
  std::vector<HostLibrary>& libraries = is_of(native_abi()) ? out_.libraries : out_.libraries32;
  const bool known = std::ranges::find(libraries, name, &HostLibrary::name) != libraries.end();
  if (!known) libraries.push_back({std::string(name), file});
}

// "TARGET::LINK", the target seen from the link.
void EditApplier::make_link(const std::string& spec) {
  const std::size_t colons = spec.find("::");
  if (colons == std::string::npos) return;
  const std::string link = normal_path(spec.substr(colons + 2));
  const std::string text = spec.substr(0, colons);
  const std::string target =
      normal_path(text.starts_with('/') ? text : base::cat(parent_path(link), "/", text));
  if (const auto node = devices_.find(target); node != devices_.end()) {
    out_.devices.push_back({node->second, link});  // such as those of /dev/dri/by-path
    return;
  }
  const auto file = files_.find(target);
  if (file == files_.end()) {
    out_.notes.push_back(base::cat("CDI: the link ", base::printable(link), " is not made: ",
                                   base::printable(target), " is none of the device's files"));
    return;
  }
  const std::string source = file->second;
  files_[link] = source;
  const auto& searched = out_.library_back;
  const std::optional<ElfFile> elf = find_elf(RootTree(), source);
  if (elf && std::ranges::find(searched, parent_path(link)) != searched.end()) {
    add_library(base_name(link), source, *elf);
  } else {
    out_.binds.push_back({source, link});
  }
}

// ldconfig would make the SONAME links of a folder and put it in the loader's cache.
void EditApplier::add_folder(const std::string& folder) {
  const std::string path = normal_path(folder);
  if (std::ranges::find(out_.library_back, path) == out_.library_back.end())
    out_.library_back.push_back(path);
  const std::map<std::string, std::string> files = files_;
  for (const auto& [destination, source] : files) {
    if (parent_path(destination) != path) continue;
    const std::optional<ElfFile> elf = find_elf(RootTree(), source);
    if (!elf || elf->soname.empty() || elf->soname.find('/') != std::string::npos) continue;
    files_.emplace(base::cat(path, "/", elf->soname), source);
    add_library(elf->soname, source, *elf);
  }
}

void EditApplier::imitate(const CdiHook& hook) {
  if (has_word(hook, "create-symlinks")) {
    for (const std::string& link : option_values(hook.arguments, "--link")) make_link(link);
  } else if (has_word(hook, "enable-cuda-compat")) {
    for (const std::string& version : option_values(hook.arguments, "--host-driver-version"))
      out_.nvidia_version = version;
  } else if (!has_word(hook, "update-ldcache")) {
    out_.notes.push_back(base::cat("CDI: the hook ", base::printable(hook.path), " ",
                                   base::printable(base::join(hook.arguments, " ")),
                                   " is skipped: sifrun runs no programs of the host"));
  }
}

void EditApplier::imitate_hooks() {
  // Links may lead to SONAMEs which the cache update makes, so that comes first.
  for (const CdiHook& hook : hooks_) {
    if (!has_word(hook, "update-ldcache")) continue;
    for (const std::string& folder : option_values(hook.arguments, "--folder")) add_folder(folder);
  }
  for (const CdiHook& hook : hooks_) imitate(hook);
}

[[noreturn]] void fail_unresolved(const std::string& device, const Registry& registry,
                                  const std::vector<std::string>& directories) {
  std::string message = base::cat("CDI device ", base::printable(device), " is in no file of ",
                                  base::join(directories, ", "));
  for (std::size_t i = 0; i < std::min(registry.problems.size(), kMaxToldProblems); ++i)
    message += "; invalid: " + registry.problems[i];
  if (registry.problems.size() > kMaxToldProblems)
    message += base::cat("; and ", registry.problems.size() - kMaxToldProblems, " more");
  throw base::Error(message).with_hint(
      "`nvidia-ctk cdi generate` writes such files for NVIDIA GPUs; --cdi-dirs names other "
      "directories");
}

}  // namespace

std::vector<std::string> default_cdi_directories() { return {"/etc/cdi", "/var/run/cdi"}; }

bool is_cdi_device(std::string_view text) {
  const std::size_t equals = text.find('=');
  return equals != std::string_view::npos && is_cdi_kind(text.substr(0, equals)) &&
         is_cdi_device_name(text.substr(equals + 1));
}

HostAdditions cdi_additions(const RootTree& host, const std::vector<std::string>& devices,
                            const std::vector<std::string>& directories) {
  HostAdditions out;
  if (devices.empty()) return out;
  for (const std::string& device : devices) {
    if (!is_cdi_device(device)) {
      throw base::error("--device ", base::printable(device),
                        ": expected VENDOR/CLASS=NAME, for example nvidia.com/gpu=0");
    }
  }
  const Registry registry = load_specs(host, directories);
  EditApplier applier(host, out);
  std::vector<const LoadedSpec*> used;
  for (const std::string& device : devices) {
    const FoundDevice found = find_device(registry, device);
    if (found.device == nullptr) fail_unresolved(device, registry, directories);
    if (std::ranges::find(used, found.file) == used.end()) {
      used.push_back(found.file);
      applier.apply(found.file->spec.edits, device);
    }
    applier.apply(found.device->edits, device);
    out.notes.push_back(
        base::cat("CDI device ", device, " from ", base::printable(found.file->path)));
  }
  applier.imitate_hooks();
  return out;
}

}  // namespace runtime
