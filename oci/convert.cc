// SPDX-License-Identifier: Apache-2.0
#include "oci/convert.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/launch_policy.h"
#include "base/output_file.h"
#include "oci/ready_image.h"
#include "sif/sif_writer.h"

namespace oci {
namespace {

// Runs an action when an exception leaves its scope, so that the other thread stops too.
class OnFailure {
 public:
  explicit OnFailure(std::function<void()> action) : action_(std::move(action)) {}
  ~OnFailure() {
    if (std::uncaught_exceptions() > entered_with_) action_();
  }
  OnFailure(const OnFailure&) = delete;
  OnFailure& operator=(const OnFailure&) = delete;

 private:
  std::function<void()> action_;
  int entered_with_ = std::uncaught_exceptions();
};

// Writes while what is read in place is being verified; the failure of one ends the other.
template <typename Write>
auto write_verified(FlatImage& image, sif::WriteProgress& progress, const Write& write) {
  auto writing = std::async(base::kThreadIfPossible, [&] {
    const OnFailure stop([&] { image.stop(); });
    return write();
  });
  {
    // First, because writing only knows that it was cancelled, not why.
    const OnFailure cancel([&] { progress.cancelled = true; });
    image.verify();
  }
  return writing.get();
}

ConvertResult result_of(const FlatImage& image) {
  return {.reference = image.reference,
          .image_id = image.id,
          .architecture = image.layout.go_arch,
          .layers = image.layers,
          .source_bytes = image.source_bytes,
          .squashfs = {}};
}

std::uint32_t squashfs_time(std::int64_t seconds) {
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(seconds, 0, std::numeric_limits<std::uint32_t>::max()));
}

}  // namespace

ConvertResult convert_to_folder(const FlattenOptions& options, int dir_fd,
                                const sif::FolderOptions& folder, ConvertProgress& progress) {
  if (is_ready_made(options.source)) {
    const base::UniqueFd file = base::make_unnamed_file(options.spool_folder);
    fetch_ready_made(options.source, file.get(), progress);
    FlattenOptions local = options;
    local.source = {base::cat("/proc/self/fd/", file.get()), ""};
    return convert_to_folder(local, dir_fd, folder, progress);
  }
  const std::unique_ptr<FlatImage> image = flatten(options, progress);
  progress.phase = Phase::compressing;
  write_verified(*image, progress.write,
                 [&] { sif::write_folder(image->tree(), dir_fd, folder, progress.write); });
  return result_of(*image);
}

ConvertResult convert(const ConvertOptions& options, int fd, ConvertProgress& progress) {
  if (is_ready_made(options.source.source)) {
    const std::uint64_t size = fetch_ready_made(options.source.source, fd, progress);
    return {.source_bytes = size, .sif_bytes = size};
  }
  const std::unique_ptr<FlatImage> image = flatten(options.source, progress);
  progress.phase = Phase::compressing;
  const std::uint64_t offset = sif::partition_offset(image->layout);
  sif::SquashfsOptions squashfs = options.squashfs;
  squashfs.modified_time = squashfs_time(image->layout.created);
  ConvertResult result = result_of(*image);
  result.squashfs = write_verified(*image, progress.write, [&] {
    return sif::write_squashfs(image->tree(), fd, offset, squashfs, progress.write);
  });
  sif::write_sif_around_partition(fd, image->layout, result.squashfs.image_bytes);
  result.sif_bytes = offset + result.squashfs.image_bytes;
  return result;
}

}  // namespace oci
