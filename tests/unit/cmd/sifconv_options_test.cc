// SPDX-License-Identifier: Apache-2.0
#include "cmd/sifconv_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"
#include "tests/unit/fails_with.h"

namespace cmd {
namespace {

using ::testing::HasSubstr;
using unit::fails_with;

SifconvRequest request_of(const std::vector<const char*>& arguments) {
  return parse_sifconv_arguments(arguments);
}

std::string message(const std::vector<const char*>& arguments) {
  try {
    request_of(arguments);
  } catch (const base::Error& problem) {
    return problem.what();
  }
  return "no error";
}

TEST(ParseSifconvArguments, HasDefaults) {
  const SifconvRequest request = request_of({"dir/image.tar"});
  EXPECT_EQ(request.source.path, "dir/image.tar");
  EXPECT_EQ(request.destination, "image.sif");
  EXPECT_EQ(request.existing, base::Existing::refuse);
  EXPECT_EQ(request.squashfs.codec, sif::Codec::zstd);
  EXPECT_EQ(request.squashfs.block_size, 131072U);
  EXPECT_GE(request.squashfs.threads, 1U);
  EXPECT_TRUE(request.progress);
}

TEST(ParseSifconvArguments, TakesOptionsAnywhere) {
  const SifconvRequest request =
      request_of({"a.tar", "b.sif", "--force", "--ref=x:1", "--compression", "xz:2", "--block-size",
                  "1M", "--threads", "3", "--quiet", "--json"});
  EXPECT_EQ(request.destination, "b.sif");
  EXPECT_EQ(request.existing, base::Existing::replace);
  EXPECT_EQ(request.source.reference, "x:1");
  EXPECT_EQ(request.squashfs.codec, sif::Codec::xz);
  EXPECT_EQ(request.squashfs.level, 2);
  EXPECT_EQ(request.squashfs.block_size, 1048576U);
  EXPECT_EQ(request.squashfs.threads, 3U);
  EXPECT_FALSE(request.progress);
  EXPECT_TRUE(request.json);
  EXPECT_EQ(request.log_level, base::LogLevel::warning);
}

TEST(ParseSifconvArguments, HelpNeedsNothingElse) {
  EXPECT_EQ(request_of({"--help"}).action, SifconvRequest::Action::help);
  EXPECT_EQ(request_of({"--version"}).action, SifconvRequest::Action::version);
}

TEST(ParseSifconvArguments, SaysWhatIsWrong) {
  EXPECT_EQ(message({}), "SOURCE is missing");
  EXPECT_THAT(message({"a", "b", "c"}), HasSubstr("too many arguments: c"));
  EXPECT_THAT(message({"-"}), HasSubstr("DEST is needed"));
  EXPECT_THAT(message({"a", "-"}), HasSubstr("standard output"));
  EXPECT_THAT(message({"a", "--threads", "-1"}), HasSubstr("from 1 to"));
  EXPECT_THAT(message({"a", "--threads", "2x"}), HasSubstr("from 1 to"));
  EXPECT_THAT(message({"a", "--compression", "zstd:"}), HasSubstr("not a number"));
  EXPECT_THAT(message({"a", "--compression", "lzo"}),
              HasSubstr("zstd, gzip, lz4, xz, fast or small"));
}

TEST(ParseBlockSize, TakesPowersOfTwo) {
  EXPECT_EQ(parse_block_size("4096"), 4096U);
  EXPECT_EQ(parse_block_size("256k"), 262144U);
  for (const char* text : {"", "0", "4095", "3000", "2M", "4294967296", "99999999999K", "K", "-4K"})
    EXPECT_THAT(
        [&] { parse_block_size(text); },
        fails_with(base::cat("--block-size ", text, ": a power of two from 4K to 1M is needed")));
}

}  // namespace
}  // namespace cmd
