// SPDX-License-Identifier: Apache-2.0
#include "cmd/sifconv.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/output_file.h"
#include "base/syscalls.h"
#include "cmd/exit_codes.h"
#include "cmd/interrupts.h"
#include "cmd/output_folder.h"
#include "cmd/progress_display.h"
#include "cmd/sifconv_options.h"
#include "oci/convert.h"
#include "oci/digest.h"
#include "oci/image_cache.h"
#include "oci/ready_image.h"
#include "runtime/user_namespace.h"

namespace cmd {
namespace {

constexpr mode_t kImageMode = 0755;  // an image can be started like a program

// Standard input may be the old DEST's file too, but only a name can be lost.
void refuse_same_file(const SifconvRequest& request) {
  if (base::is_same_file(request.source.path, request.destination))
    throw base::error("SOURCE and DEST are the same file: ", base::printable(request.destination));
}

// The digest costs another reading of the result, from the page cache, so only --json has it.
std::string result_record(const SifconvRequest& request, const oci::ConvertResult& result,
                          const std::string& digest, double seconds) {
  nlohmann::json record = {{"dest", request.destination},
                           {"digest", digest},
                           {"size", result.sif_bytes},
                           {"seconds", seconds}};
  if (!oci::is_ready_made(request.source)) {
    record.update({{"reference", result.reference},
                   {"image_id", result.image_id},
                   {"architecture", result.architecture},
                   {"compression", sif::codec_name(request.squashfs.codec)},
                   {"layers", result.layers},
                   {"files", result.squashfs.inodes},
                   {"source_size", result.source_bytes},
                   {"content_size", result.squashfs.input_bytes},
                   {"duplicate_size", result.squashfs.duplicate_bytes},
                   {"squashfs_size", result.squashfs.image_bytes}});
  }
  return record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

// " from 7 layers of debian:12"
std::string origin_of(const SifconvRequest& request, const oci::ConvertResult& result) {
  if (result.layers == 0) return " from " + base::printable(request.source.name());
  return base::cat(" from ", result.layers, " layers of ",
                   base::printable(result.reference.empty() ? result.image_id : result.reference));
}

oci::FlattenOptions flatten_options(const SifconvRequest& request, const std::string& folder) {
  return {request.source, request.go_arch, folder, request.squashfs.threads, request.overlay};
}

void tell(const SifconvRequest& request, const oci::ConvertResult& result, std::uint64_t files) {
  const std::string size = request.sandbox ? "" : base::human_size(result.sif_bytes) + ", ";
  const std::string count = request.sandbox                      ? "a folder"
                            : oci::is_ready_made(request.source) ? "copied"
                                                                 : base::cat(files, " files");
  base::log_info(base::printable(request.destination), ": ", size, count,
                 origin_of(request, result));
}

// What a user sees of a conversion into `Output`, and what Ctrl-C does to it.
template <typename Output>
class Watch {
 public:
  // `lock`, if any, goes with the output.
  Watch(Output& output, bool show, const std::string& lock = {})
      : output_(output), display_(progress), interrupts_([this, lock] {
          display_.clear();
          progress.write.cancelled = true;
          output_.discard();
          if (!lock.empty()) ::unlink(lock.c_str());
        }) {
    if (show) display_.start();
  }

  void commit() {
    output_.commit();
    display_.finish();
  }

  oci::ConvertProgress progress;

 private:
  Output& output_;
  ProgressDisplay display_;
  const Interrupts interrupts_;
};

constexpr sif::FolderOptions kUsable{.of_folders = 0700, .of_files = 0600};  // by its owner

// The folder gets its name when it is complete.
void convert_to_sandbox(const SifconvRequest& request) {
  OutputFolder output(request.destination, request.existing);
  Watch watch(output, request.progress);
  const oci::ConvertResult result = oci::convert_to_folder(
      flatten_options(request, output.parent()), output.fd(),
      request.fix_permissions ? kUsable : sif::FolderOptions{}, watch.progress);
  watch.commit();
  tell(request, result, 0);
}

void convert_and_tell(const SifconvRequest& request, const std::string& lock = {}) {
  const auto start = std::chrono::steady_clock::now();
  refuse_same_file(request);
  base::AtomicOutputFile output(request.destination, kImageMode, request.existing,
                                "use --force to replace it");
  Watch watch(output, request.progress, lock);
  const oci::ConvertResult result = oci::convert(
      {flatten_options(request, output.folder()), request.squashfs}, output.fd(), watch.progress);
  watch.commit();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  tell(request, result, result.squashfs.inodes);
  if (!request.json) return;
  const std::string digest = oci::file_digest(output.fd(), result.sif_bytes, request.destination);
  base::write_all(STDOUT_FILENO, result_record(request, result, digest, seconds.count()),
                  "standard output");
}

std::string cache_path(const SifconvRequest& request, const std::string& identity) {
  if (oci::is_ready_made(request.source)) {
    const bool is_oras = request.source.transport == oci::Transport::oras;
    return oci::cached_image_path(request.cache, is_oras ? oci::kCachedOras : oci::kCachedWeb,
                                  identity);
  }
  return oci::cached_image_path(request.cache, oci::kCachedImages,
                                request.go_arch + " " + identity);
}

void convert_into_cache(SifconvRequest request) {
  const std::string identity = oci::source_identity(request.source);
  const std::string path = cache_path(request, identity);
  // The cache is everyone's: what is fetched must be what the name says, whoever answers.
  request.source.identity = identity;
  request.existing = base::Existing::replace;
  bool made = false;
  oci::make_once(path, [&](const std::string& target, const std::string& lock) {
    base::log_info(oci::activity(request.source));
    made = true;
    request.destination = target;
    convert_and_tell(request, lock);
  });
  if (!made) base::log_info("Using cached SIF image");
  base::write_all(STDOUT_FILENO, path + "\n", "standard output");
}

void prepare(const SifconvRequest& request) {
  base::set_log_level(request.log_level);
  // Failed writes are errors with a message, not deaths.
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
}

void check_login(const SifconvRequest& request) {
  const oci::RegistryReference registry = oci::parse_registry(request.source.path);
  oci::RegistryClient(registry, oci::plain_on_loopback(registry, request.source.registry))
      .check_login();
}

bool is_folder(const std::string& path) {
  const auto status = base::find_status(path);
  return status && S_ISDIR(status->st_mode);
}

// What an ordinary user has made in a folder, by way of user namespaces or without, is root's in an
// image, and has the ids that it had there; and the other way round.
void own_folders(const SifconvRequest& request) {
  const uid_t user = ::geteuid();
  const bool from_folder =
      request.source.transport == oci::Transport::file && is_folder(request.source.path);
  const bool to_folder = request.sandbox && request.keeps_owners;
  if (user == 0 || (!from_folder && !to_folder && !is_folder(request.overlay))) return;
  try {
    runtime::enter_user_namespace({.fake_root = true,
                                   .subordinate_ids = runtime::has_subordinate_ids(),
                                   .uid = {},
                                   .gid = {}});
  } catch (const base::Error& error) {
    if (::geteuid() != user) throw;  // in one that is of no use
    base::log_verbose("owners are those of the host: ", error.what());
  }
}

void run(const SifconvRequest& request) {
  switch (request.action) {
    case SifconvRequest::Action::help:
      return base::write_all(STDOUT_FILENO, sifconv_help(), "standard output");
    case SifconvRequest::Action::version:
      return base::write_all(STDOUT_FILENO, "sifconv version " SIFCONV_VERSION "\n",
                             "standard output");
    case SifconvRequest::Action::push:
      prepare(request);
      return oci::push_sif(request.source.path, request.push_target);
    case SifconvRequest::Action::check_login:
      prepare(request);
      return check_login(request);
    case SifconvRequest::Action::convert:
      prepare(request);
      own_folders(request);
      if (!request.cache.empty()) return convert_into_cache(request);
      if (request.sandbox) return convert_to_sandbox(request);
      return convert_and_tell(request);
  }
}

}  // namespace

int sifconv_main(int argc, char** argv) {
  int failure_status = kExitUsage;
  try {
    base::reserve_standard_streams();
    const std::span<const char* const> arguments(argv + 1, argv + (argc > 0 ? argc : 1));
    const SifconvRequest request = parse_sifconv_arguments(arguments);
    failure_status = kExitFatal;
    run(request);
    return 0;
  } catch (const base::Error& problem) {
    base::log_fatal(problem.hint().empty() && failure_status == kExitUsage
                        ? base::error(problem.what()).with_hint("sifconv --help lists the options")
                        : problem);
  } catch (const std::exception& problem) {
    base::log_fatal(base::error("unexpected failure: ", problem.what()));
  }
  return failure_status;
}

}  // namespace cmd
