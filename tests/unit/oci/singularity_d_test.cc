// SPDX-License-Identifier: Apache-2.0
#include "oci/singularity_d.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/text.h"

namespace oci {
namespace {

using sif::FileType;
using sif::Inode;
using sif::Tree;
using ::testing::HasSubstr;
using ::testing::Not;

const ImageIdentity kIdentity{"debian:12", "sha256:abc", "amd64"};

ImageConfig sample() {
  ImageConfig config;
  config.env = {"PATH=/bin", "A=$x \"y\" `z` \\", "1bad=x", "NOVALUE", "B="};
  config.entrypoint = {"/e", "it's"};
  config.cmd = {"a b"};
  config.labels = {{"key", "value"}};
  config.created = 1706933106;
  return config;
}

Inode* find(Tree& tree, const std::string& path) {
  Inode* inode = &tree.root();
  for (const std::string& name : base::split(path, '/')) {
    const auto child = inode->children.find(name);
    if (child == inode->children.end()) return nullptr;
    inode = child->second;
  }
  return inode;
}

Inode& put(Tree& tree, const std::string& name, FileType type, const std::string& target = "") {
  Inode& inode = tree.make(type, 0755);
  inode.symlink_target = target;
  tree.root().children[name] = &inode;
  return inode;
}

TEST(EnvironmentScript, QuotesAndSkips) {
  EXPECT_EQ(environment_script(sample()),
            "#!/bin/sh\n"
            "export PATH=\"/bin\"\n"
            "export A=\"${A:-\"\\$x \\\"y\\\" \\`z\\` \\\\\"}\"\n"
            "export NOVALUE=\"${NOVALUE:-}\"\n"
            "export B=\"${B:-\"\"}\"\n");
}

TEST(RunScript, QuotesTheImagesWords) {
  EXPECT_THAT(run_script(sample()), HasSubstr(R"(set -- '/e' 'it'\''s' 'a b')"));
  EXPECT_THAT(run_script(sample()), HasSubstr(R"(set -- '/e' 'it'\''s' "$@")"));
}

TEST(DefinitionFile, NamesTheImageNotTheFile) {
  EXPECT_EQ(definition_file(kIdentity), "bootstrap: docker-archive\nfrom: debian:12\n\n");
  EXPECT_EQ(definition_file({"", "sha256:abc", "amd64"}),
            "bootstrap: docker-archive\nfrom: sha256:abc\n\n");
  EXPECT_THAT(definition_file({"a\nEvil: x", "", ""}), Not(HasSubstr("\nEvil")));
}

TEST(SifTexts, AreWhatInspectReads) {
  const auto texts = sif_texts(sample(), kIdentity);
  ASSERT_EQ(texts.size(), 3U);
  EXPECT_EQ(texts[1].name, "inspect-metadata.json");
  const auto metadata = nlohmann::json::parse(texts[1].content);
  EXPECT_EQ(metadata["type"], "container");
  EXPECT_EQ(metadata["data"]["attributes"]["labels"]["key"], "value");
  EXPECT_EQ(metadata["data"]["attributes"]["labels"]["org.label-schema.build-date"],
            "2024-02-03T04:05:06Z");
  EXPECT_EQ(texts[2].name, "oci-config.json");
}

TEST(AddSingularityD, FillsAnEmptyTree) {
  Tree tree;
  const auto contents = add_singularity_d(tree, singularity_files(sample(), kIdentity), 7);
  const Inode* script = find(tree, ".singularity.d/runscript");
  ASSERT_NE(script, nullptr);
  EXPECT_EQ(script->mode, 0755);
  EXPECT_EQ(script->mtime, 7);
  std::string text(script->size, '\0');
  script->source->read_at(0, std::as_writable_bytes(std::span(text)));
  EXPECT_EQ(text, run_script(sample()));
  EXPECT_EQ(find(tree, "singularity")->symlink_target, ".singularity.d/runscript");
  EXPECT_EQ(find(tree, "var/tmp")->mode, 01777);
  EXPECT_EQ(find(tree, "etc/hosts")->type, FileType::regular);
  EXPECT_EQ(tree.root().mtime, 7);
}

TEST(AddSingularityD, KeepsWhatTheImageHas) {
  Tree tree;
  put(tree, "tmp", FileType::directory).mode = 0700;
  put(tree, "home", FileType::symlink, "data/home");
  put(tree, "singularity", FileType::regular);
  put(tree, "data", FileType::directory);
  put(tree, "etc", FileType::symlink, "/data");
  const auto contents = add_singularity_d(tree, singularity_files(sample(), kIdentity), 7);
  EXPECT_EQ(find(tree, "tmp")->mode, 0700);
  EXPECT_EQ(find(tree, "home")->symlink_target, "data/home");
  EXPECT_EQ(find(tree, "singularity")->type, FileType::regular);
  EXPECT_NE(find(tree, "data/resolv.conf"), nullptr);
}

TEST(AddSingularityD, ReplacesWhatCannotServe) {
  Tree tree;
  put(tree, ".singularity.d", FileType::symlink, "/etc");
  put(tree, "dev", FileType::symlink, "/srv");
  put(tree, "proc", FileType::regular);
  put(tree, "etc", FileType::symlink, "etc");
  put(tree, "var", FileType::symlink, "../../..");
  const auto contents = add_singularity_d(tree, singularity_files(sample(), kIdentity), 7);
  EXPECT_EQ(find(tree, ".singularity.d")->type, FileType::directory);
  EXPECT_EQ(find(tree, "dev")->type, FileType::directory);
  EXPECT_EQ(find(tree, "proc")->type, FileType::directory);
  EXPECT_EQ(find(tree, "etc")->type, FileType::symlink);
  EXPECT_EQ(find(tree, "tmp")->type, FileType::directory);
}

}  // namespace
}  // namespace oci
