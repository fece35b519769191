// SPDX-License-Identifier: Apache-2.0
// The program sifrun: command line -> plan -> launch. Spellings, exit codes and messages are
// Apptainer's, since schedulers and workflow engines parse them.
#pragma once

namespace cmd {

// Does not return when the payload is reached; else gives the exit code.
int sifrun_main(int argc, char** argv);

}  // namespace cmd
