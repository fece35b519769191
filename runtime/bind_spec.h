// SPDX-License-Identifier: Apache-2.0
// Binds as users write them: `--bind src[:dst[:opts]]` lists and `--mount type=bind,...`. Pure
// text; whether a source exists is the plan's question.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace runtime {

struct BindSpec {
  std::string source;       // absolute and free of "." and ".."
  std::string destination;  // likewise; the source where the user gives none
  bool read_only = false;
  bool nested = true;  // listed in APPTAINER_BIND, so that an inner run binds it again
  // The source is an image and this a path inside it (image-src=); of a SIF the partition with this
  // id, 0 for its data partition.
  std::optional<std::string> inside{};
  std::uint32_t partition = 0;
  bool operator==(const BindSpec&) const = default;
};

// One --bind value or environment entry: specifications between commas, fields between colons,
// `\,` and `\:` stand for themselves, blanks around a field are none of it. Relative sources start
// at `working_directory`. Throws base::Error naming the specification.
std::vector<BindSpec> parse_bind_list(std::string_view text, std::string_view working_directory);

// One --mount value or environment entry: on each line CSV of type=bind, src=, dst=, ro, with
// Apptainer's synonyms.
std::vector<BindSpec> parse_mounts(std::string_view text, std::string_view working_directory);

// Absolute path without ".", ".." and doubled slashes; what is relative starts at `base`. Symbolic
// links are not looked at.
std::string absolute_path(std::string_view path, std::string_view base);

}  // namespace runtime
