// SPDX-License-Identifier: Apache-2.0
#include "cmd/sifconv.h"

int main(int argc, char** argv) { return cmd::sifconv_main(argc, argv); }
