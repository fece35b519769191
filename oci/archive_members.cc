// SPDX-License-Identifier: Apache-2.0
#include "oci/archive_members.h"

#include <array>
#include <utility>

#include "base/error.h"
#include "base/path_walk.h"
#include "oci/tar_reader.h"

namespace oci {
namespace {

constexpr std::size_t kTarMagicOffset = 257;
constexpr std::string_view kTarMagic = "ustar";
constexpr std::size_t kSifMagicOffset = 32;
constexpr std::string_view kSifMagic = "SIF_MAGIC";

// Every tar writer since 1988 leaves its magic, so a file without it gets a message of its own
// rather than one about checksums.
void require_tar(const FileSource& archive) {
  const std::string name = base::printable(archive.name());
  if (archive.size() == 0) throw base::error(name, " is empty");
  std::array<char, 512> block{};
  const std::size_t count = std::min<std::size_t>(archive.size(), block.size());
  archive.read_at(0, std::as_writable_bytes(std::span(block)).first(count));
  const std::string_view start(block.data(), block.size());
  if (start.substr(kTarMagicOffset, kTarMagic.size()) == kTarMagic) return;
  if (start.substr(kSifMagicOffset, kSifMagic.size()) == kSifMagic)
    throw base::error(name, " is a SIF image already");
  if (start.find_first_not_of('\0') == std::string_view::npos && count == block.size()) return;
  throw base::error(name, " is not a tar archive")
      .with_hint("sifconv reads what `docker save IMAGE -o FILE` writes");
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

// Sparse members are not; no writer of image archives makes one.
bool is_contiguous(const TarEntry& entry) {
  return entry.size == 0 || (entry.extents.size() == 1 && entry.extents.front().file_offset == 0 &&
                             entry.extents.front().length == entry.size);
}

}  // namespace

ArchiveMembers::ArchiveMembers(FileSource archive, std::unique_ptr<MemberHasher> hasher)
    : archive_(std::move(archive)), hasher_(std::move(hasher)) {
  require_tar(archive_);
  TarReader reader(archive_, archive_.size(), archive_.name());
  while (std::optional<TarEntry> entry = reader.next()) {
    const std::optional<std::string> path = clean_member_path(entry->path);
    if (!path) continue;  // nothing can refer to it
    Member member{.offset = entry->data_offset, .size = entry->size};
    member.is_file = entry->type == EntryType::regular;
    member.is_sparse = member.is_file && !is_contiguous(*entry);
    if (entry->type == EntryType::symlink)
      member.link_target = parent_of(*path) + entry->link_target;
    if (entry->type == EntryType::symlink && entry->link_target.starts_with('/'))
      member.link_target = entry->link_target;
    if (entry->type == EntryType::hard_link) member.link_target = entry->link_target;
    members_.insert_or_assign(*path, std::move(member));
    if (members_.size() > kMaxArchiveMembers) {
      throw base::error(base::printable(archive_.name()), " has more than ", kMaxArchiveMembers,
                        " members");
    }
  }
  if (!reader.saw_end_marker()) {
    throw base::error(base::printable(archive_.name()),
                      " is truncated: the end-of-archive marker is missing after ", archive_.size(),
                      " bytes")
        .with_hint("the copy or the download was probably cut short");
  }
}

bool ArchiveMembers::contains(const std::string& path) const { return members_.contains(path); }

FileSource ArchiveMembers::open(const std::string& path, std::string_view what,
                                std::string_view document) const {
  const std::string place = base::cat(base::printable(archive_.name()), ": ", document, " names ",
                                      what, " ", base::printable(path));
  std::string wanted = path;
  for (int hop = 0; hop <= base::kMaxLinks; ++hop) {
    const std::optional<std::string> clean = clean_member_path(wanted);
    // A link may climb within the archive ("../abc/layer.tar"), a document has no reason to.
    if (!clean || (hop == 0 && base::cat("/", wanted, "/").find("/../") != std::string::npos))
      throw base::error(place, ", which leads out of the archive");
    const auto member = members_.find(*clean);
    if (member == members_.end()) {
      throw base::error(place, ", which is missing in the archive",
                        hop == 0 ? "" : " (through a link to " + base::printable(wanted) + ")");
    }
    if (member->second.link_target.empty()) {
      if (!member->second.is_file) throw base::error(place, ", which is not a regular file");
      if (member->second.is_sparse) {
        throw base::error(place, ", which is stored as a sparse file")
            .with_hint("pack the archive anew without --sparse (-S)");
      }
      return archive_.part(member->second.offset, member->second.size,
                           archive_.name() + ": " + *clean);
    }
    wanted = member->second.link_target;
  }
  throw base::error(place, ", which is a loop of links");
}

std::string ArchiveMembers::computed_digest(const FileSource& member) const {
  return hasher_ ? hasher_->digest(member.place().second) : "";
}

}  // namespace oci
