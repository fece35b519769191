// SPDX-License-Identifier: Apache-2.0
#include "sif/signature_key.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/base64.h"
#include "base/error.h"
#include "base/syscalls.h"

namespace sif {
namespace {

template <typename T, void (*Release)(T*)>
struct Releaser {
  void operator()(T* object) const { Release(object); }
};
void release_bio(BIO* bio) { BIO_free(bio); }
using Bio = std::unique_ptr<BIO, Releaser<BIO, release_bio>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Releaser<EVP_MD_CTX, EVP_MD_CTX_free>>;
using Certificate = std::unique_ptr<X509, Releaser<X509, X509_free>>;
void release_stack(STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }
using Certificates = std::unique_ptr<STACK_OF(X509), Releaser<STACK_OF(X509), release_stack>>;
using Store = std::unique_ptr<X509_STORE, Releaser<X509_STORE, X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Releaser<X509_STORE_CTX, X509_STORE_CTX_free>>;

[[noreturn]] void throw_no_key(const std::string& path, std::string_view wanted) {
  ERR_clear_error();
  throw base::error("Failed to load key material: ", base::printable(path),
                    " is not a PEM file of ", wanted);
}

Bio open_pem(const std::string& path) {
  const std::string text = base::read_small_file(path);
  Bio bio(BIO_new(BIO_s_mem()));
  BIO_write(bio.get(), text.data(), static_cast<int>(text.size()));
  return bio;
}

// A password that a key needs is not asked for: batch jobs have no terminal.
int refuse_password(char*, int, int, void*) { return -1; }

// Ed25519 has a digest of its own.
const EVP_MD* digest_for(const EVP_PKEY* key) {
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
}

void check_kind(const EVP_PKEY* key, const std::string& path) {
  const int id = EVP_PKEY_get_base_id(key);
  if (id != EVP_PKEY_RSA && id != EVP_PKEY_EC && id != EVP_PKEY_ED25519)
    throw base::error(base::printable(path), ": only RSA, ECDSA and Ed25519 keys are supported");
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// Fields of the SSH wire format (RFC 4251): a length and as many bytes.
void append_field(std::string& out, std::string_view bytes) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(bytes.size() >> shift);
  out += bytes;
}

void append_number(std::string& out, const EVP_PKEY* key, const char* parameter) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key, parameter, &number) != 1)
    throw base::error("a key without ", parameter);
  std::string bytes(static_cast<std::size_t>(BN_num_bytes(number)), '\0');
  BN_bn2bin(number, reinterpret_cast<unsigned char*>(bytes.data()));
  BN_free(number);
  if (!bytes.empty() && (bytes[0] & 0x80) != 0) bytes.insert(0, 1, '\0');
  append_field(out, bytes);
}

std::string octets_of(const EVP_PKEY* key, const char* parameter) {
  std::string bytes(1024, '\0');
  std::size_t size = 0;
  if (EVP_PKEY_get_octet_string_param(
          key, parameter, reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), &size) != 1)
    throw base::error("a key without ", parameter);
  bytes.resize(size);
  return bytes;
}

std::string ssh_form(const EVP_PKEY* key) {
  std::string out;
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
      append_field(out, "ssh-rsa");
      append_number(out, key, OSSL_PKEY_PARAM_RSA_E);
      append_number(out, key, OSSL_PKEY_PARAM_RSA_N);
      return out;
    case EVP_PKEY_ED25519:
      append_field(out, "ssh-ed25519");
      append_field(out, octets_of(key, OSSL_PKEY_PARAM_PUB_KEY));
      return out;
    default: {
      const std::string curve = base::cat("nistp", EVP_PKEY_get_bits(key));
      append_field(out, "ecdsa-sha2-" + curve);
      append_field(out, curve);
      append_field(out, octets_of(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY));
      return out;
    }
  }
}

Certificates open_certificates(const std::string& path) {
  Certificates all(sk_X509_new_null());
  if (path.empty()) return all;
  const Bio bio = open_pem(path);
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, refuse_password, nullptr))
    sk_X509_push(all.get(), next);
  ERR_clear_error();
  if (sk_X509_num(all.get()) == 0) throw_no_key(path, "certificates");
  return all;
}

void check_chain(X509* certificate, const std::string& path, const std::string& roots,
                 const std::string& intermediates) {
  const Certificates trusted = open_certificates(roots), between = open_certificates(intermediates);
  const Store store(X509_STORE_new());
  if (roots.empty()) X509_STORE_set_default_paths(store.get());
  for (int i = 0; i < sk_X509_num(trusted.get()); ++i)
    X509_STORE_add_cert(store.get(), sk_X509_value(trusted.get(), i));
  const StoreContext context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), certificate, between.get());
  const bool valid = X509_verify_cert(context.get()) == 1;
  if (!valid)
    throw base::error("Failed to load key material: certificate ", base::printable(path), ": ",
                      X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())));
  bool signs_code = (X509_get_extension_flags(certificate) & EXFLAG_XKUSAGE) != 0 &&
                    (X509_get_extended_key_usage(certificate) & XKU_CODE_SIGN) != 0;
  // Who is limited to other uses cannot pass on this one.
  const STACK_OF(X509)* const chain = X509_STORE_CTX_get0_chain(context.get());
  for (int i = 1; i < sk_X509_num(chain); ++i) {
    X509* const issuer = sk_X509_value(chain, i);
    const bool limited = (X509_get_extension_flags(issuer) & EXFLAG_XKUSAGE) != 0;
    if (limited && (X509_get_extended_key_usage(issuer) & (XKU_CODE_SIGN | XKU_ANYEKU)) == 0)
      signs_code = false;
  }
  if (!signs_code)
    throw base::error("Failed to load key material: certificate ", base::printable(path),
                      " is not for signing code");
}

}  // namespace

void SignatureKey::Free::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

SignatureKey SignatureKey::open_private(const std::string& path) {
  const Bio bio = open_pem(path);
  SignatureKey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_password, nullptr));
  if (!key.key_) throw_no_key(path, "an unencrypted private key");
  check_kind(key.key_.get(), path);
  return key;
}

SignatureKey SignatureKey::open_public(const std::string& path) {
  const Bio bio = open_pem(path);
  SignatureKey key(PEM_read_bio_PUBKEY(bio.get(), nullptr, refuse_password, nullptr));
  if (!key.key_) throw_no_key(path, "a public key");
  check_kind(key.key_.get(), path);
  return key;
}

SignatureKey SignatureKey::open_certificate(const std::string& path, const std::string& roots,
                                            const std::string& intermediates) {
  const Bio bio = open_pem(path);
  const Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, refuse_password, nullptr));
  if (!certificate) throw_no_key(path, "a certificate");
  check_chain(certificate.get(), path, roots, intermediates);
  SignatureKey key(X509_get_pubkey(certificate.get()));
  if (!key.key_) throw_no_key(path, "a certificate");
  check_kind(key.key_.get(), path);
  return key;
}

std::string SignatureKey::sign(std::string_view message) const {
  const DigestContext context(EVP_MD_CTX_new());
  std::size_t size = 0;
  if (EVP_DigestSignInit(context.get(), nullptr, digest_for(key_.get()), nullptr, key_.get()) !=
          1 ||
      EVP_DigestSign(context.get(), nullptr, &size, bytes_of(message), message.size()) != 1)
    throw base::error("OpenSSL cannot sign with this key");
  std::string signature(size, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     bytes_of(message), message.size()) != 1)
    throw base::error("OpenSSL cannot sign with this key");
  signature.resize(size);
  return signature;
}

bool SignatureKey::verifies(std::string_view message, std::string_view signature) const {
  const DigestContext context(EVP_MD_CTX_new());
  const bool valid = EVP_DigestVerifyInit(context.get(), nullptr, digest_for(key_.get()), nullptr,
                                          key_.get()) == 1 &&
                     EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(),
                                      bytes_of(message), message.size()) == 1;
  ERR_clear_error();
  return valid;
}

std::string SignatureKey::fingerprint() const {
  const std::string form = ssh_form(key_.get());
  std::string digest(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  EVP_Digest(form.data(), form.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
             EVP_sha256(), nullptr);
  digest.resize(size);
  std::string text = base::base64(digest);
  text.resize(text.find('='));  // as ssh-keygen prints it
  return "SHA256:" + text;
}

}  // namespace sif
