// SPDX-License-Identifier: Apache-2.0
#include "runtime/hidden_folder.h"

#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/syscalls.h"

namespace runtime {
namespace {

constexpr std::array<const char*, 5> kPlaces = {"/boot", "/media", "/mnt", "/srv", "/opt"};
constexpr unsigned long kCoverFlags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;

}  // namespace

HiddenFolder::HiddenFolder(std::string folder, std::string place)
    : folder_(std::move(folder)), place_(std::move(place)) {
  if (::mount(folder_.c_str(), place_.c_str(), nullptr, MS_BIND, nullptr) != 0)
    throw base::errno_error(errno, "cannot show ", base::printable(folder_), " at ",
                            base::printable(place_));
  if (::mount("none", folder_.c_str(), "tmpfs", kCoverFlags, "size=4k,mode=0") != 0) {
    const int cause = errno;
    ::umount2(place_.c_str(), MNT_DETACH);
    throw base::errno_error(cause, "cannot hide ", base::printable(folder_));
  }
}

HiddenFolder::~HiddenFolder() {
  ::umount2(folder_.c_str(), MNT_DETACH);
  ::umount2(place_.c_str(), MNT_DETACH);
}

std::string find_place_for_hiding() {
  const auto place = std::ranges::find_if(kPlaces, [](const char* path) {
    const auto status = base::find_status(path);
    return status && S_ISDIR(status->st_mode);
  });
  if (place == kPlaces.end())
    throw base::error(
        "cannot hide the folder that is built in: there is none of /boot, /media, "
        "/mnt, /srv and /opt to show it at");
  return *place;
}

}  // namespace runtime
