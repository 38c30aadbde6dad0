#!/bin/sh
# Stands in for the Claude Code CLI: says what a capture has, and notes how it was called. The model is the name of the
# capture, or what to do instead.
here=$(dirname "$0")
seen=$here/seen/$$
for arg; do
    case $last in
    --model) model=$arg ;;
    --resume) cp -p "$arg" "$seen.transcript" ;;
    esac
    last=$arg
done
# Whoever has no conversation for it wants to know its version.
if [ ! -f "$seen.transcript" ]; then
    echo "2.1.329 (Claude Code)"
    exit 0
fi
env >"$seen.env"
{ pwd; ls -A; } >"$seen.work"
printf '%s\n' "$@" >"$seen.args"
read -r initialize
printf '%s\n' "$initialize" >"$seen.initialize"
case $model in
mute)
    sleep 1000 &
    echo "$!" >"$seen.child"
    wait
    ;;
unwilling)
    # Is ready, and takes the transcript for one that needs no answer.
    echo '{"type":"system","subtype":"ui_invalidate"}'
    echo '{"type":"control_response","response":{"subtype":"success","request_id":"initialize","response":{}}}'
    exec sleep 1000
    ;;
endless)
    trap '' TERM
    sleep 1000 &
    echo "$!" >"$seen.child"
    # All of an answer but its end.
    grep -v -e '"type":"result"' -e '"type":"message_stop"' -e content_block_stop "$here/captures/b-partial.jsonl"
    while :; do wait; done
    ;;
esac
cat "$here/captures/$model.jsonl"
grep -q -e '"type":"result"' -e '"tool_use"' "$here/captures/$model.jsonl" || exit 143
cat >"$seen.said"
