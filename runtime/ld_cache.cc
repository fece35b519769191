// SPDX-License-Identifier: Apache-2.0
#include "runtime/ld_cache.h"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "base/bytes.h"

namespace runtime {
namespace {

constexpr std::string_view kOldMagic = "ld.so-1.7.0";
constexpr std::string_view kNewMagic = "glibc-ld.so.cache1.1";
constexpr std::size_t kOldHeader = 16, kOldEntry = 12, kNewHeader = 48, kNewEntry = 24;
constexpr std::size_t kMaxEntries = 1 << 20;

std::uint32_t number(std::span<const char> bytes, std::size_t offset) {
  return base::little_endian<std::uint32_t>(std::as_bytes(bytes.subspan(offset)));
}

bool has_magic(std::span<const char> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

// The new table, from its own header on: its offsets count from there.
std::optional<std::span<const char>> find_table(std::span<const char> bytes) {
  if (has_magic(bytes, kOldMagic) && bytes.size() >= kOldHeader) {
    const std::size_t count = number(bytes, 12);
    if (count > kMaxEntries) return std::nullopt;
    const std::size_t end = kOldHeader + count * kOldEntry;
    const std::size_t aligned = (end + 7) / 8 * 8;
    if (aligned > bytes.size()) return std::nullopt;
    bytes = bytes.subspan(aligned);
  }
  if (!has_magic(bytes, kNewMagic) || bytes.size() < kNewHeader) return std::nullopt;
  return bytes;
}

std::optional<std::string_view> find_text(std::span<const char> table, std::uint32_t offset) {
  if (offset >= table.size()) return std::nullopt;
  const std::span<const char> rest = table.subspan(offset);
  const void* const end = std::memchr(rest.data(), '\0', rest.size());
  if (end == nullptr) return std::nullopt;
  return std::string_view(rest.data(),
                          static_cast<std::size_t>(static_cast<const char*>(end) - rest.data()));
}

constexpr auto kAbis = std::to_array<LibraryAbi>({
    {"x86_64", 62, true, 0x0303,
     "/lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu /lib64 /usr/lib64 /lib /usr/lib"},
    {"aarch64", 183, true, 0x0a03,
     "/lib/aarch64-linux-gnu /usr/lib/aarch64-linux-gnu /lib64 /usr/lib64 /lib /usr/lib"},
    {"ppc64le", 21, true, 0x0503,
     "/lib/powerpc64le-linux-gnu /usr/lib/powerpc64le-linux-gnu /lib64 /usr/lib64 /lib /usr/lib"},
    {"riscv64", 243, true, 0x1003,
     "/lib/riscv64-linux-gnu /usr/lib/riscv64-linux-gnu /lib64 /usr/lib64 /lib /usr/lib"},
});
constexpr LibraryAbi kX86Compat = {
    "x86_64", 3, false, 0x0003,
    "/lib/i386-linux-gnu /usr/lib/i386-linux-gnu /lib32 /usr/lib32 /lib /usr/lib"};

}  // namespace

std::optional<LdCache> LdCache::parse(std::vector<char> bytes) {
  LdCache cache;
  cache.bytes_ = std::move(bytes);
  const std::optional<std::span<const char>> table = find_table(cache.bytes_);
  if (!table) return std::nullopt;
  const std::size_t count = number(*table, 20);
  if (count > (table->size() - kNewHeader) / kNewEntry) return std::nullopt;
  cache.entries_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = kNewHeader + i * kNewEntry;
    const auto name = find_text(*table, number(*table, at + 4));
    const auto path = find_text(*table, number(*table, at + 8));
    if (name && path) cache.entries_.push_back({*name, *path, number(*table, at) & 0xffff});
  }
  return cache;
}

std::optional<LdCache> LdCache::find(const RootTree& tree) {
  const std::optional<std::string> text = tree.read("/etc/ld.so.cache", kMaxSize);
  if (!text) return std::nullopt;
  return parse({text->begin(), text->end()});
}

const LibraryAbi* native_abi() {
  struct utsname names {};
  if (::uname(&names) != 0) return nullptr;
  const auto row = std::ranges::find(kAbis, std::string_view(names.machine), &LibraryAbi::machine);
  return row == kAbis.end() ? nullptr : &*row;
}

const LibraryAbi* compat_abi() {
  const LibraryAbi* const native = native_abi();
  return native != nullptr && native->machine == kX86Compat.machine ? &kX86Compat : nullptr;
}

}  // namespace runtime
