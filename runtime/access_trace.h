// SPDX-License-Identifier: Apache-2.0
// What a program first asked an image's file server for, in order. Replaying it ahead of the next
// start of the same program fills the kernel's caches while the program is still being set up.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace runtime {

inline constexpr std::uint32_t kTraceRoot = ~std::uint32_t{0};  // in place of an entry's number
inline constexpr std::size_t kMaxTraceEntries = 8192;
inline constexpr std::uint64_t kMaxTraceData = 64 << 20;  // bytes of all reads
inline constexpr std::uint32_t kMaxTraceRead = 1 << 20;   // bytes of one
inline constexpr std::size_t kMaxTraceFile = 4 << 20;

struct TraceEntry {
  enum class Kind : std::uint8_t { lookup, link, list, read };
  Kind kind = Kind::lookup;
  // The lookup that this is about, by its place among the entries; of a lookup, its directory's.
  std::uint32_t node = kTraceRoot;
  std::uint32_t size = 0;    // reads
  std::uint64_t offset = 0;  // reads
  std::string name;          // lookups: one component
  std::uint64_t id = 0;      // lookups: the node id; 0 for a name that is not there
  bool operator==(const TraceEntry&) const = default;
};
using AccessTrace = std::vector<TraceEntry>;

std::string serialize(std::span<const TraceEntry> trace);
// nullopt for what serialize() cannot have written: other versions, damage, names that would lead
// elsewhere.
std::optional<AccessTrace> parse_trace(std::string_view bytes);

// Fed by the file server's threads; thread-safe. Ids are the server's node ids.
class TraceRecorder {
 public:
  explicit TraceRecorder(std::uint64_t root_id) { entries_by_id_[root_id] = kTraceRoot; }

  // An answered lookup; `id` is 0 for a name that is not there.
  void lookup(std::uint64_t directory, std::string_view name, std::uint64_t id);
  // A name that the kernel learned from a listing: worth an entry only if it is used.
  void mention(std::uint64_t directory, std::string_view name, std::uint64_t id);
  void link(std::uint64_t id) { add(TraceEntry::Kind::link, id, 0, 0); }
  void list(std::uint64_t id) { add(TraceEntry::Kind::list, id, 0, 0); }
  void read(std::uint64_t id, std::uint64_t offset, std::uint32_t size) {
    add(TraceEntry::Kind::read, id, offset, size);
  }

  // The trace so far; nothing is recorded any more.
  AccessTrace finish();

 private:
  struct Mention {
    std::uint64_t directory = 0;
    std::string name;
  };

  void add(TraceEntry::Kind kind, std::uint64_t id, std::uint64_t offset, std::uint32_t size);
  std::optional<std::uint32_t> number_of(std::uint64_t id);
  bool is_full() const;

  std::mutex mutex_;
  AccessTrace entries_;
  std::uint64_t data_bytes_ = 0;
  bool finished_ = false;
  std::unordered_map<std::uint64_t, std::uint32_t> entries_by_id_;
  std::unordered_map<std::uint64_t, Mention> mentions_;
};

}  // namespace runtime
