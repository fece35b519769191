// SPDX-License-Identifier: Apache-2.0
// The program sifconv: options, messages and exit codes around oci::convert.
#pragma once

namespace cmd {

// Everything main does; gives the exit status.
int sifconv_main(int argc, char** argv);

}  // namespace cmd
