// SPDX-License-Identifier: Apache-2.0
#include "runtime/conda.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/runtime/tree_fixture.h"

namespace runtime {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Conda : public testing::Test {
 protected:
  // An installation with one environment.
  void install(const std::string& root) {
    for (const std::string& prefix : {root, root + "/envs/my_env"}) environment(prefix);
    top_.directory(root + "/condabin");
  }
  void environment(const std::string& prefix) {
    top_.directory(prefix + "/conda-meta");
    top_.file(prefix + "/bin/python");
  }
  void activate(const std::string& root, const std::string& name) {
    const std::string prefix = name == "base" ? root : root + "/envs/" + name;
    request_.environment = {"CONDA_EXE=" + root + "/bin/conda",
                            "CONDA_PREFIX=" + prefix,
                            "CONDA_DEFAULT_ENV=" + name,
                            "CONDA_SHLVL=1",
                            "_CE_M=",
                            "PATH=" + prefix + "/bin:" + root + "/condabin:/usr/bin:/bin"};
  }
  HostAdditions additions() { return conda_additions(top_.tree(), request_); }
  std::vector<std::string> bound() {
    std::vector<std::string> out;
    for (const HostBind& bind : additions().binds) out.push_back(bind.destination);
    return out;
  }
  TreeFixture top_;
  CondaRequest request_{CondaMode::automatic, false, {}, "/home/u", {"/home/u", "/tmp"}};
};

TEST_F(Conda, NothingWhereNothingIs) {
  request_.environment = {"PATH=/usr/bin:/bin", "HOME=/home/u"};
  const HostAdditions out = additions();
  EXPECT_THAT(out.binds, IsEmpty());
  EXPECT_THAT(out.path_front, IsEmpty());
  EXPECT_THAT(out.notes, IsEmpty());
}

TEST_F(Conda, AnActivatedEnvironmentGoesBeforeTheImage) {
  install("/home/u/miniconda3");
  activate("/home/u/miniconda3", "my_env");
  const HostAdditions out = additions();
  EXPECT_THAT(out.path_front,
              ElementsAre("/home/u/miniconda3/envs/my_env/bin", "/home/u/miniconda3/condabin"));
  EXPECT_THAT(out.path_back, IsEmpty());
  EXPECT_THAT(out.binds, IsEmpty());  // the home shows it
  EXPECT_EQ(out.environments.at(0), "/home/u/miniconda3/envs/my_env");
  EXPECT_THAT(out.notes,
              Contains(HasSubstr("python is /home/u/miniconda3/envs/my_env/bin/python")));
}

TEST_F(Conda, BaseGoesBehindTheImage) {
  install("/home/u/miniconda3");
  activate("/home/u/miniconda3", "base");
  EXPECT_THAT(additions().path_front, IsEmpty());
  EXPECT_THAT(additions().path_back,
              ElementsAre("/home/u/miniconda3/bin", "/home/u/miniconda3/condabin"));
}

TEST_F(Conda, AnInstallationOnPathAloneGoesBehindTheImage) {
  install("/opt/mc");
  request_.environment = {"PATH=/opt/mc/bin:/usr/bin"};
  EXPECT_THAT(additions().path_back, ElementsAre("/opt/mc/bin"));
  EXPECT_THAT(bound(), ElementsAre("/opt/mc"));
}

TEST_F(Conda, UnderAnotherNameEverythingGoesBehind) {
  install("/home/u/miniconda3");
  activate("/home/u/miniconda3", "my_env");
  request_.stands_in = true;
  EXPECT_THAT(additions().path_front, IsEmpty());
  EXPECT_EQ(additions().path_back.size(), 2U);
  request_.mode = CondaMode::front;
  EXPECT_EQ(additions().path_front.size(), 2U);
  request_.mode = CondaMode::bind;
  EXPECT_THAT(additions().path_back, IsEmpty());
}

TEST_F(Conda, ALeftoverVariableIsNotActive) {
  install("/opt/mc");
  request_.environment = {"CONDA_PREFIX=/opt/mc/envs/my_env", "PATH=/usr/bin"};
  EXPECT_THAT(additions().path_front, IsEmpty());
  request_.environment = {"CONDA_PREFIX=/usr", "PATH=/usr/bin"};
  top_.directory("/usr/conda-meta");
  EXPECT_THAT(additions().binds, IsEmpty());
}

TEST_F(Conda, OffIsOff) {
  install("/opt/mc");
  activate("/opt/mc", "my_env");
  request_.mode = CondaMode::off;
  EXPECT_THAT(additions().binds, IsEmpty());
  EXPECT_THAT(additions().path_front, IsEmpty());
}

TEST_F(Conda, TheInstallationIsBoundAtItsPath) {
  install("/scratch/u/mc");
  activate("/scratch/u/mc", "my_env");
  EXPECT_THAT(additions().binds,
              ElementsAre(HostBind{top_.top() + "/scratch/u/mc", "/scratch/u/mc", false, true}));
}

TEST_F(Conda, EveryHopOfALinkIsBound) {
  install("/vol/7/mc");
  top_.link("/scratch/mc", "/vol/7/mc");
  top_.link("/home/u/miniconda3", "/scratch/mc");
  activate("/home/u/miniconda3", "my_env");
  EXPECT_THAT(bound(), ElementsAre("/scratch/mc", "/vol/7/mc"));
}

TEST_F(Conda, EnvironmentsByPathAndStackedOnesAreBound) {
  install("/home/u/mc");
  environment("/scratch/env");
  environment("/data/below");
  environment("/proj/listed");
  top_.file("/home/u/.conda/environments.txt", "/home/u/mc\n/proj/listed\n/gone\n");
  request_.environment = {
      "CONDA_EXE=/home/u/mc/bin/conda", "CONDA_PREFIX=/scratch/env",
      "CONDA_PREFIX_1=/data/below",     "CONDA_SHLVL=2",
      "CONDA_DEFAULT_ENV=/scratch/env", "PATH=/scratch/env/bin:/data/below/bin:/usr/bin"};
  EXPECT_THAT(bound(), ElementsAre("/scratch/env", "/data/below", "/proj/listed"));
  EXPECT_THAT(additions().path_front, ElementsAre("/scratch/env/bin", "/data/below/bin"));
}

TEST_F(Conda, ConfiguredDirectoriesAreBound) {
  install("/home/u/mc");
  activate("/home/u/mc", "my_env");
  request_.environment.push_back("SCRATCH=/scratch");
  top_.file("/home/u/.condarc",
            "channels: [defaults]\nenvs_dirs:\n  - ${SCRATCH}/envs\n  - ~/envs\n"
            "pkgs_dirs:\n  - /scratch/pkgs\n  - /absent\n");
  top_.directory("/scratch/envs");
  top_.directory("/scratch/pkgs");
  EXPECT_THAT(bound(), ElementsAre("/scratch/envs", "/scratch/pkgs"));
}

TEST_F(Conda, MicromambaAndPixiAreKnown) {
  environment("/scratch/mamba/envs/my_env");
  top_.file("/scratch/bin/micromamba");
  request_.environment = {"MAMBA_ROOT_PREFIX=/scratch/mamba", "MAMBA_EXE=/scratch/bin/micromamba",
                          "CONDA_PREFIX=/scratch/mamba/envs/my_env",
                          "PATH=/scratch/mamba/envs/my_env/bin:/usr/bin"};
  EXPECT_THAT(bound(), ElementsAre("/scratch/mamba", "/scratch/bin/micromamba"));
  environment("/proj/.pixi/envs/default");
  request_.environment = {"PIXI_PROJECT_ROOT=/proj", "CONDA_PREFIX=/proj/.pixi/envs/default",
                          "PATH=/proj/.pixi/envs/default/bin:/usr/bin"};
  EXPECT_THAT(bound(), ElementsAre("/proj/.pixi/envs/default"));
  EXPECT_THAT(additions().path_front, ElementsAre("/proj/.pixi/envs/default/bin"));
}

TEST_F(Conda, AVirtualEnvironmentBringsItsInterpreter) {
  top_.file("/proj/venv/pyvenv.cfg", "home = /apps/python/3.12/bin\nversion = 3.12.1\n");
  top_.file("/apps/python/3.12/bin/python3.12");
  top_.link("/proj/venv/bin/python", "/apps/python/3.12/bin/python3.12");
  request_.environment = {"VIRTUAL_ENV=/proj/venv", "PATH=/proj/venv/bin:/usr/bin"};
  EXPECT_THAT(bound(), ElementsAre("/proj/venv", "/apps/python/3.12"));
  EXPECT_THAT(additions().path_front, ElementsAre("/proj/venv/bin"));
}

TEST_F(Conda, AVirtualEnvironmentOfTheSystemNeedsTheImages) {
  top_.file("/proj/venv/pyvenv.cfg", "home = /usr/bin\n");
  top_.file("/usr/bin/python3.11");
  top_.link("/proj/venv/bin/python", "/usr/bin/python3.11");
  request_.environment = {"VIRTUAL_ENV=/proj/venv", "PATH=/proj/venv/bin:/usr/bin"};
  EXPECT_THAT(bound(), ElementsAre("/proj/venv"));
  EXPECT_EQ(additions().needs.at(0).path, "/usr/bin/python3.11");
}

TEST_F(Conda, VariablesDependOnWhatTheyPointAt) {
  install("/opt/mc");
  activate("/opt/mc", "my_env");
  EXPECT_THAT(additions().anchors, ElementsAre("/opt/mc", "/opt/mc/envs/my_env"));
  EXPECT_THAT(
      additions().dependent_variables,
      ElementsAre("CONDA_EXE", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_SHLVL", "_CE_M"));
}

TEST_F(Conda, WarnsOfItsLibrariesInTheSearchPath) {
  install("/opt/mc");
  activate("/opt/mc", "my_env");
  request_.environment.push_back("SINGULARITYENV_LD_LIBRARY_PATH=/opt/mc/envs/my_env/lib");
  EXPECT_THAT(additions().warnings, ElementsAre(HasSubstr("programs of the image may break")));
}

TEST(CondaMode, HasItsWords) {
  EXPECT_EQ(find_conda_mode("front"), CondaMode::front);
  EXPECT_FALSE(find_conda_mode("sideways").has_value());
}

}  // namespace
}  // namespace runtime
