// SPDX-License-Identifier: Apache-2.0
#include "runtime/image_extract.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/syscalls.h"
#include "runtime/user_cache.h"
#include "sif/folder_writer.h"
#include "sif/image_tree.h"

namespace runtime {
namespace {

// What tells this image from any other: the file's identity and all its metadata, which holds every
// block's size. The device number is left out: it differs between the nodes that share a home.
std::string image_key(const sif::ImageFile& image) {
  constexpr std::uint64_t kMaxHashed = 4 << 20;  // superblock, and the tables at the end
  const struct stat status = base::file_status(image.fd.get(), image.path);
  std::vector<std::byte> bytes(std::min(image.size, kMaxHashed));
  base::pread_exactly(image.fd.get(), bytes, image.offset + image.size - bytes.size(), image.path);
  const std::string identity =
      base::cat(status.st_ino, ' ', status.st_size, ' ', status.st_mtim.tv_sec, ' ',
                status.st_mtim.tv_nsec, ' ', image.offset, ' ', image.size);
  base::Sha256 hash;
  hash.update(identity);
  hash.update(bytes);
  return hash.digest().substr(std::string_view("sha256:").size());
}

void remove_leftovers(const std::string& folder, const std::string& prefix) {
  std::error_code ignored;
  for (const std::string& name : base::readable_names(folder))
    if (name.starts_with(prefix))
      std::filesystem::remove_all(base::cat(folder, "/", name), ignored);
}

// Readable for their owner, and to be removed by him.
constexpr sif::FolderOptions kReadable{.of_folders = 0700, .of_files = 0400};

void extract_tree(const sif::ImageFile& image, const std::string& folder) {
  const base::UniqueFd fd = base::open_file(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  const sif::SquashfsReader reader(image.fd.get(), image.offset, image.size, image.path);
  sif::WriteProgress progress;
  sif::write_folder(sif::ImageTree(reader).tree, fd.get(), kReadable, progress);
  // The folder's name will say that all is there, were it after a crash.
  if (::syncfs(fd.get()) != 0)
    throw base::errno_error(errno, "cannot write ", base::printable(folder));
}

}  // namespace

std::string open_extracted_image(const sif::ImageFile& image, const std::string& cache_folder) {
  const base::UniqueFd cache = open_user_cache(cache_folder);
  const std::string key = image_key(image);
  const std::string tree = cache_folder + "/" + key;
  if (base::find_status(tree)) return tree;

  const base::UniqueFd lock =
      base::open_file(cache_folder + "/" + key + ".lock", O_RDWR | O_CREAT, 0600);
  // Some network file systems have no locks; then two starts may both extract, and one wins.
  const bool is_locked = ::flock(lock.get(), LOCK_EX) == 0;
  if (base::find_status(tree)) return tree;
  if (is_locked) remove_leftovers(cache_folder, key + ".part");

  base::log_info("Extracting the image once to ", base::printable(tree));
  std::string part = tree + ".partXXXXXX";
  if (::mkdtemp(part.data()) == nullptr)
    throw base::errno_error(errno, "cannot make a folder in ", base::printable(cache_folder));
  try {
    extract_tree(image, part);
    if (::rename(part.c_str(), tree.c_str()) != 0 && !base::find_status(tree))
      throw base::errno_error(errno, "cannot rename ", base::printable(part));
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove_all(part, ignored);
    throw;
  }
  std::error_code ignored;
  std::filesystem::remove_all(part, ignored);  // still there only if another start was faster
  ::unlink((tree + ".lock").c_str());
  return tree;
}

}  // namespace runtime
