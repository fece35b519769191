// SPDX-License-Identifier: Apache-2.0
// Any bytes as a tar archive: reading ends in entries or in base::Error, and the data of every
// entry lie within the archive. Checksums are corrected first, or hardly any input would get past
// them.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.h"
#include "oci/layer.h"

namespace {

constexpr std::size_t kBlock = oci::kTarBlockSize;

class Source : public sif::DataSource {
 public:
  explicit Source(std::string bytes) : bytes_(std::move(bytes)) {}
  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) std::abort();
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
  }
  std::uint64_t size() const { return bytes_.size(); }

 private:
  std::string bytes_;
};

// Every block with a blank checksum field may be a header.
void correct_checksums(std::string& bytes) {
  for (std::size_t at = 0; at + kBlock <= bytes.size(); at += kBlock) {
    char* field = bytes.data() + at + 148;
    if (std::all_of(bytes.data() + at, bytes.data() + at + kBlock, [](char c) { return c == 0; })) {
      continue;
    }
    std::memset(field, ' ', 8);
    unsigned sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i) sum += static_cast<unsigned char>(bytes[at + i]);
    std::array<char, 8> text;
    std::snprintf(text.data(), text.size(), "%06o", sum);
    std::memcpy(field, text.data(), 7);
  }
}

void check(const oci::TarEntry& entry, std::uint64_t archive_size) {
  std::uint64_t position = 0;
  for (const sif::DataExtent& extent : entry.extents) {
    const bool ordered = extent.file_offset >= position && extent.length > 0;
    const bool in_file =
        extent.file_offset <= entry.size && extent.length <= entry.size - extent.file_offset;
    const bool in_archive = extent.source_offset <= archive_size &&
                            extent.length <= archive_size - extent.source_offset;
    if (!ordered || !in_file || !in_archive) std::abort();
    position = extent.file_offset + extent.length;
  }
  if (entry.type != oci::EntryType::regular && entry.size != 0) std::abort();
}

}  // namespace

// The first byte says whether checksums are corrected.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 4 != 0) correct_checksums(bytes);
  const Source source(std::move(bytes));
  try {
    for (const oci::TarEntry& entry : oci::index_layer(source, source.size(), "fuzz").entries) {
      check(entry, source.size());
    }
  } catch (const base::Error&) {
  }
  return 0;
}
