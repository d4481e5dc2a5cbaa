#!/bin/sh
# As the image of Apache Kafka does it: its own program turns the environment into a configuration and
# formats the folder, unless it is formatted already.
set -ef
mkdir -p /tmp/default
touch /tmp/default/server.properties /tmp/default/log4j2.yaml /tmp/default/tools-log4j2.yaml
java="java -Xmx512m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp /opt/kafka/libs/*"
$java kafka.docker.KafkaDockerWrapper setup --default-configs-dir /tmp/default \
  --mounted-configs-dir /mnt/shared/config --final-configs-dir /opt/kafka/config || true
exec $java kafka.Kafka /opt/kafka/config/server.properties
