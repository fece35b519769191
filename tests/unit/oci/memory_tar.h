// SPDX-License-Identifier: Apache-2.0
// Tar archives in memory for the tests, written field by field so that they may also be wrong.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "sif/tree.h"

namespace oci {

class MemorySource : public sif::DataSource {
 public:
  explicit MemorySource(std::string bytes) : bytes_(std::move(bytes)) {}
  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
      throw base::error("read outside the source");
    }
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
    bytes_read += out.size();
  }
  std::uint64_t size() const { return bytes_.size(); }
  mutable std::uint64_t bytes_read = 0;

 private:
  std::string bytes_;
};

// An inode's or entry's bytes, holes as NULs.
inline std::string content_of(const sif::DataSource* source, std::uint64_t size,
                              const std::vector<sif::DataExtent>& extents) {
  std::string content(size, '\0');
  for (const sif::DataExtent& extent : extents) {
    source->read_at(
        extent.source_offset,
        std::as_writable_bytes(std::span(content)).subspan(extent.file_offset, extent.length));
  }
  return content;
}

struct TestHeader {
  std::string name;
  char type = '0';
  std::string data = {};
  std::string link = {};
  std::int64_t size = -1;  // -1: the data's
  std::uint32_t mode = 0644, uid = 0, gid = 0;
  std::uint64_t mtime = 0;
  std::string magic = std::string("ustar\00000", 8);
  std::string tail = {};  // from byte 345
};

inline void set_field(std::string& block, std::size_t offset, std::string_view value) {
  block.replace(offset, value.size(), value);
}

inline std::string octal(std::uint64_t value, int width) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llo", width - 1, static_cast<unsigned long long>(value));
  return text;
}

inline std::string with_checksum(std::string block) {
  set_field(block, 148, "        ");
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  set_field(block, 148, octal(sum, 7) + std::string(1, '\0'));
  return block;
}

inline std::string padded(std::string data) {
  data.resize((data.size() + 511) / 512 * 512);
  return data;
}

inline std::string tar_header(const TestHeader& header) {
  std::string block(512, '\0');
  set_field(block, 0, header.name.substr(0, 100));
  set_field(block, 100, octal(header.mode, 8));
  set_field(block, 108, octal(header.uid, 8));
  set_field(block, 116, octal(header.gid, 8));
  const auto size = header.size < 0 ? header.data.size() : static_cast<std::uint64_t>(header.size);
  set_field(block, 124, octal(size, 12));
  set_field(block, 136, octal(header.mtime, 12));
  block[156] = header.type;
  set_field(block, 157, header.link.substr(0, 100));
  set_field(block, 257, header.magic);
  set_field(block, 345, header.tail);
  return with_checksum(block);
}

inline std::string tar_member(const TestHeader& header) {
  return tar_header(header) + padded(header.data);
}

inline std::string pax_record(const std::string& key, const std::string& value) {
  const std::string body = " " + key + "=" + value + "\n";
  std::size_t length = body.size() + 1;
  while (length != body.size() + std::to_string(length).size()) {
    length = body.size() + std::to_string(length).size();
  }
  return std::to_string(length) + body;
}

inline std::string pax_member(const std::string& records, char type = 'x') {
  return tar_member({.name = "PaxHeaders/x", .type = type, .data = records});
}

inline std::string gnu_magic() { return std::string("ustar  \0", 8); }

inline std::string gnu_long(char type, const std::string& text) {
  return tar_member({.name = "././@LongLink",
                     .type = type,
                     .data = text + std::string(1, '\0'),
                     .magic = gnu_magic()});
}

inline std::string end_marker() { return std::string(1024, '\0'); }

}  // namespace oci
