// SPDX-License-Identifier: Apache-2.0
// The device that FUSE requests come from, and its mount.
#pragma once

#include <string>

#include "base/unique_fd.h"

namespace runtime {

// Inside the user namespace that the mount will belong to, which the kernel checks. Throws with a
// hint.
base::UniqueFd open_fuse_device();

// What mount(2) has to be told of every FUSE file system of ours: the device, and whose it is.
std::string fuse_mount_data(int device);

// At the directory `target` of the calling process's mount namespace: nosuid, nodev, and what the
// flags of mount(2) say. Throws with a hint.
void mount_fuse(int device, const std::string& target, unsigned long flags);

}  // namespace runtime
