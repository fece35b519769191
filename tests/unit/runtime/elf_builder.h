// SPDX-License-Identifier: Apache-2.0
// Bytes of small ELF files and loader caches for tests, made field by field.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "runtime/ld_cache.h"

namespace runtime {

struct ElfPlan {
  std::string interpreter, soname, rpath;
  std::vector<std::string> needed;
  std::vector<std::pair<std::string, std::string>> version_needs;  // library, version
  std::vector<std::string> version_definitions;
  std::uint16_t machine = native_abi()->elf_machine;
};

class ElfBuilder {
 public:
  static std::string build(const ElfPlan& plan) { return ElfBuilder(plan).assemble(); }

 private:
  explicit ElfBuilder(const ElfPlan& plan) : plan_(plan) {}

  std::uint32_t text(const std::string& value) {
    const auto at = static_cast<std::uint32_t>(strings_.size());
    strings_ += value + '\0';
    return at;
  }
  static std::string as_text(const base::ByteWriter& writer) {
    const auto* data = reinterpret_cast<const char*>(writer.bytes().data());
    return {data, writer.bytes().size()};
  }

  std::string needs() {
    base::ByteWriter out;
    for (const auto& [library, version] : plan_.version_needs) {
      out.write<std::uint16_t>(1);
      out.write<std::uint16_t>(1);
      out.write<std::uint32_t>(text(library));
      out.write<std::uint32_t>(16);
      out.write<std::uint32_t>(&library == &plan_.version_needs.back().first ? 0 : 32);
      out.zeros(8);
      out.write<std::uint32_t>(text(version));
      out.write<std::uint32_t>(0);
    }
    return as_text(out);
  }
  std::string definitions() {
    base::ByteWriter out;
    for (const std::string& name : plan_.version_definitions) {
      out.zeros(6);
      out.write<std::uint16_t>(1);
      out.zeros(4);
      out.write<std::uint32_t>(20);
      out.write<std::uint32_t>(&name == &plan_.version_definitions.back() ? 0 : 28);
      out.write<std::uint32_t>(text(name));
      out.write<std::uint32_t>(0);
    }
    return as_text(out);
  }

  std::string assemble() {
    const std::string need_table = needs(), definition_table = definitions();
    std::vector<std::pair<std::uint64_t, std::uint64_t>> tags;
    for (const std::string& name : plan_.needed) tags.emplace_back(1, text(name));
    if (!plan_.soname.empty()) tags.emplace_back(14, text(plan_.soname));
    if (!plan_.rpath.empty()) tags.emplace_back(15, text(plan_.rpath));
    const std::uint64_t body = 64 + 3 * 56;
    const std::uint64_t strings_at = body + plan_.interpreter.size() + 1;
    const std::uint64_t needs_at = strings_at + strings_.size();
    const std::uint64_t definitions_at = needs_at + need_table.size();
    const std::uint64_t dynamic_at = definitions_at + definition_table.size();
    tags.emplace_back(5, strings_at);
    tags.emplace_back(10, strings_.size());
    if (!need_table.empty()) {
      tags.emplace_back(0x6ffffffe, needs_at);
      tags.emplace_back(0x6fffffff, plan_.version_needs.size());
    }
    if (!definition_table.empty()) {
      tags.emplace_back(0x6ffffffc, definitions_at);
      tags.emplace_back(0x6ffffffd, plan_.version_definitions.size());
    }
    tags.emplace_back(0, 0);
    const std::uint64_t end = dynamic_at + tags.size() * 16;
    base::ByteWriter out;
    out.text(
        "\x7f"
        "ELF\x02\x01\x01",
        16);
    out.write<std::uint16_t>(3);
    out.write<std::uint16_t>(plan_.machine);
    out.write<std::uint32_t>(1);
    out.write<std::uint64_t>(0);
    out.write<std::uint64_t>(64);
    out.write<std::uint64_t>(0);
    out.write<std::uint32_t>(0);
    out.write<std::uint16_t>(64);
    out.write<std::uint16_t>(56);
    out.write<std::uint16_t>(3);
    out.zeros(6);
    segment(out, 1, 0, end);
    segment(out, 2, dynamic_at, tags.size() * 16);
    segment(out, plan_.interpreter.empty() ? 0 : 3, body, plan_.interpreter.size() + 1);
    out.text(plan_.interpreter, plan_.interpreter.size() + 1);
    out.text(strings_, strings_.size());
    out.text(need_table, need_table.size());
    out.text(definition_table, definition_table.size());
    for (const auto& [tag, value] : tags) {
      out.write<std::uint64_t>(tag);
      out.write<std::uint64_t>(value);
    }
    return as_text(out);
  }
  static void segment(base::ByteWriter& out, std::uint32_t type, std::uint64_t offset,
                      std::uint64_t size) {
    out.write<std::uint32_t>(type);
    out.write<std::uint32_t>(5);
    for (const std::uint64_t value : {offset, offset, offset, size, size, std::uint64_t{1}})
      out.write<std::uint64_t>(value);
  }

  const ElfPlan& plan_;
  std::string strings_ = std::string(1, '\0');
};

struct CacheEntryPlan {
  std::string name, path;
  std::uint32_t flags = native_abi()->cache_flags;
};

// The bytes of /etc/ld.so.cache, new format.
inline std::string build_ld_cache(const std::vector<CacheEntryPlan>& entries) {
  std::string strings;
  base::ByteWriter out;
  out.text("glibc-ld.so.cache1.1", 20);
  out.write<std::uint32_t>(static_cast<std::uint32_t>(entries.size()));
  out.zeros(24);
  const std::size_t strings_at = 48 + entries.size() * 24;
  for (const CacheEntryPlan& entry : entries) {
    out.write<std::uint32_t>(entry.flags);
    for (const std::string* text : {&entry.name, &entry.path}) {
      out.write<std::uint32_t>(static_cast<std::uint32_t>(strings_at + strings.size()));
      strings += *text + '\0';
    }
    out.zeros(12);
  }
  out.text(strings, strings.size());
  return {reinterpret_cast<const char*>(out.bytes().data()), out.bytes().size()};
}

}  // namespace runtime
