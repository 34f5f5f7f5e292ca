# SPDX-License-Identifier: MIT
"""The configuration of a Dovecot 2.4, whose settings have other names than those of 2.3."""
import os

# What it offers after login.
CAPABILITIES = (
    "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES "
    "THREAD=REFS THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE "
    "UIDPLUS LIST-EXTENDED I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH "
    "LIST-STATUS BINARY MOVE REPLACE SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY "
    "SPECIAL-USE").split()

CONFIG = """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/log/dovecot.log
info_log_path = {base}/log/info.log
instance_name = imapfs-{token}
protocols = imap
listen = 127.0.0.1
{users}
verbose_proctitle = no
shutdown_clients = yes
ssl = yes
ssl_server_cert_file = {base}/tls/server.pem
ssl_server_key_file = {base}/tls/server.key
auth_allow_cleartext = yes
auth_mechanisms = plain login
auth_failure_delay = 0
auth_verbose = yes
passdb passwd-file {{
  passwd_file_path = {base}/passwd
  default_password_scheme = PLAIN.b64
}}
userdb static {{
  fields {{
    uid = {uid}
    gid = {gid}
    home = {base}/mail
  }}
}}
first_valid_uid = 1
first_valid_gid = 0
mail_driver = {mail_format}
mail_path = {mail_directory}
{layout}
mail_fsync = never
mail_max_userip_connections = 10000
mailbox_list_index = yes
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Drafts {{
    special_use = \\Drafts
  }}
  mailbox Sent {{
    special_use = \\Sent
  }}
  mailbox Trash {{
    special_use = \\Trash
  }}
}}
mail_plugins {{
  {mail_plugins}
}}
{settings}
protocol imap {{
  mail_plugins {{
    {imap_plugins}
  }}
  imap_idle_notify_interval = 2 mins
  rawlog_dir = {rawlog}
  {capability}
}}
service imap-login {{
  {chroot}
  restart_request_count = unlimited
  process_min_avail = 1
  client_limit = 2000
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 1000
}}
service anvil {{
  {chroot}
  client_limit = 4000
}}
service auth {{
  client_limit = 8000
}}
service stats {{
  {chroot}
  client_limit = 4000
}}
{extra}
"""


def is_wanted(version):
    """Whether a Dovecot that says this of itself ("2.4.1 (...)") reads it."""
    numbers = version.split()[0].split(".")
    return [int(number) for number in numbers[:2]] >= [2, 4]


def config(server, users, chroot, capability):
    """For a dovecot.Dovecot. capability: the whole line; empty: all that it has."""
    layout, mail_plugins, imap_plugins, settings = "", [], [], []
    if server.quota is not None or server.quota_messages is not None:
        mail_plugins.append("quota")
        imap_plugins.append("imap_quota")
        limits = [] if server.quota is None else [f"storage_size = {server.quota}B"]
        limits += [] if server.quota_messages is None else [f"message_count = {server.quota_messages}"]
        settings.append("quota Mail {\n  driver = count\n  storage_grace = 0\n  %s\n}" % "\n  ".join(limits))
    if server.acl:
        mail_plugins.append("acl")
        imap_plugins.append("imap_acl")
        settings.append("acl_driver = vfile")
    if server.mail_format == "maildir":
        layout = f"mailbox_list_layout = fs\nmail_inbox_path = {server.mail_directory}/INBOX"
    return CONFIG.format(
        base=server.directory, token=os.path.basename(server.directory), users=users, chroot=chroot, uid=server.uid,
        gid=server.gid, mail_format=server.mail_format, mail_directory=server.mail_directory, layout=layout,
        mail_plugins="\n  ".join(f"{name} = yes" for name in mail_plugins),
        imap_plugins="\n    ".join(f"{name} = yes" for name in imap_plugins), settings="\n".join(settings),
        rawlog=server.path("rawlog") if server.rawlog else "",
        capability=f"imap_capability = {capability}" if capability else "",
        imap_port=server.imap_port, imaps_port=server.imaps_port,
        extra=(server.extra if server.extra24 is None else server.extra24).replace("{base}", server.directory))
