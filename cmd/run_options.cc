// SPDX-License-Identifier: Apache-2.0
#include "cmd/run_options.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"

namespace cmd {
namespace {

// Go's durations, as far as people write them: 90s, 2m, 1h30m, 0.
std::chrono::seconds parse_duration(const std::string& text) {
  long total = 0;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    long number = 0;
    const auto [next, problem] = std::from_chars(at, end, number);
    const char unit = next == end ? '\0' : *next;
    const long scale = unit == 'h' ? 3600 : unit == 'm' ? 60 : unit == 's' ? 1 : 0;
    const bool bare_zero = number == 0 && unit == '\0';
    if (problem != std::errc() || number < 0 || number > 1'000'000 || (scale == 0 && !bare_zero))
      throw base::error("--runscript-timeout: ", base::printable(text), " is no duration like 90s");
    total += number * scale;
    at = unit == '\0' ? next : next + 1;
  }
  return std::chrono::seconds(total);
}

runtime::EnvironmentRequest make_environment(const ParsedOptions& parsed,
                                             const char* const* environ_entries) {
  runtime::EnvironmentRequest request;
  for (; *environ_entries != nullptr; ++environ_entries)
    request.host.emplace_back(*environ_entries);
  for (const std::string& assignment : parsed.values("env")) {
    const std::size_t equals = assignment.find('=');
    request.assignments.push_back({assignment.substr(0, equals), assignment.substr(equals + 1)});
  }
  for (const std::string& file : parsed.values("env-file"))
    request.files.push_back({file, base::read_small_file(file)});
  request.withheld = parsed.values("no-env");
  return request;
}

runtime::HostFeatures make_host_features(const ParsedOptions& parsed,
                                         const std::vector<std::string>& environment) {
  runtime::HostFeatures features;
  if (parsed.flag("nvccli")) features.nvidia = runtime::GpuMode::required;
  if (parsed.given("nv"))
    features.nvidia = parsed.flag("nv") ? runtime::GpuMode::required : runtime::GpuMode::forbidden;
  if (parsed.flag("no-nv")) features.nvidia = runtime::GpuMode::forbidden;
  features.nvidia_root = runtime::variable_or_empty(environment, "SIFRUN_NV_ROOT");
  features.compat32 = parsed.flag("compat32");
  features.rocm = parsed.flag("rocm") && !parsed.flag("no-rocm");
  features.devices = parsed.values("device");
  features.cdi_directories = parsed.values("cdi-dirs");
  std::string word = runtime::variable_or_empty(environment, "SIFRUN_CONDA");
  if (parsed.text("conda")) word = *parsed.text("conda");
  if (parsed.flag("no-conda")) word = "off";
  if (word.empty()) return features;
  const std::optional<runtime::CondaMode> mode = runtime::find_conda_mode(word);
  if (!mode) {
    throw base::error("--conda: ", base::printable(word),
                      " is none of auto, front, back, bind and off");
  }
  features.conda = *mode;
  return features;
}

runtime::ShareRequest make_share(const ParsedOptions& parsed,
                                 const std::vector<std::string>& environment) {
  std::string word = runtime::variable_or_empty(environment, "SIFRUN_SHARE");
  // What others share by a lock named after the parent process, ours finds by itself.
  if (parsed.flag("sharens") || word.empty()) word = "auto";
  return runtime::parse_share(parsed.text("share").value_or(word));
}

bool wants_preload(const ParsedOptions& parsed, const std::vector<std::string>& environment) {
  std::string word = runtime::variable_or_empty(environment, "SIFRUN_PRELOAD");
  if (parsed.text("preload")) word = *parsed.text("preload");
  if (!word.empty() && word != "on" && word != "off")
    throw base::error("--preload: ", base::printable(word), " is neither on nor off");
  return word != "off";
}

runtime::OverlaySpec parse_overlay(const std::string& value, const std::string& directory) {
  const std::size_t colon = value.find(':');
  const std::string path = value.substr(0, colon);
  if (path.empty()) throw base::error("--overlay ", base::printable(value), ": no path is given");
  const bool read_only = colon != std::string::npos && value.substr(colon + 1) == "ro";
  return {runtime::absolute_path(path, directory), !read_only};
}

std::vector<std::string> parse_name_servers(const std::string& value) {
  std::vector<std::string> servers;
  for (const std::string& field : base::split(value, ',')) {
    const std::size_t start = field.find_first_not_of(' ');
    if (start == std::string::npos) continue;  // a trailing comma
    const std::string address = field.substr(start, field.find_last_not_of(' ') + 1 - start);
    std::array<unsigned char, sizeof(in6_addr)> bytes{};
    if (::inet_pton(AF_INET, address.c_str(), bytes.data()) != 1 &&
        ::inet_pton(AF_INET6, address.c_str(), bytes.data()) != 1)
      throw base::error("--dns: ", base::printable(address), " is no IP address");
    servers.push_back(address);
  }
  return servers;
}

runtime::Capabilities parse_capability_option(const ParsedOptions& parsed, std::string_view name) {
  std::vector<std::string> unknown;
  const auto& text = parsed.text(name);
  const runtime::Capabilities set = text ? runtime::parse_capabilities(*text, unknown) : 0;
  for (const std::string& word : unknown)
    base::log_warning("--", name, ": there is no capability ", base::printable(word));
  return set;
}

// Who the program is, and what it may do.
void set_security(const ParsedOptions& parsed, const std::string& directory,
                  runtime::RunOptions& options) {
  const runtime::SecurityRequest security = runtime::parse_security(parsed.values("security"));
  // Root is root already.
  options.identity.fake_root = parsed.flag("fakeroot") && ::geteuid() != 0;
  options.identity.subordinate_ids = !parsed.flag("ignore-subuid");
  options.identity.uid = security.uid;
  options.identity.gid = security.gid;
  if (!security.seccomp_profile.empty())
    options.seccomp_profile = runtime::absolute_path(security.seccomp_profile, directory);
  options.capabilities = options.identity.fake_root ? runtime::kAllCapabilities
                                                    : parse_capability_option(parsed, "add-caps");
  // Root who changes a root wants to install programs there and give files to others.
  const bool changes = options.writable || options.writable_tmpfs ||
                       std::ranges::any_of(options.overlays, &runtime::OverlaySpec::writable);
  if (::geteuid() == 0 && !parsed.flag("no-privs") && (parsed.flag("fakeroot") || changes))
    options.capabilities = runtime::kAllCapabilities;
  const runtime::Capabilities dropped = parse_capability_option(parsed, "drop-caps");
  if (!options.identity.fake_root) options.capabilities &= ~dropped;
}

// Where the root and what lies over it come from.
void set_root(const ParsedOptions& parsed, const std::string& directory,
              runtime::RunOptions& options) {
  options.writable = parsed.flag("writable");
  options.writable_tmpfs =
      parsed.flag("compat") || parsed.flag("writable-tmpfs") || parsed.flag("nvccli");
  for (const std::string& value : parsed.values("overlay"))
    options.overlays.push_back(parse_overlay(value, directory));
  options.unsquash = parsed.flag("unsquash");
  const std::string driver = parsed.text("image-driver").value_or("fuse");
  if (driver != "fuse" && driver != "kernel")
    throw base::error("--image-driver: ", base::printable(driver), " is neither fuse nor kernel");
  if (driver == "kernel") options.driver = runtime::ImageDriver::kernel;
}

void set_network(const ParsedOptions& parsed, runtime::RunOptions& options) {
  const std::string network = parsed.text("network").value_or("");
  options.empty_network = parsed.flag("net") || !network.empty();
  if (options.empty_network && network != "none") {
    throw base::error("--net without --network none is not supported")
        .with_hint("leave out --net to use the host's network");
  }
  if (const auto& servers = parsed.text("dns"); servers && !servers->empty())
    options.name_servers = parse_name_servers(*servers);
  options.hostname = parsed.text("hostname");
}

}  // namespace

runtime::RunOptions make_run_options(const ParsedOptions& parsed,
                                     const char* const* environ_entries,
                                     const std::string& working_directory) {
  parsed.throw_if_refused();
  const bool compat = parsed.flag("compat");
  const bool contain_all = compat || parsed.flag("containall");
  runtime::RunOptions options;
  for (const std::string& text : parsed.values("bind")) {
    for (runtime::BindSpec& bind : runtime::parse_bind_list(text, working_directory))
      options.binds.push_back(std::move(bind));
  }
  for (const std::string& text : parsed.values("mount")) {
    for (runtime::BindSpec& bind : runtime::parse_mounts(text, working_directory))
      options.binds.push_back(std::move(bind));
  }
  for (const std::string& text : parsed.values("fusemount"))
    options.fuse_programs.push_back(runtime::parse_fuse_mount(text));
  for (const std::string& library : parsed.values("containlibs")) {
    const std::string path = runtime::absolute_path(library, working_directory);
    options.binds.push_back(
        {path, base::cat("/.singularity.d/libs", path.substr(path.rfind('/')))});
    options.binds.back().read_only = true;
  }
  options.home = parsed.text("home");
  options.no_home = parsed.flag("no-home");
  // --cwd "$DIR" with an empty variable: as if not given.
  if (const auto& directory = parsed.text("cwd"); directory && !directory->empty())
    options.start_directory = directory;
  options.contain = contain_all || parsed.flag("contain");
  options.workdir = parsed.text("workdir");
  options.scratch = parsed.values("scratch");
  set_root(parsed, working_directory, options);
  set_security(parsed, working_directory, options);
  set_network(parsed, options);
  options.no_mount = parsed.values("no-mount");
  options.pid_namespace = (contain_all || parsed.flag("pid")) && !parsed.flag("no-pid");
  options.ipc_namespace = contain_all || parsed.flag("ipc");
  options.uts_namespace = parsed.flag("uts");
  options.init = !compat && !parsed.flag("no-init");
  options.reset_umask = compat || parsed.flag("no-umask");
  options.action.environment = make_environment(parsed, environ_entries);
  options.share = make_share(parsed, options.action.environment.host);
  options.preload = wants_preload(parsed, options.action.environment.host);
  options.action.environment.clean = contain_all || parsed.flag("cleanenv");
  options.action.environment.no_eval = compat || parsed.flag("no-eval");
  options.host = make_host_features(parsed, options.action.environment.host);
  options.action.environment.app_name = parsed.text("app").value_or("");
  options.action.shell = parsed.text("shell").value_or("");
  if (const auto& timeout = parsed.text("runscript-timeout"))
    options.action.script_timeout = parse_duration(*timeout);
  return options;
}

}  // namespace cmd
