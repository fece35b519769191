// SPDX-License-Identifier: Apache-2.0
#include "oci/image_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "base/syscalls.h"
#include "base/text.h"
#include "net/http.h"
#include "oci/archive_members.h"
#include "oci/decompress.h"
#include "oci/docker_engine.h"
#include "oci/json.h"
#include "oci/layout_folder.h"
#include "oci/member_hasher.h"
#include "oci/ready_image.h"
#include "oci/registry_members.h"
#include "oci/spool_file.h"

namespace oci {
namespace {

constexpr int kPipeSize = 1 << 20;
struct TransportRow {
  std::string_view prefix;
  Transport transport;
};
constexpr std::array<TransportRow, 8> kTransports = {{
    {"docker-archive:", Transport::archive},
    {"oci-archive:", Transport::archive},
    {"oci:", Transport::layout_folder},
    {"docker-daemon:", Transport::engine},
    {"docker://", Transport::registry},
    {"oras://", Transport::oras},
    {"http://", Transport::web},
    {"https://", Transport::web},
}};
constexpr std::array<std::string_view, 5> kForeignTransports = {
    "dir:", "containers-storage:", "library://", "shub://", "ipfs://"};
constexpr std::array<std::string_view, 14> kEndings = {
    ".tar.gz", ".tar.zst", ".tar.xz", ".tar.bz2", ".tar.lz4", ".tgz", ".tzst",
    ".txz",    ".tbz2",    ".tar",    ".gz",      ".zst",     ".xz",  ".bz2"};

// By an image's name, in place of a file's.
bool is_named(Transport transport) {
  return transport == Transport::engine || transport == Transport::registry ||
         transport == Transport::oras;
}

// FILE[:ref]: a file's name may hold a colon itself, so an existing file wins.
SourceSpec split_reference(std::string_view text, Transport transport) {
  const std::string whole(text);
  if (base::find_status(whole)) return {whole, "", transport};
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return {whole, "", transport};
  return {std::string(text.substr(0, colon)), std::string(text.substr(colon + 1)), transport};
}

base::UniqueFd open_source(const std::string& path) {
  if (path != "-") {
    base::UniqueFd file = base::open_file(path, O_RDONLY);
    if (S_ISDIR(base::file_status(file.get(), path).st_mode)) {
      throw base::error(base::printable(path), " is a folder, not an image archive")
          .with_hint("sifconv reads what `docker save IMAGE -o FILE` writes");
    }
    return file;
  }
  if (::isatty(STDIN_FILENO) == 1) {
    throw base::error("standard input is a terminal, not an image archive")
        .with_hint("docker save IMAGE | sifconv - image.sif");
  }
  base::UniqueFd file(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
  if (!file) throw base::errno_error(errno, "cannot read standard input");
  return file;
}

// A regular file can be read in place if we stand at its beginning (`sifconv - < x.tar`).
std::optional<std::uint64_t> seekable_size(int fd, const std::string& name) {
  const struct stat status = base::file_status(fd, name);
  if (!S_ISREG(status.st_mode) || ::lseek(fd, 0, SEEK_CUR) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace

SourceSpec parse_source(std::string_view text) {
  if (text.empty()) throw base::error("SOURCE is empty");
  for (const auto& [prefix, transport] : kTransports) {
    if (!text.starts_with(prefix)) continue;
    if (transport == Transport::web) {
      const net::UrlWithUser parts = net::take_user(text);
      net::parse_url(parts.address);  // throws for what is no address
      SourceSpec source{parts.address, "", transport};
      if (!parts.user.empty())
        source.authorization = net::basic_authorization(parts.user, parts.password);
      return source;
    }
    text.remove_prefix(prefix.size());
    if (text.starts_with("//")) text.remove_prefix(2);
    if (text.empty()) throw base::error("SOURCE names nothing after ", prefix);
    if (is_named(transport)) return {std::string(text), "", transport};
    return split_reference(text, transport);
  }
  for (const std::string_view transport : kForeignTransports) {
    if (text.starts_with(transport)) {
      throw base::error("SOURCE ", base::printable(text), ": ", transport, " is not supported")
          .with_hint("docker save IMAGE | sifconv - image.sif");
    }
  }
  return {std::string(text), ""};
}

bool has_transport(std::string_view text) {
  const auto is_prefix = [&](std::string_view prefix) { return text.starts_with(prefix); };
  return std::ranges::any_of(kTransports, is_prefix, &TransportRow::prefix) ||
         std::ranges::any_of(kForeignTransports, is_prefix);
}

std::string SourceSpec::name() const {
  if (transport == Transport::engine) return "docker-daemon:" + path;
  if (transport == Transport::registry) return "docker://" + path;
  if (transport == Transport::oras) return "oras://" + path;
  return path == "-" ? "standard input" : path;
}

std::string_view activity(const SourceSpec& source) {
  if (source.transport == Transport::oras) return "Downloading oras image";
  if (source.transport == Transport::web) return "Downloading network image";
  return "Converting OCI blobs to SIF format";
}

std::string default_destination(const SourceSpec& source) {
  if (source.path == "-") throw base::error("DEST is needed when SOURCE is standard input");
  std::string name = source.path;
  while (name.ends_with('/')) name.pop_back();
  name = name.substr(name.rfind('/') + 1);
  if (is_named(source.transport)) {
    std::ranges::replace(name, ':', '_');
    std::ranges::replace(name, '@', '_');
  }
  if (is_ready_made(source) && name.ends_with(".sif")) return name;
  for (const std::string_view ending : kEndings) {
    if (name.size() <= ending.size() || !name.ends_with(ending)) continue;
    name.resize(name.size() - ending.size());
    break;
  }
  return name + ".sif";
}

namespace {

ReadStream counted_reads(int file, const std::string& name, ConvertProgress& progress) {
  return [file, &name, &progress](std::span<std::byte> out) {
    const std::size_t count = base::read_up_to(file, out, name);
    progress.read_done += count;
    return count;
  };
}

// The members of an archive that cannot be read in place; `fill` writes it.
std::unique_ptr<ImageMembers> spool_members(const std::string& folder, const std::string& name,
                                            const std::function<void(SpoolFile&)>& fill) {
  const auto archive = std::make_shared<SpoolFile>(folder);
  auto hasher = std::make_unique<MemberHasher>(archive);
  fill(*archive);
  archive->end();
  return std::make_unique<ArchiveMembers>(archive->source(name), std::move(hasher));
}

std::unique_ptr<ImageMembers> spool_pipe(int pipe, const std::string& folder,
                                         const std::string& name, ConvertProgress& progress) {
  ::fcntl(pipe, F_SETPIPE_SZ, kPipeSize);  // less waking; for pipes that may have it
  std::array<std::byte, kMagicSize> magic{};
  const std::span<const std::byte> start =
      std::span(magic).first(base::read_up_to(pipe, magic, name));
  const Compression compression = detect_compression(start);
  const ReadStream rest = counted_reads(pipe, name, progress);
  if (compression == Compression::none) {
    return spool_members(folder, name, [&](SpoolFile& archive) {
      archive.append(start);
      archive.append_pipe(pipe, progress.read_done);
      archive.append_stream(rest);
    });
  }
  std::size_t given_back = 0;
  const ReadStream whole = [&](std::span<std::byte> out) {
    const std::size_t again = std::min(out.size(), start.size() - given_back);
    std::copy_n(start.begin() + static_cast<std::ptrdiff_t>(given_back), again, out.begin());
    given_back += again;
    return again + rest(out.subspan(again));
  };
  return spool_members(folder, name, [&](SpoolFile& archive) {
    archive.append_stream(inflated_stream(compression, whole, name));
  });
}

std::unique_ptr<ImageMembers> open_archive(const SourceSpec& source, const std::string& folder,
                                           ConvertProgress& progress) {
  const std::string name = source.name();
  auto file = std::make_shared<const base::UniqueFd>(open_source(source.path));
  const std::optional<std::uint64_t> size = seekable_size(file->get(), name);
  if (!size) return spool_pipe(file->get(), folder, name, progress);
  std::array<std::byte, kMagicSize> magic{};
  const std::size_t magic_size = base::pread_up_to(file->get(), magic, 0, name);
  const Compression compression = detect_compression(std::span(magic).first(magic_size));
  if (compression == Compression::none)
    return std::make_unique<ArchiveMembers>(FileSource(std::move(file), 0, *size, name));
  progress.read_total = *size;
  return spool_members(folder, name, [&](SpoolFile& archive) {
    archive.append_stream(
        inflated_stream(compression, counted_reads(file->get(), name, progress), name));
  });
}

std::unique_ptr<ImageMembers> fetch_archive(const SourceSpec& source, const std::string& folder,
                                            ConvertProgress& progress) {
  const ReadStream answer = DockerEngine(docker_host()).save(source.path);
  return spool_members(folder, source.name(), [&](SpoolFile& archive) {
    archive.append_stream([&](std::span<std::byte> out) {
      const std::size_t count = answer(out);
      progress.read_done += count;
      return count;
    });
  });
}

}  // namespace

std::string source_identity(const SourceSpec& source) {
  switch (source.transport) {
    case Transport::registry: {
      const RegistryReference reference = parse_reference(source.path);
      RegistryClient client(reference, source.registry);
      return reference.text + " " + client.resolve(reference.version());
    }
    case Transport::engine:
      return source.path + " " + DockerEngine(docker_host()).image_id(source.path);
    case Transport::oras:
    case Transport::web:
      return ready_made_identity(source);
    case Transport::layout_folder:
      return source.reference + " " +
             sha256_digest(base::read_small_file(source.path + "/index.json", kMaxJsonSize));
    case Transport::file:
    case Transport::archive:
      break;
  }
  const base::UniqueFd file = base::open_file(source.path, O_RDONLY | O_NONBLOCK);
  const struct stat status = base::file_status(file.get(), source.path);
  // The device is left out: it differs between the nodes that share a home.
  return base::cat("file ", status.st_ino, " ", status.st_size, " ", status.st_mtim.tv_sec, ".",
                   status.st_mtim.tv_nsec, " ", status.st_ctim.tv_sec, ".", status.st_ctim.tv_nsec,
                   " ", source.reference);
}

std::unique_ptr<ImageMembers> open_members(const SourceSpec& source,
                                           const std::string& spool_folder,
                                           ConvertProgress& progress) {
  switch (source.transport) {
    case Transport::layout_folder:
      return std::make_unique<LayoutFolder>(source.path);
    case Transport::registry:
      return std::make_unique<RegistryMembers>(parse_reference(source.path), source.registry,
                                               spool_folder, progress.read_done,
                                               progress.read_total);
    case Transport::engine:
      return fetch_archive(source, spool_folder, progress);
    case Transport::file:
    case Transport::archive:
    case Transport::oras:  // fetched by now
    case Transport::web:
      break;
  }
  return open_archive(source, spool_folder, progress);
}

}  // namespace oci
