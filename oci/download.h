// SPDX-License-Identifier: Apache-2.0
// A file from a server that is hostile, by as many connections as it takes: where one breaks, the
// next goes on.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "net/http.h"
#include "oci/digest.h"

namespace oci {

class Download {
 public:
  // Asks with these fields, of which one may be a Range, and gives an answer with status 200 or
  // 206. Throws what else comes, with an errno if another attempt may do better.
  using Ask = std::function<std::unique_ptr<net::Response>(const net::Fields& fields)>;

  // Whether what has arrived will be compared with a digest. If not, all of it must be of one
  // version of the file, as the server tells versions apart.
  enum class Proof { digest, none };

  // Into the empty file `fd`, at most `limit` bytes; `count` is told of bytes as they come. `name`
  // is for messages.
  Download(int fd, std::string name, std::uint64_t limit, std::atomic<std::uint64_t>& count,
           Proof proof = Proof::digest);

  void run(const Ask& ask);

  std::uint64_t size() const { return size_; }
  // Of what has arrived; once.
  std::string digest() { return hash_.digest(); }

 private:
  void go_on(const Ask& ask);
  void begin_anew();
  net::Fields next_question();
  bool is_continuation(const net::Response& response) const;

  const int fd_;
  const std::string name_;
  const std::uint64_t limit_;
  std::atomic<std::uint64_t>& count_;
  const Proof proof_;
  std::string version_;  // as an If-Range field has it; empty: unknown
  std::uint64_t size_ = 0;
  Sha256 hash_;
};

}  // namespace oci
