# SPDX-License-Identifier: MIT
# Completion for fish: verbs, the words of -o as imapfs -h tells them, accounts, and directories.
function __imapfs_words
    imapfs -h 2>/dev/null | string match -arg '(?:-o |, )([a-z_]+=?)' | sort -u
end
complete -c imapfs -s d -d 'Stay in the foreground and show the protocol'
complete -c imapfs -s f -d 'Stay in the foreground'
complete -c imapfs -s h -l help -d 'Show the help'
complete -c imapfs -s V -l version -d 'Show the version'
complete -c imapfs -s o -x -a '(__fish_complete_list , __imapfs_words)' -d 'Options'
complete -c imapfs -l cache -x -a 'list verify trim clear (imapfs --list 2>/dev/null | cut -f1)' -d 'Look after the caches'
complete -c imapfs -l check -d 'Look at all that a mount needs'
complete -c imapfs -l list -d 'List the accounts'
complete -c imapfs -l status -r -d 'Say what a mount is doing'
complete -c imapfs -l keep -r -d 'Fetch mailboxes and keep them for offline'
complete -c imapfs -l unkeep -r -d 'Do not keep them any more'
complete -c imapfs -l wait -r -d 'Wait until something came or went'
complete -c imapfs -l sync -r -d 'Wait until all changes are done'
complete -c imapfs -n '__fish_contains_opt cache' -f -a '(imapfs --list 2>/dev/null | cut -f1,2)'
complete -c imapfs -n __fish_is_first_arg -a '(imapfs --list 2>/dev/null | cut -f1,2)'
