// SPDX-License-Identifier: Apache-2.0
#include "runtime/bind_spec.h"

#include <gmock/gmock.h>

#include "base/error.h"

namespace runtime {
namespace {

using testing::ElementsAre;

std::string failure(std::string_view text) {
  try {
    parse_bind_list(text, "/start");
  } catch (const base::Error& error) {
    return error.what();
  }
  return "no error";
}

std::string mount_failure(std::string_view text) {
  try {
    parse_mounts(text, "/start");
  } catch (const base::Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(BindList, SourceAloneIsItsOwnDestination) {
  EXPECT_THAT(parse_bind_list("/a", "/start"), ElementsAre(BindSpec{"/a", "/a"}));
  EXPECT_THAT(parse_bind_list("/a:", "/start"), ElementsAre(BindSpec{"/a", "/a"}));
}

TEST(BindList, SplitsAtCommasAndColons) {
  EXPECT_THAT(parse_bind_list("/a:/b:ro,/c:/d,/e,", "/start"),
              ElementsAre(BindSpec{"/a", "/b", true}, BindSpec{"/c", "/d"}, BindSpec{"/e", "/e"}));
}

TEST(BindList, OptionsMayFollowInTheirOwnFields) {
  EXPECT_THAT(parse_bind_list("/a:/b:ro,nonested,/c", "/start"),
              ElementsAre(BindSpec{"/a", "/b", true, false}, BindSpec{"/c", "/c"}));
}

TEST(BindList, EscapedSeparatorsStandForThemselves) {
  EXPECT_THAT(parse_bind_list("/a\\,b:/c\\:d", "/start"), ElementsAre(BindSpec{"/a,b", "/c:d"}));
  EXPECT_THAT(parse_bind_list("/a\\b", "/start"), ElementsAre(BindSpec{"/a\\b", "/a\\b"}));
}

TEST(BindList, SourcesMayBeRelativeAndPathsAreCleaned) {
  EXPECT_THAT(parse_bind_list("data/../x:/m//n/./o/..", "/start"),
              ElementsAre(BindSpec{"/start/x", "/m/n"}));
  EXPECT_THAT(parse_bind_list("../../../..:/m", "/start"), ElementsAre(BindSpec{"/", "/m"}));
}

TEST(BindList, ErrorsNameTheSpecification) {
  EXPECT_EQ(failure("/a:b"), "bind /a:b: the destination b must be an absolute path");
  EXPECT_EQ(failure("/a:/b:rx"),
            "bind /a:/b:rx: unknown option rx, expected ro, rw, image-src=PATH, id=N or "
            "nonested");
  EXPECT_EQ(failure("/a:/b:ro:x"),
            "bind /a:/b:ro:x: more than three fields, expected SRC[:DST[:OPTIONS]]");
  EXPECT_EQ(failure(":/b"), "bind :/b: the source is empty");
  EXPECT_EQ(failure("/a:/"), "bind /a:/: the container's root cannot be bound over");
  EXPECT_EQ(failure("/a:/x/.."), "bind /a:/x/..: the container's root cannot be bound over");
  EXPECT_EQ(failure("/a:/b:id=x"), "bind /a:/b:id=x: id=x is no partition's id");
}

TEST(BindList, ImagesHaveAPathInsideAndAPartition) {
  EXPECT_THAT(
      parse_bind_list("/i.sif:/b:image-src=/x/../y,ro,id=3,/other", "/start"),
      ElementsAre(BindSpec{"/i.sif", "/b", true, true, "/y", 3}, BindSpec{"/other", "/other"}));
  EXPECT_THAT(parse_bind_list("/i.sif:/b:id=3", "/start"),
              ElementsAre(BindSpec{"/i.sif", "/b", false, true, "/", 3}));
  EXPECT_EQ(parse_mounts("type=bind,src=/i.sif,dst=/b,image-src=/x,id=2", "/start").at(0),
            (BindSpec{"/i.sif", "/b", false, true, "/x", 2}));
}

TEST(MountSpec, KnowsApptainersSynonyms) {
  EXPECT_EQ(parse_mounts("type=bind,source=/a:b,destination=/c,readonly", "/start").at(0),
            (BindSpec{"/a:b", "/c", true}));
  EXPECT_EQ(parse_mounts("type=bind,src=/a,target=/c", "/start").at(0), (BindSpec{"/a", "/c"}));
  EXPECT_EQ(parse_mounts("type=bind,\"src=/a,b\",dst=/c,nonested", "/start").at(0),
            (BindSpec{"/a,b", "/c", false, false}));
}

TEST(MountSpec, ErrorsNameTheSpecification) {
  EXPECT_EQ(mount_failure("type=tmpfs,dst=/a"),
            "mount type=tmpfs,dst=/a: type tmpfs is not supported, only bind is");
  EXPECT_EQ(mount_failure("type=bind,src=/a"),
            "mount type=bind,src=/a: expected type=bind,source=SRC,destination=DST[,ro]");
  EXPECT_EQ(mount_failure("type=bind,what=/a"), "mount type=bind,what=/a: unknown key what");
}

}  // namespace
}  // namespace runtime
