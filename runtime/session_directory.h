// SPDX-License-Identifier: Apache-2.0
// The private tmpfs that holds mount points, made directories and synthesized files while the root
// is put together. It exists in the run's mount namespace only and ends with it.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace runtime {

class SessionDirectory {
 public:
  // Covers a directory that every host has (/tmp, else /run, ...), so host paths below it must have
  // been opened before. Throws if no directory will do.
  static SessionDirectory mount();

  dev_t device() const { return device_; }
  std::string path(std::string_view name) const;
  // Makes an empty directory, under a name of its own, to mount something at; gives its path.
  std::string make_mount_point(std::string_view name);

  // Without it, recursive binds of the directory that this covers leave this out.
  void set_bindable(bool bindable);

  // New entries, each under a name of its own beginning with `name`; the descriptors are O_PATH.
  base::UniqueFd make_directory(std::string_view name, mode_t mode);
  base::UniqueFd make_file(std::string_view name, std::string_view content);

 private:
  std::string unique_name(std::string_view name);

  base::UniqueFd fd_;
  std::string path_;
  dev_t device_ = 0;
  unsigned made_ = 0;
};

}  // namespace runtime
