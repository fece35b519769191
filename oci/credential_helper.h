// SPDX-License-Identifier: Apache-2.0
// Asking a program that keeps logins, by the protocol of docker-credential-helpers: "get", the
// registry's name on standard input, an answer in JSON.
#pragma once

#include <optional>

#include "oci/registry_auth.h"

namespace oci {

// nullopt, with a warning unless it merely knows no login, when it does not answer. It may ask the
// user and takes its time; its complaints go to standard error.
std::optional<Credentials> ask_credential_helper(const CredentialHelper& helper);

}  // namespace oci
