// SPDX-License-Identifier: Apache-2.0
// A server that says one thing, a few bytes at a time.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "net/channel.h"

namespace net {

class MemoryChannel : public Channel {
 public:
  explicit MemoryChannel(std::string answer, std::size_t piece = 7)
      : answer_(std::move(answer)), piece_(piece) {}
  std::size_t read(std::span<std::byte> out) override {
    const std::size_t count = std::min({out.size(), piece_, answer_.size() - position_});
    if (count > 0) std::memcpy(out.data(), answer_.data() + position_, count);
    position_ += count;
    return count;
  }
  void write(std::string_view) override {}

 private:
  std::string answer_;
  std::size_t piece_, position_ = 0;
};

}  // namespace net
