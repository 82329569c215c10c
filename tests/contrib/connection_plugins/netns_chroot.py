"""Runs what Ansible runs in a directory's root and a network namespace: a host of the tests."""

import os
import shutil
import subprocess

from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: netns_chroot
author: The netpolicy contributors
short_description: Run tasks in a chroot and a network namespace
description: For the test of the role.
options:
  root:
    description: Directory of the host's file system.
    vars:
      - name: netns_chroot_root
  netns:
    description: Path of its network namespace.
    vars:
      - name: netns_chroot_netns
  client:
    description: Address from which the controller seems to come, by SSH.
    vars:
      - name: netns_chroot_client
"""


class Connection(ConnectionBase):
    """A connection without a state."""

    transport = "netns_chroot"
    has_pipelining = True

    def _connect(self):
        self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        root, netns = self.get_option("root"), self.get_option("netns")
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
            "SSH_CONNECTION": f"{self.get_option('client')} 40000 192.0.2.1 22",
        }
        done = subprocess.run(
            ["nsenter", f"--net={netns}", "chroot", root, "/bin/sh", "-c", cmd],
            input=in_data,
            capture_output=True,
            check=False,
            env=environment,
        )
        return done.returncode, done.stdout, done.stderr

    def _outside(self, path):
        return os.path.join(self.get_option("root"), path.lstrip("/"))

    def put_file(self, in_path, out_path):
        shutil.copyfile(in_path, self._outside(out_path))

    def fetch_file(self, in_path, out_path):
        shutil.copyfile(self._outside(in_path), out_path)

    def reset(self):
        self.close()

    def close(self):
        self._connected = False
