// SPDX-License-Identifier: Apache-2.0
// Logins that are kept for later, as `registry login` does: in a file of Docker's format, whose
// other content stays, or by the credential helper that the file names.
#pragma once

#include <string>
#include <vector>

namespace oci {

// Apptainer's choice: docker-config.json in its own folder if that is there, else Docker's
// config.json. Throws without a home folder.
std::string login_file();

// Both throw for a file that is not what it should be. What is written is for its owner alone, and
// replaces the file at once; a folder that is missing is made.
void store_login(const std::string& file, const std::string& authority, const std::string& user,
                 const std::string& password);
// False if there is none.
bool remove_login(const std::string& file, const std::string& authority);

// Registries by the names that the file has for them, Docker's own as docker.io; none without the
// file.
std::vector<std::string> list_logins(const std::string& file);

}  // namespace oci
