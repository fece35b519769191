// SPDX-License-Identifier: Apache-2.0
#include "cmd/sifrun.h"

int main(int argc, char** argv) { return cmd::sifrun_main(argc, argv); }
