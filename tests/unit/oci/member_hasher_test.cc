// SPDX-License-Identifier: Apache-2.0
#include "oci/member_hasher.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "oci/archive_members.h"
#include "oci/digest.h"
#include "tests/unit/oci/archive_builder.h"

namespace oci {
namespace {

const std::string kLarge(3'000'000, 'x');  // several pieces
constexpr std::uint64_t kLargeOffset = 512, kSmallOffset = 512 + 3'000'320 + 512;

std::string archive() {
  return ArchiveBuilder().file("large", kLarge).file("small", "text").bytes();
}

void append(SpoolFile& file, std::string_view text) { file.append(std::as_bytes(std::span(text))); }

TEST(MemberHasher, HashesWhatArrives) {
  const std::string bytes = archive();
  const auto file = std::make_shared<SpoolFile>("/tmp");
  const MemberHasher hasher(file);
  append(*file, bytes.substr(0, 1'000'000));
  auto early = std::async(std::launch::async, [&] { return hasher.digest(kLargeOffset); });
  append(*file, bytes.substr(1'000'000));
  EXPECT_EQ(early.get(), sha256_digest(kLarge)) << "before the archive's end";
  file->end();
  EXPECT_EQ(hasher.digest(kSmallOffset), sha256_digest("text"));
  EXPECT_EQ(hasher.digest(1), "");
}

TEST(MemberHasher, KnowsNothingBehindDamage) {
  const std::string bytes = archive();
  const auto digest = [](const std::string& damaged, std::uint64_t offset) {
    const auto file = std::make_shared<SpoolFile>("/tmp");
    const MemberHasher hasher(file);
    append(*file, damaged);
    file->end();
    return hasher.digest(offset);
  };
  EXPECT_EQ(digest(bytes.substr(0, kSmallOffset + 2), kLargeOffset), sha256_digest(kLarge));
  EXPECT_EQ(digest(bytes.substr(0, kSmallOffset + 2), kSmallOffset), "");
  EXPECT_EQ(digest(bytes.substr(0, 100'000), kLargeOffset), "");
  EXPECT_EQ(digest("no archive at all", kLargeOffset), "");
  EXPECT_EQ(digest("", kLargeOffset), "");
}

TEST(MemberHasher, EndsWhenNobodyWantsItAnyMore) {
  for (const std::string& begun : {std::string(), archive().substr(0, 1'000'000)}) {
    const auto file = std::make_shared<SpoolFile>("/tmp");
    auto hasher = std::make_unique<MemberHasher>(file);
    append(*file, begun);
    std::byte more{};
    auto read = std::async(std::launch::async, [&] {
      return file->read(begun.size(), {&more, 1});
    });
    EXPECT_EQ(read.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
    hasher.reset();
    EXPECT_EQ(read.wait_for(std::chrono::seconds(30)), std::future_status::ready);
    file->end();  // were it not ended, the test must
    EXPECT_EQ(read.get(), 0U);
  }
}

TEST(MemberHasher, TellsTheArchivesMembers) {
  const auto file = std::make_shared<SpoolFile>("/tmp");
  auto hasher = std::make_unique<MemberHasher>(file);
  append(*file, archive());
  file->end();
  const ArchiveMembers members(file->source("x.tar"), std::move(hasher));
  EXPECT_EQ(members.computed_digest(members.open("large", "it", "a test")), sha256_digest(kLarge));
  const ArchiveMembers others(file->source("x.tar"));
  EXPECT_EQ(others.computed_digest(others.open("large", "it", "a test")), "");
}

}  // namespace
}  // namespace oci
