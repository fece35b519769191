// SPDX-License-Identifier: Apache-2.0
#include "cmd/sif_listing.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <iomanip>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/text.h"
#include "sif/sif_names.h"

namespace cmd {
namespace {

using sif::DataType;
using sif::SifDescriptor;
using Rows = std::vector<std::pair<std::string, std::string>>;

// "2006-01-02 15:04:05 +0000 UTC"
std::string utc_time(std::int64_t seconds) {
  std::tm time{};
  if (::gmtime_r(&seconds, &time) == nullptr) return base::cat(seconds);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02d %02d:%02d:%02d +0000 UTC",
                time.tm_year + 1900, time.tm_mon + 1, time.tm_mday, time.tm_hour, time.tm_min,
                time.tm_sec);
  return text.data();
}

// 28080 -> "27 KiB"
std::string whole_units(std::uint64_t bytes) {
  if (bytes < 1024) return base::cat(bytes, " B");
  double unit = 1024;
  std::size_t power = 0;
  for (std::uint64_t rest = bytes / 1024; rest >= 1024; rest /= 1024, ++power) unit *= 1024;
  return base::cat(std::llround(static_cast<double>(bytes) / unit), " ", "KMGTPE"[power], "iB");
}

std::string uuid_text(const std::string& uuid) {
  std::string text = base::hex(uuid.data(), uuid.size());
  for (const std::size_t dash : {8, 13, 18, 23}) text.insert(dash, "-");
  return text;
}

// Values one blank behind the widest label.
std::string aligned(const Rows& rows, std::string_view indent, std::size_t gap) {
  std::size_t width = 0;
  for (const auto& [label, value] : rows) width = std::max(width, label.size());
  std::string text;
  for (const auto& [label, value] : rows) {
    text += base::cat(indent, base::padded(label, width + gap), value, "\n");
  }
  return text;
}

std::int32_t extra_number(const SifDescriptor& object, std::size_t index) {
  return base::little_endian<std::int32_t>(
      std::as_bytes(std::span(object.extra)).subspan(index * sizeof(std::int32_t)));
}

std::string arch_name(const std::string& code) {
  const std::string_view name = sif::go_arch_of_code(code);
  return std::string(name.empty() ? "unknown" : name);
}

std::string group_text(std::uint32_t group) {
  const std::uint32_t number = group & ~sif::kGroupBit;
  return number == 0 ? "NONE" : base::cat(number);
}

bool links_group(const SifDescriptor& object) {
  return (object.link & sif::kGroupBit) == sif::kGroupBit;
}

// Fields of its own type: labels and values.
Rows type_fields(const SifDescriptor& object) {
  switch (object.type) {
    case DataType::partition:
      return {{"Filesystem Type:", std::string(sif::name_of(object.file_system))},
              {"Partition Type:", std::string(sif::name_of(object.partition))},
              {"Architecture:", arch_name(object.arch_code)}};
    case DataType::signature: {
      std::string entity = base::hex(object.extra.data() + 4, sif::kFingerprintSize);
      std::ranges::transform(entity, entity.begin(),
                             [](char c) { return c >= 'a' && c <= 'f' ? c - 'a' + 'A' : c; });
      return {{"Hash Type:", std::string(sif::hash_name(extra_number(object, 0)))},
              {"Entity:", entity}};
    }
    case DataType::crypto_message:
      return {{"Format Type:", std::string(sif::message_format_name(extra_number(object, 0)))},
              {"Message Type:", std::string(sif::message_type_name(extra_number(object, 1)))}};
    case DataType::sbom:
      return {{"Format:", std::string(sif::sbom_format_name(extra_number(object, 0)))}};
    case DataType::oci_root_index:
    case DataType::oci_blob:
      return {{"Digest:", base::printable(object.extra.substr(0, object.extra.find('\0')))}};
    default:
      return {};
  }
}

// "FS (Squashfs/*System/amd64)"
std::string type_text(const SifDescriptor& object) {
  std::string text(sif::name_of(object.type));
  std::vector<std::string> details;
  for (const auto& [label, value] : type_fields(object))
    if (label != "Entity:" && label != "Digest:") details.push_back(value);
  return details.empty() ? text : base::cat(text, " (", base::join(details, "/"), ")");
}

}  // namespace

std::string sif_header_text(const sif::SifContainer& container) {
  const sif::SifHeader& header = container.header;
  Rows rows;
  std::string launch = header.launch_line;
  if (launch.ends_with('\n')) launch.pop_back();
  if (!launch.empty()) rows.emplace_back("Launch Script:", base::printable(launch));
  rows.emplace_back("Version:", header.version);
  const std::string_view arch = sif::go_arch_of_code(header.arch_code);
  if (!arch.empty()) rows.emplace_back("Primary Architecture:", arch);
  rows.emplace_back("ID:", uuid_text(header.uuid));
  rows.emplace_back("Created At:", utc_time(header.created));
  rows.emplace_back("Modified At:", utc_time(header.modified));
  rows.emplace_back("Descriptors Free:", base::cat(header.descriptors_free));
  rows.emplace_back("Descriptors Total:", base::cat(header.descriptors_total));
  rows.emplace_back("Descriptors Offset:", base::cat(header.descriptors_offset));
  rows.emplace_back("Descriptors Size:", whole_units(header.descriptors_size));
  rows.emplace_back("Data Offset:", base::cat(header.data_offset));
  rows.emplace_back("Data Size:", whole_units(header.data_size));
  return aligned(rows, "", 1);
}

std::string sif_list_text(const sif::SifContainer& container) {
  const std::string rule = std::string(78, '-') + "\n";
  std::ostringstream out;
  out << rule << "ID   |GROUP   |LINK    |SIF POSITION (start-end)  |TYPE\n" << rule << std::left;
  for (const SifDescriptor& object : container.descriptors) {
    std::string link = group_text(object.link & ~sif::kGroupBit);
    if (links_group(object) && link != "NONE")
      link.append(std::max<std::size_t>(link.size(), 3) - link.size(), ' ').append(" (G)");
    out << std::setw(4) << object.id << " |" << std::setw(7) << group_text(object.group) << " |"
        << std::setw(7) << link << " " << std::setw(26)
        << base::cat("|", object.offset, "-", object.offset + object.size, " ") << " |"
        << type_text(object) << "\n";
  }
  return out.str();
}

std::string sif_info_text(const SifDescriptor& object) {
  const std::string link = group_text(object.link & ~sif::kGroupBit);
  Rows rows = {{"Data Type:", std::string(sif::name_of(object.type))},
               {"ID:", base::cat(object.id)},
               {"Group ID:", group_text(object.group)},
               {"Linked ID:", link + (links_group(object) && link != "NONE" ? " (G)" : "")},
               {"Offset:", base::cat(object.offset)},
               {"Size:", base::cat(object.size)},
               {"Created At:", utc_time(object.created)},
               {"Modified At:", utc_time(object.modified)}};
  if (!object.name.empty()) rows.emplace_back("Name:", base::printable(object.name));
  for (const auto& row : type_fields(object)) rows.push_back(row);
  return aligned(rows, "  ", 2);
}

}  // namespace cmd
