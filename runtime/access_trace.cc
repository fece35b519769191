// SPDX-License-Identifier: Apache-2.0
#include "runtime/access_trace.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "sif/squashfs_format.h"

namespace runtime {
namespace {

constexpr std::uint64_t kMagic = 0x3245434152544653;  // "SFTRACE2"
constexpr std::size_t kMaxMentions = 65536;
constexpr std::size_t kMaxDepth = 128;  // of directories known by listings alone

bool is_component(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= sif::kMaxNameLength &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

TraceEntry read_entry(base::ByteReader& in) {
  TraceEntry entry;
  entry.kind = static_cast<TraceEntry::Kind>(in.read<std::uint8_t>());
  entry.node = in.read<std::uint32_t>();
  if (entry.kind == TraceEntry::Kind::read) {
    entry.offset = in.read<std::uint64_t>();
    entry.size = in.read<std::uint32_t>();
  } else if (entry.kind == TraceEntry::Kind::lookup) {
    const std::span<const std::byte> name = in.take(in.read<std::uint16_t>());
    entry.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
    entry.id = in.read<std::uint64_t>();
  }
  return entry;
}

}  // namespace

std::string serialize(std::span<const TraceEntry> trace) {
  base::ByteWriter out;
  out.write(kMagic);
  for (const TraceEntry& entry : trace) {
    out.write(static_cast<std::uint8_t>(entry.kind));
    out.write(entry.node);
    if (entry.kind == TraceEntry::Kind::read) {
      out.write(entry.offset);
      out.write(entry.size);
    } else if (entry.kind == TraceEntry::Kind::lookup) {
      out.write(static_cast<std::uint16_t>(entry.name.size()));
      out.append(std::as_bytes(std::span(entry.name)));
      out.write(entry.id);
    }
  }
  return out.string();
}

std::optional<AccessTrace> parse_trace(std::string_view bytes) {
  AccessTrace trace;
  try {
    base::ByteReader in(std::as_bytes(std::span(bytes)), "access trace");
    if (in.read<std::uint64_t>() != kMagic) return std::nullopt;
    while (in.remaining() > 0) {
      TraceEntry entry = read_entry(in);
      const bool is_sound =
          entry.kind <= TraceEntry::Kind::read && entry.size <= kMaxTraceRead &&
          (entry.kind != TraceEntry::Kind::lookup || is_component(entry.name)) &&
          (entry.node == kTraceRoot ||
           (entry.node < trace.size() && trace[entry.node].kind == TraceEntry::Kind::lookup));
      if (!is_sound || trace.size() == kMaxTraceEntries) return std::nullopt;
      trace.push_back(std::move(entry));
    }
  } catch (const base::Error&) {
    return std::nullopt;  // cut off
  }
  return trace;
}

bool TraceRecorder::is_full() const {
  return finished_ || entries_.size() >= kMaxTraceEntries || data_bytes_ > kMaxTraceData;
}

void TraceRecorder::lookup(std::uint64_t directory, std::string_view name, std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  if (is_full() || !is_component(name)) return;
  const std::optional<std::uint32_t> parent = number_of(directory);
  if (!parent || is_full()) return;
  if (id != 0) entries_by_id_.try_emplace(id, static_cast<std::uint32_t>(entries_.size()));
  entries_.push_back({TraceEntry::Kind::lookup, *parent, 0, 0, std::string(name), id});
}

void TraceRecorder::mention(std::uint64_t directory, std::string_view name, std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  if (id == 0 || is_full() || mentions_.size() >= kMaxMentions || !is_component(name)) return;
  mentions_.try_emplace(id, Mention{directory, std::string(name)});
}

void TraceRecorder::add(TraceEntry::Kind kind, std::uint64_t id, std::uint64_t offset,
                        std::uint32_t size) {
  const std::lock_guard lock(mutex_);
  if (is_full()) return;
  const std::optional<std::uint32_t> node = number_of(id);
  if (!node || is_full()) return;
  entries_.push_back({kind, *node, size, offset, {}, 0});
  data_bytes_ += size;
}

// The lookup that gave the kernel this id; made up from listings if there was none.
std::optional<std::uint32_t> TraceRecorder::number_of(std::uint64_t id) {
  std::vector<std::pair<std::uint64_t, const Mention*>> path;  // from the node up
  auto known = entries_by_id_.find(id);
  while (known == entries_by_id_.end()) {
    const auto mention = mentions_.find(id);
    if (mention == mentions_.end() || path.size() == kMaxDepth) return std::nullopt;
    path.emplace_back(id, &mention->second);
    id = mention->second.directory;
    known = entries_by_id_.find(id);
  }
  std::uint32_t number = known->second;
  for (; !path.empty(); path.pop_back()) {
    if (is_full()) return std::nullopt;
    entries_.push_back(
        {TraceEntry::Kind::lookup, number, 0, 0, path.back().second->name, path.back().first});
    number = static_cast<std::uint32_t>(entries_.size() - 1);
    entries_by_id_[path.back().first] = number;
  }
  return number;
}

AccessTrace TraceRecorder::finish() {
  const std::lock_guard lock(mutex_);
  finished_ = true;
  return std::move(entries_);
}

}  // namespace runtime
