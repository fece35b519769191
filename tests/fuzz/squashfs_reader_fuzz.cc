// SPDX-License-Identifier: Apache-2.0
// A squashfs image of arbitrary bytes: walk everything, look everything up, read from every file.
// Ends in values or in base::Error with an errno, and what is listed is found again.
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sif/image_tree.h"
#include "sif/squashfs_reader.h"
#include "tests/fuzz/attempt.h"

namespace {

constexpr int kMaxDirectories = 64;
constexpr int kMaxEntries = 512;

void read_some(const sif::SquashfsReader& reader, const sif::InodeAttributes& inode) {
  std::array<std::byte, 8192> buffer{};
  for (const std::uint64_t offset : {std::uint64_t{0}, inode.size / 2, inode.size - 1}) {
    attempt([&] { reader.read_file(inode.ref, offset, buffer); });
    attempt([&] { reader.read_file(inode.ref, offset & ~std::uint64_t{4095}, buffer); });
  }
}

void visit(const sif::SquashfsReader& reader, sif::InodeRef ref,
           std::vector<sif::InodeRef>& directories) {
  const sif::InodeAttributes inode = reader.attributes(ref);
  attempt([&] { reader.xattrs(inode); });
  if (inode.type == sif::FileType::directory) directories.push_back(ref);
  if (inode.type == sif::FileType::symlink) attempt([&] { reader.symlink_target(ref); });
  if (inode.type == sif::FileType::regular) read_some(reader, inode);
}

void walk(const sif::SquashfsReader& reader) {
  std::vector<sif::InodeRef> directories = {reader.root()};
  // The stored index of a large directory may lie; small ones are searched entry by entry.
  constexpr std::uint64_t kIndexedListing = 3 * sif::kMetadataBlockSize;
  int entries = 0;
  for (std::size_t i = 0; i < directories.size() && i < kMaxDirectories; ++i) {
    const sif::InodeRef directory = directories[i];
    std::uint64_t cookie = 0;
    bool progress = true;
    const bool has_index = reader.attributes(directory).size > kIndexedListing;
    while (progress && entries < kMaxEntries) {
      progress = false;
      attempt([&] {
        int in_this_call = 0;
        reader.list(directory, cookie, [&](const sif::SquashfsReader::Entry& entry) {
          progress = true;
          cookie = entry.next_cookie;
          attempt([&] {
            const bool found = reader.find_entry(directory, std::string(entry.name)).has_value();
            if (!found && !has_index) __builtin_trap();
          });
          attempt([&] { visit(reader, entry.ref, directories); });
          ++entries;
          return ++in_this_call < 7;  // resume often
        });
      });
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int fd = ::memfd_create("image", MFD_CLOEXEC);
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, data, size, 0) != static_cast<ssize_t>(size))
    return 0;
  attempt([&] {
    const sif::SquashfsReader reader(fd, 0, size, "image");
    walk(reader);
    attempt([&] { reader.packed_files(); });
    attempt([&] { sif::ImageTree{reader}; });
  });
  return 0;
}
