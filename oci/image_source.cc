// SPDX-License-Identifier: Apache-2.0
#include "oci/image_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "base/output_file.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "oci/archive_members.h"
#include "oci/docker_engine.h"
#include "oci/json.h"
#include "oci/layout_folder.h"
#include "oci/registry_members.h"

namespace oci {
namespace {

constexpr std::size_t kSpoolChunk = 1 << 20;
struct TransportRow {
  std::string_view prefix;
  Transport transport;
};
constexpr std::array<TransportRow, 5> kTransports = {{
    {"docker-archive:", Transport::archive},
    {"oci-archive:", Transport::archive},
    {"oci:", Transport::layout_folder},
    {"docker-daemon:", Transport::engine},
    {"docker://", Transport::registry},
}};
constexpr std::array<std::string_view, 8> kForeignTransports = {
    "dir:",    "containers-storage:", "library://", "oras://", "shub://", "ipfs://", "http://",
    "https://"};
constexpr std::array<std::string_view, 14> kEndings = {
    ".tar.gz", ".tar.zst", ".tar.xz", ".tar.bz2", ".tar.lz4", ".tgz", ".tzst",
    ".txz",    ".tbz2",    ".tar",    ".gz",      ".zst",     ".xz",  ".bz2"};

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
    text.remove_prefix(prefix.size());
    if (text.starts_with("//")) text.remove_prefix(2);
    if (text.empty()) throw base::error("SOURCE names nothing after ", prefix);
    const bool is_name = transport == Transport::engine || transport == Transport::registry;
    if (is_name) return {std::string(text), "", transport};
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
  return path == "-" ? "standard input" : path;
}

std::string default_destination(const SourceSpec& source) {
  if (source.path == "-") throw base::error("DEST is needed when SOURCE is standard input");
  std::string name = source.path;
  while (name.ends_with('/')) name.pop_back();
  name = name.substr(name.rfind('/') + 1);
  if (source.transport == Transport::engine || source.transport == Transport::registry) {
    std::ranges::replace(name, ':', '_');
    std::ranges::replace(name, '@', '_');
  }
  for (const std::string_view ending : kEndings) {
    if (name.size() <= ending.size() || !name.ends_with(ending)) continue;
    name.resize(name.size() - ending.size());
    break;
  }
  return name + ".sif";
}

namespace {

// Gives the number of bytes.
std::uint64_t write_stream(const ReadStream& stream, int file, const std::string& folder,
                           Sha256* hash) {
  std::vector<std::byte> chunk(kSpoolChunk);
  std::uint64_t size = 0;
  for (std::size_t count; (count = stream(chunk)) > 0; size += count) {
    const std::span<const std::byte> data = std::span(chunk).first(count);
    if (hash != nullptr) hash->update(data);
    base::write_all(file, data, "a temporary file in " + folder);
  }
  return size;
}

// Without copying it here. Stops early, having lost nothing, where the file system cannot do that
// or `input` is no pipe.
std::uint64_t splice_pipe(int input, int file, const std::string& folder,
                          ConvertProgress& progress) {
  for (std::uint64_t size = 0;;) {
    const ssize_t count = ::splice(input, nullptr, file, nullptr, kSpoolChunk, SPLICE_F_MOVE);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno != EINVAL && errno != EAGAIN)
      throw base::errno_error(errno, "cannot write a temporary file in ", base::printable(folder));
    if (count <= 0) return size;
    size += static_cast<std::uint64_t>(count);
    progress.read_done += static_cast<std::uint64_t>(count);
  }
}

}  // namespace

FileSource spool(Compression compression, const ReadStream& input, const std::string& folder,
                 const std::string& name, Sha256* hash) {
  auto file = std::make_shared<const base::UniqueFd>(base::make_unnamed_file(folder));
  ReadStream stream = input;
  std::optional<Inflater> inflater;
  if (compression != Compression::none) {
    inflater.emplace(compression, input, name);
    stream = [&](std::span<std::byte> out) { return inflater->read(out); };
  }
  const std::uint64_t size = write_stream(stream, file->get(), folder, hash);
  return {std::move(file), 0, size, name};
}

namespace {

// What cannot be read twice; `start` was read already.
FileSource spool_pipe(int pipe, std::span<const std::byte> start, Compression compression,
                      const std::string& folder, const std::string& name,
                      ConvertProgress& progress) {
  const ReadStream rest = [&](std::span<std::byte> out) {
    const std::size_t count = base::read_up_to(pipe, out, name);
    progress.read_done += count;
    return count;
  };
  if (compression == Compression::none) {
    auto file = std::make_shared<const base::UniqueFd>(base::make_unnamed_file(folder));
    base::write_all(file->get(), start, "a temporary file in " + folder);
    std::uint64_t size = start.size() + splice_pipe(pipe, file->get(), folder, progress);
    size += write_stream(rest, file->get(), folder, nullptr);
    return {std::move(file), 0, size, name};
  }
  std::size_t given_back = 0;
  const ReadStream whole = [&](std::span<std::byte> out) {
    const std::size_t again = std::min(out.size(), start.size() - given_back);
    std::copy_n(start.begin() + static_cast<std::ptrdiff_t>(given_back), again, out.begin());
    given_back += again;
    return again + rest(out.subspan(again));
  };
  return spool(compression, whole, folder, name);
}

FileSource open_archive(const SourceSpec& source, const std::string& spool_folder,
                        ConvertProgress& progress) {
  const std::string name = source.name();
  auto file = std::make_shared<const base::UniqueFd>(open_source(source.path));
  const std::optional<std::uint64_t> size = seekable_size(file->get(), name);
  std::array<std::byte, kMagicSize> start{};
  if (!size) {
    ::fcntl(file->get(), F_SETPIPE_SZ, kSpoolChunk);  // less waking; for pipes that may have it
    const std::size_t start_size = base::read_up_to(file->get(), start, name);
    const std::span<const std::byte> magic = std::span(start).first(start_size);
    return spool_pipe(file->get(), magic, detect_compression(magic), spool_folder, name, progress);
  }
  const std::size_t start_size = base::pread_up_to(file->get(), start, 0, name);
  const Compression compression = detect_compression(std::span(start).first(start_size));
  if (compression == Compression::none) return {std::move(file), 0, *size, name};
  progress.read_total = *size;
  const ReadStream input = [&](std::span<std::byte> out) {
    const std::size_t count = base::read_up_to(file->get(), out, name);
    progress.read_done += count;
    return count;
  };
  return spool(compression, input, spool_folder, name);
}

FileSource fetch_archive(const SourceSpec& source, const std::string& spool_folder,
                         ConvertProgress& progress) {
  const ReadStream archive = DockerEngine(docker_host()).save(source.path);
  const ReadStream counted = [&](std::span<std::byte> out) {
    const std::size_t count = archive(out);
    progress.read_done += count;
    return count;
  };
  return spool(Compression::none, counted, spool_folder, source.name());
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
    case Transport::layout_folder:
      return source.reference + " " +
             sha256_digest(base::read_small_file(source.path + "/index.json", kMaxJsonSize));
    default: {
      const base::UniqueFd file = base::open_file(source.path, O_RDONLY | O_NONBLOCK);
      const struct stat status = base::file_status(file.get(), source.path);
      // The device is left out: it differs between the nodes that share a home.
      return base::cat("file ", status.st_ino, " ", status.st_size, " ", status.st_mtim.tv_sec, ".",
                       status.st_mtim.tv_nsec, " ", status.st_ctim.tv_sec, ".",
                       status.st_ctim.tv_nsec, " ", source.reference);
    }
  }
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
      return std::make_unique<ArchiveMembers>(fetch_archive(source, spool_folder, progress));
    default:
      return std::make_unique<ArchiveMembers>(open_archive(source, spool_folder, progress));
  }
}

}  // namespace oci
