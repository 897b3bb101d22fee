# What Tab gives in bash after each line: what readline sets is set, and its function called.
. /usr/share/bash-completion/bash_completion
. /usr/share/bash-completion/completions/podunit
for COMP_LINE; do
	COMP_POINT=${#COMP_LINE} COMP_TYPE=9 COMP_KEY=9
	read -ra COMP_WORDS <<<"$COMP_LINE"
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	COMPREPLY=()
	__start_podunit 2>/dev/null # it asks for options of a completion that is not one of readline's
	printf '%s\n' "${COMPREPLY[@]}"
done
