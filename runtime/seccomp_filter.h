// SPDX-License-Identifier: Apache-2.0
// System call filters as Docker and the OCI runtime specification describe them in JSON
// (--security seccomp:FILE), made by libseccomp.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/identity.h"

namespace runtime {

class SeccompFilter {
 public:
  // `text` is the profile, `name` appears in messages. Rules that depend on capabilities look at
  // `capabilities`, those that the payload has. Throws Error for what is no profile; system calls
  // that this kernel's architecture lacks are passed over.
  SeccompFilter(std::string_view text, std::string_view name, Capabilities capabilities);

  // For this process and all that it becomes. Needs no_new_privs.
  void install() const;

 private:
  struct Release {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Release> context_;
};

// That of the file; nullopt for an empty path.
std::optional<SeccompFilter> load_filter(const std::string& path, Capabilities capabilities);

}  // namespace runtime
