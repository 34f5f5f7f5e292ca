# SPDX-License-Identifier: MIT
# Completion for bash: verbs, the words of -o as imapfs -h tells them, accounts, and directories.
_imapfs() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words
	COMPREPLY=()
	case $prev in
	-o)
		words=$(imapfs -h 2>/dev/null | grep -oE '(-o |, )[a-z_]+=?' | sed 's/^-o //; s/^, //' | sort -u)
		local done=
		if [[ $cur == *,* ]]; then
			done=${cur%,*},
		fi
		mapfile -t COMPREPLY < <(compgen -W "$words" -P "$done" -- "${cur##*,}")
		compopt -o nospace
		return
		;;
	--cache)
		mapfile -t COMPREPLY < <(compgen -W "list verify trim clear $(imapfs --list 2>/dev/null | cut -f1)" -- "$cur")
		return
		;;
	--keep | --unkeep | --status | --sync | --wait | --json | --watch)
		compopt -o dirnames
		return
		;;
	esac
	if [[ ${COMP_WORDS[1]} == --keep || ${COMP_WORDS[1]} == --unkeep ]]; then
		compopt -o dirnames
	elif [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "-d -f -h -o -V --help --version --cache --check --keep --unkeep --list --status --sync --wait --json --watch" -- "$cur")
	else
		mapfile -t COMPREPLY < <(compgen -W "$(imapfs --list 2>/dev/null | cut -f1)" -- "$cur")
		compopt -o dirnames
	fi
}
complete -F _imapfs imapfs
