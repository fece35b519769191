// SPDX-License-Identifier: Apache-2.0
// registry: logs in to registries and out, by the files that docker, podman and Apptainer share.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/output.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "cmd/ask_secret.h"
#include "cmd/exit_codes.h"
#include "cmd/sifconv_call.h"
#include "cmd/verbs.h"
#include "oci/login_file.h"
#include "oci/registry_auth.h"

namespace cmd {
namespace {

using enum OptionKind;

constexpr std::size_t kMaxPassword = 32 << 10;  // tokens are long
constexpr std::string_view kFile = "the file of logins, instead of Docker's or Apptainer's";

constexpr auto kLoginTable = std::to_array<OptionRow>({
    {.name = "username",
     .letter = 'u',
     .kind = text,
     .value = "NAME",
     .help = "who you are to the registry",
     .env = "LOGIN_USERNAME"},
    {.name = "password",
     .letter = 'p',
     .kind = text,
     .value = "SECRET",
     .help = "the password or token; seen by all who can list processes",
     .env = "LOGIN_PASSWORD"},
    {.name = "password-stdin", .help = "read it from standard input"},
    {.name = "authfile", .kind = text, .value = "FILE", .help = kFile, .env = "AUTHFILE AUTH_FILE"},
    {.name = "no-https",
     .help = "speak to the registry without encryption",
     .env = "NOHTTPS NO_HTTPS"},
    {.name = "help", .letter = 'h', .help = "this text"},
});
constexpr auto kLogoutTable = std::to_array<OptionRow>({
    {.name = "authfile", .kind = text, .value = "FILE", .help = kFile, .env = "AUTHFILE AUTH_FILE"},
    {.name = "help", .letter = 'h', .help = "this text"},
});
constexpr auto kListTable = std::to_array<OptionRow>({
    {.name = "help", .letter = 'h', .help = "this text"},
});

// docker://HOST -> HOST; empty is Docker's own.
std::string host_of(const std::string& address) {
  std::string_view host = address;
  for (const std::string_view transport : {"docker://", "oras://"}) {
    if (!host.starts_with(transport)) continue;
    host.remove_prefix(transport.size());
    if (host.ends_with('/')) host.remove_suffix(1);
    if (host.find_first_of("/@") == std::string_view::npos) return std::string(host);
  }
  throw base::error(base::printable(address), " is no registry: docker://HOST is needed");
}

std::string chosen_file(const ParsedOptions& parsed) {
  return parsed.text("authfile").value_or("").empty() ? oci::login_file()
                                                      : *parsed.text("authfile");
}

// Of a pipe everything up to its end, without the newline that echo(1) adds.
std::string read_password() {
  std::string text(kMaxPassword + 1, '\0');
  text.resize(
      base::read_up_to(STDIN_FILENO, std::as_writable_bytes(std::span(text)), "standard input"));
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text;
}

std::string find_password(const ParsedOptions& parsed) {
  std::string password = parsed.flag("password-stdin") ? read_password()
                         : parsed.text("password")     ? *parsed.text("password")
                                                   : ask_secret("Password / Token: ").value_or("");
  if (password.empty()) throw base::error("a login takes a password or token");
  if (password.find('\0') != std::string::npos) throw base::error("the password holds a NUL byte");
  if (password.size() > kMaxPassword)
    throw base::error("the password has more than ", kMaxPassword, " bytes");
  return password;
}

// By sifconv, which speaks to registries; through the environment, where nobody else sees it.
bool is_accepted(const ParsedOptions& parsed, const std::string& host, const std::string& user,
                 const std::string& password) {
  ::setenv("APPTAINER_DOCKER_USERNAME", user.c_str(), 1);
  ::setenv("APPTAINER_DOCKER_PASSWORD", password.c_str(), 1);
  std::vector<std::string> arguments = {"--check-login"};
  if (parsed.flag("no-https")) arguments.emplace_back("--no-https");
  arguments.insert(arguments.end(), {"--", "docker://" + (host.empty() ? "docker.io" : host)});
  return run_sifconv(arguments) == EXIT_SUCCESS;
}

int run_login(const Invocation& invocation) {
  const auto parsed = invocation.parse("docker://HOST", kLoginTable);
  if (!parsed) return EXIT_SUCCESS;
  const std::string& address = invocation.only_argument(*parsed);
  invocation.understood(*parsed);
  const std::string host = host_of(address);
  const std::string user = parsed->text("username").value_or("");
  if (user.empty() || user.find(':') != std::string::npos)
    throw base::error("a login takes a user name without a colon").with_hint("--username NAME");
  const std::string file = chosen_file(*parsed);
  oci::list_logins(file);  // throws for what it cannot be added to
  const std::string password = find_password(*parsed);
  if (!is_accepted(*parsed, host, user, password)) return kExitFatal;
  oci::store_login(file, oci::registry_authority(host), user, password);
  base::log_info("Token stored in ", base::printable(file));
  return EXIT_SUCCESS;
}

int run_logout(const Invocation& invocation) {
  const auto parsed = invocation.parse("docker://HOST", kLogoutTable);
  if (!parsed) return EXIT_SUCCESS;
  const std::string& address = invocation.only_argument(*parsed);
  invocation.understood(*parsed);
  const std::string host = host_of(address);
  const std::string file = chosen_file(*parsed);
  if (oci::remove_login(file, oci::registry_authority(host))) {
    base::log_info("Token removed from ", base::printable(file));
  } else {
    base::log_warning("There is no existing login to registry \"", base::printable(host), "\".");
  }
  base::log_info("Logout succeeded");
  return EXIT_SUCCESS;
}

// A file that conversions would ignore is no reason to show nothing.
void add_logins(const std::string& file, std::vector<std::string>& addresses) {
  try {
    for (const std::string& name : oci::list_logins(file)) {
      const std::string address = "docker://" + base::printable(name);
      if (std::ranges::find(addresses, address) == addresses.end()) addresses.push_back(address);
    }
  } catch (const base::Error& problem) {
    base::log_warning("ignoring ", problem.what());
  }
}

// Those that conversions would find, each once.
int run_list(const Invocation& invocation) {
  const auto parsed = invocation.parse("", kListTable);
  if (!parsed) return EXIT_SUCCESS;
  if (!parsed->positionals().empty())
    invocation.throw_usage(base::cat("accepts 0 arg(s), received ", parsed->positionals().size()));
  invocation.understood(*parsed);
  std::vector<std::string> addresses;
  for (const std::string& file : oci::usual_auth_files()) add_logins(file, addresses);
  std::size_t width = 3;
  for (const std::string& address : addresses) width = std::max(width, address.size());
  base::print("\n", base::padded("URI", width), "  SECURE?\n");
  for (const std::string& address : addresses) base::print(base::padded(address, width), "  ✓\n");
  return EXIT_SUCCESS;
}

constexpr auto kCommands = std::to_array<VerbRow>({
    {"login", run_login, "keep a name and password for a registry"},
    {"logout", run_logout, "forget them"},
    {"list", run_list, "show the registries that are known"},
});

}  // namespace

int run_registry_verb(const Invocation& invocation) {
  return run_second_word(invocation, kCommands);
}

}  // namespace cmd
