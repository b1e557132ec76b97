#!/bin/sh
# Runs every network of this kit on a device over @OVER@, one log a run, and brings the logs into logs/.
#
#   @USAGE@
#
# DEVICE is what the rows will call it: the name of its profile. What is in logs/ already is not run again, so an interrupted
# run is taken up by running this again. To change from outside:
#   CORES     core sets and their masks, such as "large=1:80 large=1,medium=3:f0"; without it one core of each cluster
#   ROUNDS    runs of each network on each core set (2)
#   PASSES    timed passes of a run (50)
#   COOL_S    seconds of rest before each run (30), and after that until the device is at most COOL_DEGREES (3) above the
#             temperature at the start, for COOL_LIMIT_S (300) more at most
#   FOLDER    where files go on the device (@FOLDER@)
set -eu
@ARGUMENTS@
case $TOOL in /*) ;; *) TOOL=$PWD/$TOOL ;; esac
cd "$(dirname "$0")"
case $device in *[!A-Za-z0-9._-]*) echo "the device's name may have letters, digits, dots, dashes and underscores: $device" >&2; exit 2 ;; esac
[ -f "$TOOL" ] || { echo "@TOOL@ is not at $TOOL: set TOOL to its path; README.md says where it is from" >&2; exit 2; }
ROUNDS=${ROUNDS:-2} PASSES=${PASSES:-50}
COOL_S=${COOL_S:-30} COOL_DEGREES=${COOL_DEGREES:-3} COOL_LIMIT_S=${COOL_LIMIT_S:-300}
FOLDER=${FOLDER:-@FOLDER@}
tool=$(basename "$TOOL")

@TRANSPORT@

# One core of each cluster, "large=1:80 medium=1:10 small=1:1": clusters are told apart by their highest clock.
clusters() {
    # shellcheck disable=SC2016  # the device expands it
    remote 'for c in /sys/devices/system/cpu/cpu[0-9]*; do
        f=0; [ -r "$c/cpufreq/cpuinfo_max_freq" ] && f=$(cat "$c/cpufreq/cpuinfo_max_freq"); echo "$f ${c##*cpu}"; done' |
        tr -d '\r' | sort -k1,1nr -k2,2nr | awk '
            $1 != last || NR == 1 { last = $1; cpu[n++] = $2 }
            END { for (i = 0; i < n && i < 3; i++) {
                name = i == 0 ? "large" : (n >= 3 && i == 1 ? "medium" : "small")
                mask = 1; for (k = 0; k < cpu[i]; k++) mask *= 2
                printf "%s%s=1:%x", (i ? " " : ""), name, mask } }'
}

# The hottest sensor, in whole degrees; 0 where there is none.
temperature() {
    remote 'cat /sys/class/thermal/thermal_zone*/temp 2>/dev/null || true' | tr -d '\r' |
        awk '$1 > 1000 && $1 < 150000 && $1 > most { most = $1 } END { print int(most / 1000) }'
}

cool() {
    sleep "$COOL_S"
    waited=0
    while [ "$(temperature)" -gt $((start + COOL_DEGREES)) ] && [ "$waited" -lt "$COOL_LIMIT_S" ]; do
        sleep 5
        waited=$((waited + 5))
    done
}

# How many cores a set such as large=1,medium=3 has.
count() { echo "$1" | tr ',' '\n' | awk -F= '{ n += $2 } END { print n }'; }

# The command that runs a network on the device: file, shape of its input, core set, mask.
command_of() {
    file=$1 shape=$2 cores=$3 mask=$4
    threads=$(count "$cores")
    : "$file" "$shape" "$cores" "$mask" "$threads"
    echo "@COMMAND@"
}

remote "mkdir -p '$FOLDER'"
push "$TOOL"
remote "chmod 755 '$FOLDER/$tool'"
@SETS@
start=$(temperature)
failed=0
mkdir -p logs
while read -r file network shape; do
    pushed=no
    for set in $sets; do
        cores=${set%%:*} mask=${set##*:}
        round=1
        while [ "$round" -le "$ROUNDS" ]; do
            log=logs/$network.$cores.$round.log
            round=$((round + 1))
            [ -s "$log" ] && continue
            [ "$pushed" = yes ] || { push "models/$file"; pushed=yes; }
            cool
            echo "$network on $cores" >&2
            {
                echo "# costmodel: network=$network device=$device@STATED@ dtype=@DTYPE@ batch=@BATCH@ date=$(date +%Y-%m-%d)"
                remote "cd '$FOLDER' && $(command_of "$file" "$shape" "$cores" "$mask")" 2>&1
            } >logs/.part || {
                mkdir -p failed
                mv logs/.part "failed/${log#logs/}"
                failed=$((failed + 1))
                echo "failed: see failed/${log#logs/}" >&2
                continue
            }
            mv logs/.part "$log"
        done
    done
    [ "$pushed" = no ] || remote "rm -f '$FOLDER/$file'"
done <models.txt
if [ "$failed" != 0 ]; then
    echo "$failed runs failed; this script runs them again" >&2
    exit 1
fi
echo "logs/ is complete; next: costmodel ingest logs -o rows.csv" >&2
