// SPDX-License-Identifier: Apache-2.0
// The image configuration (OCI image-spec config.md; Docker writes the same): what to run, for
// which machine, and the digests that the uncompressed layers must have.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace oci {

inline constexpr std::size_t kMaxLayers = 4096;  // Docker stops at 127

struct ImageConfig {
  std::string architecture;  // a GOARCH name ("amd64")
  std::string os;
  std::int64_t created = 0;           // seconds since the epoch; 0 when the image does not tell
  std::vector<std::string> diff_ids;  // "sha256:...", lowest layer first

  std::vector<std::string> env;  // "NAME=value"
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::map<std::string, std::string> labels;
  std::string config_json;  // the `config` object as one line of JSON, "{}" when absent
};

// Throws Error naming the key at fault. `name` is the document's in messages.
ImageConfig parse_image_config(std::string_view text, const std::string& name);

// Seconds since the epoch of an RFC 3339 time ("2024-01-31T12:00:00.5+02:00"), fractions dropped;
// 0 for anything else.
std::int64_t parse_rfc3339(std::string_view text);
// The same instant as "2024-01-31T10:00:00Z".
std::string format_rfc3339(std::int64_t seconds);

}  // namespace oci
