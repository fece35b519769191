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

// A file in a folder of its own, both of which are gone afterwards.
class TemporaryImage {
 public:
  explicit TemporaryImage(const std::string& parent) : folder_(parent + "/sifrun-XXXXXX") {
    if (::mkdtemp(folder_.data()) == nullptr)
      throw base::errno_error(errno, "cannot make a folder ", base::printable(folder_));
    path_ = folder_ + "/image.sif";
  }
  ~TemporaryImage() { remove(); }
  TemporaryImage(const TemporaryImage&) = delete;
  TemporaryImage& operator=(const TemporaryImage&) = delete;

  const std::string& path() const { return path_; }
  void remove() const noexcept {
    ::unlink(path_.c_str());
    ::rmdir(folder_.c_str());
  }

 private:
  std::string folder_, path_;
};

// Its file has no name any more when the container begins.
std::optional<std::string> convert_without_cache(const ParsedOptions& parsed,
                                                 const std::string& image) {
  const char* chosen = std::getenv("TMPDIR");
  const TemporaryImage file(parsed.text("tmpdir").value_or(chosen == nullptr ? "/tmp" : chosen));
  std::vector<std::string> arguments = sifconv_arguments(parsed);
  arguments.insert(arguments.end(), {"--", image, file.path()});
  if (run_sifconv(arguments, [&] { file.remove(); }) != EXIT_SUCCESS) return std::nullopt;
  const int fd = base::open_file(file.path(), O_RDONLY).release();  // until the payload begins
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
