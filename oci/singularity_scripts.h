// SPDX-License-Identifier: Apache-2.0
// The scripts of /.singularity.d that are the same in every image. POSIX shell only; Apptainer runs
// those in env/ with its embedded interpreter.
#pragma once

#include <array>
#include <string_view>

namespace oci {

struct FixedScript {
  std::string_view path;
  std::string_view content;
};

inline constexpr std::array<FixedScript, 11> kFixedScripts = {{
    {"/.singularity.d/env/01-base.sh", R"(#!/bin/sh
# The image's variables follow in 10-docker2singularity.sh.
)"},
    {"/.singularity.d/env/90-environment.sh", R"(#!/bin/sh
# Variables of your own may be set here.
)"},
    // Variables of the Scientific Filesystem, for images that have one.
    {"/.singularity.d/env/95-apps.sh", R"(#!/bin/sh
if [ -n "${SINGULARITY_APPNAME:-}" ]; then
    SCIF_APPNAME="${SINGULARITY_APPNAME}"
    SCIF_APPROOT="/scif/apps/${SCIF_APPNAME}"
    if [ -d "${SCIF_APPROOT}" ]; then
        SCIF_APPMETA="${SCIF_APPROOT}/scif"
        export SCIF_APPNAME SCIF_APPROOT SCIF_APPMETA
        if [ -d "${SCIF_APPROOT}/bin" ]; then
            PATH="${SCIF_APPROOT}/bin:${PATH}"
            export PATH
        fi
        if [ -d "${SCIF_APPROOT}/lib" ]; then
            LD_LIBRARY_PATH="${SCIF_APPROOT}/lib${LD_LIBRARY_PATH:+:${LD_LIBRARY_PATH}}"
            export LD_LIBRARY_PATH
        fi
        for SCIF_SCRIPT in 01-base.sh 90-environment.sh; do
            if [ -f "${SCIF_APPMETA}/env/${SCIF_SCRIPT}" ]; then
                . "${SCIF_APPMETA}/env/${SCIF_SCRIPT}"
            fi
        done
        unset SCIF_SCRIPT
    else
        echo "no app named ${SCIF_APPNAME} in this image" >&2
        exit 1
    fi
fi
)"},
    {"/.singularity.d/env/99-base.sh", R"(#!/bin/sh
if [ -z "${LD_LIBRARY_PATH:-}" ]; then
    LD_LIBRARY_PATH="/.singularity.d/libs"
else
    LD_LIBRARY_PATH="${LD_LIBRARY_PATH}:/.singularity.d/libs"
fi
export LD_LIBRARY_PATH
PS1="${PS1:-Singularity> }"
export PS1
)"},
    // The runtime hands the user's wishes for PATH over in these variables.
    {"/.singularity.d/env/99-runtimevars.sh", R"(#!/bin/sh
if [ -n "${SING_USER_DEFINED_PATH:-}" ]; then
    PATH="${SING_USER_DEFINED_PATH}"
fi
if [ -n "${SING_USER_DEFINED_PREPEND_PATH:-}" ]; then
    PATH="${SING_USER_DEFINED_PREPEND_PATH}:${PATH}"
fi
if [ -n "${SING_USER_DEFINED_APPEND_PATH:-}" ]; then
    PATH="${PATH}:${SING_USER_DEFINED_APPEND_PATH}"
fi
export PATH
)"},
    {"/.singularity.d/startscript", "#!/bin/sh\n"},
    // Runtimes of today carry their own entry scripts; these serve old ones and chroot.
    {"/.singularity.d/actions/exec", R"(#!/bin/sh
for script in /.singularity.d/env/*.sh; do
    if [ -f "${script}" ]; then
        . "${script}"
    fi
done
exec "$@"
)"},
    {"/.singularity.d/actions/run", R"(#!/bin/sh
for script in /.singularity.d/env/*.sh; do
    if [ -f "${script}" ]; then
        . "${script}"
    fi
done
exec /.singularity.d/runscript "$@"
)"},
    {"/.singularity.d/actions/shell", R"(#!/bin/sh
for script in /.singularity.d/env/*.sh; do
    if [ -f "${script}" ]; then
        . "${script}"
    fi
done
if [ -n "${SINGULARITY_SHELL:-}" ] && [ -x "${SINGULARITY_SHELL}" ]; then
    exec "${SINGULARITY_SHELL}" "$@"
fi
if [ -x /bin/bash ]; then
    exec /bin/bash --norc "$@"
fi
exec /bin/sh "$@"
)"},
    {"/.singularity.d/actions/start", R"(#!/bin/sh
for script in /.singularity.d/env/*.sh; do
    if [ -f "${script}" ]; then
        . "${script}"
    fi
done
exec /.singularity.d/startscript "$@"
)"},
    {"/.singularity.d/actions/test", R"(#!/bin/sh
for script in /.singularity.d/env/*.sh; do
    if [ -f "${script}" ]; then
        . "${script}"
    fi
done
if [ ! -x /.singularity.d/test ]; then
    echo "this image has no test" >&2
    exit 0
fi
exec /.singularity.d/test "$@"
)"},
}};

}  // namespace oci
