// Cutting a stream into lines, however it comes.
#include "ipc/frame.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace tidemark::ipc {
namespace {

using Outcome = FrameReader::Outcome;

std::vector<std::string> take_all(FrameReader& reader) {
  std::vector<std::string> frames;
  for (std::string_view frame; reader.next(frame) == Outcome::frame;) frames.emplace_back(frame);
  return frames;
}

TEST(FrameReader, GivesWholeLinesWithoutTheirEnds) {
  FrameReader reader;
  reader.feed("one\ntwo\r\nthr");
  EXPECT_EQ(take_all(reader), (std::vector<std::string>{"one", "two"}));
  reader.feed("ee");
  EXPECT_TRUE(take_all(reader).empty());
  reader.feed("\n");
  EXPECT_EQ(take_all(reader), (std::vector<std::string>{"three"}));
  EXPECT_EQ(reader.bytes_pending(), 0U);
}

TEST(FrameReader, PassesOverEmptyLines) {
  FrameReader reader;
  reader.feed("\n\r\n\n a\r\n\r\n");
  EXPECT_EQ(take_all(reader), (std::vector<std::string>{" a"}));
}

TEST(FrameReader, KeepsACarriageReturnThatEndsNoLine) {
  FrameReader reader;
  reader.feed("a\rb\n");
  EXPECT_EQ(take_all(reader), (std::vector<std::string>{"a\rb"}));
}

TEST(FrameReader, TakesALineOfExactlyTheBound) {
  FrameReader reader(8);
  reader.feed("12345678\n12345678\r\n");
  EXPECT_EQ(take_all(reader).size(), 2U);
  reader.feed("12345678");
  std::string_view frame;
  EXPECT_EQ(reader.next(frame), Outcome::incomplete);
  reader.feed("\r");
  EXPECT_EQ(reader.next(frame), Outcome::incomplete) << "the line end may still follow";
  reader.feed("\n");
  EXPECT_EQ(reader.next(frame), Outcome::frame);
}

TEST(FrameReader, OverflowsOneByteAboveTheBoundAndStaysSo) {
  for (std::string const end : {"", "\n", "\r\n", "\r"}) {
    FrameReader reader(8);
    reader.feed("ok\n123456789" + end);
    std::string_view frame;
    ASSERT_EQ(reader.next(frame), Outcome::frame) << "frames before it count";
    EXPECT_EQ(reader.next(frame), Outcome::overflow);
    reader.feed("\nok\n");
    EXPECT_EQ(reader.next(frame), Outcome::overflow);
    EXPECT_LE(reader.bytes_capacity(), 64U) << "what is refused is not kept";
  }
}

TEST(FrameReader, MemoryFollowsWhatIsThere) {
  FrameReader reader;
  reader.feed(std::string(500'000, 'a'));
  std::string_view frame;
  EXPECT_EQ(reader.next(frame), Outcome::incomplete);
  EXPECT_GE(reader.bytes_capacity(), 500'000U);
  reader.feed("\nb");
  EXPECT_EQ(take_all(reader).size(), 1U);
  EXPECT_LE(reader.bytes_capacity(), bounds::idle_buffer_bytes);
  EXPECT_EQ(reader.bytes_pending(), 1U);
}

TEST(FrameReader, DoesNotCareHowTheBytesAreCut) {
  unsigned const seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  auto const below = [&](std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> expected;
    std::string stream;
    for (std::size_t count = below(20); count > 0; --count) {
      std::string line(below(round % 10 == 0 ? 5000 : 30), 'x');
      for (char& character : line) character = static_cast<char>('a' + below(26));
      stream += line + (below(2) == 0 ? "\n" : "\r\n");
      if (!line.empty()) expected.push_back(line);
    }
    FrameReader reader;
    std::vector<std::string> got;
    for (std::size_t at = 0; at < stream.size();) {
      std::size_t const size = std::min(stream.size() - at, 1 + below(40));
      reader.feed(std::string_view(stream).substr(at, size));
      at += size;
      if (below(3) > 0)
        for (auto& frame : take_all(reader)) got.push_back(frame);
    }
    for (auto& frame : take_all(reader)) got.push_back(frame);
    ASSERT_EQ(got, expected);
    ASSERT_EQ(reader.bytes_pending(), 0U);
  }
}

}  // namespace
}  // namespace tidemark::ipc
