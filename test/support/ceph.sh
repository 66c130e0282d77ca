#!/bin/sh
# Runs a small Ceph in one directory, in memory, with its S3 gateway in the foreground: one monitor, one OSD, no manager (it only reports).
# ceph.sh DIRECTORY MONITOR-PORT S3-ADDRESS S3-PORT [USER ACCESS-KEY SECRET-KEY]...
# Nothing is ended here: whoever starts it kills its process group.
set -eu
directory=$1 monitor_port=$2 s3_address=$3 s3_port=$4
shift 4
cd "$directory"
mkdir mon osd run
fsid=$(cat /proc/sys/kernel/random/uuid)
cat >ceph.conf <<END
[global]
fsid = $fsid
mon host = v2:127.0.0.1:$monitor_port/0
mon initial members = a
keyring = $directory/keyring
public addr = 127.0.0.1
cluster addr = 127.0.0.1
mon data = $directory/mon
osd data = $directory/osd
run dir = $directory/run
crash dir = $directory/run
admin socket = $directory/run/\$name.\$pid.asok
pid file = $directory/run/\$name.pid
log to file = false
log to stderr = true
mon cluster log to file = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
osd objectstore = memstore
memstore device bytes = 4294967296
[client.rgw]
rgw data = $directory/run
rgw frontends = beast endpoint=$s3_address:$s3_port
rgw dynamic resharding = false
rgw override bucket index max shards = 1
END
export CEPH_CONF="$directory/ceph.conf"

key() {
  name=$1
  shift
  ceph-authtool keyring --gen-key -n "$name" "$@"
}
ceph-authtool --create-keyring keyring
key mon. --cap mon 'allow *'
key client.admin --cap mon 'allow *' --cap osd 'allow *'
key osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
key client.rgw --cap mon 'allow *' --cap osd 'allow *'

monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$monitor_port]" monmap
ceph-mon -i a --mkfs --monmap monmap --keyring keyring
ceph-mon -i a -f &
osd=$(cat /proc/sys/kernel/random/uuid)
ceph --connect-timeout 60 osd new "$osd" 0
ceph-osd -i 0 --mkfs --osd-uuid "$osd"
ceph-osd -i 0 -f &
while [ $# -gt 0 ]; do
  radosgw-admin -n client.rgw user create --uid="$1" --display-name="$1" --access-key="$2" --secret="$3"
  shift 3
done
exec radosgw -n client.rgw -f
