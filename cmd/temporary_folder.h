// SPDX-License-Identifier: Apache-2.0
// A folder of this process alone, gone afterwards with all that is in it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cmd {

class TemporaryFolder {
 public:
  // In `parent`, else where TMPDIR says, else in /tmp; its name begins with `prefix`.
  TemporaryFolder(const std::optional<std::string>& parent, std::string_view prefix);
  ~TemporaryFolder() { remove(); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string path(std::string_view name) const;
  void remove() const noexcept;

 private:
  std::string path_;
};

// With all below it, what its owner may not change included; a link itself. As far as possible.
void remove_tree(const std::string& path) noexcept;

}  // namespace cmd
