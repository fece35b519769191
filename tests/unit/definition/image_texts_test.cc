// SPDX-License-Identifier: Apache-2.0
#include "definition/image_texts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/unit/temporary_folder.h"

namespace definition {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class ImageTextsTest : public ::testing::Test {
 protected:
  static Stage stage(const std::string& sections,
                     const std::string& header = "Bootstrap: scratch\n") {
    return parse_definition(header + sections, "x.def").front();
  }
  void add(const std::string& sections, bool replace_labels = false) {
    add_texts(stage(sections), {"the text", "amd64", 1796103591, replace_labels}, root_);
  }
  std::string text(const std::string& file) const {
    return root_.find_text("/.singularity.d/" + file).value_or("(none)");
  }

  const unit::TemporaryFolder place_;
  RootFolder root_{place_.path()};
};

TEST_F(ImageTextsTest, Scripts) {
  add("%runscript\n  echo 1\n%startscript -c /bin/bash -e\n  echo 2\n%test\n\n #!/bin/cat -n\n  "
      "3\n");
  EXPECT_EQ(text("runscript"), "#!/bin/sh\n\n  echo 1\n\n");
  EXPECT_EQ(text("startscript"), "#!/bin/bash -e\n\n  echo 2\n\n");
  EXPECT_EQ(text("test"), "#!/bin/cat -n\n\n  3\n\n");
  EXPECT_EQ(fs::status(place_ / ".singularity.d/test").permissions(), fs::perms(0755));
  EXPECT_EQ(text("runscript.help"), "(none)");
}

TEST_F(ImageTextsTest, EmptySectionsChangeNothing) {
  root_.write_text("/.singularity.d/runscript", "the base's", 0755);
  add("%runscript\n%test\n%help\n%environment\n%startscript\n");
  EXPECT_EQ(text("runscript"), "the base's");
  for (const char* file : {"test", "runscript.help", "startscript", "env/90-environment.sh"})
    EXPECT_EQ(text(file), "(none)");
}

TEST_F(ImageTextsTest, EnvironmentIsAppended) {
  add("%environment\nexport A=1\n");
  add("%environment\nexport B=2\n");
  EXPECT_EQ(text("env/90-environment.sh"), "#!/bin/sh\n\nexport A=1\n\n\nexport B=2\n\n");
}

TEST_F(ImageTextsTest, Labels) {
  add("%help\nhelp\n%labels\nA b\n");
  EXPECT_THAT(text("labels.json"), HasSubstr("\"A\": \"b\""));
  EXPECT_THAT(text("labels.json"), HasSubstr("\"Tuesday_1_December_2026_5:39:51_UTC\""));
  EXPECT_THAT(text("labels.json"), HasSubstr("deffile.bootstrap\": \"scratch\""));
  EXPECT_THAT(text("labels.json"), HasSubstr("\"org.label-schema.usage\""));
  root_.write_text(kPostLabels, "A c\nPost d\n", 0644);
  add("%labels\nB e\n");
  EXPECT_THAT(text("labels.json"), HasSubstr("\"A\": \"b\""));
  EXPECT_THAT(text("labels.json"), HasSubstr("\"Post\": \"d\""));
  add("", true);
  EXPECT_THAT(text("labels.json"), HasSubstr("\"A\": \"c\""));
  root_.write_text("/.singularity.d/labels.json", "[]", 0644);
  add("%labels\nX x\nX y\n");
  EXPECT_THAT(text("labels.json"), HasSubstr("\"X\": \"y\""));
}

TEST_F(ImageTextsTest, DefinitionsOfWhatWasBuiltFromAreKept) {
  add_definition(stage(""), "first", root_);
  add_definition(stage(""), "second", root_);
  EXPECT_THAT(text("bootstrap_history/Apptainer0"), HasSubstr("(none)"));
  const Stage local = stage("", "Bootstrap: LocalImage\nFrom: x\n");
  add_definition(local, "third", root_);
  add_definition(local, "fourth", root_);
  EXPECT_EQ(text("bootstrap_history/Apptainer0"), "second");
  EXPECT_EQ(text("bootstrap_history/Apptainer1"), "third");
  EXPECT_EQ(text("Singularity"), "fourth");
}

TEST_F(ImageTextsTest, Apps) {
  const Stage apps =
      stage("%post\ntrue\n%apprun a-b\necho\n%appinstall a-b\nmake\n%applabels a-b\nX y\n");
  add_apps(apps, root_);
  EXPECT_EQ(root_.find_text("/scif/apps/a-b/scif/runscript"), "#!/bin/sh\n\necho\n\n");
  EXPECT_THAT(root_.find_text("/scif/apps/a-b/scif/labels.json").value_or(""),
              HasSubstr("\"X\": \"y\""));
  EXPECT_THAT(text("env/94-appsbase.sh"),
              HasSubstr("export SCIF_APPRUN_a_b=\"/scif/apps/a-b/scif/runscript\"\n"));
  EXPECT_THAT(text("env/94-appsbase.sh"), Not(HasSubstr("SCIF_APPSTART_a_b")));
  EXPECT_TRUE(fs::is_directory(place_ / "scif/data/a-b/output"));
  EXPECT_EQ(post_script(apps),
            "true\ncd /\n. /scif/apps/a-b/scif/env/01-base.sh\ncd /scif/apps/a-b\nmake\ncd /\n");
}

}  // namespace
}  // namespace definition
