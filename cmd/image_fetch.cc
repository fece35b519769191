// SPDX-License-Identifier: Apache-2.0
#include "cmd/image_fetch.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "cmd/sifconv_call.h"
#include "oci/image_cache.h"
#include "oci/image_source.h"

namespace cmd {
namespace {

bool is_address(const std::string& image) {
  return oci::has_transport(image) && ::access(image.c_str(), F_OK) != 0;
}

// Its file has no name any more when the container begins.
std::optional<std::string> convert_without_cache(const ParsedOptions& parsed,
                                                 const std::string& image) {
  const char* chosen = std::getenv("TMPDIR");
  std::string folder = parsed.text("tmpdir").value_or(chosen == nullptr ? "/tmp" : chosen);
  folder += "/sifrun-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr)
    throw base::errno_error(errno, "cannot make a folder ", base::printable(folder));
  const std::string file = folder + "/image.sif";
  const auto remove_names = [&] {
    ::unlink(file.c_str());
    ::rmdir(folder.c_str());
  };
  std::vector<std::string> arguments = sifconv_arguments(parsed);
  arguments.insert(arguments.end(), {"--", image, file});
  const bool done = run_sifconv(arguments, remove_names) == EXIT_SUCCESS;
  const int fd = done ? base::open_file(file, O_RDONLY).release() : -1;  // until the payload begins
  remove_names();
  if (!done) return std::nullopt;
  return base::cat("/proc/self/fd/", fd);
}

}  // namespace

std::optional<std::string> fetch_image(const ParsedOptions& parsed, const std::string& image,
                                       const std::string& home) {
  if (image.empty()) throw base::error("the image's name is empty");
  if (!is_address(image)) return image;
  parsed.throw_if_refused();  // before anything is downloaded
  if (parsed.flag("disable-cache")) return convert_without_cache(parsed, image);
  const std::string cache =
      oci::cache_folder([](const char* name) { return std::getenv(name); }, home);
  if (const auto problem = oci::find_cache_problem(cache)) {
    base::log_warning(problem->what(), ": the image is converted for this run alone (",
                      problem->hint(), ")");
    return convert_without_cache(parsed, image);
  }
  std::vector<std::string> arguments = sifconv_arguments(parsed);
  arguments.insert(arguments.end(), {"--cache", cache, "--", image});
  return ask_sifconv(arguments);
}

}  // namespace cmd
