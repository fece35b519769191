// SPDX-License-Identifier: Apache-2.0
// One HTTP/1.1 exchange (RFC 9112) over a channel. The server is hostile: heads, lines and fields
// are limited, and a body is handed out in pieces, whose sum the caller limits.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/channel.h"

namespace net {

inline constexpr std::size_t kMaxHeadSize = 64 << 10;
inline constexpr int kMaxInterimResponses = 8;
// A server that sends less than this in a minute, once it has begun to answer, is given up.
inline constexpr std::uint64_t kMinBytesPerMinute = 60 << 10;

using Fields = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method = "GET";
  std::string target = "/";
  std::string authority{};  // the Host field
  Fields fields{};
  std::string body{};
  // Of a body in a file, which is read from its beginning; borrowed. -1: `body` is all.
  int file = -1;
  std::uint64_t file_size = 0;
};

// The value of an Authorization field (RFC 7617).
std::string basic_authorization(std::string_view user, std::string_view password);

// Gives up a server that keeps a connection alive by a byte now and then.
class SpeedWatch {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // The server may work before its next byte; channels limit how long.
  void pause() { start_.reset(); }
  // Throws Error with ETIMEDOUT when the minute that ends `now` brought too little.
  void received(std::size_t count, Time now = std::chrono::steady_clock::now());

 private:
  std::optional<Time> start_;  // of the minute that is measured
  std::uint64_t count_ = 0;    // since then
};

class Response {
 public:
  // Sends the request and reads the answer's head. Throws Error for what is no HTTP.
  Response(std::unique_ptr<Channel> channel, const Request& request);

  int status() const { return status_; }
  // The first field of this name, which is given in lower case.
  std::optional<std::string> find(std::string_view name) const;
  std::vector<std::string> all(std::string_view name) const;

  // Fills `out`, short only at the end of the body. Throws Error when the body is cut short.
  std::size_t read(std::span<std::byte> out);
  // At least one byte; 0 at the end of the body. Throws Error when the body is cut short.
  std::size_t read_some(std::span<std::byte> out);
  // The whole body; throws when it has more bytes than `limit`.
  std::string read_text(std::size_t limit);
  // Of the body, where the server tells it.
  std::optional<std::uint64_t> length() const { return length_; }

 private:
  enum class Framing { none, length, chunked, until_close };

  char next_byte();
  std::string line();
  void read_answer(const Request& request);
  void read_head();
  void read_fields();
  void choose_framing(const std::string& method);
  std::size_t read_raw(std::span<std::byte> out);
  bool begin_chunk();

  std::unique_ptr<Channel> channel_;
  std::vector<std::byte> buffer_;
  std::span<const std::byte> pending_;
  std::size_t head_left_ = kMaxHeadSize;
  int status_ = 0;
  Fields fields_;
  Framing framing_ = Framing::none;
  std::optional<std::uint64_t> length_;
  std::uint64_t left_ = 0;  // of the body or of the chunk
  bool in_chunk_ = false;
  bool ended_ = false;
  SpeedWatch speed_;
};

}  // namespace net
