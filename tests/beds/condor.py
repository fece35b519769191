# SPDX-License-Identifier: Apache-2.0
"""A pool of HTCondor on a node: every daemon of it, as root starts them, with one machine whose slots are given out in parts."""
import json

from . import debian_tree
from .node import Node, wait

PACKAGES = ("minicondor", "openssh-server", "openssh-client", "procps", "slurmctld", "slurmd", "slurm-client", "munge",
            "slurm-wlm-basic-plugins", "libslurm-dev", "apptainer", "apparmor", "environment-modules")
CONFIG = """SINGULARITY = {runtime}
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
CONDOR_HOST = 127.0.0.1
BASE_CGROUP =
DISCARD_SESSION_KEYRING_ON_STARTUP = False
UID_DOMAIN = localtest
FILESYSTEM_DOMAIN = localtest
NUM_CPUS = 4
MEMORY = 4096
SLOT_TYPE_1 = 100%
SLOT_TYPE_1_PARTITIONABLE = true
NUM_SLOTS_TYPE_1 = 1
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_CYCLE_DELAY = 1
NEGOTIATOR_MIN_INTERVAL = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
UPDATE_INTERVAL = 5
RUNBENCHMARKS = 0
use feature:GPUs
MACHINE_RESOURCE_INVENTORY_GPUs = /usr/local/libexec/gpus
SINGULARITY_BIND_EXPR = "{share}"
STARTER_DEBUG = D_FULLDEBUG
"""
GPUS = """#!/bin/sh
echo 'DetectedGPUs="GPU-aaaa0001, GPU-bbbb0002"'
echo 'Common=[ DeviceName="NVIDIA H200"; NvidiaDriver="550.163.01"; Capability=9.0; GlobalMemoryMb=143771; ]'
echo 'GPU_aaaa0001=[ id="GPU-aaaa0001"; DeviceUuid="aaaa0001"; DevicePciBusId="0000:01:00.0"; ]'
echo 'GPU_bbbb0002=[ id="GPU-bbbb0002"; DeviceUuid="bbbb0002"; DevicePciBusId="0000:02:00.0"; ]'
"""
LIBEXEC = "/usr/libexec/condor"


def tree():
    return debian_tree.debian("sid", PACKAGES)


class Pool:
    """`runtime` is the path inside of what stands behind the knob SINGULARITY."""

    def __init__(self, folder, share, home, runtime, sandbox_sif):
        self.node = Node(tree(), folder, [share], home)
        self.runtime, self.share = runtime, share
        self.node.write(f"{LIBEXEC}/exit_37.sif", sandbox_sif)
        self.node.write("/usr/local/libexec/gpus", GPUS, 0o755)

    def start(self):
        self.node.write("/etc/condor/config.d/99-test", CONFIG.format(runtime=self.runtime, share=self.share))
        for path, user in (("/run/condor", "condor"), ("/run/lock", "root"), ("/var/lib/condor/execute", "condor")):
            self.node.folder_for(path, user)
        self.master = self.node.popen(["condor_master", "-f"], user="root", cwd="/")
        for _ in wait(60, "the machine's advertisement"):
            machines = self.ads("condor_status")
            if machines:
                self.machine = machines[0]
                return self

    def ads(self, *command):
        """What condor_status, condor_q or condor_history tell, as dictionaries."""
        done = self.node.run([*command, "-json"])
        return json.loads(done.stdout) if done.stdout.strip() else []

    def submit(self, folder, description):
        """The job's cluster number; `folder` is where the files that it names are."""
        submit = folder / "job.sub"
        submit.write_text(description)
        done = self.node.succeed(["condor_submit", "-terse", submit], cwd=folder)
        return int(done.split(".")[0])

    def job(self, cluster):
        found = self.ads("condor_q", str(cluster)) or self.ads("condor_history", str(cluster))
        return found[0] if found else {}

    def wait_for(self, cluster, *states, seconds=90):
        """The job's advertisement once its state is among these: 2 runs, 3 removed, 4 completed, 5 held."""
        for _ in wait(seconds, f"job {cluster} in state {states}"):
            job = self.job(cluster)
            if job.get("JobStatus") in states:
                return job

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.node.close()
            raise

    def __exit__(self, *_):
        self.node.close()
