// SPDX-License-Identifier: Apache-2.0
// A plan as text: what --dry-run prints, and what tells apart runs that show different things.
#include "base/text.h"
#include "runtime/run_plan.h"

namespace runtime {
namespace {

void append_flags(std::string& line, MountFlags flags) {
  if (has(flags, MountFlags::read_only)) line += " ro";
  if (has(flags, MountFlags::no_setuid)) line += " nosuid";
  if (has(flags, MountFlags::no_devices)) line += " nodev";
}

}  // namespace

std::string describe_view(const RunPlan& plan) {
  std::string out = base::cat("image       ", base::printable(plan.image), "\n");
  out += base::cat("root        ",
                   plan.writable         ? "writable"
                   : plan.writable_tmpfs ? "writable until exit"
                                         : "read-only",
                   "\n");
  for (const OverlaySpec& overlay : plan.overlays)
    out += base::cat("overlay     ", base::printable(overlay.path), overlay.writable ? "" : " ro",
                     "\n");
  out += base::cat("namespaces  user mount", plan.pid_namespace ? " pid" : "",
                   plan.ipc_namespace ? " ipc" : "", plan.uts_namespace ? " uts" : "",
                   plan.empty_network ? " net" : "", "\n");
  out += base::cat("share       ", share_word(plan.share), "\n");
  out += base::cat("home        ", base::printable(plan.caller.home), "\n");
  for (const MountEntry& entry : plan.mounts) {
    std::string line = base::cat("mount       ", kind_name(entry.kind), " ");
    if (entry.kind == MountKind::image)
      line +=
          base::cat(base::printable(entry.inside), " of ", base::printable(entry.source), " on ");
    if (entry.kind == MountKind::bind && entry.source != entry.target)
      line += base::printable(entry.source) + " on ";
    line += base::printable(entry.target);
    append_flags(line, entry.flags);
    if (entry.gives_way) line += " unless the image has something there";
    if (!entry.needs.empty())
      line += " if the image has " + base::printable(base::join(entry.needs, " or "));
    out += line + "\n";
  }
  for (const auto* libraries : {&plan.host.libraries, &plan.host.libraries32}) {
    for (const HostLibrary& library : *libraries)
      out += base::cat("library     ", library.name, " is ", base::printable(library.file), "\n");
  }
  for (const HostDevice& device : plan.host.devices) {
    const bool renamed = device.source != device.path;
    out += base::cat("device      ", renamed ? base::printable(device.source) + " on " : "",
                     base::printable(device.path), "\n");
  }
  return out;
}

std::string describe(const RunPlan& plan) {
  std::string out = describe_view(plan);
  for (const auto* variables : {&plan.host.variables, &plan.host.overrides}) {
    for (const EnvironmentVariable& variable : *variables)
      out += base::cat("variable    ", base::printable(variable.name), "=",
                       base::printable(variable.value), "\n");
  }
  for (const std::string& note : plan.host.notes) out += base::cat("note        ", note, "\n");
  return out;
}

}  // namespace runtime
