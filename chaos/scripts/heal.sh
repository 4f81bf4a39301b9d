#!/bin/sh
# End what partition.sh did, in every container of the compose cluster:
#
#   chaos/scripts/heal.sh
set -eu
. "$(dirname "$0")/containers.sh"

for node in $(nodes); do
  if inside "$node" iptables -C INPUT -j KITH-CHAOS 2>/dev/null; then
    inside "$node" iptables -D INPUT -j KITH-CHAOS
    inside "$node" iptables -F KITH-CHAOS
    inside "$node" iptables -X KITH-CHAOS
    echo "healed: $node"
  fi
done
