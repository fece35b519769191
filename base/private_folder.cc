// SPDX-License-Identifier: Apache-2.0
#include "base/private_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"

namespace base {

UniqueFd open_private_folder(const std::string& path, std::string_view hint) {
  std::error_code failure;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), failure);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    throw errno_error(failure ? failure.value() : errno, "cannot make the cache folder ",
                      printable(path))
        .with_hint(std::string(hint));
  }
  UniqueFd fd = open_file(path, O_RDONLY | O_DIRECTORY);
  const struct stat status = file_status(fd.get(), path);
  if (status.st_uid != ::geteuid() || (status.st_mode & 022) != 0) {
    throw error("the cache folder ", printable(path), " belongs to or is writable for other users")
        .with_hint(std::string(hint));
  }
  return fd;
}

}  // namespace base
