// SPDX-License-Identifier: Apache-2.0
#include "oci/download.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "oci/attempts.h"

namespace oci {
namespace {

constexpr std::size_t kChunk = 1 << 20;

bool is_strong_tag(const std::string& version) { return version.starts_with('"'); }

// What If-Range takes: a strong ETag, else the time (RFC 9110, section 13.1.5).
std::string version_of(const net::Response& response) {
  std::string etag = response.find("etag").value_or("");
  return is_strong_tag(etag) ? etag : response.find("last-modified").value_or("");
}

}  // namespace

Download::Download(int fd, std::string name, std::uint64_t limit, std::atomic<std::uint64_t>& count,
                   Proof proof)
    : fd_(fd), name_(std::move(name)), limit_(limit), count_(count), proof_(proof) {}

void Download::begin_anew() {
  count_ -= size_;
  size_ = 0;
  hash_ = Sha256();
  if (::ftruncate(fd_, 0) != 0) throw base::errno_error(errno, "cannot cut a temporary file");
}

net::Fields Download::next_question() {
  if (size_ > 0 && version_.empty() && proof_ == Proof::none) begin_anew();
  if (size_ == 0) return {};
  net::Fields fields = {{"Range", base::cat("bytes=", size_, "-")}};
  if (!version_.empty()) fields.emplace_back("If-Range", version_);
  return fields;
}

bool Download::is_continuation(const net::Response& response) const {
  const std::string range = response.find("content-range").value_or("");
  const std::string etag = response.find("etag").value_or("");
  const bool is_next =
      range.empty() ? proof_ == Proof::digest : range.starts_with(base::cat("bytes ", size_, "-"));
  return is_next && (!is_strong_tag(version_) || etag.empty() || etag == version_);
}

void Download::go_on(const Ask& ask) {
  const std::unique_ptr<net::Response> response = ask(next_question());
  if (response->status() == 206 && !is_continuation(*response))
    throw base::error(name_, ": the server continues with another part or version of it");
  if (response->status() == 200) {
    if (size_ > 0) begin_anew();  // it knows no ranges, or it is another version
    version_ = version_of(*response);
  }
  std::vector<std::byte> chunk(kChunk);
  // One piece more than allowed shows that there is too much.
  const auto room = [&] { return std::min<std::uint64_t>(chunk.size(), limit_ + 1 - size_); };
  for (std::size_t got; (got = response->read_some(std::span(chunk).first(room()))) > 0;) {
    if (size_ + got > limit_)
      throw base::error(name_, " has more than the ", limit_, " bytes that were promised");
    const std::span<const std::byte> piece = std::span(chunk).first(got);
    base::pwrite_all(fd_, piece, size_, "a temporary file");
    hash_.update(piece);
    size_ += got;
    count_ += got;
  }
}

void Download::run(const Ask& ask) {
  for (int attempt = 0;;) {
    const std::uint64_t before = size_;
    try {
      return go_on(ask);
    } catch (const base::Error& problem) {
      // Whatever is no failure of the connection or of a busy server stays as it is.
      const int cause = problem.errno_value();
      if (cause == 0 || cause == EPROTO || cause == ENOSPC || cause == EFBIG || cause == EDQUOT)
        throw;
      attempt = size_ > before ? 1 : attempt + 1;
      if (attempt >= kMaxAttempts) throw;
      base::log_verbose(problem.what(), "; trying again");
      pause_after(attempt);
    }
  }
}

}  // namespace oci
