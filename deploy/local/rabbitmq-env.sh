# shellcheck shell=bash
# Sourced, with DIR and PORT: what the broker of DIR and its tools must agree on.
unset "${!RABBITMQ_@}"
export HOME=$1
export RABBITMQ_NODENAME=hookswitch-$2@localhost
export RABBITMQ_NODE_IP_ADDRESS=127.0.0.1
export RABBITMQ_NODE_PORT=$2
ERL_EPMD_PORT=$(cat "$1/epmd.port")
export ERL_EPMD_PORT
export ERL_EPMD_ADDRESS=127.0.0.1
export ERL_CRASH_DUMP=$1/erl_crash.dump
export RABBITMQ_MNESIA_BASE=$1/data
export RABBITMQ_LOG_BASE=$1/log
export RABBITMQ_CONFIG_FILE=$1/rabbitmq.conf
export RABBITMQ_ADVANCED_CONFIG_FILE=$1/advanced.config
export RABBITMQ_CONF_ENV_FILE=/dev/null
export RABBITMQ_ENABLED_PLUGINS_FILE=$1/enabled_plugins
export RABBITMQ_PLUGINS_DIR=$1/plugins
export RABBITMQ_PID_FILE=$1/rabbitmq.pid
export RABBITMQ_GENERATED_CONFIG_DIR=$1/config
# The tools take any free port, so that many can run at once, and never start a port mapper that outlives them.
export RABBITMQ_CTL_DIST_PORT_MIN=0 RABBITMQ_CTL_DIST_PORT_MAX=0
export RABBITMQ_CTL_ERL_ARGS="-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"

# Whether something answers on a port of this machine.
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
