// SPDX-License-Identifier: Apache-2.0
#include "runtime/loader_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/runtime/elf_builder.h"
#include "tests/unit/runtime/tree_fixture.h"

namespace runtime {
namespace {

using testing::HasSubstr;

constexpr const char* kLoader = "/lib64/ld-linux.so";

class LoaderCheck : public testing::Test {
 protected:
  void image_with_glibc(const std::string& version) {
    top_.file(kLoader);
    ElfPlan libc;
    libc.version_definitions = {"GLIBC_2.2.5", "GLIBC_" + version};
    top_.file("/usr/lib/libc.so.6", ElfBuilder::build(libc));
  }
  void python(const std::string& glibc, std::vector<std::string> needed = {}) {
    ElfPlan plan;
    plan.interpreter = kLoader;
    plan.needed = std::move(needed);
    plan.needed.push_back("libc.so.6");
    plan.version_needs = {{"libc.so.6", "GLIBC_" + glibc}};
    top_.file("/env/bin/python", ElfBuilder::build(plan));
  }
  std::string check(const std::string& program) {
    return find_loader_problem(top_.tree(), program, "/env").value_or("");
  }
  TreeFixture top_;
};

TEST_F(LoaderCheck, IsContentWithANewEnoughImage) {
  image_with_glibc("2.36");
  python("2.35");
  EXPECT_EQ(check("/env/bin/python"), "");
  EXPECT_EQ(check("/env/bin/none"), "");
}

TEST_F(LoaderCheck, NamesBothVersions) {
  image_with_glibc("2.31");
  python("2.35");
  EXPECT_EQ(check("/env/bin/python"), "/env/bin/python needs glibc 2.35, the image has 2.31");
}

// glibc 2.31 defines no symbol of its own version.
TEST_F(LoaderCheck, TellsTheReleaseOfOlderImages) {
  top_.file(kLoader);
  ElfPlan libc;
  libc.version_definitions = {"GLIBC_2.30"};
  top_.file("/usr/lib/libc-2.31.so", ElfBuilder::build(libc));
  top_.link("/usr/lib/libc.so.6", "libc-2.31.so");
  python("2.35");
  EXPECT_THAT(check("/env/bin/python"), HasSubstr("the image has 2.31"));
}

TEST_F(LoaderCheck, LooksAtTheInterpreterOfAScript) {
  image_with_glibc("2.31");
  python("2.35");
  top_.file("/env/bin/conda", "#!/env/bin/python -u\nimport sys\n");
  EXPECT_THAT(check("/env/bin/conda"), HasSubstr("needs glibc 2.35"));
}

TEST_F(LoaderCheck, LooksAtTheLibrariesOfTheEnvironment) {
  image_with_glibc("2.31");
  python("2.17", {"libpython3.11.so.1.0"});
  ElfPlan library;
  library.version_needs = {{"libc.so.6", "GLIBC_2.34"}};
  top_.file("/env/lib/libpython3.11.so.1.0", ElfBuilder::build(library));
  EXPECT_EQ(check("/env/bin/python"),
            "/env/lib/libpython3.11.so.1.0 needs glibc 2.34, the image has 2.31");
}

TEST_F(LoaderCheck, NamesAMissingLoader) {
  python("2.17");
  EXPECT_THAT(check("/env/bin/python"), HasSubstr("needs the loader /lib64/ld-linux.so, which"));
}

TEST_F(LoaderCheck, NamesAMissingLibpython) {
  image_with_glibc("2.36");
  python("2.17", {"libpython3.11.so.1.0"});
  EXPECT_THAT(check("/env/bin/python"),
              HasSubstr("needs libpython3.11.so.1.0, which neither its environment nor the image"));
}

TEST_F(LoaderCheck, LeavesForeignProgramsToTheKernel) {
  ElfPlan plan;
  plan.interpreter = kLoader;
  plan.machine = 8;
  top_.file("/env/bin/python", ElfBuilder::build(plan));
  EXPECT_EQ(check("/env/bin/python"), "");
}

}  // namespace
}  // namespace runtime
