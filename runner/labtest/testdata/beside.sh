# Runs the commands of a section, each in a shell of its own, and prints of each: the line, what went to standard output
# and standard error, and the status. "+ COMMAND" prepares and is not printed, "~ ..." is for the judge.
n=0
while IFS= read -r line || [ -n "$line" ]; do
	n=$((n + 1))
	case $line in
	'' | '#'* | '~'*) ;;
	'+ '*) timeout -k 10 60 bash -c "${line#+ }" >/dev/null 2>&1 </dev/null ;;
	*)
		case $line in '= '* | '> '*) line=${line#? } ;; esac
		timeout -k 10 60 bash -c "$line" >"$tmp.out" 2>"$tmp.err" </dev/null
		status=$?
		printf 'C %s\n' "$n"
		sed 's/^/O /; $a\' "$tmp.out"
		sed 's/^/E /; $a\' "$tmp.err"
		printf 'S %s\n' "$status"
		;;
	esac
done
