// SPDX-License-Identifier: Apache-2.0
#include "runtime/access_trace.h"

#include <gmock/gmock.h>

namespace runtime {
namespace {

using Kind = TraceEntry::Kind;
constexpr std::uint64_t kRoot = 1;

AccessTrace some_trace() {
  return {{Kind::lookup, kTraceRoot, 0, 0, "usr", 1234},
          {Kind::list, kTraceRoot, 0, 0, ""},
          {Kind::lookup, 0, 0, 0, "a\nname"},
          {Kind::link, 2, 0, 0, ""},
          {Kind::read, 2, 4096, std::uint64_t{1} << 40, ""}};
}

TEST(AccessTrace, IsReadAsItWasWritten) {
  EXPECT_EQ(parse_trace(serialize(some_trace())), some_trace());
  EXPECT_EQ(parse_trace(serialize({})), AccessTrace());
}

TEST(AccessTrace, DamageIsNoTrace) {
  const std::string whole = serialize(some_trace());
  EXPECT_FALSE(parse_trace(""));
  EXPECT_FALSE(parse_trace("SFTRACE0" + whole.substr(8)));
  EXPECT_FALSE(parse_trace(whole.substr(0, whole.size() - 1)));
  std::string unknown_kind = whole;
  unknown_kind[8] = 4;
  EXPECT_FALSE(parse_trace(unknown_kind));
  EXPECT_FALSE(
      parse_trace(serialize(AccessTrace{{Kind::read, kTraceRoot, kMaxTraceRead + 1, 0, ""}})));
}

TEST(AccessTrace, NamesLeadNowhereElse) {
  for (const std::string name : {"", ".", "..", "a/b", "/etc"})
    EXPECT_FALSE(parse_trace(serialize(AccessTrace{{Kind::lookup, kTraceRoot, 0, 0, name}})))
        << name;
  const AccessTrace later = {{Kind::read, 1, 1, 0, ""}, {Kind::lookup, kTraceRoot, 0, 0, "a"}};
  EXPECT_FALSE(parse_trace(serialize(later)));
  const AccessTrace below_a_read = {{Kind::read, kTraceRoot, 1, 0, ""},
                                    {Kind::lookup, 0, 0, 0, "a"}};
  EXPECT_FALSE(parse_trace(serialize(below_a_read)));
}

TEST(TraceRecorder, TellsWhatWasAskedForByNames) {
  TraceRecorder recorder(kRoot);
  recorder.lookup(kRoot, "usr", 5);
  recorder.lookup(5, "absent", 0);
  recorder.list(5);
  recorder.lookup(5, "file", 6);
  recorder.read(6, 0, 4096);
  recorder.read(99, 0, 4096);  // a node that nobody was told of
  EXPECT_EQ(recorder.finish(), (AccessTrace{{Kind::lookup, kTraceRoot, 0, 0, "usr", 5},
                                            {Kind::lookup, 0, 0, 0, "absent"},
                                            {Kind::list, 0, 0, 0, ""},
                                            {Kind::lookup, 0, 0, 0, "file", 6},
                                            {Kind::read, 3, 4096, 0, ""}}));
}

TEST(TraceRecorder, WhatAListingToldCountsWhenItIsUsed) {
  TraceRecorder recorder(kRoot);
  recorder.mention(kRoot, "lib", 7);
  recorder.mention(7, "used", 8);
  recorder.mention(7, "unused", 9);
  recorder.link(8);
  recorder.link(8);
  EXPECT_EQ(recorder.finish(), (AccessTrace{{Kind::lookup, kTraceRoot, 0, 0, "lib", 7},
                                            {Kind::lookup, 0, 0, 0, "used", 8},
                                            {Kind::link, 1, 0, 0, ""},
                                            {Kind::link, 1, 0, 0, ""}}));
}

TEST(TraceRecorder, ALoopOfListingsIsGivenUp) {
  TraceRecorder recorder(kRoot);
  recorder.mention(8, "a", 7);
  recorder.mention(7, "b", 8);
  recorder.read(7, 0, 1);
  EXPECT_TRUE(recorder.finish().empty());
}

TEST(TraceRecorder, StopsAtItsLimits) {
  TraceRecorder many(kRoot);
  for (std::uint64_t i = 0; i < 2 * kMaxTraceEntries; ++i)
    many.lookup(kRoot, std::to_string(i), i + 2);
  EXPECT_EQ(many.finish().size(), kMaxTraceEntries);

  TraceRecorder large(kRoot);
  large.lookup(kRoot, "file", 2);
  for (std::uint64_t i = 0; i < 100; ++i) large.read(2, i << 20, 1 << 20);
  EXPECT_EQ(large.finish().size(), 1 + (kMaxTraceData >> 20) + 1);
  large.read(2, 0, 1);
  EXPECT_TRUE(large.finish().empty());
}

}  // namespace
}  // namespace runtime
