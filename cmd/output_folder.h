// SPDX-License-Identifier: Apache-2.0
// A folder that appears under its name when it is complete; until then it lies hidden beside it.
#pragma once

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
  // Removes what has no name yet, as far as that is possible; from any thread.
  void discard() noexcept;

 private:
  void replace();

  std::string path_, parent_, part_;
  base::Existing existing_;
  base::UniqueFd fd_;
};

}  // namespace cmd
