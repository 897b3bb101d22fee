#!/bin/bash
# play.sh DIRECTORY plays one document, looks at its effect, and takes it down. In DIRECTORY are the document's files;
# "files" and "args" name what is played; what happens is written beside them.
cd "$1" || exit
name=${1##*/}

# ctl WORDS: systemctl of the manager that we play under.
ctl() {
	if [ "$(id -u)" = 0 ]; then systemctl "$@"; else systemctl --user "$@"; fi
}
# logs UNIT: what a unit and its processes have said, without dates.
logs() {
	if [ "$(id -u)" = 0 ]; then journalctl -q -o cat -u "$1"; else journalctl --user -q -o cat -u "$1"; fi
}
# await SCRIPT: until SCRIPT succeeds, for two minutes. What it prints then is printed, not what it printed before.
await() {
	local end=$((SECONDS + 120)) out
	until out=$(eval "$1"); do
		[ $SECONDS -lt $end ] || { echo "in vain: $1"; return 1; }
		sleep 0.1
	done
	[ -z "$out" ] || echo "$out"
}
# pid UNIT: the main process of a unit.
pid() { ctl show -P MainPID "$1"; }
# state UNIT...: their states, on one line.
state() { echo $(ctl show -P ActiveState "$@"); }
# run WORDS: podunit exec.
run() { podunit exec "$@"; }

read -ra args <args
read -ra files <files
[ ! -e setup ] || (. ./setup) >setup.out 2>&1 || echo "setup failed: $(cat setup.out)" >play.err
podunit kube play "${args[@]}" "${files[@]}" >play.out 2>>play.err </dev/null
echo $? >play.code
if [ -e check ]; then
	if [ "$(cat play.code)" = 0 ]; then (. ./check) >check.out 2>&1 </dev/null; else echo not played >check.out; fi
fi
podunit kube down --force "${files[@]}" >down.out 2>down.err </dev/null
echo $? >down.code
