#!/bin/sh
# Ends the parts of a stack when its supervisor has died, even by kill -9: a JVM does not notice by itself.
# Input: lines "began PID" and "ended PID". The end of the input is the end of the supervisor.
running=
while read -r what pid; do
  rest=
  for each in $running; do [ "$each" = "$pid" ] || rest="$rest $each"; done
  running=$rest
  [ "$what" = began ] && running="$running $pid"
done
for pid in $running; do kill -TERM "$pid" 2>/dev/null; done
rounds=0
while [ -n "$running" ] && [ $rounds -lt 20 ]; do
  sleep 0.5
  rounds=$((rounds + 1))
  rest=
  for pid in $running; do kill -0 "$pid" 2>/dev/null && rest="$rest $pid"; done
  running=$rest
done
for pid in $running; do kill -KILL -- "-$pid" 2>/dev/null; done
exit 0
