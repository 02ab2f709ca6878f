# shellcheck shell=bash
# Sourced, with DIR and PORT: what the broker of DIR and its tools must agree on.
unset "${!RABBITMQ_@}"
export HOME=$1
export RABBITMQ_NODENAME=hookswitch-$2@localhost
export RABBITMQ_NODE_IP_ADDRESS=127.0.0.1
export RABBITMQ_NODE_PORT=$2
RABBITMQ_DIST_PORT=$(cat "$1/dist.port")
ERL_EPMD_PORT=$(cat "$1/epmd.port")
export RABBITMQ_DIST_PORT ERL_EPMD_PORT
export ERL_EPMD_ADDRESS=127.0.0.1
export RABBITMQ_MNESIA_BASE=$1/data
export RABBITMQ_LOG_BASE=$1/log
export RABBITMQ_CONFIG_FILE=$1/rabbitmq.conf
export RABBITMQ_ADVANCED_CONFIG_FILE=$1/advanced.config
export RABBITMQ_CONF_ENV_FILE=/dev/null
export RABBITMQ_ENABLED_PLUGINS_FILE=$1/enabled_plugins
export RABBITMQ_PID_FILE=$1/rabbitmq.pid
export RABBITMQ_GENERATED_CONFIG_DIR=$1/config
# Two schedulers and no busy waiting: a private broker shares the machine with whatever is tested against it.
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
