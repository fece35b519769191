# SPDX-License-Identifier: Apache-2.0
"""Why sifrun does otherwise than Apptainer, of exactly these command lines: the tests fail for a difference that is not listed, and for a
listed one that is none."""

# By the name of a line in exec_test.py.
EXEC = {
    "bind on nothing within a read-only bind": "Apptainer makes a folder in what is bound read-only; sifrun says that it is missing",
    "bind over the root": "Apptainer ignores it without a word; sifrun says that it cannot be",
    "fuse program with blanks": "blanks mean nothing; Apptainer takes an empty word for the program",
    "scratch, relative": "taken as below / instead of a failure",
    "killed in an own PID namespace": "the same to a shell: Apptainer exits with 137, sifrun is killed by the signal too",
}

# By a line of small_verbs_test.py.
VERBS = {
    "help bogus": "help on what does not exist is a mistake like any other; Apptainer shows its usage and succeeds",
    "registry": "likewise", "registry bogus": "likewise",
    "registry logout": "a missing argument is a mistake in the command line; Apptainer takes it for a registry without a name",
}

# By a line of overlay_test.py.
OVERLAYS = {
    "create dangling": "what is there is not replaced, were it a link to nothing; Apptainer replaces that",
    "touch x.img; chmod 0 x.img; create x.img": "what is there is not replaced; Apptainer replaces what may not be written to",
    "SIF that may not be written to": "what is there is not replaced; Apptainer puts a bare ext3 image into its place",
    "SIF cut": "nothing is added to a SIF of which a part is missing",
    "SIF with another group's overlay": "all overlays of a SIF are used, so it gets no second one that may be written to",
    "SIF of another group": "the overlay belongs to the group of what it is laid over; Apptainer puts it into group 1 and does not find it there",
    "SIF of another machine": "an image for another machine can be prepared here, too",
}

# By the name of a script in surroundings_test.py.
SURROUNDINGS = {
    "build over a folder": "a folder of the user's is not deleted to make room for a SIF, were it with --force",
    "build over a dangling link": "what is there is not replaced, were it a link to nothing; Apptainer replaces that",
    "build in place": "an image is not made from itself: a failure would leave neither",
    "closed output that is written to": "closed streams are closed for the program, as without a container; Apptainer opens /dev/null in their place",
    "full output of a list": "what could not be written is no success",
    "overlay that may not be written to": "it is used read-only, with a warning; Apptainer writes into its owner's folder nevertheless",
    "folder that is gone, another one chosen": "--pwd counts; Apptainer starts in the home",
    "folder that is closed": "the program starts in the home, as where the folder cannot be reached; Apptainer dies",
    "limits too small for Go": "Apptainer itself does not run within them",
    "quotes in a value of --env": "a value keeps its quotes; Apptainer takes off those at the end alone",
    "no truth in the environment": "it is a mistake like the option's on the line, and ends with 1; Apptainer's ends with 255",
    "empty image": "it is a mistake; Apptainer takes the working directory for an image",
}

# By a line of options_test.py.
OPTIONS = {
    "exec -f --ignore-subuid IMAGE grep NoNewPrivs /proc/self/status": "no program gets rights by starting another, ever; Apptainer allows it in a namespace that maps "
                                                                       "user 0 alone",
    "exec -c -B one IMAGE ls /home/user": "a relative path alone is bound where it is; Apptainer fails",
    "exec --no-mount devpts -c IMAGE ls /dev": "a contained /dev has full and mqueue, which programs for Docker expect",
    "exec -c IMAGE sh -c 'ls /dev | grep -v fd'": "a contained /dev has full and mqueue, which programs for Docker expect",
    "exec --fakeroot --home one IMAGE sh -c 'whoami; echo $HOME'": "a relative home is taken from the working directory, as --bind takes it",
    "exec -B d:/mnt:image-src=/sub IMAGE ls /mnt": "image-src= looks into folders, too",
    "exec --nvccli IMAGE true": "the driver is injected without nvidia-container-cli",
    "exec --passphrase IMAGE true": "no passphrase is asked for: encrypted images are refused, others need none",
    "exec --pem-path /nosuch IMAGE true": "no key is read: encrypted images are refused, others need none",
    "test IMAGE": "Apptainer prints that it runs a test where there is none",
}
