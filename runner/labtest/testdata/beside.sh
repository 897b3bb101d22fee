# Runs the commands of a section, each in a shell of its own, and prints of each: the line, what went to standard output
# and standard error, and the status. "+ COMMAND" prepares and is not printed, "~ ..." is for the judge. "T" and a line
# say that it was not done after a minute.
late() { if grep -q '^timeout: sending signal' "$1"; then printf 'T %s\n' "$n"; fi; }
n=0
while IFS= read -r line || [ -n "$line" ]; do
	n=$((n + 1))
	case $line in
	'' | '#'* | '~'*) ;;
	'+ '*)
		timeout -v -k 10 60 bash -c "${line#+ }" >/dev/null 2>"$tmp.prep" </dev/null
		late "$tmp.prep"
		;;
	*)
		case $line in '= '* | '> '*) line=${line#? } ;; esac
		timeout -v -k 10 60 bash -c "$line" >"$tmp.out" 2>"$tmp.err" </dev/null
		status=$?
		printf 'C %s\n' "$n"
		sed 's/^/O /; $a\' "$tmp.out"
		sed 's/^/E /; $a\' "$tmp.err"
		printf 'S %s\n' "$status"
		late "$tmp.err"
		;;
	esac
done
