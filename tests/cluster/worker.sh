#!/bin/sh
# Becomes a Celery worker on a machine of its own, as far as it can tell: worker.sh NAME ADDRESS AIRFLOW KEEP...
# It runs as the first process of new mount, network, process and UTS namespaces. All file systems are read-only but for temporary and
# home folders, which are new and empty; the folders KEEP, which an image would hold, are shown in them, read-only.
set -eu
name=$1 address=$2 airflow=$3
shift 3

mount --make-rprivate /
mount -t proc proc /proc
hostname "$name"
until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
ip link set lo up
ip address add "$address/24" dev eth0
ip link set eth0 up

while read -r _ at type _; do
  case $type in
    ext* | xfs | btrfs | overlay | fuse* | virtiofs | 9p) mount -o remount,bind,ro "$at" ;;
  esac
done </proc/self/mounts

mount -t tmpfs tmpfs /mnt
n=0
for folder in "$@"; do
  n=$((n + 1))
  mkdir "/mnt/$n"
  mount --bind "$folder" "/mnt/$n"
  mount -o remount,bind,ro "/mnt/$n"
done
for folder in /tmp /var/tmp /home /dev/shm /run; do mount -t tmpfs tmpfs "$folder"; done
chmod 1777 /tmp /var/tmp
n=0
for folder in "$@"; do
  n=$((n + 1))
  mkdir -p "$folder"
  mount --move "/mnt/$n" "$folder"
done
umount /mnt

export HOME=/home/airflow AIRFLOW_HOME=/home/airflow
mkdir "$HOME"
cd "$HOME"
exec "$airflow" celery worker --celery-hostname "$name@%h" --without-gossip --without-mingle
