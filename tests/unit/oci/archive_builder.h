// SPDX-License-Identifier: Apache-2.0
// tar archives in memory for the tests of what reads them.
#pragma once

#include <sys/mman.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <string>

#include "base/syscalls.h"
#include "oci/file_source.h"

namespace oci {

class ArchiveBuilder {
 public:
  ArchiveBuilder& file(const std::string& name, const std::string& data) {
    return add(name, '0', data, "");
  }
  ArchiveBuilder& symlink(const std::string& name, const std::string& target) {
    return add(name, '2', "", target);
  }
  ArchiveBuilder& folder(const std::string& name) { return add(name, '5', "", ""); }
  std::string bytes() const { return bytes_ + std::string(1024, '\0'); }

 private:
  ArchiveBuilder& add(const std::string& name, char type, const std::string& data,
                      const std::string& target) {
    std::array<char, 512> header{};
    name.copy(header.data(), 100);
    std::snprintf(header.data() + 100, 48, "0000644%c0000000%c0000000%c%011zo%c%011o", 0, 0, 0,
                  data.size(), 0, 0);
    std::memset(header.data() + 148, ' ', 8);
    header[156] = type;
    target.copy(header.data() + 157, 100);
    std::memcpy(header.data() + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    std::snprintf(header.data() + 148, 8, "%06o", sum);
    bytes_.append(header.data(), header.size()).append(data);
    bytes_.resize((bytes_.size() + 511) / 512 * 512);
    return *this;
  }

  std::string bytes_;
};

inline FileSource memory_file(const std::string& bytes, const std::string& name = "test.tar") {
  auto file = std::make_shared<const base::UniqueFd>(::memfd_create("test", MFD_CLOEXEC));
  base::write_all(file->get(), bytes, name);
  return {std::move(file), 0, bytes.size(), name};
}

// The message of the Error that `action` throws, and its hint; "no error" if it throws none.
template <typename Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const base::Error& problem) {
    return problem.what() + (problem.hint().empty() ? "" : "\nhint: " + problem.hint());
  }
  return "no error";
}

}  // namespace oci
