# What Tab gives in zsh after each line: typed into a zsh on a terminal of its own, which shows it.
zmodload zsh/zpty zsh/datetime
autoload -Uz compinit
zpty shell zsh -f -i
zpty -w shell "autoload -Uz compinit; compinit -u -D; PS1='ready> '; stty cols 200; print be''gun"
seen= end=$((EPOCHREALTIME + 60))
wait_for() {
	until [[ $seen == *$1* ]]; do
		((EPOCHREALTIME < end)) || return 1
		zpty -r -t shell part && seen+=$part || sleep 0.05
	done
}
wait_for begun
for line want in "$@"; do
	seen= end=$((EPOCHREALTIME + 60))
	zpty -n -w shell "$line"$'\t'
	wait_for "$want" && print -r -- "$want"
	zpty -n -w shell $'\x15' # away with the line
done
zpty -d shell
