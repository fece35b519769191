// SPDX-License-Identifier: Apache-2.0
// What stands beside the plain tar header: pax records (POSIX.1-2001) and GNU's four ways to note a
// sparse file (old GNU headers; GNU.sparse 0.0, 0.1 and 1.0 in pax records).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "oci/tar_header.h"
#include "sif/tree.h"

namespace oci {

inline constexpr std::uint64_t kMaxPaxHeader = 1 << 20;      // bytes; Go's limit as well
inline constexpr std::uint64_t kMaxSparseExtents = 1 << 20;  // per file

using PaxRecords = std::map<std::string, std::string, std::less<>>;

// Empty when there is none of that key.
std::string_view find_record(const PaxRecords& records, std::string_view key);

// Parses "LENGTH KEY=VALUE\n" records. GNU.sparse 0.0's repeated offset/numbytes pairs come out as
// the one GNU.sparse.map record of 0.1.
PaxRecords parse_pax_records(std::string_view text, const TarPosition& position);

// Whole seconds of a pax time, rounded down ("-1.5" gives -2).
std::int64_t parse_pax_time(std::string_view text, const TarPosition& position);

// A hole-free piece of a sparse file: offset and length in the file, in file order.
struct SparsePiece {
  std::int64_t offset = 0, length = 0;
};

// Reads the archive's next block, from where the member's data starts. The block is valid until the
// next call.
using NextBlock = std::function<TarBlock()>;

// The map in an old GNU header (type 'S') and its extension blocks; sets `real_size`. `header` is
// read before the first call of `next_block`.
std::vector<SparsePiece> read_gnu_sparse_map(TarBlock header, const NextBlock& next_block,
                                             std::int64_t& real_size, const TarPosition& position);
// GNU.sparse.map of formats 0.0 and 0.1.
std::vector<SparsePiece> parse_pax_sparse_map(const PaxRecords& records,
                                              const TarPosition& position);
// Format 1.0: decimal numbers, a line each, at the start of the data.
std::vector<SparsePiece> read_pax_sparse_map(const NextBlock& next_block,
                                             const TarPosition& position);

// Checks order and bounds, and places the pieces one after another from `data_offset`, of whose
// `stored_size` bytes they must use all. Empty pieces are left out.
std::vector<sif::DataExtent> place_sparse_pieces(const std::vector<SparsePiece>& pieces,
                                                 std::uint64_t file_size, std::uint64_t data_offset,
                                                 std::uint64_t stored_size,
                                                 const TarPosition& position);

}  // namespace oci
