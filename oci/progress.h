// SPDX-License-Identifier: Apache-2.0
// How far a conversion is, for a thread that draws it. All members may be read at any time.
#pragma once

#include <atomic>
#include <cstdint>

#include "sif/squashfs_writer.h"

namespace oci {

enum class Phase { reading, compressing };

struct ConvertProgress {
  std::atomic<Phase> phase{Phase::reading};
  // Bytes of the archive that had to be copied or inflated to a spool file; a total of 0 means that
  // it is unknown.
  std::atomic<std::uint64_t> read_done{0};
  std::atomic<std::uint64_t> read_total{0};
  sif::WriteProgress write;
};

}  // namespace oci
