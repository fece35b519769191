// SPDX-License-Identifier: Apache-2.0
// Packs a directory of this machine into a squashfs with our writer: what mksquashfs does, so that
// both can be measured on the same tree. Prints one line of figures.
//   pack_directory DIRECTORY IMAGE CODEC LEVEL BLOCK_SIZE THREADS
#include <fcntl.h>
#include <sys/resource.h>

#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "sif/folder_tree.h"
#include "sif/squashfs_writer.h"

namespace {

sif::Codec codec_named(const std::string& name) {
  for (const sif::Codec codec :
       {sif::Codec::gzip, sif::Codec::xz, sif::Codec::lz4, sif::Codec::zstd})
    if (name == sif::codec_name(codec)) return codec;
  throw base::error("unknown codec ", name);
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

void pack(const std::vector<std::string>& arguments) {
  if (arguments.size() != 7)
    throw base::error("usage: pack_directory DIRECTORY IMAGE CODEC LEVEL BLOCK_SIZE THREADS");
  const sif::FolderTree directory(arguments[1]);
  const base::UniqueFd fd = base::open_file(arguments[2], O_RDWR | O_CREAT | O_TRUNC, 0644);
  const sif::SquashfsOptions options{
      .codec = codec_named(arguments[3]),
      .level = std::stoi(arguments[4]),
      .block_size = static_cast<std::uint32_t>(std::stoul(arguments[5])),
      .threads = static_cast<unsigned>(std::stoul(arguments[6]))};
  sif::WriteProgress progress;
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  const auto start = std::chrono::steady_clock::now();
  const sif::SquashfsStats stats =
      sif::write_squashfs(directory.tree, fd.get(), 0, options, progress);
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  ::getrusage(RUSAGE_SELF, &after);
  std::cout << "image " << stats.image_bytes << " input " << stats.input_bytes << " duplicate "
            << stats.duplicate_bytes << " inodes " << stats.inodes << " wall " << wall.count()
            << " user " << seconds(after.ru_utime) - seconds(before.ru_utime) << " system "
            << seconds(after.ru_stime) - seconds(before.ru_stime) << " rss_kib " << after.ru_maxrss
            << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  try {
    pack({argv, argv + argc});
    return 0;
  } catch (const base::Error& error) {
    base::log_fatal(error);
    return 1;
  }
}
