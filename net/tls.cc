// SPDX-License-Identifier: Apache-2.0
// TLS 1.2 and later by OpenSSL, with the certificates that the machine trusts.
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/syscalls.h"
#include "net/channel.h"
#include "net/socket.h"

namespace net {
namespace {

// Where distributions keep the authorities' certificates; the library knows only its builder's.
constexpr std::array<const char*, 6> kBundles = {
    "/etc/ssl/certs/ca-certificates.crt",                 // Debian, Ubuntu, Alpine, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",                   // Red Hat and its kin
    "/etc/ssl/ca-bundle.pem",                             // SUSE
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  // Red Hat 7 and later
    "/etc/ssl/cert.pem",                                  // Alpine, OpenBSD
    "/etc/ssl/certs/ca-bundle.crt",                       // NixOS
};
constexpr const char* kHashedFolder = "/etc/ssl/certs";

struct Free {
  void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
  void operator()(SSL* connection) const { ::SSL_free(connection); }
};
using Context = std::unique_ptr<SSL_CTX, Free>;
using Connection = std::unique_ptr<SSL, Free>;

std::string openssl_reason() {
  const unsigned long code = ::ERR_get_error();
  ::ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ::ERR_reason_error_string(code);
  return reason == nullptr ? "unknown reason" : reason;
}

// The user's choice, else the first bundle there is.
void trust_the_machine(SSL_CTX* context) {
  const char* file = std::getenv("SSL_CERT_FILE");
  const char* folder = std::getenv("SSL_CERT_DIR");
  if (file == nullptr && folder == nullptr) {
    const auto* found = std::ranges::find_if(
        kBundles, [](const char* path) { return base::find_status(path).has_value(); });
    if (found != kBundles.end())
      file = *found;
    else
      folder = kHashedFolder;
  }
  if (file != nullptr && ::SSL_CTX_load_verify_file(context, file) != 1)
    throw base::error("no certificates can be read from ", base::printable(file), ": ",
                      openssl_reason());
  if (folder != nullptr) ::SSL_CTX_load_verify_dir(context, folder);
}

Context make_context(const TlsTrust& trust) {
  // The host's openssl.cnf may name modules that a static program cannot load.
  ::OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  Context context(::SSL_CTX_new(::TLS_client_method()));
  if (!context || ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1)
    throw base::error("cannot set up TLS: ", openssl_reason());
  if (trust.any) return context;
  ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  trust_the_machine(context.get());
  for (const std::string& file : trust.files) {
    if (::SSL_CTX_load_verify_file(context.get(), file.c_str()) != 1)
      throw base::error("no certificates can be read from ", base::printable(file), ": ",
                        openssl_reason());
  }
  return context;
}

class TlsChannel : public Channel {
 public:
  TlsChannel(base::UniqueFd socket, const std::string& host, const TlsTrust& trust)
      : name_(base::printable(host)),
        context_(make_context(trust)),
        connection_(::SSL_new(context_.get())),
        socket_(std::move(socket)) {
    SSL* const tls = connection_.get();
    if (tls == nullptr || ::SSL_set_fd(tls, socket_.get()) != 1 || !expect_host(host))
      throw base::error("cannot set up TLS for ", name_, ": ", openssl_reason());
    if (::SSL_connect(tls) == 1) return;
    if (const long verdict = ::SSL_get_verify_result(tls); verdict != X509_V_OK) {
      throw base::error("the certificate of ", name_,
                        " is not trusted: ", ::X509_verify_cert_error_string(verdict))
          .with_hint("SSL_CERT_FILE names a file of the authorities to trust");
    }
    if (ERR_GET_REASON(::ERR_peek_error()) == SSL_R_WRONG_VERSION_NUMBER)
      throw base::Error(base::cat(name_, " does not speak TLS"), EPROTO)
          .with_hint("--no-https (or APPTAINER_NOHTTPS=1) for servers without it");
    fail("cannot speak TLS with ");
  }

  ~TlsChannel() override { ::SSL_shutdown(connection_.get()); }

  std::size_t read(std::span<std::byte> out) override {
    std::size_t count = 0;
    errno = 0;
    if (::SSL_read_ex(connection_.get(), out.data(), out.size(), &count) == 1) return count;
    if (::SSL_get_error(connection_.get(), 0) == SSL_ERROR_ZERO_RETURN) return 0;
    fail("the connection broke to ");
  }

  void write(std::string_view text) override {
    std::size_t count = 0;
    errno = 0;
    if (::SSL_write_ex(connection_.get(), text.data(), text.size(), &count) != 1)
      fail("the connection broke to ");
  }

 private:
  // The certificate must be for this name; servers of several names need to be told it.
  bool expect_host(const std::string& host) {
    std::array<unsigned char, sizeof(in6_addr)> address{};
    if (::inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
        ::inet_pton(AF_INET6, host.c_str(), address.data()) == 1)
      return ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(connection_.get()), host.c_str()) ==
             1;
    return ::SSL_set1_host(connection_.get(), host.c_str()) == 1 &&
           ::SSL_set_tlsext_host_name(connection_.get(), host.c_str()) == 1;
  }

  [[noreturn]] void fail(std::string_view what) const {
    const int problem = errno;
    if (problem == EAGAIN) throw base::Error(name_ + " does not answer", ETIMEDOUT);
    const std::string reason = ::ERR_peek_error() != 0 ? openssl_reason()
                               : problem != 0          ? base::errno_text(problem)
                                                       : "it was closed";
    throw base::Error(base::cat(what, name_, ": ", reason), problem == 0 ? ECONNRESET : problem);
  }

  std::string name_;
  Context context_;
  Connection connection_;
  base::UniqueFd socket_;
};

}  // namespace

std::unique_ptr<Channel> connect_tls(const std::string& host, std::uint16_t port,
                                     const TlsTrust& trust, const Proxy* proxy) {
  return std::make_unique<TlsChannel>(
      proxy == nullptr ? connect_tcp_socket(host, port) : connect_tunnel(*proxy, host, port), host,
      trust);
}

}  // namespace net
