// SPDX-License-Identifier: Apache-2.0
#include "oci/credential_helper.h"

#include <string>
#include <utility>

#include "base/child_program.h"
#include "base/error.h"
#include "base/log.h"
#include "oci/json.h"

namespace oci {
namespace {

constexpr std::size_t kMaxAnswer = 64 << 10;
constexpr std::size_t kMaxQuestion = 60 << 10;                   // with a pipe's room to spare
constexpr std::string_view kNotFound = "credentials not found";  // the protocol's own words
constexpr std::string_view kTokenUser = "<token>";  // then the secret is an identity token

using Answer = base::ProgramAnswer;

Answer run(const CredentialHelper& helper, std::string verb, const std::string& input) {
  return base::ask_program({helper.program, std::move(verb)}, input + "\n", kMaxAnswer,
                           base::Complaints::shown);
}

std::string first_line(const Answer& answer) {
  return base::printable(answer.text.substr(0, answer.text.find('\n')));
}

base::Error failure_of(const CredentialHelper& helper, const std::string& verb,
                       const Answer& answer) {
  return base::error(helper.program, " ", verb, " failed for ", base::printable(helper.server),
                     ": ", first_line(answer));
}

}  // namespace

std::optional<Credentials> ask_credential_helper(const CredentialHelper& helper) {
  try {
    const Answer answer = run(helper, "get", helper.server);
    if (!answer.succeeded) {
      if (answer.text.starts_with(kNotFound)) return std::nullopt;
      throw base::error(first_line(answer));
    }
    const JsonValue login = JsonValue::parse(answer.text, "its answer");
    Credentials found{login.text_of("Username"), login.text_of("Secret")};
    if (found.user == kTokenUser) return Credentials{.identity_token = found.password};
    if (found.user.empty()) return std::nullopt;
    return found;
  } catch (const base::Error& problem) {
    base::log_warning("no login from ", helper.program, " for ", base::printable(helper.server),
                      ": ", problem.what());
    return std::nullopt;
  }
}

void store_in_helper(const CredentialHelper& helper, const std::string& user,
                     const std::string& password) {
  std::string login;
  try {
    login = nlohmann::json{{"ServerURL", helper.server}, {"Username", user}, {"Secret", password}}
                .dump();
  } catch (const nlohmann::json::exception&) {
    throw base::error(helper.program, " takes only texts in UTF-8, which this login is not");
  }
  if (login.size() > kMaxQuestion)
    throw base::error("the login is too long for ", helper.program, ": ", login.size(), " bytes");
  const Answer answer = run(helper, "store", login);
  if (!answer.succeeded) throw failure_of(helper, "store", answer);
}

bool erase_in_helper(const CredentialHelper& helper) {
  const Answer answer = run(helper, "erase", helper.server);
  if (!answer.succeeded && !answer.text.starts_with(kNotFound))
    throw failure_of(helper, "erase", answer);
  return answer.succeeded;
}

}  // namespace oci
