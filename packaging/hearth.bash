# SPDX-License-Identifier: Apache-2.0
# bash completion of hearth(1): commands and options are what the program's own --help says.
_hearth()
{
	local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		words=$(hearth --help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p')
		mapfile -t COMPREPLY < <(compgen -W "$words --help --version" -- "$word")
		return
	fi
	case $previous in
	--data | --config | --debug-folders | --token-file | --tls-* | --record | --replay | --output | \
		--collector-socket | backup | import | upload)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	esac
	case $word in
	-*)
		words=$(hearth "${COMP_WORDS[1]}" --help 2>/dev/null | grep -oE -e '--[a-z][a-z-]*')
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
		;;
	*)
		[ "$COMP_CWORD" -eq 2 ] || return
		case ${COMP_WORDS[1]} in
		store) words="status verify backup" ;;
		symbols) words="upload remove" ;;
		token) words="new list revoke" ;;
		tls) words="self-signed" ;;
		*) words= ;;
		esac
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
		;;
	esac
}
complete -o filenames -F _hearth hearth
