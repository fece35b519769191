// SPDX-License-Identifier: Apache-2.0
#include "runtime/loop_mount.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/unique_fd.h"

namespace runtime {
namespace {

constexpr const char* kLoopControl = "/dev/loop-control";
// Another process may take a free device between our asking for it and our configuring it.
constexpr int kMaxAttempts = 64;

loop_info64 loop_info(const sif::ImageFile& image) {
  loop_info64 info{};
  info.lo_offset = image.offset;
  info.lo_sizelimit = image.size;
  info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
  const std::size_t length = std::min<std::size_t>(image.path.size(), LO_NAME_SIZE - 1);
  std::copy_n(image.path.begin(), length, info.lo_file_name);
  return info;
}

// 0 or the errno. LOOP_CONFIGURE (Linux 5.8) does all in one step; before, the device is taken
// first and described afterwards.
int configure(int loop_fd, const sif::ImageFile& image) {
  loop_config config{};
  config.fd = static_cast<std::uint32_t>(image.fd.get());
  config.info = loop_info(image);
  if (::ioctl(loop_fd, LOOP_CONFIGURE, &config) == 0) return 0;
  if (errno != EINVAL && errno != ENOTTY && errno != ENOSYS) return errno;
  if (::ioctl(loop_fd, LOOP_SET_FD, image.fd.get()) != 0) return errno;
  if (::ioctl(loop_fd, LOOP_SET_STATUS64, &config.info) == 0) return 0;
  const int failure = errno;
  ::ioctl(loop_fd, LOOP_CLR_FD, 0);
  return failure;
}

struct LoopDevice {
  base::UniqueFd fd;  // keeps the device until it is mounted
  std::string path;
};

LoopDevice attach(const sif::ImageFile& image) {
  const base::UniqueFd control = base::open_file(kLoopControl, O_RDWR);
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) throw base::errno_error(errno, "cannot get a free loop device");
    std::string path = base::cat("/dev/loop", number);
    base::UniqueFd loop = base::open_file(path, O_RDONLY);
    const int failure = configure(loop.get(), image);
    if (failure == 0) return {std::move(loop), std::move(path)};
    if (failure != EBUSY) {
      throw base::errno_error(failure, "cannot attach ", base::printable(image.path), " to ", path);
    }
  }
  throw base::errno_error(EBUSY, "cannot get a free loop device");
}

}  // namespace

void mount_with_kernel(const sif::ImageFile& image, const std::string& target) {
  const LoopDevice loop = attach(image);
  if (::mount(loop.path.c_str(), target.c_str(), "squashfs", MS_RDONLY | MS_NOSUID | MS_NODEV,
              nullptr) != 0) {
    throw base::errno_error(errno, "cannot mount ", base::printable(image.path), " at ",
                            base::printable(target), " with the kernel's squashfs")
        .with_hint("dmesg may tell more; --image-driver fuse works with any kernel");
  }
}

}  // namespace runtime
