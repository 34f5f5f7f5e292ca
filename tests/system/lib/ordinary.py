# SPDX-License-Identifier: MIT
"""Running imapfs as a user without privileges, through fusermount3.

Where only root may use /dev/fuse, that is in a mount namespace which has one for all. The tests cannot
look into that, and root cannot look into the user's mount: so what is to be done there is a script.
"""
import os
import shutil
import subprocess

from mounting import live
from programs import APART, PROGRAM

NOBODY = 65534

# In the namespace, as root: a device for all, and the control files of FUSE connections as systemd
# mounts them.
SET_UP = """
mknod -m 666 {0}/fuse c 10 229
mount --bind {0}/fuse /dev/fuse
if ! grep -q ' /sys/fs/fuse/connections ' /proc/self/mountinfo; then
    mount -t fusectl fusectl /sys/fs/fuse/connections
fi
{1}
exec "$@"
"""


class User:
    """directory: an empty one that the user can pass; gets imapfs, a password file and mail/, and is the
    scripts' directory. also: shell commands for root in the namespace."""

    def __init__(self, directory, password, also=""):
        self.directory, self.also = directory, also
        self.uid = NOBODY if os.getuid() == 0 else os.getuid()
        self.point = os.path.join(directory, "mail")
        shutil.copy(PROGRAM, os.path.join(directory, "imapfs"))
        os.mkdir(self.point)
        secret = os.path.join(directory, "password")
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            file.write(password + "\n")
        if os.getuid() == 0:
            for path in (directory, self.point, secret):
                os.chown(path, NOBODY, NOBODY)

    def command(self, script):
        device, user = (), ()
        if os.getuid() == 0:
            user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
            device = (*APART, "sh", "-e", "-c", SET_UP.format(self.directory, self.also), "sh")
        return [*device, *user, "sh", "-e", "-c", f"cd {self.directory}\n{script}"]

    def start(self, script):
        """A process with pipes as text. Its end is to be waited for by ended()."""
        process = subprocess.Popen(self.command(script), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True,
                                   env=dict(os.environ, LC_ALL="C.UTF-8", HOME=self.directory))
        live.add(process)
        return process

    @staticmethod
    def ended(process, text=None, seconds=30):
        """Its output."""
        try:
            return process.communicate(text, timeout=seconds)[0]
        finally:
            process.kill()
            live.discard(process)

    def run(self, script):
        return self.ended(self.start(script))
