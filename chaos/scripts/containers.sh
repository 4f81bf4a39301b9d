# The containers of the compose cluster, for the scripts beside this one; sourced, not run.

project=${COMPOSE_PROJECT_NAME:-$(basename "$(cd "$(dirname "$0")/../.." && pwd)" | tr 'A-Z' 'a-z' | tr -cd 'a-z0-9_-')}

# The names of all nodes that run.
nodes() {
  docker ps --filter "label=com.docker.compose.project=$project" --format '{{.Label "com.docker.compose.service"}} {{.Command}}' |
    awk '/kith node/ {print $1}' | sort
}

container_of() {
  found=$(docker ps -q --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$1")
  [ -n "$found" ] || { echo "$0: no container of node $1 runs in the project $project (COMPOSE_PROJECT_NAME)" >&2; exit 1; }
  echo "$found"
}

address_of() {
  docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(container_of "$1")"
}

# Run a program of this machine in a node's network.
inside() {
  node=$1
  shift
  nsenter --net --target "$(docker inspect --format '{{.State.Pid}}' "$(container_of "$node")")" "$@"
}
