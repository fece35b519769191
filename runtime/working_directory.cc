// SPDX-License-Identifier: Apache-2.0
#include "runtime/working_directory.h"

#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "runtime/bind_spec.h"
#include "runtime/root_tree.h"

namespace runtime {
namespace {

constexpr std::array<std::string_view, 10> kImageOnly = {"/",    "/etc", "/bin",  "/mnt", "/usr",
                                                         "/var", "/opt", "/sbin", "/lib", "/lib64"};
constexpr std::array<std::string_view, 3> kKernelTrees = {"/proc", "/sys", "/dev"};

bool names(const std::string& path, const HostDirectory& directory) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && status.st_dev == directory.device &&
         status.st_ino == directory.inode;
}

}  // namespace

std::optional<HostDirectory> find_host_directory(const char* pwd_variable) {
  std::array<char, PATH_MAX> buffer{};
  // "(unreachable)/x" is the kernel's word for a directory outside the root.
  if (::getcwd(buffer.data(), buffer.size()) == nullptr || buffer[0] != '/') return std::nullopt;
  struct stat status {};
  if (::stat(".", &status) != 0) return std::nullopt;
  HostDirectory directory{buffer.data(), buffer.data(), status.st_dev, status.st_ino};
  if (pwd_variable != nullptr && pwd_variable[0] == '/') {
    const std::string logical = absolute_path(pwd_variable, "/");
    if (names(logical, directory)) directory.logical = logical;
  }
  return directory;
}

bool is_bindable(std::string_view directory) {
  if (std::ranges::find(kImageOnly, directory) != kImageOnly.end()) return false;
  return std::ranges::none_of(kKernelTrees,
                              [&](std::string_view tree) { return is_within(directory, tree); });
}

std::string enter_start_directory(const StartRequest& request) {
  if (request.wanted) {
    if (::chdir(request.wanted->c_str()) != 0) {
      throw base::errno_error(errno, "cannot set the working directory ",
                              base::printable(*request.wanted), " in the container");
    }
    // Others find no links, dots or double slashes in $PWD.
    const auto entered = find_host_directory(nullptr);
    return entered ? entered->physical : *request.wanted;
  }
  if (!request.contained && request.host) {
    // The name that the user knows, if it still means the same directory in here.
    const std::string& logical = request.host->logical;
    if (names(logical, *request.host) && ::chdir(logical.c_str()) == 0) return logical;
    const std::string& physical = request.host->physical;
    if (::chdir(physical.c_str()) == 0) return physical;
  }
  const bool at_home = !request.home.empty() && ::chdir(request.home.c_str()) == 0;
  const std::string directory = at_home ? request.home : "/";
  if (!at_home && ::chdir("/") != 0)
    throw base::errno_error(errno, "cannot enter the container's root");
  if (!request.contained && request.host) {
    base::log_warning("the working directory ", base::printable(request.host->physical),
                      " is not in the container, starting in ", base::printable(directory));
  }
  return directory;
}

}  // namespace runtime
