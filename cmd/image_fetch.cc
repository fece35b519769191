// SPDX-License-Identifier: Apache-2.0
#include "cmd/image_fetch.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "cmd/sifconv_call.h"
#include "cmd/temporary_folder.h"
#include "oci/image_cache.h"
#include "oci/image_source.h"
#include "sif/sif_format.h"

namespace cmd {
namespace {

bool is_address(const std::string& image) {
  return oci::has_transport(image) && ::access(image.c_str(), F_OK) != 0;
}

// --arch ARCH, or --platform linux/ARCH[/VARIANT]; nullopt: this machine's.
std::optional<std::string> find_other_arch(const ParsedOptions& parsed) {
  std::optional<std::string> arch = parsed.text("arch");
  if (const auto& platform = parsed.text("platform")) {
    const std::vector<std::string> parts = base::split(*platform, '/');
    if (parts.size() < 2 || parts[0] != "linux")
      throw base::error("--platform ", base::printable(*platform), ": expected linux/ARCH");
    arch = parts[1];
  }
  if (arch == sif::host_go_arch()) arch.reset();
  return arch;
}

// Its file has no name any more when the container begins.
std::optional<std::string> convert_without_cache(const ParsedOptions& parsed,
                                                 const std::string& image,
                                                 const std::optional<std::string>& arch) {
  const TemporaryFolder folder(parsed.text("tmpdir"), "sifrun-");
  const std::string file = folder.path("image.sif");
  std::vector<std::string> arguments = sifconv_arguments(parsed);
  if (arch) arguments.push_back("--arch=" + *arch);
  arguments.insert(arguments.end(), {"--", image, file});
  if (run_sifconv(arguments, [&] { folder.remove(); }) != EXIT_SUCCESS) return std::nullopt;
  const int fd = base::open_file(file, O_RDONLY).release();  // until the payload begins
  return base::cat("/proc/self/fd/", fd);
}

}  // namespace

std::optional<std::string> find_image_cache(const ParsedOptions& parsed, const std::string& home) {
  if (parsed.flag("disable-cache")) return std::nullopt;
  std::string cache = oci::cache_folder([](const char* name) { return std::getenv(name); }, home);
  const auto problem = oci::find_cache_problem(cache);
  if (!problem) return cache;
  base::log_warning(problem->what(), ": the image is converted for this run alone (",
                    problem->hint(), ")");
  return std::nullopt;
}

std::optional<std::string> fetch_into_cache(const ParsedOptions& parsed, const std::string& image,
                                            const std::string& cache) {
  std::vector<std::string> arguments = sifconv_arguments(parsed);
  arguments.insert(arguments.end(), {"--cache", cache, "--", image});
  return ask_sifconv(arguments);
}

std::optional<std::string> fetch_image(const ParsedOptions& parsed, const std::string& image,
                                       const std::string& home) {
  if (image.empty()) throw base::error("the image's name is empty");
  if (!is_address(image)) return image;
  parsed.throw_if_refused();  // before anything is downloaded
  const std::optional<std::string> arch = find_other_arch(parsed);
  // Kept are images for this machine.
  const auto cache = arch ? std::nullopt : find_image_cache(parsed, home);
  return cache ? fetch_into_cache(parsed, image, *cache)
               : convert_without_cache(parsed, image, arch);
}

}  // namespace cmd
