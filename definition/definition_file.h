// SPDX-License-Identifier: Apache-2.0
// Definition files, the recipes of `build`: a header that names the base image, then sections of
// shell text, files and labels; several such stages in one file. The syntax is that of the
// "Definition Files" chapter of Apptainer's user guide.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace definition {

inline constexpr std::size_t kMaxDefinition = 4 << 20;

struct Section {
  std::string arguments;  // behind its name: "-c /bin/bash"
  std::string text;       // whole lines; those of sections of one name follow each other
};

// A line of %files: what to copy, patterns included, and whereto; empty: under its own name.
struct FileCopy {
  std::string source, destination;
  bool operator==(const FileCopy&) const = default;
};

// One section %files.
struct FileList {
  std::string stage;  // %files from STAGE; empty: from the host
  std::vector<FileCopy> copies;
};

using Sections = std::map<std::string, Section, std::less<>>;

// An application of the Scientific Filesystem: %appinstall NAME and its like, by what comes behind
// "app". `copies` are those of %appfiles.
struct App {
  std::string name;
  Sections sections;
  std::vector<FileCopy> copies;
};

struct Stage {
  std::map<std::string, std::string, std::less<>> header;  // keys in lower case
  Sections sections;  // "post", "environment"...; %files are in `files`
  std::vector<FileList> files;
  std::vector<App> apps;

  const Section* find(std::string_view section) const;
  // A value of the header; empty where it has none.
  std::string header_value(std::string_view key) const;
};

// At least one stage. Throws Error, which begins with `name`.
std::vector<Stage> parse_definition(std::string_view text, std::string_view name);

// As a shell would split it, quotes and backslashes included; variables stay.
std::vector<std::string> split_words(std::string_view text);

// "Key value" lines of %labels and of the file that %post may write labels to.
std::vector<std::pair<std::string, std::string>> parse_labels(std::string_view text);

}  // namespace definition
