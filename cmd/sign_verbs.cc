// SPDX-License-Identifier: Apache-2.0
// sign and verify: signatures by PEM keys and certificates.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/output.h"
#include "cmd/verbs.h"
#include "oci/json.h"
#include "sif/sif_names.h"
#include "sif/signature.h"

namespace cmd {
namespace {

using enum OptionKind;

constexpr auto kSignTable = std::to_array<OptionRow>({
    {.name = "key",
     .kind = text,
     .value = "FILE",
     .help = "private key in PEM form; required",
     .env = "SIGN_KEY"},
    {.name = "group-id",
     .letter = 'g',
     .kind = text,
     .value = "NUMBER",
     .help = "sign the objects of one group (all groups)"},
    {.name = "sif-id", .letter = 'i', .kind = text, .value = "NUMBER", .help = "sign one object"},
    {.name = "keyidx",
     .letter = 'k',
     .kind = text,
     .refused = "it chooses a PGP key; give a PEM file: --key private.pem"},
    {.name = "help", .letter = 'h', .help = "this text"},
});
constexpr auto kVerifyTable = std::to_array<OptionRow>({
    {.name = "key",
     .kind = text,
     .value = "FILE",
     .help = "public key in PEM form",
     .env = "VERIFY_KEY"},
    {.name = "certificate",
     .kind = text,
     .value = "FILE",
     .help = "certificate for signing code, in PEM form",
     .env = "VERIFY_CERTIFICATE"},
    {.name = "certificate-roots",
     .kind = text,
     .value = "FILE",
     .help = "certificates to trust instead of the system's",
     .env = "VERIFY_ROOTS"},
    {.name = "certificate-intermediates",
     .kind = text,
     .value = "FILE",
     .help = "certificates between that and a root",
     .env = "VERIFY_INTERMEDIATES"},
    {.name = "group-id",
     .letter = 'g',
     .kind = text,
     .value = "NUMBER",
     .help = "verify the objects of one group (all groups)"},
    {.name = "sif-id", .letter = 'i', .kind = text, .value = "NUMBER", .help = "verify one object"},
    {.name = "all", .letter = 'a', .help = "verify all objects"},
    {.name = "json", .letter = 'j', .help = "print JSON"},
    {.name = "local", .letter = 'l'},
    {.name = "legacy-insecure",
     .refused = "signatures of Singularity before 3.6 do not cover all of an image: sign it anew"},
    {.name = "ocsp-verify", .refused = "no server is asked about certificates"},
    {.name = "url", .letter = 'u', .kind = text},
    {.name = "help", .letter = 'h', .help = "this text"},
});

std::optional<std::uint32_t> number_of(const Invocation& invocation, const ParsedOptions& parsed,
                                       std::string_view option) {
  const std::optional<std::int64_t> number = invocation.integer(parsed, option);
  if (!number) return std::nullopt;
  if (!std::in_range<std::uint32_t>(*number))
    invocation.throw_usage(base::cat("--", option, " ", *number, " is not a possible number"));
  return static_cast<std::uint32_t>(*number);
}

sif::SignedPart part_of(const Invocation& invocation, const ParsedOptions& parsed) {
  return {number_of(invocation, parsed, "group-id"), number_of(invocation, parsed, "sif-id")};
}

base::Error no_pgp(std::string_view option) {
  return base::error("PGP keys are not supported")
      .with_hint(base::cat("give a PEM file: ", option));
}

sif::SignatureKey verification_key(const ParsedOptions& parsed) {
  parsed.throw_if_refused();
  if (const auto& certificate = parsed.text("certificate")) {
    base::log_info("Verifying image with key material from certificate '", *certificate, "'");
    return sif::SignatureKey::open_certificate(
        *certificate, parsed.text("certificate-roots").value_or(""),
        parsed.text("certificate-intermediates").value_or(""));
  }
  const auto& key = parsed.text("key");
  if (!key) throw no_pgp("--key public.pem or --certificate FILE");
  base::log_info("Verifying image with key material from '", *key, "'");
  return sif::SignatureKey::open_public(*key);
}

void print_json(const sif::SifContainer& container, const sif::Verification& verification) {
  nlohmann::ordered_json keys;  // null if there is none, as Apptainer prints it
  const auto add = [&](std::uint32_t id, bool intact) {
    keys.push_back({{"Signer",
                     {{"Partition", sif::name_of(sif::get_object(container, id).type)},
                      {"Name", "unknown"},
                      {"Fingerprint", ""},
                      {"KeyLocal", false},
                      {"KeyCheck", false},
                      {"DataCheck", intact}}}});
  };
  for (const sif::VerifiedSignature& signature : verification.signatures) {
    for (const std::uint32_t id : signature.objects) add(id, true);
    if (signature.damaged) add(*signature.damaged, false);
  }
  const nlohmann::ordered_json out = {{"Signatures", verification.signatures.size()},
                                      {"SignerKeys", keys}};
  base::print(out.dump(2), "\n");
}

void print_text(const sif::SifContainer& container, const sif::Verification& verification) {
  for (const sif::VerifiedSignature& signature : verification.signatures) {
    if (!signature.problem.empty()) {
      base::print("\nError encountered during signature verification: ", signature.problem, "\n");
      return;
    }
    base::print("Objects verified:\nID  |GROUP   |LINK    |TYPE\n", std::string(48, '-'), "\n");
    for (const std::uint32_t id : signature.objects) {
      const sif::SifDescriptor& object = sif::get_object(container, id);
      const std::uint32_t group = object.group & ~sif::kGroupBit;
      const std::uint32_t link = object.link & ~sif::kGroupBit;
      base::print(base::padded(base::cat(id), 4), "|",
                  base::padded(group == 0 ? "NONE" : base::cat(group), 8), "|",
                  base::padded(link == 0 ? "NONE" : base::cat(link), 8), "|",
                  sif::name_of(object.type), "\n");
    }
  }
}

}  // namespace

int run_sign_verb(const Invocation& invocation) {
  survive_file_size_limit();
  const auto parsed = invocation.parse("IMAGE", kSignTable);
  if (!parsed) return EXIT_SUCCESS;
  const std::string& path = invocation.only_argument(*parsed);
  const sif::SignedPart part = part_of(invocation, *parsed);
  invocation.understood(*parsed);
  parsed->throw_if_refused();
  const auto& file = parsed->text("key");
  if (!file) throw no_pgp("--key private.pem");
  base::log_info("Signing image with key material from '", *file, "'");
  const sif::SignatureKey key = sif::SignatureKey::open_private(*file);
  sif::SifEditor editor(path);
  sif::sign(editor, part, key);
  base::log_info("Signature created and applied to image '", path, "'");
  return EXIT_SUCCESS;
}

int run_verify_verb(const Invocation& invocation) {
  const auto parsed = invocation.parse("IMAGE", kVerifyTable);
  if (!parsed) return EXIT_SUCCESS;
  const std::string& path = invocation.only_argument(*parsed);
  const sif::SignedPart part = part_of(invocation, *parsed);
  invocation.understood(*parsed);
  const sif::SignatureKey key = verification_key(*parsed);
  const sif::SifFile file = sif::open_sif(path);
  const sif::Verification verification = sif::verify(file, part, key);
  if (parsed->flag("json")) {
    print_json(file.container, verification);
  } else {
    print_text(file.container, verification);
  }
  if (!verification.problem.empty()) {
    std::fflush(stdout);  // before the message on standard error
    throw base::error("Failed to verify container: integrity: ", verification.problem);
  }
  base::log_info("Verified signature(s) from image '", path, "'");
  return EXIT_SUCCESS;
}

}  // namespace cmd
