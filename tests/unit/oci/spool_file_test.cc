// SPDX-License-Identifier: Apache-2.0
#include "oci/spool_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <future>

#include "base/syscalls.h"

namespace oci {
namespace {

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string read(const SpoolFile& file, std::uint64_t offset, std::size_t size) {
  std::string text(size, '\0');
  text.resize(file.read(offset, std::as_writable_bytes(std::span(text))));
  return text;
}

TEST(SpoolFile, CopiesAStreamAndHashesIt) {
  std::string data = "some data";
  Sha256 hash;
  SpoolFile file("/tmp");
  file.append_stream(
      [&](std::span<std::byte> out) {
        const std::size_t count = std::min<std::size_t>({out.size(), data.size(), 4});
        std::ranges::copy(as_bytes(data).first(count), out.begin());
        data.erase(0, count);
        return count;
      },
      &hash);
  EXPECT_EQ(read_text(file.source("copy"), 100), "some data");
  EXPECT_EQ(hash.digest(), sha256_digest("some data"));
}

TEST(SpoolFile, TakesAPipeBehindWhatWasReadOfIt) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const base::UniqueFd out(ends[0]);
  {
    const base::UniqueFd in(ends[1]);
    base::write_all(in.get(), as_bytes("data"), "a pipe");
  }
  std::atomic<std::uint64_t> read_done = 0;
  SpoolFile file("/tmp");
  file.append(as_bytes("some "));
  file.append_pipe(out.get(), read_done);
  EXPECT_EQ(read_text(file.source("copy"), 100), "some data");
  EXPECT_EQ(read_done, 4U);
}

TEST(SpoolFile, LeavesWhatIsNoPipe) {
  SpoolFile other("/tmp");
  const base::UniqueFd null = base::open_file("/dev/null", O_RDONLY);
  std::atomic<std::uint64_t> read_done = 0;
  other.append_pipe(null.get(), read_done);
  EXPECT_EQ(other.source("copy").size(), 0U);
}

TEST(SpoolFile, AReaderWaitsForWhatIsStillToCome) {
  SpoolFile file("/tmp");
  auto all = std::async(std::launch::async, [&] { return read(file, 2, 6); });
  auto more = std::async(std::launch::async, [&] { return read(file, 7, 100); });
  auto behind = std::async(std::launch::async, [&] { return read(file, 50, 100); });
  file.append(as_bytes("some"));
  file.append(as_bytes(" data"));
  EXPECT_EQ(all.get(), "me dat");
  file.end();
  EXPECT_EQ(more.get(), "ta");
  EXPECT_EQ(behind.get(), "");
}

}  // namespace
}  // namespace oci
