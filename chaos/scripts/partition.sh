#!/bin/sh
# Cut the containers of the compose cluster into groups that reach each other no more:
#
#   chaos/scripts/partition.sh a,b c,d,e        heal.sh ends it
#
# In each container's own network a chain KITH-CHAOS drops what comes from the other groups; the machine's firewall is
# not touched, and no address is refused: packets are lost without a word, as between two buildings. Nodes that are in
# no group reach everybody. Needs root, docker, nsenter and iptables. COMPOSE_PROJECT_NAME picks the cluster.
set -eu
. "$(dirname "$0")/containers.sh"

[ $# -ge 2 ] || { echo "usage: $0 a,b c,d,e   (two groups of nodes or more)" >&2; exit 64; }
named=" "
for node in $(echo "$@" | tr ',' ' '); do
  case $named in *" $node "*) echo "$0: $node is in two groups" >&2; exit 64 ;; esac
  named="$named$node "
  container_of "$node" >/dev/null
done

for ours in "$@"; do
  for node in $(echo "$ours" | tr ',' ' '); do
    {
      echo '*filter'
      echo ':KITH-CHAOS - [0:0]'
      for theirs in "$@"; do
        [ "$theirs" = "$ours" ] && continue
        for other in $(echo "$theirs" | tr ',' ' '); do echo "-A KITH-CHAOS -s $(address_of "$other")/32 -j DROP"; done
      done
      inside "$node" iptables -C INPUT -j KITH-CHAOS 2>/dev/null || echo '-I INPUT -j KITH-CHAOS'
      echo COMMIT
    } | inside "$node" iptables-restore --noflush
  done
done
echo "cut apart: $*"
