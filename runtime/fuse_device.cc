// SPDX-License-Identifier: Apache-2.0
#include "runtime/fuse_device.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/syscalls.h"
#include "runtime/host_check.h"

namespace runtime {

base::UniqueFd open_fuse_device() {
  try {
    return base::open_file("/dev/fuse", O_RDWR);
  } catch (base::Error& error) {
    const std::string_view cure =
        fuse_cure(error.errno_value(), read_host_state().inside_container);
    throw std::move(error).with_hint(base::cat(cure, "; --unsquash works without it"));
  }
}

std::string fuse_mount_data(int device) {
  return base::cat("fd=", device, ",rootmode=40000,user_id=", ::geteuid(),
                   ",group_id=", ::getegid());
}

void mount_fuse(int device, const std::string& target, unsigned long flags) {
  // allow_other: the payload may run under another mapped id; default_permissions: the kernel
  // checks modes, so cached entries cost no request.
  const std::string data = fuse_mount_data(device) + ",default_permissions,allow_other";
  if (::mount("sifrun", target.c_str(), "fuse.sifrun", flags | MS_NOSUID | MS_NODEV,
              data.c_str()) != 0) {
    const int problem = errno;
    std::string hint(host_hint(HostOperation::mount, problem, read_host_state()));
    if (hint.empty())
      hint = "FUSE in user namespaces needs Linux 4.18 or newer; --unsquash works without";
    throw base::errno_error(problem, "cannot mount the image at ", base::printable(target),
                            " through FUSE")
        .with_hint(std::move(hint));
  }
}

}  // namespace runtime
