# SPDX-License-Identifier: Apache-2.0
"""Slurm on one node: munge, controller and node daemon, with two GPUs that are device files of another kind."""
import subprocess

from . import condor, debian_tree
from .node import Node, wait

# MPI beside it: its launchers and Slurm's start the same programs.
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge", "slurm-wlm-basic-plugins", "libslurm-dev", "openmpi-bin", "mpich",
            "libpmix2", "procps")
CONFIG = """ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=slurm
AuthType=auth/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
ReturnToService=2
SlurmdSpoolDir=/var/lib/slurm/spool
StateSaveLocation=/var/lib/slurm/state
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurmctld.log
SlurmdLogFile=/var/log/slurmd.log
GresTypes=gpu
SlurmdParameters=config_overrides
KillWait=3
MinJobAge=60
NodeName=localhost NodeAddr=127.0.0.1 CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=8000 Gres=gpu:2
PartitionName=all Nodes=localhost Default=YES MaxTime=60 State=UP
"""
GPUS = "Name=gpu File=/dev/zero\nName=gpu File=/dev/full\n"
# The name of the setting without control groups changed between the releases.
RELEASES = {"bookworm": (lambda: debian_tree.debian("bookworm", PACKAGES), "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n"),
            "sid": (condor.tree, "CgroupPlugin=disabled\n")}


class Slurm:
    """A cluster of one node. `configuration` are further files of /etc/slurm."""

    def __init__(self, release, folder, share, home, configuration=None):
        tree, control_groups = RELEASES[release]
        self.node = Node(tree(), folder, [share], home)
        files = {"slurm.conf": CONFIG, "gres.conf": GPUS, "cgroup.conf": control_groups, **(configuration or {})}
        for name, text in files.items():
            self.node.write(f"/etc/slurm/{name}", text)

    def start(self):
        for path, user in (("/run/munge", "munge"), ("/var/lib/slurm/state", "slurm"), ("/var/lib/slurm/spool", "root")):
            self.node.folder_for(path, user)
        # Debian's plugin for PMIx loads the library by a name that is in no package but the one for developers.
        self.node.run(["sh", "-c", "cd /usr/lib/*/pmix2/lib && ln -sf libpmix.so.2 libpmix.so"], user="root")
        for user, command in (("munge", ["munged", "-F"]), ("slurm", ["slurmctld", "-D"]), ("root", ["slurmd", "-D"])):
            self.node.popen(command, user=user, cwd="/", stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for _ in wait(30, "an idle node"):
            if self.node.run(["sinfo", "--noheader", "--format=%T"]).stdout.strip() == "idle":
                return self

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            print(self.node.run(["sh", "-c", "tail -n 20 /var/log/slurm*.log"], user="root").stdout)
            self.node.close()
            raise

    def __exit__(self, *_):
        self.node.close()
