// SPDX-License-Identifier: Apache-2.0
#include "net/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/unit/net/memory_channel.h"

namespace net {
namespace {

using ::testing::HasSubstr;

Response answer(const std::string& text, const std::string& method = "GET") {
  return {std::make_unique<MemoryChannel>(text), {.method = method}};
}

std::string body(const std::string& text) { return answer(text).read_text(1000); }

template <typename Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const base::Error& problem) {
    return problem.what();
  }
  return "no error";
}

TEST(Response, ReadsStatusAndFields) {
  const Response response = answer(
      "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate:  Basic realm=\"x\" \r\nA: 1\r\nA: 2\n\r\n");
  EXPECT_EQ(response.status(), 401);
  EXPECT_EQ(response.find("www-authenticate"), "Basic realm=\"x\"");
  EXPECT_EQ(response.all("a").size(), 2U);
  EXPECT_EQ(response.find("absent"), std::nullopt);
}

TEST(Response, FramesBodies) {
  EXPECT_EQ(body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, more"), "hello");
  EXPECT_EQ(body("HTTP/1.0 200\r\n\r\nuntil the end"), "until the end");
  EXPECT_EQ(body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "5;x=y\r\nhello\r\nA\r\n, chunked!\r\n0\r\nTrailer: x\r\n\r\n"),
            "hello, chunked!");
  EXPECT_EQ(body("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
            "hi");
  EXPECT_EQ(body("HTTP/1.1 204 No Content\r\n\r\nrest"), "");
  Response head = answer("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", "HEAD");
  EXPECT_EQ(head.length(), 99U);
  EXPECT_EQ(head.read_text(10), "");
}

TEST(SpeedWatch, MeasuresFromTheFirstByteOn) {
  using std::chrono::seconds;
  SpeedWatch watch;
  const SpeedWatch::Time begin{};
  watch.received(1, begin);
  watch.received(1, begin + seconds(59));
  EXPECT_THAT(message_of([&] { watch.received(1, begin + seconds(61)); }),
              HasSubstr("sends too slowly"));
  watch.pause();
  watch.received(1, begin + seconds(1000));  // it worked for long, which is no slow sending
  watch.received(kMinBytesPerMinute, begin + seconds(1061));
  watch.received(1, begin + seconds(1100));
  EXPECT_THAT(message_of([&] { watch.received(1, begin + seconds(1122)); }),
              HasSubstr("sends too slowly"));
}

TEST(Response, NoticesBodiesThatAreCutShort) {
  for (const char* text : {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                           "HTTP/1.1 200 OK\r\nA"})
    EXPECT_THAT(message_of([&] { body(text); }), HasSubstr("closed the connection too early"));
}

TEST(Response, RefusesWhatIsNoHttp) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  for (const std::string& text :
       {std::string("SSH-2.0-OpenSSH\r\n\r\n"), std::string("HTTP/1.1 999 X\r\n\r\n"),
        std::string("HTTP/1.\n\n"), ok + "no field\r\n\r\n", ok + " folded: x\r\n\r\n",
        ok + "Content-Length: -1\r\n\r\n", ok + "Content-Length: 99999999999999999999\r\n\r\n",
        ok + "Transfer-Encoding: gzip\r\n\r\n",
        ok + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
        ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"})
    EXPECT_THAT(message_of([&] { body(text); }), HasSubstr("no valid HTTP")) << text;
}

TEST(Response, LimitsWhatItReads) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  EXPECT_THAT(message_of([&] { body(ok + "A: " + std::string(kMaxHeadSize, 'x')); }),
              HasSubstr("its head is too large"));
  EXPECT_THAT(message_of([&] { body(ok + "\r\n" + std::string(1001, 'x')); }),
              HasSubstr("more than 1000 bytes"));
  std::string interim;
  for (int i = 0; i < 20; ++i) interim += "HTTP/1.1 103 Early Hints\r\n\r\n";
  EXPECT_THAT(message_of([&] { body(interim); }), HasSubstr("too many interim responses"));
}

}  // namespace
}  // namespace net
