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

// A server that is busy or a gateway without one behind it; another attempt may do better.
bool is_passing_status(int status);

class Download {
 public:
  // Asks with these fields, of which one may be a Range, and gives an answer with status 200 or
  // 206. Throws what else comes, with an errno if another attempt may do better.
  using Ask = std::function<std::unique_ptr<net::Response>(const net::Fields& fields)>;

  // Into the empty file `fd`, at most `limit` bytes; `count` is told of bytes as they come. `name`
  // is for messages.
  Download(int fd, std::string name, std::uint64_t limit, std::atomic<std::uint64_t>& count);

  void run(const Ask& ask);

  std::uint64_t size() const { return size_; }
  // Of what has arrived; once.
  std::string digest() { return hash_.digest(); }

 private:
  void go_on(const Ask& ask);
  void begin_anew();

  const int fd_;
  const std::string name_;
  const std::uint64_t limit_;
  std::atomic<std::uint64_t>& count_;
  std::uint64_t size_ = 0;
  Sha256 hash_;
};

}  // namespace oci
