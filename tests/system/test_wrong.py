# SPDX-License-Identifier: MIT
"""Wrong uses, as a table: each ends with its status and says in one line what is wrong and what to do, and
no line repeats a secret. None needs a mount; a few ask a server."""
import os
import re
import shutil
import subprocess
import sys

import pytest

from fakeimap import FakeImap
from ordinary import NOBODY
from programs import APART, RELEASE

USAGE, CONNECT, TLS, LOGIN, MOUNT, CACHE = 1, 2, 3, 4, 5, 6
SECRET = "geheim"

# Arguments, split at blanks; what stands in braces is of World. Then the status, and a pattern of the line.
TABLE = [
    # The arguments
    ("", USAGE, "SOURCE and MOUNTPOINT are missing; usage: imapfs"),
    ("u@h", USAGE, "MOUNTPOINT is missing; usage: imapfs"),
    ("wrok", USAGE, r"there is no account 'wrok' in /.*/config, and MOUNTPOINT is missing; usage: imapfs"),
    ("u@h {m} more", USAGE, "too many arguments at 'more'"),
    ("u@h {m} -o", USAGE, "-o needs options behind it"),
    ("-z u@h {m}", USAGE, "unknown option '-z'"),
    ("-fz u@h {m}", USAGE, "unknown option '-z'"),
    ("--nonsense u@h {m}", USAGE, "unknown option '--nonsense'"),
    ("--passfile=/x u@h {m}", USAGE, r"unknown option '--passfile' \(did you mean -o passfile=\?\)"),
    ("--passwrd u@h {m}", USAGE, "passw"),
    ("--password=geheim u@h {m}", USAGE, "a password never belongs on the command line"),
    ("--foreground u@h {m}", USAGE, "write -f"),
    ("--verbose u@h {m}", USAGE, "unknown option '--verbose'"),
    ("--debug u@h {m}", USAGE, r"unknown option '--debug' \(did you mean -o debug\?\)"),
    ("--status", USAGE, r"--status takes one MOUNTPOINT; usage: imapfs --status \[--json \| --watch\] MOUNTPOINT"),
    ("--status {m} --json", MOUNT, "no imapfs is mounted there"),
    ("--status --watch -h", USAGE, "--status takes one MOUNTPOINT"),
    ("--status -h --watch", USAGE, "--status takes one MOUNTPOINT"),
    ("--status {m} --json --watch", USAGE, "--status takes one MOUNTPOINT"),
    ("--status --json --watch {m}", USAGE, "--status takes one MOUNTPOINT"),
    ("--status -h", USAGE, "--status takes one MOUNTPOINT"),
    ("--watch {m}", USAGE, "no option '--watch': write imapfs --status --watch MOUNTPOINT"),
    ("--json {m}", USAGE, "no option '--json': write imapfs --status --json MOUNTPOINT"),
    ("--umount {m}", USAGE, "no option '--umount': fusermount3 -u MOUNTPOINT unmounts"),
    ("--unmount {m}", USAGE, "no option '--unmount': fusermount3 -u MOUNTPOINT unmounts"),
    ("-u {m}", USAGE, "no option '-u': fusermount3 -u MOUNTPOINT unmounts"),
    ("umount {m}", USAGE, r"there is no account 'umount': fusermount3 -u MOUNTPOINT unmounts \(a host of that name: USER@umount\)"),
    ("status {m}", USAGE, "there is no account 'status': write imapfs --status MOUNTPOINT"),
    ("keep {m}/INBOX", USAGE, "there is no account 'keep': write imapfs --keep MOUNTPOINT/MAILBOX"),
    ("list", USAGE, "there is no account 'list': write imapfs --list"),
    ("help", USAGE, "there is no account 'help': write imapfs -h"),
    ("--check status", USAGE, "there is no account 'status'"),
    ("{m} anna@example.org", USAGE, "SOURCE stands before MOUNTPOINT: imapfs anna@example.org /"),
    ("--keep --all {m}", USAGE, "--keep has no option '--all'; usage: imapfs --keep MOUNTPOINT/MAILBOX"),
    ("--keep {m} -f", USAGE, "--keep has no option '-f'"),
    ("--unkeep -h", USAGE, "--unkeep has no option '-h'"),
    ("--sync -f {m}", USAGE, "--sync takes one MOUNTPOINT"),
    ("--wait -h", USAGE, "--wait takes one DIRECTORY"),
    ("--status {m} {m}", USAGE, "--status takes one MOUNTPOINT"),
    ("--status {m}", MOUNT, "no imapfs is mounted there"),
    ("--status {file}", MOUNT, "no imapfs is mounted there"),
    ("--status /nonexistent", MOUNT, "no imapfs is mounted there"),
    ("--sync", USAGE, "--sync takes one MOUNTPOINT"),
    ("--sync {m}", MOUNT, "no imapfs is mounted there"),
    ("--keep", USAGE, r"--keep: which mailboxes\? usage: imapfs --keep MOUNTPOINT/MAILBOX\.\.\."),
    ("--keep {m}", MOUNT, "no imapfs is mounted there"),
    ("--keep {m}/INBOX", USAGE, "/INBOX: No such file"),
    ("--keep {file}", USAGE, "no directory of a mailbox"),
    ("--unkeep", USAGE, r"--unkeep: which mailboxes\?"),
    ("--unkeep {m}", MOUNT, "no imapfs is mounted there"),
    ("--wait", USAGE, "--wait takes one DIRECTORY; usage: imapfs --wait DIRECTORY"),
    ("--wait {m}", MOUNT, "no imapfs is mounted there"),
    ("--wait /nonexistent", MOUNT, "/nonexistent: No such file"),
    ("--status --json", USAGE, "--status takes one MOUNTPOINT"),
    ("--status --json {m}", MOUNT, "no imapfs is mounted there"),
    ("--status --watch {m}", MOUNT, "no imapfs is mounted there"),
    ("-o bwlimit=0 u@h {m}", USAGE, "bwlimit= is a number of bytes a second, of at least 1k, with k, M or G behind it, not '0'"),
    ("-o bwlimit=1Mbit u@h {m}", USAGE, "bwlimit= is a number of bytes a second"),
    ("-o daylimit=2 u@h {m}", USAGE, "daylimit= is a number of bytes a day, of at least 1M"),
    ("-o daylimit u@h {m}", USAGE, "option 'daylimit' needs a value: daylimit=SIZE"),
    ("--list work", USAGE, "--list takes no argument; usage: imapfs --list"),
    ("--cache verify", USAGE, r"--cache verify: whose cache\? usage: imapfs --cache \[list"),
    ("--cache trim 1G", USAGE, r"--cache trim: whose cache\?"),
    ("--cache trim much u@h", USAGE, "--cache trim takes a number of bytes, with k, M or G behind it, not 'much'"),
    ("--cache clear u@h {m} more", USAGE, "too many arguments at 'more'"),
    ("--cache clear imaps://u@127.0.0.1:1/", CACHE, "there is no cache of this account; 'imapfs --cache' lists those that there are"),
    ("--cache -o nonsense u@h", USAGE, "unknown option 'nonsense'"),
    ("--check", USAGE, "SOURCE and MOUNTPOINT are missing"),
    ("--check -o nonsense u@h", USAGE, "unknown option 'nonsense'"),
    # SOURCE
    ("@h {m}", USAGE, "the user before '@' is empty"),
    ("u@ {m}", USAGE, r"the host in SOURCE is empty \(an IPv6 address is written \[::1\]\)"),
    ("u:geheim@h {m}", USAGE, "never put a password on the command line"),
    ("imaps://u:geheim@h/ {m}", USAGE, "never put a password on the command line"),
    ("imap://u:geheim@h {m}", USAGE, "never put a password on the command line"),
    ("http://h/ {m}", USAGE, "a URL as SOURCE starts with imaps:// or imap://"),
    ("imap4s://h/ {m}", USAGE, "a URL as SOURCE starts with imaps:// or imap://"),
    ("imaps:// {m}", USAGE, "SOURCE names no host"),
    ("imaps:///INBOX {m}", USAGE, "the host in SOURCE is empty"),
    ("imaps://u@h:0/ {m}", USAGE, "the port in the URL must be a number from 1 to 65535"),
    ("imaps://u@h:65536/ {m}", USAGE, "the port in the URL must be a number from 1 to 65535"),
    ("imaps://u@h:imaps/ {m}", USAGE, "the port in the URL must be a number from 1 to 65535"),
    ("imaps://u@h/%4 {m}", USAGE, "needs two hex digits behind it; a percent sign itself is %25"),
    ("imaps://u@h/%00 {m}", USAGE, "the mailbox in SOURCE is not UTF-8, or has control characters"),
    ("imaps://u@h/%ff {m}", USAGE, "the mailbox in SOURCE is not UTF-8"),
    ("imaps://u@h/INBOX;UID=1 {m}", USAGE, "the URL must end with its mailbox; there ';' is %3B"),
    ("imaps://u@h/INBOX?x {m}", USAGE, r"the URL must end with its mailbox.*'\?' is %3F"),
    ("imaps://u@h/INBOX#x {m}", USAGE, "the URL must end with its mailbox.*'#' is %23"),
    ("imaps://u;AUTH=PLAIN@h/ {m}", USAGE, r"only ;AUTH=\* may follow the user"),
    ("u@::1 {m}", USAGE, r"an IPv6 address is written \[::1\]"),
    ("::1 {m}", USAGE, r"an IPv6 address is written \[::1\]"),
    ("u@[::1 {m}", USAGE, r"an IPv6 address in SOURCE is written \[::1\]"),
    ("u@[1.2.3.4] {m}", USAGE, r"\[1.2.3.4\] is not an IPv6 address"),
    ("u@a_b/c {m}", USAGE, "'a_b/c' cannot be a host name"),
    ("u@-h {m}", USAGE, "'-h' cannot be a host name"),
    ("u@h;reboot {m}", USAGE, "'h;reboot' cannot be a host name"),
    ("u@h:143 {m}", USAGE, "for port 143 write imap://USER@HOST/"),
    ("u@h:INBOX@x {m}", USAGE, "there is an '@' behind the colon of SOURCE"),
    # Words of -o that are none
    ("-o nonsense u@h {m}", USAGE, r"unknown option 'nonsense' \(imapfs -h lists them\)"),
    ("-o passfil=/x u@h {m}", USAGE, r"did you mean passfile=\?"),
    ("-o pasfile=/x u@h {m}", USAGE, r"did you mean passfile=\?"),
    ("-o chache=/x u@h {m}", USAGE, r"did you mean cache=\?"),
    ("-o cachesize=1G u@h {m}", USAGE, r"did you mean cache_size=\?"),
    ("-o time_out=3 u@h {m}", USAGE, r"did you mean timeout=\?"),
    ("-o conections=3 u@h {m}", USAGE, r"did you mean connections=\?"),
    ("-o RO u@h {m}", USAGE, "unknown option 'RO'"),
    ("-o readonly u@h {m}", USAGE, "there is no option 'readonly': write ro"),
    ("-o password=geheim u@h {m}", USAGE, "a password never belongs on the command line"),
    ("-o pass=geheim u@h {m}", USAGE, "a password never belongs on the command line"),
    ("-o passwd=geheim u@h {m}", USAGE, "a password never belongs on the command line"),
    ("-o username=u h {m}", USAGE, "there is no option 'username': write it before the host"),
    ("-o credentials=/x u@h {m}", USAGE, "there is no option 'credentials': write passfile=FILE"),
    ("-o host=h u@h {m}", USAGE, "the host is in SOURCE"),
    ("-o ssl u@h {m}", USAGE, "TLS is always used"),
    ("-o insecure u@h {m}", USAGE, "see fingerprint= and cafile="),
    ("-o no_verify u@h {m}", USAGE, "see fingerprint= and cafile="),
    ("-o compression=yes u@h {m}", USAGE, "write compress=on"),
    ("-o mailbox=INBOX u@h {m}", USAGE, "the mailbox is part of SOURCE"),
    ("-o folder=INBOX u@h {m}", USAGE, "the mailbox is part of SOURCE"),
    ("-o direct_io u@h {m}", USAGE, "what was read is always cached"),
    ("-o idmap=user u@h {m}", USAGE, "uid= and gid= change that"),
    ("-o mode=600 u@h {m}", USAGE, "write fmask="),
    ("-o file_mode=600 u@h {m}", USAGE, "write fmask="),
    ("-o dir_mode=700 u@h {m}", USAGE, "write dmask="),
    ("-o bind u@h {m}", USAGE, "a mount is no directory to bind"),
    ("-o token=geheim u@h {m}", USAGE, "write tokencmd=COMMAND"),
    ("-o oauth u@h {m}", USAGE, "write tokencmd=COMMAND"),
    ("-o foreground u@h {m}", USAGE, "write -f"),
    ("-o starttls u@h {m}", USAGE, "write tls=starttls"),
    ("-o passcmd=a,b u@h {m}", USAGE, r"if it belongs to the value of passcmd=: a comma in a value is written \\,"),
    ("-o passfile=/a,b/c u@h {m}", USAGE, r"if it belongs to the value of passfile=: a comma"),
    ("-o trash=Bin,2024,delete=trash u@h {m}", USAGE, "if it belongs to the value of trash=: a comma"),
    # Values
    ("-o ro=yes u@h {m}", USAGE, "option 'ro' takes no value"),
    ("-o offline=1 u@h {m}", USAGE, "option 'offline' takes no value"),
    ("-o passfile u@h {m}", USAGE, "option 'passfile' needs a value: passfile=FILE"),
    ("-o passfile= u@h {m}", USAGE, "option 'passfile' needs a value: passfile=FILE"),
    ("-o timeout u@h {m}", USAGE, "option 'timeout' needs a value: timeout=SECONDS"),
    ("-o timeout=0 u@h {m}", USAGE, "timeout= is a number of seconds from 1 to 3600, not '0'"),
    ("-o timeout=-1 u@h {m}", USAGE, "timeout= is a number of seconds from 1 to 3600, not '-1'"),
    ("-o timeout=30s u@h {m}", USAGE, "timeout= is a number of seconds from 1 to 3600, not '30s'"),
    ("-o timeout=3601 u@h {m}", USAGE, "timeout= is a number of seconds from 1 to 3600, not '3601'"),
    ("-o refresh=never u@h {m}", USAGE, "refresh= is a number of seconds from 1 to 3600, not 'never'"),
    ("-o connections=0 u@h {m}", USAGE, "connections= is a number from 1 to 16, not '0'"),
    ("-o connections=17 u@h {m}", USAGE, "connections= is a number from 1 to 16, not '17'"),
    ("-o port=imaps u@h {m}", USAGE, "port= is a number from 1 to 65535, not 'imaps'"),
    ("-o port=993 imaps://u@h:994/ {m}", USAGE, "port=993 contradicts the port 994 of SOURCE"),
    ("-o tls=maybe u@h {m}", USAGE, "tls= is implicit, starttls or none, not 'maybe'"),
    ("-o tls=none imaps://u@h/ {m}", USAGE, "tls= contradicts imaps://, write imap://"),
    ("-o tls=implicit imap://u@h/ {m}", USAGE, "tls=implicit contradicts imap://, write imaps://"),
    ("-o tls=none,tls=starttls u@h {m}", USAGE, "tls=starttls contradicts tls=none"),
    ("-o compress=yes u@h {m}", USAGE, "compress= is auto, on or off, not 'yes'"),
    ("-o sizes=true u@h {m}", USAGE, "sizes= is auto, trust or verify, not 'true'"),
    ("-o expunge=yes u@h {m}", USAGE, "expunge= is safe or force, not 'yes'"),
    ("-o delete=yes u@h {m}", USAGE, "delete= is expunge, trash or never, not 'yes'"),
    ("-o delete=Trash u@h {m}", USAGE, "delete= is expunge, trash or never, not 'Trash'"),
    ("-o trash=Bin u@h {m}", USAGE, "trash= is of use with delete=trash only"),
    ("-o trash=Bin,delete=never u@h {m}", USAGE, "trash= is of use with delete=trash only"),
    ("-o suffix=eml u@h {m}", USAGE, "suffix= is a dot and something.*not 'eml'"),
    ("-o suffix=.12 u@h {m}", USAGE, "suffix= is a dot and something.*not '.12'"),
    ("-o suffix=. u@h {m}", USAGE, "suffix= is a dot and something.*not '.'"),
    ("-o suffix=.a/b u@h {m}", USAGE, "suffix= is a dot and something.*not '.a/b'"),
    ("-o uid=anna u@h {m}", USAGE, r"uid= is a number, not 'anna' \(`id` shows yours\)"),
    ("-o gid=-1 u@h {m}", USAGE, "gid= is a number, not '-1'"),
    ("-o uid=4294967295 u@h {m}", USAGE, "uid= is a number, not '4294967295'"),
    ("-o umask=9 u@h {m}", USAGE, "umask= is octal, from 0 to 0777, not '9'"),
    ("-o fmask=rwx u@h {m}", USAGE, "fmask= is octal, from 0 to 0777, not 'rwx'"),
    ("-o dmask=07777 u@h {m}", USAGE, "dmask= is octal, from 0 to 0777, not '07777'"),
    ("-o cache=yes u@h {m}", USAGE, r"cache= is a directory, not 'yes' \(./yes would be one\): mail is always cached"),
    ("-o cache=no u@h {m}", USAGE, "cache= is a directory, not 'no'"),
    ("-o cache_size=0 u@h {m}", USAGE, "cache_size= is a number of .*, of at least 1M.*, not '0'"),
    ("-o cache_size=2T u@h {m}", USAGE, "cache_size= is a number of .*not '2T'"),
    ("-o cache_size=2g u@h {m}", USAGE, "cache_size= is a number of .*not '2g'"),
    ("-o allow_other,allow_root u@h {m}", USAGE, "allow_other and allow_root exclude each other"),
    ("-o fingerprint=12 u@h {m}", USAGE, "fingerprint= is the SHA-256.*not '12'"),
    ("-o fingerprint=sha256:aa u@h {m}", USAGE, "fingerprint= is the SHA-256.*not 'sha256:aa'"),
    ("-o setuid=nobody-of-that-name u@h {m}", USAGE, "setuid=nobody-of-that-name: there is no such user"),
    ("-o remount,ro u@h {m}", MOUNT, "nothing is mounted there that could be remounted"),
    # Logging in
    ("-o auth=CRAM-MD5 u@h {m}", USAGE, "auth= is one of OAUTHBEARER, .*, not 'CRAM-MD5'"),
    ("-o auth=EXTERNAL u@h {m}", USAGE, "auth=EXTERNAL needs certfile="),
    ("-o auth=XOAUTH2 u@h {m}", USAGE, "auth=XOAUTH2 needs tokencmd="),
    ("-o auth=PLAIN,tokencmd=x u@h {m}", USAGE, "auth=PLAIN has no use for tokencmd="),
    ("-o auth=LOGIN,authzid=j u@h {m}", USAGE, "auth=LOGIN cannot carry an authzid="),
    ("-o keyfile=/x u@h {m}", USAGE, "keyfile= needs its certificate, certfile="),
    ("-o tls=none,certfile=/x u@h {m}", USAGE, r"with tls=none no certificate \(certfile=\) can be shown"),
    ("-o tls=none,auth=SCRAM-SHA-1-PLUS u@h {m}", USAGE, "auth=SCRAM-SHA-1-PLUS needs TLS"),
    ("-o passfile=/x,passcmd=y u@h {m}", USAGE, "passfile=, passcmd=, netrc= and tokencmd= exclude each other"),
    ("-o netrc=/x,tokencmd=y u@h {m}", USAGE, "exclude each other"),
    ("-o passcmd=pass_|_head u@h {m}", USAGE, r"not run by a shell, to which the '\|' in it would belong; write "
                                              "passcmd=sh -c"),
    ("-o passcmd=a_&&_b u@h {m}", USAGE, "not run by a shell, to which the '&&'"),
    ("-o passcmd=a_>_b u@h {m}", USAGE, "not run by a shell, to which the '>'"),
    ("-o tokencmd=a_|_b u@h {m}", USAGE, "tokencmd= is not run by a shell"),
    ("-o passcmd='a u@h {m}", USAGE, "passcmd= is no command: "),
    ("-o passcmd=_ u@h {m}", USAGE, "passcmd= is no command: "),
    ("-o passfile=/nonexistent u@h {m}", LOGIN, "passfile /nonexistent: No such file"),
    ("-o passfile={m} u@h {m}", LOGIN, "is neither a file nor a pipe"),
    ("-o passfile={open} u@h {m}", LOGIN, r"others can read or write passfile .*\(mode 0644\); run: chmod 600 '"),
    ("-o passfile={empty} u@h {m}", LOGIN, "the first line of passfile .* is empty"),
    ("-o passfile={nul} u@h {m}", LOGIN, "the first line of passfile .* has a NUL"),
    ("-o passfile={long} u@h {m}", LOGIN, "the first line of passfile .* is longer than 4096"),
    ("-o passfile={other} u@h {m}", LOGIN, "belongs to another user"),
    ("-o passfile=~/nonexistent u@h {m}", LOGIN, "passfile {d}/nonexistent: No such file"),
    ("-o netrc=/nonexistent u@h {m}", LOGIN, "netrc /nonexistent: No such file"),
    ("-o netrc={netrc} u@h {m}", LOGIN, "has no password of u at machine h"),
    ("-o netrc={open} u@h {m}", LOGIN, "others can read or write netrc|has no password"),
    ("-o netrc={quote} u@h {m}", LOGIN, "a quote has no end"),
    ("-o passcmd=false u@h {m}", LOGIN, r"passcmd \(false\) failed with exit status 1"),
    ("-o passcmd=true u@h {m}", LOGIN, r"passcmd \(true\) printed no password"),
    ("-o passcmd=/nonexistent u@h {m}", LOGIN, r"passcmd \(/nonexistent\) cannot be run: no such file"),
    ("-o passcmd={m} u@h {m}", LOGIN, "cannot be run: permission denied"),
    ("-o passcmd=cat_/dev/zero u@h {m}", LOGIN, r"passcmd \(cat\) printed a line of more than 4096"),
    ("-o passcmd=sh_-c_'kill_-9_$$' u@h {m}", LOGIN, r"passcmd \(sh\) was ended by signal 9"),
    ("u@h {m}", LOGIN, "there is no terminal to ask for the password; use -o passfile= or -o passcmd="),
    ("-o passfile={secret},keyfile={open},certfile={open} u@h {m}", LOGIN, "others can read or write keyfile"),
    # TLS
    ("-o passfile={secret},cafile=/nonexistent u@h {m}", TLS, "/nonexistent: No such file"),
    ("-o passfile={secret},cafile={empty} u@h {m}", TLS, "no certificate in it|Base64"),
    ("-o passfile={secret},tls_priority=NONSENSE u@h {m}", TLS, "tls_priority= is not understood at 'NONSENSE"),
    ("-o passfile={secret},tls_priority=NORMAL:-VERS-ALL u@h {m}", TLS, "allows neither TLS 1.2 nor TLS 1.3"),
    ("-o passfile={secret},certfile=/nonexistent u@h {m}", LOGIN, "keyfile /nonexistent: No such file"),
    # Mountpoint, cache and state
    ("u@h /nonexistent", MOUNT, "/nonexistent: No such file or directory; run: mkdir -p '/nonexistent'"),
    ("u@h /nonexistent/Anna's", MOUNT, r"run: mkdir -p '/nonexistent/Anna'\\''s'"),
    ("u@h {file}", MOUNT, "file: not a directory"),
    ("u@h {file}/x", MOUNT, "file/x: Not a directory"),
    ("-o passfile={secret},cache={file} u@h {m}", CACHE, "cache directory .*file"),
    ("-o passfile={secret},cache={world} u@h {m}", CACHE, "cache directory"),
    ("-o passfile={secret},cache=/proc/nonexistent u@h {m}", CACHE, "cache directory /proc/nonexistent: No such file"),
    ("-o passfile={secret},statedir={file} u@h {m}", CACHE, "state directory .*file"),
    # The network
    ("-o passfile={secret} imaps://u@localhost:1/ {m}", CONNECT, "localhost:1: cannot connect to localhost port 1: "
                                                                "Connection refused"),
    ("-o passfile={secret},tls=starttls,port=1 u@localhost {m}", CONNECT, "cannot connect to localhost port 1"),
    ("-o passfile={secret},port=1 u@localhost:1993 {m}", CONNECT, "if 1993 is a port write imaps://u@localhost:1993/"),
    ("-o passfile={secret} imaps://u@localhost:{port}/ {m}", TLS, "does not speak TLS there: wrong port, or one for "
                                                                 "STARTTLS"),
    ("-o passfile={secret} imap://u@localhost:{port}/ {m}", TLS, "STARTTLS"),
    ("-o passfile={secret},tls=none imap://u@localhost:{port}/ {m}", LOGIN, "login refused"),
    ("-o passfile={secret},tls=none,auth=SCRAM-SHA-256 imap://user@localhost:{port}/ {m}", LOGIN,
     "does not offer the mechanism of auth="),
    ("-o passcmd=yes,tls=none imap://user@localhost:{port}/ {m}", LOGIN, "login refused"),
    ("-o passfile={right},tls=none imap://user@localhost:{port}/Nowhere {m}", MOUNT, "there is no mailbox Nowhere"),
    ("-o passfile={right},tls=none,port={port} user@localhost:1993 {m}", MOUNT,
     "there is no mailbox 1993; if 1993 is a port write imaps://user@localhost:1993/"),
    ("-o passfile={right},tls=none,delete=trash,trash=Nowhere imap://user@localhost:{port}/ {m}", MOUNT,
     "there is no mailbox for what is deleted"),
    ("-o passfile={right},offline,tls=none imap://user@localhost:{port}/Nowhere {m}", CONNECT,
     "offline, and the cache holds nothing of this account"),
    # The file of accounts
    ("bare {m}", USAGE, r"the account \[bare\] has no line source = USER@HOST"),
    ("nomount", USAGE, "MOUNTPOINT is missing"),
    ("typo {m}", USAGE, r"config:\d+: unknown option 'passfil' \(did you mean passfile=\?\)"),
    ("secret {m}", USAGE, r"config:\d+: .*a password never belongs into this file"),
    ("maybe {m}", USAGE, r"config:\d+: ro = is yes or no, not 'maybe'"),
    ("url {m}", USAGE, "a URL as SOURCE starts with imaps:// or imap://"),
    ("pipe {m}", USAGE, r"config:\d+: passcmd= is not run by a shell"),
    ("nomount -o passfile=/x,passcmd=y {m}", USAGE, "exclude each other"),
]

CONFIG = """[bare]
ro = yes
[nomount]
source = u@h
[typo]
source = u@h
passfil = /x
[secret]
source = u@h
password = geheim
[maybe]
source = u@h
ro = maybe
[url]
source = ftp://h/
[pipe]
source = u@h
passcmd = pass x | head -n 1
"""


def write(path, text, mode=0o600):
    with open(path, "w", encoding="utf-8") as out:
        os.fchmod(out.fileno(), mode)
        out.write(text)
    return path


def make_world(directory):
    world = {"d": directory, "m": directory + "/m", "world": directory + "/world"}
    for name, text, mode in [("file", "x", 0o600), ("open", "geheim\n", 0o644), ("empty", "", 0o600),
                             ("nul", "ge\0heim\n", 0o600), ("long", "x" * 5000, 0o600), ("other", "x\n", 0o600),
                             ("netrc", "machine x login u password geheim\n", 0o600),
                             ("quote", 'machine h login u password "geheim', 0o600),
                             ("secret", "geheim\n", 0o600), ("right", "secret\n", 0o600)]:
        world[name] = write(f"{directory}/{name}", text, mode)
    os.mkdir(world["m"])
    os.mkdir(world["world"])
    os.chmod(world["world"], 0o777)
    if os.getuid() == 0:
        os.chown(world["other"], NOBODY, NOBODY)
    os.makedirs(directory + "/.config/imapfs")
    write(directory + "/.config/imapfs/config", CONFIG)
    return world


def fill(text, world):
    return re.sub(r"\{(\w+)\}", lambda match: str(world[match.group(1)]), text)


def run(world, arguments):
    # Without a terminal there is none to ask on.
    return subprocess.run([RELEASE, "-f", *arguments] if arguments and not arguments[0].startswith("--") else
                          [RELEASE, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60,
                          check=False, start_new_session=True,
                          env={"PATH": os.environ["PATH"], "HOME": world["d"], "LC_ALL": "C.UTF-8"})


def test_table(directory):
    world, wrong = make_world(directory), []
    with FakeImap({"INBOX": [b"A: b\r\n\r\n"]}) as server:
        world["port"] = server.port
        for line, status, pattern in TABLE:
            if "{other}" in line and os.getuid() != 0:
                continue
            arguments = [fill(word.replace("_", " ") if "cmd=" in word else word, world) for word in line.split()]
            done = run(world, arguments)
            said = done.stderr
            if done.returncode != status or not re.search(fill(pattern, world), said) or SECRET in said or \
                    said.count("\n") != 1 or not said.startswith("imapfs: "):
                wrong.append(f"{line}\n    {done.returncode} instead of {status}: {said}    not {pattern}")
    print("\n".join(wrong), file=sys.stderr)
    assert not wrong, f"{len(wrong)} of {len(TABLE)}"


def test_credentials_of_others(directory):
    """A service that was given some, but not ours, is told where they were looked for."""
    os.mkdir(directory + "/m")
    done = subprocess.run([RELEASE, "-f", "u@h", directory + "/m"], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=60, check=False, start_new_session=True, env={
                              "PATH": os.environ["PATH"], "HOME": directory, "CREDENTIALS_DIRECTORY": directory})
    assert done.returncode == LOGIN and "there is no terminal" in done.stderr
    assert done.stderr.endswith(f"give the credential imapfs, which is not in CREDENTIALS_DIRECTORY, {directory}\n")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can take things away")
def test_without_fuse(directory):
    """What mounting needs is missed before anybody is asked for a password."""
    os.chmod(directory, 0o755)
    shutil.copy(RELEASE, directory + "/imapfs")
    user = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups {directory}/imapfs u@h {directory}/m 2>&1"
    script = f"""
cd {directory}
mkdir m
printf '#!/bin/sh\\n' >weak
chmod 755 weak
mknod -m 600 closed c 10 229
mknod -m 666 open c 10 229
mount --bind closed /dev/fuse
{user}; echo $?
mount --bind open /dev/fuse
mount --bind weak /usr/bin/fusermount3
{user}; echo $?
mount -t tmpfs tmpfs /dev
mknod -m 666 /dev/null c 1 3
./imapfs u@h m 2>&1; echo $?
"""
    done = subprocess.run([*APART, "sh", "-c", script], capture_output=True, text=True, timeout=60, check=False,
                          env={"PATH": os.environ["PATH"], "HOME": directory, "LC_ALL": "C.UTF-8"})
    closed, one, weak, two, missing, three = done.stdout.splitlines()
    assert closed == "imapfs: /dev/fuse: Permission denied; as root run: chmod 666 /dev/fuse"
    assert weak.startswith("imapfs: fusermount3 cannot mount for users, as it is not set-user-ID root; as root run: chmod")
    assert missing.startswith("imapfs: /dev/fuse: the kernel has no FUSE; as root run: modprobe fuse")
    assert {one, two, three} == {str(MOUNT)}


AUTOMOUNT = """
import ctypes, os, subprocess, sys
os.chdir(sys.argv[1])
options = f"fd={os.pipe()[1]},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
if ctypes.CDLL(None).mount(b"test", b"m", b"autofs", 0, options.encode()):
    sys.exit(77)
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount an automount")
def test_automount(directory):
    """Its directory is root's: fusermount3 would not mount on it for a user, and would not say what to do."""
    os.chmod(directory, 0o755)
    os.mkdir(directory + "/m")
    shutil.copy(RELEASE, directory + "/imapfs")
    done = subprocess.run(
        [*APART, sys.executable, "-c", AUTOMOUNT, directory, "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
         "--clear-groups", directory + "/imapfs", "u@h", directory + "/m"], capture_output=True, text=True, timeout=60,
        check=False, start_new_session=True, env={"PATH": os.environ["PATH"], "HOME": directory, "LC_ALL": "C.UTF-8"})
    if done.returncode == 77:
        pytest.skip("the kernel has no automounts")
    assert done.returncode == MOUNT and done.stderr == (
        f"imapfs: {directory}/m: only root can mount on an automount, whose directory is root's: instead of setuid= write "
        f"allow_other,uid={NOBODY},gid={NOBODY}\n")
