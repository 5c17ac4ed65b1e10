// A configuration file in a folder of its own, and what comes of reading it.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <variant>
#include <vector>

#include "daemon/config.h"

namespace tidemark::daemon {

using Texts = std::vector<std::string>;

class ConfigTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "tidemark-config-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    file_ = name + "/tidemarkd.toml";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::variant<Config, Texts> load(const std::string& text) const {
    std::ofstream(file_, std::ios::binary) << text;
    return load_config(file_);
  }

  Config config_of(const std::string& text) const {
    auto loaded = load(text);
    if (const Texts* problems = std::get_if<Texts>(&loaded)) {
      ADD_FAILURE() << text << "\n" << testing::PrintToString(*problems);
      return {};
    }
    return std::get<Config>(loaded);
  }

  // The problems without the file's name: "line: text".
  Texts problems_of(const std::string& text) const {
    auto loaded = load(text);
    Texts* problems = std::get_if<Texts>(&loaded);
    if (!problems) return {};
    for (std::string& problem : *problems) {
      EXPECT_EQ(problem.find(file_ + ":"), 0U) << problem;
      problem.erase(0, file_.size() + 1);
    }
    return *problems;
  }

  std::filesystem::path folder_;
  std::string file_;
};

}  // namespace tidemark::daemon
