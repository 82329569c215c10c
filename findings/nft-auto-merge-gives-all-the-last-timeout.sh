#!/bin/sh
# What becomes of an element's timeout when nftables merges it with its neighbour (nftables
# 1.0.6 of Debian 12, Linux 6.18).
#
# A good guess: auto-merge joins neighbours that can be one element, and keeps apart those that
# end at different times. Seen: neighbours become one element whatever their timeouts, and the one
# that was added last gives the whole range its timeout. An address banned for an hour is gone
# after three seconds because its neighbour was banned for three.
#
# Output seen:
#   after the first:  192.0.2.7 timeout 1h
#   after the second: 192.0.2.7-192.0.2.8 timeout 3s
#   four seconds on:  no elements
#
# Needs root and apt. Exits with 1 if the behaviour is another, 2 if it cannot be tried.
set -eu
[ "$(id -u)" = 0 ] || { echo "run as root" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -q nftables=1.0.6-2+deb12u2 libnftables1=1.0.6-2+deb12u2 >/dev/null 2>&1 ||
    { echo "these packages cannot be had" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH="$folder/root/usr/lib/$(uname -m)-linux-gnu"
export PATH="$folder/root/usr/sbin:$PATH"
uname -r
nft --version
cat >script <<'SH'
set -eu
elements() { nft list set ip t bans | sed -n 's/.*elements = { \(.*\) }/\1/p' | sed 's/ expires [^ ,]*//'; }
nft 'add table ip t; add set ip t bans { type ipv4_addr; flags interval, timeout; auto-merge; }'
nft 'add element ip t bans { 192.0.2.7 timeout 1h }'
first=$(elements)
nft 'add element ip t bans { 192.0.2.8 timeout 3s }'
second=$(elements)
sleep 4
third=$(elements)
echo "after the first:  $first"
echo "after the second: $second"
echo "four seconds on:  ${third:-no elements}"
[ "$first" = "192.0.2.7 timeout 1h" ] && [ "$second" = "192.0.2.7-192.0.2.8 timeout 3s" ] && [ -z "$third" ]
SH
unshare --net sh script
