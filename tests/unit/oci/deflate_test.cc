// SPDX-License-Identifier: Apache-2.0
#include "oci/deflate.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace oci {
namespace {

using State = DeflateDecoder::State;

std::string deflated(const std::string& text, int level, int strategy) {
  std::string out(text.size() + text.size() / 100 + 4096, '\0');
  z_stream stream{};
  deflateInit2(&stream, level, Z_DEFLATED, -15, 9, strategy);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<unsigned>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<unsigned>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// What each step leaves comes again, with `piece` more bytes behind it.
std::string inflated(DeflateDecoder& decoder, const std::string& data, std::size_t piece,
                     std::size_t room, State& state) {
  std::string out, chunk(room, '\0');
  std::size_t position = 0, offered = 0;
  for (state = State::more; state == State::more;) {
    const std::size_t end = std::min(data.size(), position + offered);
    const auto in = std::as_bytes(std::span(data)).subspan(position, end - position);
    const auto step = decoder.step(in, std::as_writable_bytes(std::span(chunk)));
    out.append(chunk, 0, step.produced);
    position += step.consumed;
    state = step.state;
    const bool has_moved = step.consumed > 0 || step.produced > 0;
    if (!has_moved && end == data.size()) break;
    offered = has_moved ? std::max(piece, in.size() - step.consumed) : offered + piece;
  }
  return out;
}

std::vector<std::string> samples() {
  std::mt19937 random(1);
  std::string noise(70000, '\0'), letters(300000, '\0'), numbers;
  for (char& c : noise) c = static_cast<char>(random());
  for (char& c : letters) c = "abcdefgh"[random() % 8];
  for (int i = 0; i < 60000; ++i) numbers += std::to_string(i * 7919);
  return {"", "x", std::string(1'000'000, 'a'), noise, letters, numbers, noise + numbers + noise};
}

// Stored, fixed and dynamic blocks, matches of every kind, beyond the window's size.
TEST(DeflateDecoder, UndoesWhatZlibDoesInWhateverPieces) {
  for (const std::string& text : samples()) {
    for (const int level : {0, 1, 6, 9}) {
      for (const int strategy : {Z_DEFAULT_STRATEGY, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED}) {
        const std::string data = deflated(text, level, strategy);
        for (const auto& [piece, room] : {std::pair<std::size_t, std::size_t>(1 << 20, 1 << 20),
                                          {1 << 20, 4099},
                                          {257, 65536}}) {
          DeflateDecoder decoder;
          State state{};
          EXPECT_EQ(inflated(decoder, data, piece, room, state), text);
          EXPECT_EQ(state, State::done);
        }
      }
    }
  }
}

TEST(DeflateDecoder, BeginsANewStreamAfterTheEnd) {
  DeflateDecoder decoder;
  State state{};
  EXPECT_EQ(inflated(decoder, deflated(std::string(500000, 'a'), 6, 0), 4096, 65536, state).size(),
            500000U);
  EXPECT_EQ(inflated(decoder, deflated("second", 6, 0), 4096, 65536, state), "second");
  EXPECT_EQ(state, State::done);
}

struct Broken {
  const char* name;
  std::string data;
  const char* problem;
};

// A writer of bits, as RFC 1951 orders them.
std::string bits(std::initializer_list<std::pair<unsigned, unsigned>> fields) {
  std::string out;
  unsigned used = 0;
  for (const auto& [value, count] : fields) {
    for (unsigned i = 0; i < count; ++i, ++used) {
      if (used % 8 == 0) out += '\0';
      out.back() = static_cast<char>(out.back() | (value >> i & 1) << used % 8);
    }
  }
  return out + std::string(8, '\0');
}

TEST(DeflateDecoder, SaysWhatIsCorrupt) {
  // Fixed codes: 'a' is 0x30 + 'a' in 8 bits from the first on; a match of three bytes is 0000001.
  const std::vector<Broken> cases = {
      {"type", bits({{1, 1}, {3, 2}}), "invalid block type"},
      {"stored", bits({{1, 1}, {0, 2}, {0, 5}, {5, 16}, {5, 16}}), "invalid stored block lengths"},
      {"symbols", bits({{1, 1}, {2, 2}, {31, 5}, {0, 5}, {0, 4}}),
       "too many length or distance symbols"},
      {"set", bits({{1, 1}, {2, 2}, {0, 5}, {0, 5}, {0, 4}, {1, 3}, {1, 3}, {1, 3}, {0, 3}}),
       "invalid code lengths set"},
      {"repeat",
       bits({{1, 1}, {2, 2}, {0, 5}, {0, 5}, {0, 4}, {1, 3}, {0, 3}, {0, 3}, {1, 3}, {1, 1}}),
       "invalid bit length repeat"},
      {"far", bits({{1, 1}, {1, 2}, {0x40, 7}, {0, 5}}), "invalid distance too far back"},
      {"distance", bits({{1, 1}, {1, 2}, {0x89, 8}, {0x40, 7}, {0x0F, 5}}),
       "invalid distance code"},
      {"length", bits({{1, 1}, {1, 2}, {0x63, 8}}), "invalid literal/length code"},
  };
  for (const Broken& broken : cases) {
    for (const std::size_t padding : {0, 100}) {  // found by the slow turns and by the fast ones
      DeflateDecoder decoder;
      State state{};
      inflated(decoder, broken.data + std::string(padding, '\0'), 4096, 65536, state);
      EXPECT_EQ(state, State::corrupt) << broken.name;
      EXPECT_STREQ(decoder.problem(), broken.problem) << broken.name;
    }
  }
}

}  // namespace
}  // namespace oci
