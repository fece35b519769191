// SPDX-License-Identifier: Apache-2.0
#include "runtime/fuse_responder.h"

#include <gtest/gtest.h>
#include <sys/xattr.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "tests/unit/fails_with.h"
#include "tests/unit/sif/made_image.h"

namespace runtime {
namespace {

using unit::fails_with;

class ResponderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(tree_ / "dir");
    sif::write_text(tree_ / "dir/file", "content");
    ::setxattr((tree_ / "dir/file").c_str(), "user.x", "1", 1, 0);  // where that is possible
    ASSERT_TRUE(sif::make_image(tree_.path(), output_ / "i", "-comp gzip"));
    image_ = sif::open_made_image(output_ / "i");
    responder_ = std::make_unique<FuseResponder>(*image_, FuseOptions{});
  }

  struct Answer {
    int errno_value = 0;
    std::string body;
    template <typename T>
    T as() const {
      T value{};
      std::memcpy(&value, body.data(), std::min(body.size(), sizeof(T)));
      return value;
    }
  };
  Answer ask(std::uint32_t opcode, std::uint64_t node, std::string body) {
    fuse_in_header header{};
    header.opcode = opcode;
    header.nodeid = node;
    header.unique = 77;
    header.len = static_cast<std::uint32_t>(sizeof(header) + body.size());
    body.insert(0, reinterpret_cast<const char*>(&header), sizeof(header));
    const auto raw = responder_->answer(std::as_bytes(std::span(body)), reply_);
    if (raw.empty()) return {-1, "no answer"};
    fuse_out_header out{};
    std::memcpy(&out, raw.data(), sizeof(out));
    EXPECT_EQ(out.len, raw.size());
    EXPECT_EQ(out.unique, 77U);
    return {-out.error,
            {reinterpret_cast<const char*>(raw.data()) + sizeof(out), raw.size() - sizeof(out)}};
  }
  template <typename T>
  static std::string raw(const T& value) {
    return {reinterpret_cast<const char*>(&value), sizeof(value)};
  }
  std::uint64_t node_of(std::uint64_t parent, const std::string& name) {
    return ask(FUSE_LOOKUP, parent, name + '\0').as<fuse_entry_out>().nodeid;
  }
  static std::string read_request(std::uint64_t offset, std::uint32_t size) {
    fuse_read_in in{};
    in.offset = offset;
    in.size = size;
    return raw(in);
  }

  // Names by both requests, entry by entry.
  std::vector<std::string> listed(std::uint64_t node) {
    std::vector<std::string> found;
    for (const std::uint32_t opcode : {FUSE_READDIR, FUSE_READDIRPLUS}) {
      std::vector<std::string> names;
      std::uint64_t offset = 0;
      for (;;) {
        const Answer answer = ask(opcode, node, read_request(offset, 200));
        if (answer.body.empty()) break;
        const std::size_t at = opcode == FUSE_READDIRPLUS ? sizeof(fuse_entry_out) : 0;
        struct {
          std::uint64_t ino, off;
          std::uint32_t namelen, type;
        } entry;
        std::memcpy(&entry, answer.body.data() + at, sizeof(entry));
        names.push_back(answer.body.substr(at + sizeof(entry), entry.namelen));
        offset = entry.off;
      }
      if (!found.empty()) {
        EXPECT_EQ(names, found);
      }
      found = names;
    }
    return found;
  }

  unit::TemporaryFolder tree_, output_;
  sif::OpenImage image_;
  std::unique_ptr<FuseResponder> responder_;
  FuseReply reply_;
};

TEST_F(ResponderTest, NegotiatesOnlyWhatTheKernelOffers) {
  fuse_init_in in{};
  in.major = FUSE_KERNEL_VERSION;
  in.minor = 27;
  in.max_readahead = 1 << 20;
  in.flags = FUSE_ASYNC_READ | FUSE_NO_OPEN_SUPPORT | FUSE_WRITEBACK_CACHE | FUSE_INIT_EXT;
  const auto out = ask(FUSE_INIT, 0, raw(in)).as<fuse_init_out>();
  EXPECT_EQ(out.flags, std::uint32_t{FUSE_ASYNC_READ | FUSE_NO_OPEN_SUPPORT});
  EXPECT_EQ(out.max_readahead, 131072U);
  EXPECT_EQ(ask(FUSE_OPEN, 1, "").errno_value, ENOSYS);
  // This kernel knows no "opendir is not needed": it must be told to cache at each open.
  EXPECT_EQ(ask(FUSE_OPENDIR, 1, "").as<fuse_open_out>().open_flags,
            std::uint32_t{FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR});
}

TEST_F(ResponderTest, KnowsWhetherTheKernelOffersIoUring) {
  fuse_init_in in{};
  in.major = FUSE_KERNEL_VERSION;
  in.minor = FUSE_KERNEL_MINOR_VERSION;
  in.flags2 = 1 << 9;
  ask(FUSE_INIT, 0, raw(in));
  EXPECT_FALSE(responder_->offers_io_uring());  // no flags2 without FUSE_INIT_EXT
  in.flags = FUSE_INIT_EXT;
  ask(FUSE_INIT, 0, raw(in));
  EXPECT_TRUE(responder_->offers_io_uring());
}

TEST_F(ResponderTest, StaysInTheMemoryThatItIsGiven) {
  std::array<std::byte, sizeof(fuse_out_header) + 100> memory;
  FuseReply borrowed(memory);
  EXPECT_EQ(borrowed.body(100).data(), memory.data() + sizeof(fuse_out_header));
  EXPECT_THAT([&] { borrowed.body(101); }, fails_with("FUSE request for 101 bytes"));
}

TEST_F(ResponderTest, LooksUpReadsAndRemembersAbsence) {
  const std::uint64_t directory = node_of(FUSE_ROOT_ID, "dir");
  const std::uint64_t file = node_of(directory, "file");
  EXPECT_GT(file, 1U);
  EXPECT_EQ(ask(FUSE_READ, file, read_request(0, 4096)).body, "content");
  EXPECT_EQ(ask(FUSE_READ, file, read_request(4, 2)).body, "en");
  EXPECT_EQ(ask(FUSE_READ, file, read_request(100, 10)).body, "");
  const auto absent = ask(FUSE_LOOKUP, directory, std::string("absent\0", 7)).as<fuse_entry_out>();
  EXPECT_EQ(absent.nodeid, 0U);
  EXPECT_GT(absent.entry_valid, 86400U);
}

TEST_F(ResponderTest, ListsInPiecesOfAnySize) {
  EXPECT_EQ(listed(FUSE_ROOT_ID), (std::vector<std::string>{".", "..", "dir"}));
}

TEST_F(ResponderTest, ShowsAddedPathsBesidesTheImagesOwn) {
  const auto directory = image_->find_entry(image_->root(), "dir");
  FuseOptions options;
  options.owner = {7, 8};
  const std::vector<AddedPath> added = {{image_->root(), {"data", "set"}, true},
                                        {image_->root(), {"data", "list"}, false},
                                        {*directory, {"more"}, true}};
  responder_ = std::make_unique<FuseResponder>(*image_, options, added);
  const auto before = image_->attributes(image_->root()).link_count;
  EXPECT_EQ(ask(FUSE_GETATTR, FUSE_ROOT_ID, "").as<fuse_attr_out>().attr.nlink, before + 1);
  const std::uint64_t data = node_of(FUSE_ROOT_ID, "data");
  const std::uint64_t list = node_of(data, "list");
  const fuse_attr attributes = ask(FUSE_GETATTR, list, "").as<fuse_attr_out>().attr;
  EXPECT_EQ(attributes.mode, std::uint32_t{S_IFREG | 0644});
  EXPECT_EQ(attributes.uid, 7U);
  EXPECT_EQ(attributes.gid, 8U);
  EXPECT_GT(attributes.ino, image_->inode_count());
  EXPECT_EQ(ask(FUSE_READ, list, read_request(0, 4096)).body, "");
  EXPECT_EQ(ask(FUSE_GETATTR, node_of(data, "set"), "").as<fuse_attr_out>().attr.mode,
            std::uint32_t{S_IFDIR | 0755});
  fuse_getxattr_in room{};
  room.size = 100;
  const bool has_xattrs = image_->has_xattrs();
  const Answer value = ask(FUSE_GETXATTR, list, raw(room) + "user.x" + '\0');
  EXPECT_EQ(value.errno_value, has_xattrs ? ENODATA : ENOSYS);
  const Answer names = ask(FUSE_LISTXATTR, data, raw(room));
  EXPECT_EQ(names.errno_value, has_xattrs ? 0 : ENOSYS);
  EXPECT_EQ(names.body, "");
  EXPECT_EQ(node_of(data, "dir"), 0U);
  EXPECT_NE(node_of(node_of(FUSE_ROOT_ID, "dir"), "file"), 0U);
  EXPECT_EQ(listed(FUSE_ROOT_ID), (std::vector<std::string>{".", "..", "dir", "data"}));
  EXPECT_EQ(listed(node_of(FUSE_ROOT_ID, "dir")),
            (std::vector<std::string>{".", "..", "file", "more"}));
  EXPECT_EQ(listed(data), (std::vector<std::string>{".", "..", "set", "list"}));
}

TEST_F(ResponderTest, RefusesWritesAndSurvivesNonsense) {
  EXPECT_EQ(ask(FUSE_MKDIR, 1, "").errno_value, EROFS);
  EXPECT_EQ(ask(FUSE_WRITE, 1, "").errno_value, EROFS);
  EXPECT_EQ(ask(FUSE_ACCESS, 1, "").errno_value, ENOSYS);
  EXPECT_EQ(ask(4711, 1, "").errno_value, ENOSYS);
  EXPECT_EQ(ask(FUSE_FORGET, 1, "").body, "no answer");
  EXPECT_EQ(ask(FUSE_INTERRUPT, 1, "").body, "no answer");
  EXPECT_EQ(ask(FUSE_GETATTR, 0, "").errno_value, EIO);
  EXPECT_EQ(ask(FUSE_GETATTR, ~0ULL, "").errno_value, EIO);
  EXPECT_EQ(ask(FUSE_READ, FUSE_ROOT_ID, read_request(0, 100)).errno_value, EINVAL);
  EXPECT_EQ(ask(FUSE_READLINK, FUSE_ROOT_ID, "").errno_value, EINVAL);
  const std::uint64_t file = node_of(node_of(FUSE_ROOT_ID, "dir"), "file");
  EXPECT_EQ(ask(FUSE_READ, file, read_request(0, ~0U)).errno_value, EIO);
  EXPECT_EQ(ask(FUSE_LOOKUP, file, std::string("x\0", 2)).errno_value, ENOTDIR);
}

}  // namespace
}  // namespace runtime
