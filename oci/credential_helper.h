// SPDX-License-Identifier: Apache-2.0
// A program that keeps logins, by the protocol of docker-credential-helpers: "get", "store" or
// "erase", the registry's name (or all of the login, in JSON) on standard input, an answer in JSON.
#pragma once

#include <optional>
#include <string>

#include "oci/registry_auth.h"

namespace oci {

// nullopt, with a warning unless it merely knows no login, when it does not answer. It may ask the
// user and takes its time; its complaints go to standard error.
std::optional<Credentials> ask_credential_helper(const CredentialHelper& helper);

// Both throw when it fails; false if it knows none.
void store_in_helper(const CredentialHelper& helper, const std::string& user,
                     const std::string& password);
bool erase_in_helper(const CredentialHelper& helper);

}  // namespace oci
