// SPDX-License-Identifier: Apache-2.0
// The one exception type. It ends a main, a FUSE operation, a thread or a forked child at its top;
// on the way it is caught to go on without something (a broken file of the host's, a missing mount:
// told, and skipped) or to add what only the catcher knows.
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "base/text.h"

namespace base {

// What was attempted, on which object and why it failed in one line; what to do about it in an
// optional hint.
class Error : public std::exception {
 public:
  explicit Error(std::string message, int errno_value = 0);

  // Adds the cure (a sysctl, option or package); printed as a `hint:` line of its own.
  Error&& with_hint(std::string hint) &&;

  const char* what() const noexcept override { return message_.c_str(); }
  const std::string& hint() const noexcept { return hint_; }
  // The errno of the failed system call; 0 if no system call failed. Corrupt image data carries
  // EIO.
  int errno_value() const noexcept { return errno_value_; }

 private:
  std::string message_;
  std::string hint_;
  int errno_value_;
};

// throw error("layer ", 3, ": truncated") without a cat() at each place.
template <typename... Parts>
[[nodiscard]] Error error(const Parts&... parts) {
  return Error(cat(parts...));
}

// "cannot open /x: No such file or directory", from the given errno.
template <typename... Parts>
[[nodiscard]] Error errno_error(int errno_value, const Parts&... parts);

// Text of an errno value, thread-safe.
std::string errno_text(int errno_value);

template <typename... Parts>
Error errno_error(int errno_value, const Parts&... parts) {
  return Error(cat(parts..., ": ", errno_text(errno_value)), errno_value);
}

}  // namespace base
