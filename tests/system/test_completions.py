# SPDX-License-Identifier: MIT
"""What shells complete by the files of packaging/completions: bash, zsh and fish themselves, at a terminal."""
import os
import re

import pytest

from programs import PROGRAM
from terminal import Terminal

COMPLETIONS = os.path.join(os.path.dirname(__file__), "..", "..", "packaging", "completions")
COLOUR = r"(?:\x1b\[[\d;]*m)*"
# How each is started without files of the user, and given the completion.
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"],
             "source {completions}/imapfs.bash"),
    "zsh": (["zsh", "-f", "-i"],
            "fpath=({completions} $fpath); autoload -U compinit; compinit -u -D"),
    "fish": (["fish", "--no-config", "-i"], "source {completions}/imapfs.fish"),
}
# What is typed, and what stands there after the key that completes.
CASES = [
    ("imapfs --unk", "--unkeep"),
    ("imapfs wor", "work"),
    ("imapfs work mou", "mountpoint/"),
    ("imapfs --keep mountpoint/IN", "mountpoint/INBOX/"),
    ("imapfs --keep mountpoint/INBOX mountpoint/Arc", "mountpoint/Archive/"),
    ("imapfs --status mountp", "mountpoint/"),
    ("imapfs -o passf", "passfile="),
    ("imapfs -o ro,cache_s", "ro,cache_size="),
    ("imapfs --cache ver", "verify"),
    ("imapfs --cache verify wor", "work"),
]


@pytest.mark.limit(120)
@pytest.mark.parametrize("shell", SHELLS)
def test_completes(directory, shell):
    os.makedirs(directory + "/.config/imapfs")
    with open(os.open(directory + "/.config/imapfs/config", os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as out:
        out.write("[work]\nsource = imaps://anna@imap.example.org/\n")
    for name in ("bin", "place/mountpoint/INBOX", "place/mountpoint/Archive"):
        os.makedirs(os.path.join(directory, name))
    os.symlink(PROGRAM, directory + "/bin/imapfs")
    command, begin = SHELLS[shell]
    environment = {"HOME": directory, "PATH": f"{directory}/bin:{os.environ['PATH']}", "PS1": "> ",
                   "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": directory + "/data", "HISTFILE": ""}
    with Terminal(command, environment) as t:
        t.keys(f"cd {directory}/place; {begin.format(completions=os.path.realpath(COMPLETIONS))}\n")
        for number, (typed, word) in enumerate(CASES):
            # Not before the shell has a prompt, nor what is to be completed before the words are there.
            t.keys(f"echo is''ready{number}\n")
            t.expect(f"isready{number}\r?\n")
            t.keys(typed)
            last = typed.split()[-1]
            t.expect(re.escape(last))
            t.keys("\t")
            t.expect(COLOUR.join(map(re.escape, word.removeprefix(last))))
            t.keys("\x15")
