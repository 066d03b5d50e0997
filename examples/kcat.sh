#!/bin/sh
# Produces one event with kcat, awaits its verdict, and prints it: no code of Penstock's in between.
#
#   examples/kcat.sh 127.0.0.1:9092 "a text to judge"
#
# PREFIX is put before the topics' names, where the deployment has one. Exit status: 0 a verdict came, 10 none did.
set -eu

bootstrap=${1:?give HOST:PORT of Kafka}
text=${2:?give a text in quotes, on one line}
prefix=${PREFIX:-}
id="kcat-$(date +%s)-$$"
began_ms=$(($(date +%s) * 1000))

# JSON wants quotes and backslashes escaped. A program of yours has a library for that.
escaped=$(printf '%s' "$text" | sed 's/\\/\\\\/g; s/"/\\"/g')

# The topic decides the priority. The key keeps an author's posts in one partition; murmur2 is how Java's clients,
# and ours, choose it.
printf '{"v":1,"id":"%s","kind":"moderate","author":"author-1","text":"%s"}' "$id" "$escaped" |
    kcat -P -q -b "$bootstrap" -t "${prefix}content.critical" -k author-1 -X topic.partitioner=murmur2_random

# A verdict's key is tenant/id; who names no tenant is `default`. Read from when we began, until it is there.
tries=0
while [ "$tries" -lt 120 ]; do
    found=$(kcat -C -q -e -b "$bootstrap" -t "${prefix}verdicts" -o "s@$began_ms" -f '%k %s\n' |
        sed -n "s|^default/$id ||p" | head -n 1)
    if [ -n "$found" ]; then
        printf '%s\n' "$found"
        exit 0
    fi
    tries=$((tries + 1))
    sleep 0.5
done
echo "No verdict on $id within a minute; is it a dead letter? kcat -C -e -t ${prefix}dead-letters -o -5" >&2
exit 10
