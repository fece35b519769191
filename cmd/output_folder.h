// SPDX-License-Identifier: Apache-2.0
// A folder that appears under its name when it is complete; until then it lies hidden beside it.
#pragma once

#include <mutex>
#include <string>

#include "base/output_file.h"
#include "base/unique_fd.h"

namespace cmd {

class OutputFolder {
 public:
  // Throws when `path` exists and may not be replaced.
  OutputFolder(const std::string& path, base::Existing existing);
  ~OutputFolder() { discard(); }
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  int fd() const { return fd_.get(); }
  const std::string& parent() const { return parent_; }
  // Its name until commit().
  const std::string& hidden_path() const { return part_; }

  // Gives it its name, in place of what had it.
  void commit();
  // Removes what has no name yet, as far as that is possible; from any thread, at any time: a
  // commit() that it overtakes fails. Whoever writes into it must have been told to stop.
  void discard() noexcept;

 private:
  void replace();

  std::string path_, parent_;
  base::Existing existing_;
  base::UniqueFd fd_;
  std::mutex mutex_;  // guards what follows, but for hidden_path()
  std::string part_;
  bool is_discarded_ = false;
};

}  // namespace cmd
