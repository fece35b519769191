// SPDX-License-Identifier: Apache-2.0
// config.json of an OCI bundle (OCI runtime specification), as far as a program in a user namespace
// can follow it: what to run, where, with which variables and binds. What else it asks for
// (namespaces, capabilities, cgroups) is the caller's or impossible, and skipped.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace oci {

struct BundleBind {
  std::string source, destination;
  bool read_only = false;
  bool operator==(const BundleBind&) const = default;
};

struct Bundle {
  std::string root;  // an image or a folder; relative paths start at the bundle's folder
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "NAME=value"
  std::string directory;                 // empty: none given
  std::vector<BundleBind> binds;
};

// `name` is the file's, for messages. Throws Error that says which key is wrong or missing.
Bundle parse_bundle(std::string_view text, std::string name);

}  // namespace oci
