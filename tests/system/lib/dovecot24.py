# SPDX-License-Identifier: MIT
"""The configuration of a Dovecot 2.4, whose settings have other names than those of 2.3. It has what the
demo needs; the tests want a Dovecot 2.3, whose manners they know."""
import os

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
{quota}
protocol imap {{
  {imap_plugins}
  imap_idle_notify_interval = 2 mins
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
"""


def is_wanted(version):
    """Whether a Dovecot that says this of itself ("2.4.1 (...)") reads it."""
    numbers = version.split()[0].split(".")
    return [int(number) for number in numbers[:2]] >= [2, 4]


def config(server, users, chroot):
    """For a dovecot.Dovecot without a quota of messages, ACL, hidden capabilities and settings of its own."""
    layout = quota = imap_plugins = ""
    if server.quota is not None:
        quota = (f"mail_plugins {{\n  quota = yes\n}}\nquota user {{\n  driver = count\n"
                 f"  storage_size = {server.quota}B\n  storage_grace = 0\n}}")
        imap_plugins = "mail_plugins {\n    quota = yes\n    imap_quota = yes\n  }"
    if server.mail_format == "maildir":
        layout = f"mailbox_list_layout = fs\nmail_inbox_path = {server.mail_directory}/INBOX"
    return CONFIG.format(
        base=server.directory, token=os.path.basename(server.directory), users=users, chroot=chroot, uid=server.uid,
        gid=server.gid, mail_format=server.mail_format, mail_directory=server.mail_directory, layout=layout, quota=quota,
        imap_plugins=imap_plugins,
        imap_port=server.imap_port, imaps_port=server.imaps_port)
