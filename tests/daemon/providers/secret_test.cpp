#include "daemon/providers/secret.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace tidemark::daemon {
namespace {

class SecretTest : public testing::Test {
 protected:
  SecretTest() { std::filesystem::create_directories(folder_); }
  ~SecretTest() override {
    ::unsetenv("CREDENTIALS_DIRECTORY");
    std::filesystem::remove_all(folder_);
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // What is read from a file that holds `contents`, or the sentence.
  std::string read(const std::string& contents) {
    std::ofstream(path("secret"), std::ios::binary) << contents;
    const auto secret = read_secret({path("secret"), ""});
    return secret ? secret->text : "problem: " + secret.error().sentence;
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("tidemark-secret-" + std::to_string(::getpid()));
};

TEST_F(SecretTest, IsTheTextOfAFileWithoutWhatFollowsIt) {
  EXPECT_EQ(read("abc"), "abc");
  EXPECT_EQ(read("Bearer abc \t\r\n\n"), "Bearer abc");
  EXPECT_EQ(read(std::string(secret_bytes_max, 'x')), std::string(secret_bytes_max, 'x'));
}

TEST_F(SecretTest, IsRefusedWithASentenceThatDoesNotHoldIt) {
  for (const std::string& contents :
       {std::string(), std::string(" \n\t"), std::string("planted\r\nX-Other: 1"), std::string("planted\0x", 9),
        std::string("plant\xc3\xa9\xc3\xa9"), std::string("planted\x7fx"), std::string(secret_bytes_max + 1, 'p')}) {
    const std::string problem = read(contents);
    EXPECT_EQ(problem.find("problem: the secret in " + path("secret")), 0U) << problem;
    EXPECT_EQ(problem.find("plant"), std::string::npos) << problem;
    EXPECT_LT(problem.size(), 300U);
  }
}

TEST_F(SecretTest, IsRefusedWhereThereIsNoFile) {
  const auto missing = read_secret({path("missing"), ""});
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().sentence.find("No such file"), std::string::npos) << missing.error().sentence;
  const auto directory = read_secret({folder_.string(), ""});
  ASSERT_FALSE(directory);
  EXPECT_NE(directory.error().sentence.find("regular file"), std::string::npos) << directory.error().sentence;
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_FALSE(read_secret({path("pipe"), ""})) << "nor waited for";
}

TEST_F(SecretTest, IsACredentialOfTheServiceManager) {
  std::ofstream(path("token")) << "abc\n";
  ::unsetenv("CREDENTIALS_DIRECTORY");
  EXPECT_FALSE(read_secret({"", "token"}));
  ::setenv("CREDENTIALS_DIRECTORY", folder_.c_str(), 1);
  const auto secret = read_secret({"", "token"});
  ASSERT_TRUE(secret) << secret.error().sentence;
  EXPECT_EQ(secret->text, "abc");
  const auto missing = read_secret({"", "other"});
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().sentence.find("\"other\""), std::string::npos) << missing.error().sentence;
  for (const char* name : {"../"
                           "token",
                           "..", ".", "/etc/passwd", ""})
    EXPECT_FALSE(read_secret({"", name})) << name;
}

Redactor redactor_of(std::string_view secret) {
  Redactor redactor;
  redactor.add(secret);
  return redactor;
}

TEST(Redactor, BlotsOutEachOccurrence) {
  const Redactor redactor = redactor_of("s3cret");
  EXPECT_EQ(redactor.redact("s3cret, s3crets3cret"), "***, ******");
  EXPECT_EQ(redactor.redact("s3cre t s3cre"), "s3cre t s3cre");
  EXPECT_EQ(redactor.redact(""), "");
  EXPECT_EQ(redactor_of("x").redact("axa"), "a***a") << "however short";
  EXPECT_EQ(Redactor().redact("anything"), "anything");
  EXPECT_EQ(redactor_of("").redact("anything"), "anything");
}

TEST(Redactor, FindsTheSecretInEveryEncoding) {
  const Redactor redactor = redactor_of("a\"b\\/c<&>+ %25d'");
  for (const char* text : {
           "a\"b\\/c<&>+ %25d'",                                // as it is
           "a\\\"b\\\\/c<&>+ %25d'",                            // JSON
           "a\\\"b\\\\\\/c\\u003c\\u0026\\u003E+ %25d'",        // JSON that escapes more
           "a%22b%5C%2Fc%3C%26%3E%2B%20%2525d%27",              // a URL
           "a%22b%5c%2fc%3c%26%3e%2b+%2525d%27",                // a form, with small letters
           "a&quot;b\\/c&lt;&amp;&gt;+ %25d&#39;",              // HTML
           "a&#34;b\\/c&#x3C;&#38;&#62;+ %25d&apos;",           // HTML by numbers
           "%61%22%62%5C%2F%63%3C%26%3E%2B%20%25%32%35%64%27",  // all of it
       }) {
    EXPECT_EQ(redactor.redact(std::string("<") + text + ">"), "<***>") << text;
  }
}

TEST(Redactor, FollowsEveryWayToReadAText) {
  EXPECT_EQ(redactor_of("\\\\").redact("\\\\"), "***");
  EXPECT_EQ(redactor_of("%25").redact("%25"), "***");
  EXPECT_EQ(redactor_of("%25").redact("%2525"), "***");
  EXPECT_EQ(redactor_of("%").redact("%25"), "***");
  EXPECT_EQ(redactor_of("+a").redact("+a"), "***");
  EXPECT_EQ(redactor_of(std::string(300, '\\')).redact(std::string(600, '\\')), "***") << "and in no time";
}

TEST(Redactor, KnowsWhatFollowsASchemeToo) {
  const Redactor redactor = redactor_of("Bearer  abc def");
  EXPECT_EQ(redactor.redact("the token abc def is not known; Bearer  abc def"), "the token *** is not known; ***");
}

TEST(Redactor, KnowsSeveralAndTakesTheLongest) {
  Redactor redactor;
  redactor.add("abc");
  redactor.add("abcdef");
  redactor.add("xyz");
  redactor.add("abc");
  EXPECT_EQ(redactor.redact("abcdef abc xyz"), "*** *** ***");
}

TEST(Redactor, LeavesNoBeginningOfASecretAtACut) {
  const Redactor redactor = redactor_of("s3cret/token");
  EXPECT_EQ(redactor.redact_start("0123 s3cret/token", 10), "0123 ***");
  EXPECT_EQ(redactor.redact_start("0123 s3cret%2Ftoken", 12), "0123 ***") << "a parted escape";
  EXPECT_EQ(redactor.redact_start("0123 s3cret%2Ftoken", 13), "0123 ***");
  EXPECT_EQ(redactor.redact_start("0123 s3", 7), "0123 s3") << "nothing is cut off";
  EXPECT_EQ(redactor.redact_start("0123 4567", 5), "0123 ");
}

}  // namespace
}  // namespace tidemark::daemon
