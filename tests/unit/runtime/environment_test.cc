// SPDX-License-Identifier: Apache-2.0
#include "runtime/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "runtime/env_scripts.h"
#include "tests/unit/fails_with.h"

namespace runtime {
namespace {

using Variables = std::vector<EnvironmentVariable>;
using testing::IsEmpty;
using unit::fails_with;

TEST(HostEnvironment, WithholdsWhatTheContainerDecides) {
  EnvironmentRequest request;
  request.host = {"FOO=bar",
                  "HOME=/home/x",
                  "PATH=/bin",
                  "LD_LIBRARY_PATH=/lib",
                  "APPTAINER_BIND=/x",
                  "SINGULARITY_NAME=x",
                  "APPTAINERENV_A=1",
                  "SINGULARITYENV_B=2",
                  "BASH_FUNC_ml%%=() { :; }",
                  "UID=5",
                  "no equals",
                  "MULTI=a\nb"};
  EXPECT_EQ(forwarded_host_variables(request), (Variables{{"FOO", "bar"}, {"MULTI", "a\nb"}}));
}

TEST(HostEnvironment, EntriesWithNamesThatScriptsCannotSee) {
  EnvironmentRequest request;
  request.withheld = {"x.y"};
  request.host = {"BASH_FUNC_ml%%=() { :; }",
                  "a.b=",
                  "x.y=1",
                  "FOO=bar",
                  "=x",
                  "no equals",
                  "APPTAINERENV_A-B=1",
                  "SINGULARITY_x.y=1"};
  EXPECT_EQ(forwarded_host_entries(request),
            (std::vector<std::string>{"BASH_FUNC_ml%%=() { :; }", "a.b="}));
  request.clean = true;
  EXPECT_TRUE(forwarded_host_entries(request).empty());
}

TEST(HostEnvironment, CleanKeepsTerminalAndProxies) {
  EnvironmentRequest request;
  request.clean = true;
  request.host = {"FOO=bar", "TERM=xterm", "https_proxy=p", "LANG=de_DE"};
  EXPECT_EQ(forwarded_host_variables(request),
            (Variables{{"LANG", "C"}, {"TERM", "xterm"}, {"https_proxy", "p"}}));
}

TEST(HostEnvironment, NoEnvNamesStayOut) {
  EnvironmentRequest request;
  request.withheld = {"FOO"};
  request.host = {"FOO=bar", "BAR=foo", "APPTAINERENV_FOO=forced"};
  EXPECT_EQ(forwarded_host_variables(request), (Variables{{"BAR", "foo"}}));
  EXPECT_EQ(injected_environment(request, {}).variables, (Variables{{"FOO", "forced"}}));
}

TEST(InjectedEnvironment, PrecedenceFromPrefixToOption) {
  EnvironmentRequest request;
  request.host = {"APPTAINERENV_A=apptainer", "SINGULARITYENV_A=singularity",
                  "SINGULARITYENV_B=singularity", "APPTAINERENV_C=apptainer",
                  "APPTAINERENV_D=apptainer"};
  request.assignments = {{"D", "option"}};
  const Variables from_files = {{"C", "file"}, {"D", "file"}};
  EXPECT_THAT(injected_environment(request, from_files).variables,
              testing::UnorderedElementsAre(
                  EnvironmentVariable{"A", "apptainer"}, EnvironmentVariable{"B", "singularity"},
                  EnvironmentVariable{"C", "file"}, EnvironmentVariable{"D", "option"}));
}

TEST(InjectedEnvironment, RefusesHomeAndSpecialNames) {
  EnvironmentRequest request;
  request.host = {"APPTAINERENV_APPTAINER_APPNAME=x", "APPTAINERENV_=y", "SINGULARITYENV_UID=3"};
  request.assignments = {{"HOME", "/x"}, {"1bad", "z"}};
  testing::internal::CaptureStderr();
  const InjectedEnvironment injected = injected_environment(request, {});
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::HasSubstr("Overriding HOME environment variable"));
  EXPECT_THAT(injected.variables, IsEmpty());
}

TEST(InjectedEnvironment, PathsAreKeptApart) {
  EnvironmentRequest request;
  request.host = {"SINGULARITYENV_PREPEND_PATH=/p", "APPTAINERENV_APPEND_PATH=/a"};
  request.assignments = {{"PATH", "/only"}};
  const InjectedEnvironment injected = injected_environment(request, {});
  EXPECT_EQ(injected.prepend_path, "/p");
  EXPECT_EQ(injected.append_path, "/a");
  EXPECT_EQ(injected.path, "/only");
  EXPECT_THAT(injected.variables, IsEmpty());
}

TEST(ContainerVariables, BothPrefixes) {
  EnvironmentRequest request;
  request.image_path = "/images/x.sif";
  request.image_name = "x.sif";
  request.bind_destinations = {"/a", "/b"};
  EXPECT_THAT(container_variables(request, "exec"),
              testing::IsSupersetOf(Variables{{"APPTAINER_CONTAINER", "/images/x.sif"},
                                              {"SINGULARITY_CONTAINER", "/images/x.sif"},
                                              {"SINGULARITY_NAME", "x.sif"},
                                              {"APPTAINER_BIND", "/a,/b"},
                                              {"APPTAINER_COMMAND", "exec"}}));
}

TEST(DefaultPath, AppendsWhatIsMissing) {
  EXPECT_EQ(with_default_path(""), kDefaultPath);
  EXPECT_EQ(with_default_path("/opt/bin:/usr/bin"),
            "/opt/bin:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin");
}

TEST(EnvironmentFiles, AreEvaluatedAsShellText) {
  EnvironmentRequest request;
  request.host = {"USER=me"};
  request.files = {{"one", "A=1\nB=\"$USER $1\"\n"}, {"two", "A=2\nP=\"\\$PATH:/x\""}};
  EXPECT_EQ(evaluate_environment_files(request, {"arg"}),
            (Variables{{"A", "1"}, {"B", "me arg"}, {"A", "2"}, {"P", "$PATH:/x"}}));
  request.files = {{"bad", "A=$(id)"}};
  EXPECT_THAT([&] { evaluate_environment_files(request, {}); },
              fails_with("while evaluating environment file bad: could not execute \"id\": "
                         "execution is disabled"));
}

}  // namespace
}  // namespace runtime
