// SPDX-License-Identifier: Apache-2.0
// Who we are to a registry: names and passwords of the environment and of the files that docker,
// podman and Apptainer log in with, and the challenges that a registry answers with (RFC 9110
// section 11, and the token protocol of the distribution project).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace oci {

// Where Docker's own registry is; its names are written without it.
inline constexpr std::string_view kDockerHub = "registry-1.docker.io";

// "host[:port]" as it is connected to: Docker's own registry has several names, one of them empty.
std::string registry_authority(std::string_view name);
// What login files may call it; the first is what logins are stored under.
std::vector<std::string> login_keys(const std::string& authority);

struct Credentials {
  std::string user{}, password{};
  std::string identity_token{};  // in place of both
};

// In order of precedence. A file that cannot be read for what it is, is an error only if it was
// named explicitly.
struct AuthFiles {
  std::string named{};               // --authfile
  std::vector<std::string> usual{};  // those of the home folder; see usual_auth_files
};
std::vector<std::string> usual_auth_files();

// For "host[:port]" and the repository's name; nullopt: nobody in particular.
std::optional<Credentials> find_credentials(const std::string& authority,
                                            const std::string& repository, const AuthFiles& files);
// From one file's text, which in itself is {"auths": {"host": {"auth": base64 of user:password}}}.
std::optional<Credentials> find_in_auth_file(std::string_view text, const std::string& name,
                                             const std::string& authority,
                                             const std::string& repository);

// A program that keeps logins, which the file names in its place: {"credHelpers": {"host": NAME}}
// or {"credsStore": NAME} for all.
struct CredentialHelper {
  std::string program;  // "docker-credential-NAME"
  std::string server;   // what it knows the registry as
};
std::optional<CredentialHelper> find_credential_helper(std::string_view text,
                                                       const std::string& name,
                                                       const std::string& authority);

struct Challenge {
  std::string scheme;  // "basic", "bearer"
  std::map<std::string, std::string> parameters;
};
// Of one WWW-Authenticate field; nullopt when it is not understood.
std::optional<Challenge> parse_challenge(std::string_view text);

}  // namespace oci
